//! What a host does next: each job is possible because something is not as it should be, takes its time, and is no
//! longer possible once it is done or something else has changed. So nothing here has an order of its own.

use super::items::{Held, Items, Shelf};
use super::machine::{self, Phase, Role, State};
use crate::rng::Rng;
use roadstead_hostspec::{Balancer, BalancerStatus, ItemKey, ItemKind, Machine, ProcessState, ProcessStatus, Target};
use roadstead_types::Millis;
use std::collections::BTreeSet;

/// A thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Sets up a network, port, disk, balancer or reviewer.
    Make(ItemKey),
    /// Takes away what is no longer wanted.
    Remove(ItemKey),
    /// Builds a set of components.
    Build(String),
    /// Gives up waiting for the end of a machine that was killed.
    Strand(String),
    /// Finds out what a machine waits for.
    Explain(String),
    /// Starts a machine.
    Boot(String),
    /// Starts a process of a machine.
    Start(String, usize),
    /// A process becomes ready.
    Ready(String, usize),
    /// A process no longer answers its probe with yes, and runs on.
    Unready(String, usize),
    /// A process ends.
    Exit(String, usize),
    /// A learner of etcd has got all that there is.
    CatchUp(String),
    /// A balancer's target turns out to be otherwise than it was.
    Flip(String, String),
}

impl Job {
    /// How long it takes. The spans are those of the real things, so that what overlaps there overlaps here.
    pub fn span(&self, items: &Items, rng: &mut Rng) -> Millis {
        let (least, most) = match self {
            Job::Make(_) => (5, 80),
            Job::Remove(ItemKey { kind: ItemKind::Machine, id }) => stopping(items, id),
            Job::Remove(_) => (10, 300),
            // `GRACE` of the agent, and its patience with what it has killed.
            Job::Strand(_) => (25_000, 26_000),
            Job::Build(_) => (1000, 20_000),
            Job::Explain(_) => (1, 50),
            Job::Boot(id) if has_failed(items, id) => (500, 5000),
            Job::Boot(_) => (50, 400),
            Job::Start(id, n) if is_in(items, id, *n, ProcessState::Backoff) => (500, 8000),
            Job::Start(..) => (1, 20),
            Job::Ready(id, n) => becoming_ready(items, id, *n),
            // A component that loses its API server ends when it can't renew its lease.
            Job::Exit(id, n) if is_in(items, id, *n, ProcessState::Ready) => (4000, 10_000),
            Job::Exit(..) => (10, 200),
            // etcd's `/readyz` waits for its read, and PID 1 for three of them.
            Job::Unready(..) => (1000, 5000),
            Job::CatchUp(_) => (100, 3000),
            Job::Flip(balancer, target) => checking(items, balancer, target),
        };
        let span = rng.span(Millis(least), Millis(most));
        // Now and then a thing takes its time.
        if rng.chance(3) { Millis(span.0 * 20) } else { span }
    }
}

fn stopping(items: &Items, id: &str) -> (u64, u64) {
    let hangs = items.machines.get(id).is_some_and(|machine| {
        let api = |role: &Role| matches!(role, Role::ApiServer { etcd, .. } if !items.etcd_answers(machine, etcd));
        machine.state.is_running() && machine.state.roles.iter().any(api)
    });
    // An API server whose etcd is gone ignores SIGTERM and is killed in the end.
    if hangs { (10_000, 30_000) } else { (200, 3000) }
}

fn has_failed(items: &Items, id: &str) -> bool {
    items.machines.get(id).is_some_and(|machine| matches!(machine.state.phase, Phase::Failed { .. }))
}

fn is_in(items: &Items, id: &str, n: usize, state: ProcessState) -> bool {
    let machine = items.machines.get(id);
    machine.and_then(|machine| machine.state.processes().get(n)).is_some_and(|process| process.state == state)
}

fn becoming_ready(items: &Items, id: &str, n: usize) -> (u64, u64) {
    match items.machines.get(id).and_then(|machine| machine.state.roles.get(n)) {
        Some(Role::Etcd(_)) => (300, 2000),
        Some(Role::ApiServer { .. }) => (1000, 5000),
        _ => (200, 3000),
    }
}

fn checking(items: &Items, balancer: &str, target: &str) -> (u64, u64) {
    let Some(held) = items.balancers.get(balancer) else { return (0, 0) };
    let listener = held.spec.listeners.iter().find(|l| l.targets.iter().any(|t| t.id == target));
    let Some(health) = listener.map(|listener| &listener.health) else { return (0, 0) };
    let was_healthy = held.state.targets.get(target).is_some_and(|health| health.healthy);
    let times = u64::from(if was_healthy { health.unhealthy } else { health.healthy });
    (health.interval.0 * (times - 1), health.interval.0 * times + health.timeout.0)
}

