//! The health of targets and what follows from it. Pure.

use crate::net::{Flow, Frontend};
use roadstead_hostspec::{Balancer, HealthCheck, Listener, Target, TargetHealth};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A target of a listener: the listener's port and [`Target::id`].
pub(super) type Place = (u16, String);

/// The health of a balancer's targets.
pub(super) type Health = BTreeMap<Place, Pulse>;

/// Whose silence lasts so long is lost: connections to it are ended. Well over the 5 s after which a machine kills a
/// process for that: then the machine's kernel tells clients, and those that only listen, too.
pub(super) const GIVE_UP: Millis = Millis::secs(15);

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Well,
    /// It refuses, or says no: somebody is there. Why, for people, here and below.
    Bad(String),
    /// Nothing came in time.
    Silent(String),
    /// There is no way to it.
    Unreachable(String),
}

/// What is known of one target's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pulse {
    pub address: Ipv4Addr,
    pub port: u16,
    pub healthy: bool,
    /// When `serves` became so.
    pub since: Millis,
    /// What the last failed check saw.
    pub why: Option<String>,
    /// Checks in a row that said the opposite of `healthy`.
    pub against: u32,
    /// Checks in a row that heard nothing.
    #[serde(default)]
    pub silences: u32,
    /// Connections to it were ended, and nothing was heard since.
    #[serde(default)]
    pub lost: bool,
    /// Why its process serves nobody, if that is known. A new agent asks anew.
    #[serde(skip)]
    pub absence: Option<String>,
}

impl Pulse {
    /// A new target: unhealthy until it passed its checks.
    pub fn new(target: &Target, now: Millis) -> Pulse {
        Pulse {
            address: target.address,
            port: target.port,
            healthy: false,
            since: now,
            why: Some("not checked yet".to_owned()),
            against: 0,
            silences: 0,
            lost: false,
            absence: None,
        }
    }

    /// It gets new connections.
    pub fn serves(&self) -> bool {
        self.healthy && self.absence.is_none()
    }

    /// Takes in what is known of its process. True if that changed whether it serves.
    pub fn attend(&mut self, absence: Option<String>, now: Millis) -> bool {
        let served = self.serves();
        self.absence = absence;
        let changed = self.serves() != served;
        if changed {
            self.since = now;
        }
        changed
    }

    /// Whether this check, the last of those that were counted, means that connections to it must be ended.
    pub fn loses(&mut self, seen: &Seen, rule: &HealthCheck) -> bool {
        if matches!(seen, Seen::Well | Seen::Bad(_)) {
            (self.silences, self.lost) = (0, false);
            return false;
        }
        self.silences += u32::from(matches!(seen, Seen::Silent(_)));
        // A check that takes longer than the interval is followed by the next at once.
        let silent = Millis(rule.timeout.max(rule.interval).0.saturating_mul(self.silences.into()));
        let lost = !self.healthy && (matches!(seen, Seen::Unreachable(_)) || silent >= GIVE_UP);
        let is_news = lost && !self.lost;
        self.lost |= lost;
        is_news
    }

    /// Counts a check. True if that changed the target's health.
    pub fn count(&mut self, seen: Seen, rule: &HealthCheck, now: Millis) -> bool {
        let passed = seen == Seen::Well;
        match seen {
            Seen::Bad(why) | Seen::Silent(why) | Seen::Unreachable(why) => self.why = Some(why),
            Seen::Well if self.healthy => self.why = None,
            Seen::Well => {}
        }
        self.against = if passed == self.healthy { 0 } else { self.against + 1 };
        let enough = if passed { rule.healthy } else { rule.unhealthy };
        if self.against < enough.max(1) || passed == self.healthy {
            return false;
        }
        (self.healthy, self.since, self.against) = (passed, now, 0);
        if passed {
            self.why = None;
        }
        true
    }
}

/// The health of `spec`'s targets: what is known of those that are the same, a new pulse for the others.
pub(super) fn carry_over(spec: &Balancer, known: &Health, now: Millis) -> Health {
    let pulse = |place: &Place, target: &Target| match known.get(place) {
        Some(pulse) if (pulse.address, pulse.port) == (target.address, target.port) => pulse.clone(),
        _ => Pulse::new(target, now),
    };
    let pulses = places(spec).map(|(place, _, target)| (pulse(&place, target), place));
    pulses.map(|(pulse, place)| (place, pulse)).collect()
}

/// Every target with its place and listener.
pub(super) fn places(spec: &Balancer) -> impl Iterator<Item = (Place, &Listener, &Target)> {
    spec.listeners.iter().flat_map(targets)
}

fn targets(listener: &Listener) -> impl Iterator<Item = (Place, &Listener, &Target)> {
    listener.targets.iter().map(move |target| ((listener.port, target.id.clone()), listener, target))
}

/// The data path: each listener's targets that serve. When none does, those of which it is not known that they cannot, or
/// all (fail open, as NLB does).
pub(super) fn frontend(spec: &Balancer, health: &Health) -> Frontend {
    let public = spec.public.as_ref().map(|public| (public.address, public.sources.clone()));
    let listeners = spec.listeners.iter().map(|listener| (listener.port, open_targets(listener, health)));
    let (addresses, groups) = (spec.addresses.clone(), spec.groups.clone());
    Frontend { addresses, public, listeners: listeners.collect(), groups }
}

fn open_targets(listener: &Listener, health: &Health) -> Vec<(Ipv4Addr, u16)> {
    let those = |may: fn(&Pulse) -> bool| -> Vec<(Ipv4Addr, u16)> {
        let pulse = |target: &Target| health.get(&(listener.port, target.id.clone()));
        let open = listener.targets.iter().filter(|target| pulse(target).is_some_and(may));
        open.map(|target| (target.address, target.port)).collect()
    };
    let choices = [those(Pulse::serves), those(|pulse| pulse.absence.is_none()), those(|_| true)];
    choices.into_iter().find(|open| !open.is_empty()).unwrap_or_default()
}

/// Connections that the balancer led to the target.
pub(super) fn flows(spec: &Balancer, listener: u16, pulse: &Pulse) -> Vec<Flow> {
    let dialled = spec.addresses.iter().copied().chain(spec.public.as_ref().map(|public| public.address));
    let flow = |address| Flow { dialled: Some((address, listener)), target: pulse.address, port: Some(pulse.port) };
    dialled.map(flow).collect()
}

/// Health by target id. A target of several listeners is as healthy as the worst of them says.
pub(super) fn by_target(health: &Health) -> BTreeMap<String, TargetHealth> {
    let mut targets: BTreeMap<String, TargetHealth> = BTreeMap::new();
    for ((_, id), pulse) in health {
        let why = pulse.absence.as_ref().or(pulse.why.as_ref()).cloned();
        let seen = TargetHealth { healthy: pulse.serves(), since: pulse.since, why };
        match targets.get(id) {
            Some(known) if !known.healthy => {}
            _ => drop(targets.insert(id.clone(), seen)),
        }
    }
    targets
}
