//! The task of one balancer.

use super::check::Check;
use super::memory;
use super::state::{Health, Place, Seen, by_target, carry_over, flows, frontend, places};
use crate::backoff::Backoff;
use crate::machine::Roster;
use crate::net::{Flow, Frontend, Nets};
use crate::tended::Told;
use crate::{Config, Saw, now};
use anyhow::{Result, ensure};
use roadstead_hostspec::{Balancer, BalancerStatus, ItemKey, ItemKind, Status};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

pub(super) struct Actor {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    roster: Roster,
    told: Told<Balancer>,
    generation: u64,
    spec: Balancer,
    health: Health,
    /// The data path in the kernel, if it is known.
    applied: Option<Frontend>,
    /// Why it is not as it should be.
    why: Option<String>,
    reported: Option<(u64, BalancerStatus)>,
    /// Whether `checking` may not be as the spec demands.
    checks_due: bool,
    checks: JoinSet<()>,
    checking: BTreeMap<Place, (Check, Duration, AbortHandle)>,
    results: (mpsc::Sender<Checked>, mpsc::Receiver<Checked>),
}

/// A check of a target, and what it saw.
type Checked = (Place, Check, Seen);

impl Actor {
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets, roster: Roster, mut told: Told<Balancer>) -> Actor {
        let (generation, spec) = told.borrow_and_update().clone();
        Actor {
            config,
            saw,
            nets,
            roster,
            told,
            generation,
            spec,
            health: Health::new(),
            applied: None,
            why: None,
            reported: None,
            checks_due: true,
            checks: JoinSet::new(),
            checking: BTreeMap::new(),
            results: mpsc::channel(64),
        }
    }

    /// Until the area drops the other end of `told`, or aborts.
    pub async fn run(mut self) {
        self.health = memory::recall(&self.config, &self.spec).await;
        let (mut backoff, mut roster) = (Backoff::new(), self.roster.changes());
        loop {
            self.call_roll();
            let settled = self.settle().await;
            if settled {
                backoff = Backoff::new();
            }
            if settled && std::mem::take(&mut self.checks_due) {
                self.check_targets();
            }
            tokio::select! {
                told = self.told.changed() => match told {
                    Ok(()) => self.take_spec(),
                    Err(_) => return,
                },
                Some(checked) = self.results.1.recv() => self.take_results(checked).await,
                Ok(()) = roster.changed() => {}
                () = backoff.pause(), if !settled => {}
            }
        }
    }

    fn take_spec(&mut self) {
        (self.generation, self.spec) = self.told.borrow_and_update().clone();
        self.health = carry_over(&self.spec, &self.health, now());
        self.checks_due = true;
    }

    /// Asks which of the targets' processes are there.
    fn call_roll(&mut self) {
        for (place, _, target) in places(&self.spec) {
            let (Some(pulse), Some(server)) = (self.health.get_mut(&place), &target.server) else { continue };
            if pulse.attend(self.roster.absence(&server.machine, &server.process), now()) {
                tracing::info!(balancer = self.spec.id, target = place.1, serves = pulse.serves(), why = pulse.absence);
            }
        }
    }

    /// Counts a result and all that wait behind it; ends what was open to targets that are lost.
    async fn take_results(&mut self, first: Checked) {
        let (mut changed, mut cut) = (false, Vec::new());
        let mut next = Some(first);
        while let Some((place, check, seen)) = next {
            next = self.results.1.try_recv().ok();
            // A check of what the target was before is no news.
            let current = self.checking.get(&place).is_some_and(|(current, ..)| *current == check);
            let rule = self.spec.listeners.iter().find(|listener| listener.port == place.0).map(|l| &l.health);
            let (Some(rule), Some(pulse), true) = (rule, self.health.get_mut(&place), current) else { continue };
            if pulse.count(seen.clone(), rule, now()) {
                changed = true;
                tracing::info!(balancer = self.spec.id, target = place.1, healthy = pulse.healthy, why = pulse.why);
            }
            if pulse.loses(&seen, rule) {
                tracing::info!(balancer = self.spec.id, target = place.1, "its connections are ended: {seen:?}");
                cut.extend(flows(&self.spec, place.0, pulse));
            }
        }
        if changed {
            // First, so that an agent that takes over now knows no less than the data path.
            memory::remember(&self.config, &self.spec, &self.health).await;
            self.settle().await;
        }
        self.cut(cut).await;
    }

    /// Makes the data path as health demands, and reports. False if it must be tried again.
    async fn settle(&mut self) -> bool {
        let want = frontend(&self.spec, &self.health);
        if self.applied.as_ref() != Some(&want) {
            match self.apply(want.clone()).await {
                Ok(()) => (self.applied, self.why) = (Some(want), None),
                Err(error) => (self.applied, self.why) = (None, Some(format!("{error:#}"))),
            }
        }
        self.report();
        self.applied.is_some()
    }

    async fn apply(&mut self, frontend: Frontend) -> Result<()> {
        ensure!(!frontend.addresses.is_empty(), "the balancer has no address in its network");
        if let Some((public, _)) = &frontend.public {
            let [a, b, slot, host] = public.octets();
            let ours = (a, b, slot) == (127, 43, self.config.slot) && (2..=254).contains(&host);
            ensure!(ours, "public address {public} is not in 127.43.{0}.2-127.43.{0}.254", self.config.slot);
        }
        if !self.nets.has_network(&self.spec.network) {
            self.why = Some(format!("network {} is not there yet", self.spec.network));
            self.report();
            self.nets.wait_for_network(&self.spec.network).await;
        }
        self.nets.put_frontend(&self.spec.network, &self.spec.id, frontend).await
    }

    async fn cut(&self, flows: Vec<Flow>) {
        if flows.is_empty() {
            return;
        }
        if let Err(error) = self.nets.cut(&self.spec.network, flows).await {
            tracing::warn!(balancer = self.spec.id, "cannot end connections to a lost target: {error:#}");
        }
    }

    fn report(&mut self) {
        let status =
            BalancerStatus { ready: self.applied.is_some(), why: self.why.clone(), targets: by_target(&self.health) };
        let report = (self.generation, status);
        if self.reported.as_ref() != Some(&report) {
            let key = ItemKey { kind: ItemKind::Balancer, id: self.spec.id.clone() };
            (self.saw)(key, report.0, Status::Balancer(report.1.clone()));
            self.reported = Some(report);
        }
    }

    /// Starts checks of new targets, ends those of targets that are gone, leaves the others in their rhythm.
    fn check_targets(&mut self) {
        let Some(from) = self.spec.addresses.first().copied() else { return };
        let mut wanted: BTreeMap<Place, (Check, Duration)> = BTreeMap::new();
        for (place, listener, target) in places(&self.spec) {
            let (network, to) = (self.spec.network.clone(), SocketAddr::from((target.address, target.port)));
            let (protocol, timeout) = (listener.health.protocol.clone(), millis(listener.health.timeout.0));
            let check = Check { network, from, to, protocol, timeout };
            wanted.insert(place, (check, millis(listener.health.interval.0)));
        }
        self.checking.retain(|place, (check, every, task)| {
            let stays = wanted.get(place).is_some_and(|(c, e)| (c, e) == (check, every));
            if !stays {
                task.abort();
            }
            stays
        });
        for (place, (check, every)) in wanted {
            if !self.checking.contains_key(&place) {
                let results = self.results.0.clone();
                let task =
                    self.checks.spawn(keep_checking(self.config.clone(), results, place.clone(), check.clone(), every));
                self.checking.insert(place, (check, every, task));
            }
        }
        while self.checks.try_join_next().is_some() {}
    }
}

async fn keep_checking(
    config: Arc<Config>,
    results: mpsc::Sender<Checked>,
    place: Place,
    check: Check,
    every: Duration,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut line = None;
    loop {
        ticks.tick().await;
        let seen = check.run(&config, &mut line).await;
        if results.send((place.clone(), check.clone(), seen)).await.is_err() {
            return;
        }
    }
}

/// At least one: an interval of zero would never rest.
fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis.max(1))
}