impl Items {
    /// What can be done now by the agent, and what by the machines' own PID 1.
    pub fn possible(&self, agent: bool, built: &BTreeSet<String>) -> BTreeSet<Job> {
        let mut jobs = BTreeSet::new();
        for (id, machine) in &self.machines {
            self.inside(&mut jobs, id, machine);
            if agent && machine.life.wanted && !machine.state.is_running() {
                self.towards_running(&mut jobs, id, machine, built);
            }
        }
        if agent {
            jobs.extend(self.unwanted().into_iter().filter_map(|key| self.towards_gone(key)));
            self.to_make(&mut jobs);
            self.to_flip(&mut jobs);
        }
        jobs
    }

    /// How what is not wanted any more goes, if it can.
    fn towards_gone(&self, key: ItemKey) -> Option<Job> {
        match key.kind {
            ItemKind::Machine => match self.machines.get(&key.id).filter(|machine| self.is_stalled(machine)) {
                Some(machine) if machine.state.remains() => None,
                Some(machine) if machine.state.is_running() => Some(Job::Strand(key.id)),
                _ => Some(Job::Remove(key)),
            },
            // A disk waits for the machine that has it mounted.
            ItemKind::Disk => {
                let mut remain = self.machines.values().filter(|machine| machine.state.remains());
                let held = remain.any(|machine| machine.spec.disks.iter().any(|disk| disk.disk == key.id));
                (!held).then_some(Job::Remove(key))
            }
            _ => Some(Job::Remove(key)),
        }
    }

    /// What it has mounted takes nothing.
    pub fn is_stalled(&self, machine: &Held<Machine, State>) -> bool {
        machine.spec.disks.iter().any(|disk| self.stalled.contains(&disk.disk))
    }

    fn to_make(&self, jobs: &mut BTreeSet<Job>) {
        let has = |network: &String| self.networks.get(network).is_some_and(|network| network.state.ready);
        jobs.extend(unmade(ItemKind::Network, &self.networks, |place| place.ready, |_| true));
        jobs.extend(unmade(ItemKind::Disk, &self.disks, |disk| disk.ready || disk.lost, |_| true));
        jobs.extend(unmade(ItemKind::Port, &self.ports, |place| place.ready, |port| has(&port.network)));
        jobs.extend(unmade(ItemKind::Endpoint, &self.endpoints, |place| place.ready, |e| has(&e.network)));
        jobs.extend(unmade(ItemKind::Reviewer, &self.reviewers, |place| place.ready, |r| has(&r.network)));
        jobs.extend(unmade(ItemKind::Balancer, &self.balancers, |balancer| balancer.ready, |b| has(&b.network)));
    }

    fn to_flip(&self, jobs: &mut BTreeSet<Job>) {
        for (id, held) in self.balancers.iter().filter(|(_, held)| held.life.wanted && held.state.ready) {
            let targets = held.spec.listeners.iter().flat_map(|listener| &listener.targets);
            let differs = targets.filter(|target| self.is_otherwise(held, target));
            jobs.extend(differs.map(|target| Job::Flip(id.clone(), target.id.clone())));
        }
    }

    fn is_otherwise(&self, balancer: &Held<Balancer, BalancerStatus>, target: &Target) -> bool {
        let healthy = balancer.state.targets.get(&target.id).is_some_and(|health| health.healthy);
        healthy != self.target_answers(&balancer.spec, target)
    }

    fn towards_running(
        &self,
        jobs: &mut BTreeSet<Job>,
        id: &str,
        machine: &Held<Machine, State>,
        built: &BTreeSet<String>,
    ) {
        let unbuilt = machine.spec.components.iter().filter(|set| !built.contains(*set));
        jobs.extend(unbuilt.cloned().map(Job::Build));
        match (self.missing(machine, built), &machine.state.phase) {
            (None, _) => {
                jobs.insert(Job::Boot(id.to_owned()));
            }
            (Some(what), Phase::Waiting { for_what }) if what == *for_what => {}
            (Some(_), _) => {
                jobs.insert(Job::Explain(id.to_owned()));
            }
        }
    }

    /// The first thing that a machine needs and that isn't there.
    pub fn missing(&self, machine: &Held<Machine, State>, built: &BTreeSet<String>) -> Option<String> {
        let unready = |port: &&String| !self.ports.get(*port).is_some_and(|port| port.state.ready);
        if let Some(port) = machine.spec.ports.iter().map(|port| &port.port).find(unready) {
            return Some(format!("interface {port}"));
        }
        for disk in machine.spec.disks.iter().map(|disk| &disk.disk) {
            match self.disks.get(disk).map(|disk| &disk.state) {
                Some(state) if state.lost => return Some(format!("volume {disk}, which is lost")),
                Some(state) if state.ready => {}
                _ => return Some(format!("volume {disk}")),
            }
            if let Some(other) = self.user_of(disk) {
                return Some(format!("volume {disk}, which {other} has"));
            }
        }
        let unbuilt = machine.spec.components.iter().find(|set| !built.contains(*set));
        unbuilt.map(|set| format!("{set}, which is being built"))
    }

    /// The machine that has a disk mounted.
    pub fn user_of(&self, disk: &str) -> Option<&str> {
        let mut mounted = self.machines.values().filter(|machine| machine.state.has_disks());
        mounted
            .find(|machine| machine.spec.disks.iter().any(|d| d.disk == disk))
            .map(|machine| machine.spec.id.as_str())
    }

    /// A running machine or another item that would lose what it stands on if this were taken away.
    pub fn user(&self, key: &ItemKey) -> Option<String> {
        let id = key.id.as_str();
        match key.kind {
            ItemKind::Disk => self.user_of(id).map(str::to_owned),
            ItemKind::Port => {
                let mut running = self.machines.values().filter(|machine| machine.state.is_running());
                let user = running.find(|machine| machine.spec.ports.iter().any(|port| port.port == id));
                user.map(|machine| machine.spec.id.clone())
            }
            ItemKind::Network => in_network(&self.ports, |port| port.network == id)
                .or_else(|| in_network(&self.balancers, |balancer| balancer.network == id))
                .or_else(|| in_network(&self.endpoints, |endpoint| endpoint.network == id))
                .or_else(|| in_network(&self.reviewers, |reviewer| reviewer.network == id)),
            _ => None,
        }
    }

    /// What goes on inside a running machine.
    fn inside(&self, jobs: &mut BTreeSet<Job>, id: &str, machine: &Held<Machine, State>) {
        let stalled = self.is_stalled(machine);
        for (n, (process, role)) in machine.state.with_roles().enumerate() {
            let job = match process.state {
                ProcessState::Waiting if self.may_start(machine, n) => Some(Job::Start(id.to_owned(), n)),
                ProcessState::Waiting => None,
                ProcessState::Backoff => Some(Job::Start(id.to_owned(), n)),
                _ if !stalled && self.ends(machine, process, role).is_some() => Some(Job::Exit(id.to_owned(), n)),
                ProcessState::Starting | ProcessState::Unready => {
                    let may = !self.wedged.contains(id) && self.answers(machine, role);
                    may.then(|| Job::Ready(id.to_owned(), n))
                }
                // An API server whose etcd is away has its balancer to say so, which is seen earlier.
                ProcessState::Ready if matches!(role, Role::Etcd(_)) && !self.answers(machine, role) => {
                    Some(Job::Unready(id.to_owned(), n))
                }
                ProcessState::Ready => None,
            };
            jobs.extend(job);
            if let (Role::Etcd(member), true) = (role, machine::is_alive(process))
                && self.lags(machine, member)
            {
                jobs.insert(Job::CatchUp(id.to_owned()));
            }
        }
    }

    fn may_start(&self, machine: &Held<Machine, State>, n: usize) -> bool {
        let ready = |name: &String| {
            let mut others = machine.state.processes().iter();
            others.any(|process| process.name == *name && process.state == ProcessState::Ready)
        };
        machine.spec.processes[n].after.iter().all(ready)
    }

    /// Its probe would succeed.
    fn answers(&self, machine: &Held<Machine, State>, role: &Role) -> bool {
        match role {
            Role::Etcd(member) => !self.is_stalled(machine) && self.is_ready_member(machine, member),
            Role::ApiServer { etcd, .. } => self.etcd_answers(machine, etcd),
            Role::Component => self.api_port(machine).is_some(),
            Role::Other => true,
            Role::Broken { .. } => false,
        }
    }

    /// Why a process that is there can't stay.
    pub fn ends(&self, machine: &Held<Machine, State>, process: &ProcessStatus, role: &Role) -> Option<String> {
        match role {
            Role::Etcd(member) => self.bad_data(machine, member),
            Role::Component if process.state == ProcessState::Ready && self.api_port(machine).is_none() => {
                Some("leader election lost".to_owned())
            }
            Role::Broken { exit } => Some(exit.clone()),
            _ => None,
        }
    }
}

/// What is wanted, not there, and may be made.
fn unmade<T, S>(
    kind: ItemKind,
    shelf: &Shelf<T, S>,
    is_ready: impl Fn(&S) -> bool,
    may_be: impl Fn(&T) -> bool,
) -> impl Iterator<Item = Job> {
    let unready = shelf.iter().filter(move |(_, held)| held.life.wanted && !is_ready(&held.state));
    unready.filter(move |(_, held)| may_be(&held.spec)).map(move |(id, _)| Job::Make(ItemKey { kind, id: id.clone() }))
}

fn in_network<T, S>(shelf: &Shelf<T, S>, is_in: impl Fn(&T) -> bool) -> Option<String> {
    shelf.iter().find(|(_, held)| is_in(&held.spec)).map(|(id, _)| id.clone())
}
