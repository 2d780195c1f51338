//! What a host has, item by item.

use super::etcd::Cluster;
use super::machine::{Phase, State};
use roadstead_hostspec::{
    Balancer, BalancerStatus, Console, Credential, Disk, DiskStatus, Endpoint, EndpointStatus, Item, ItemKey, ItemKind,
    Machine, MachineStatus, Metadata, Network, NetworkStatus, Port, PortStatus, ProcessState, Profile, Quorum,
    Reviewer, ReviewerStatus, SecurityGroup, Status, TargetHealth, Versioned,
};
use roadstead_types::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Items of one kind by id.
pub type Shelf<T, S> = BTreeMap<String, Held<T, S>>;

/// An item and what has become of it.
#[derive(Clone, Debug)]
pub struct Held<T, S> {
    pub life: Life,
    pub spec: T,
    pub state: S,
}

/// What every item has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Generation of the body.
    pub generation: u64,
    /// The region still wants it; if not, it is on its way out.
    pub wanted: bool,
}

/// State of what is there or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub ready: bool,
}

/// State of a disk.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    pub ready: bool,
    /// Set when it is made.
    pub mark: Option<String>,
    /// It was made once, and is gone.
    pub lost: bool,
    /// What an etcd member wrote; nothing takes it away but the disk's removal.
    pub data: Option<Data>,
}

/// An etcd member's data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Token of the etcd cluster.
    pub token: String,
    /// Name of the member.
    pub member: String,
    /// Which of all data directories ever made this is.
    pub marker: u64,
    /// etcd's id of the member.
    pub id: u64,
    /// The newest write in it.
    pub revision: u64,
    /// A learner has got all there was.
    pub level: bool,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new here.
    Taken,
    /// It was here already.
    Known,
    /// A newer one is here.
    Refused,
}

/// Everything a host has.
#[derive(Clone, Debug, Default)]
pub struct Items {
    pub networks: Shelf<Network, Place>,
    pub ports: Shelf<Port, Place>,
    pub security_groups: Shelf<SecurityGroup, Place>,
    pub disks: Shelf<Disk, Storage>,
    pub machines: Shelf<Machine, State>,
    pub metadata: Shelf<Metadata, Place>,
    pub balancers: Shelf<Balancer, BalancerStatus>,
    pub endpoints: Shelf<Endpoint, Place>,
    pub reviewers: Shelf<Reviewer, Place>,
    pub quorums: Shelf<Quorum, Place>,
    pub credentials: Shelf<Credential, Place>,
    /// What etcd's members agree on, by token.
    pub etcds: BTreeMap<String, Cluster>,
    /// Machines that nothing reaches and that reach nothing.
    pub cut: BTreeSet<String>,
    /// Machines in which nothing becomes ready any more, whatever is started again in them.
    pub wedged: BTreeSet<String>,
    /// Disks that take nothing: whoever waits for one waits on, and does not even end when it is killed.
    pub stalled: BTreeSet<String>,
}

impl Items {
    /// Takes a body over.
    pub fn put(&mut self, versioned: Versioned, now: Millis) -> Put {
        let Versioned { generation, item } = versioned;
        let key = item.key();
        match self.life(&key) {
            Some(life) if life.wanted && life.generation > generation => return Put::Refused,
            Some(life) if life.wanted && life.generation == generation => return Put::Known,
            _ => {}
        }
        let life = Life { generation, wanted: true };
        match item {
            Item::Network(spec) => take(&mut self.networks, key.id, life, spec, |_, _| {}),
            Item::Port(spec) => take(&mut self.ports, key.id, life, spec, |_, place| place.ready = false),
            Item::SecurityGroup(spec) => take(&mut self.security_groups, key.id, life, spec, |_, _| {}),
            Item::Disk(spec) => take(&mut self.disks, key.id, life, spec, |spec, disk| {
                // Another one than the region knows, or none: what it knows is not here.
                disk.lost |= spec.mark.is_some() && disk.mark != spec.mark;
            }),
            Item::Machine(spec) => {
                let is_plugged = self.machines.get(&key.id).is_some_and(|held| only_ports_differ(&held.spec, &spec));
                take(&mut self.machines, key.id, life, spec, |spec, state| {
                    if !is_plugged {
                        *state = State::of(spec, now);
                    }
                });
            }
            Item::Balancer(spec) => {
                take(&mut self.balancers, key.id, life, spec, |spec, state| keep_targets(spec, state, now))
            }
            Item::Endpoint(spec) => take(&mut self.endpoints, key.id, life, spec, |_, place| place.ready = false),
            Item::Reviewer(spec) => take(&mut self.reviewers, key.id, life, spec, |_, place| place.ready = false),
            Item::Metadata(spec) => take(&mut self.metadata, key.id, life, spec, |_, _| {}),
            Item::Quorum(spec) => take(&mut self.quorums, key.id, life, spec, |_, _| {}),
            Item::Credential(spec) => take(&mut self.credentials, key.id, life, spec, |_, _| {}),
        }
        Put::Taken
    }

    /// What is known of any item.
    pub fn life(&mut self, key: &ItemKey) -> Option<&mut Life> {
        let id = &key.id;
        match key.kind {
            ItemKind::Network => self.networks.get_mut(id).map(|held| &mut held.life),
            ItemKind::Port => self.ports.get_mut(id).map(|held| &mut held.life),
            ItemKind::SecurityGroup => self.security_groups.get_mut(id).map(|held| &mut held.life),
            ItemKind::Disk => self.disks.get_mut(id).map(|held| &mut held.life),
            ItemKind::Machine => self.machines.get_mut(id).map(|held| &mut held.life),
            ItemKind::Metadata => self.metadata.get_mut(id).map(|held| &mut held.life),
            ItemKind::Balancer => self.balancers.get_mut(id).map(|held| &mut held.life),
            ItemKind::Endpoint => self.endpoints.get_mut(id).map(|held| &mut held.life),
            ItemKind::Reviewer => self.reviewers.get_mut(id).map(|held| &mut held.life),
            ItemKind::Quorum => self.quorums.get_mut(id).map(|held| &mut held.life),
            ItemKind::Credential => self.credentials.get_mut(id).map(|held| &mut held.life),
        }
    }

    /// All of it is gone.
    pub fn remove(&mut self, key: &ItemKey) {
        let id = &key.id;
        match key.kind {
            ItemKind::Network => drop(self.networks.remove(id)),
            ItemKind::Port => drop(self.ports.remove(id)),
            ItemKind::SecurityGroup => drop(self.security_groups.remove(id)),
            ItemKind::Disk => drop(self.disks.remove(id)),
            ItemKind::Machine => drop(self.machines.remove(id)),
            ItemKind::Metadata => drop(self.metadata.remove(id)),
            ItemKind::Balancer => drop(self.balancers.remove(id)),
            ItemKind::Endpoint => drop(self.endpoints.remove(id)),
            ItemKind::Reviewer => drop(self.reviewers.remove(id)),
            ItemKind::Quorum => drop(self.quorums.remove(id)),
            ItemKind::Credential => drop(self.credentials.remove(id)),
        }
    }

    /// All there are.
    pub fn keys(&self) -> Vec<ItemKey> {
        let all = [
            (ItemKind::Network, self.networks.keys().collect::<Vec<_>>()),
            (ItemKind::Port, self.ports.keys().collect()),
            (ItemKind::SecurityGroup, self.security_groups.keys().collect()),
            (ItemKind::Disk, self.disks.keys().collect()),
            (ItemKind::Machine, self.machines.keys().collect()),
            (ItemKind::Metadata, self.metadata.keys().collect()),
            (ItemKind::Balancer, self.balancers.keys().collect()),
            (ItemKind::Endpoint, self.endpoints.keys().collect()),
            (ItemKind::Reviewer, self.reviewers.keys().collect()),
            (ItemKind::Quorum, self.quorums.keys().collect()),
            (ItemKind::Credential, self.credentials.keys().collect()),
        ];
        all.into_iter()
            .flat_map(|(kind, ids)| ids.into_iter().map(move |id| ItemKey { kind, id: id.clone() }))
            .collect()
    }

    /// The items that the region no longer wants.
    pub fn unwanted(&self) -> Vec<ItemKey> {
        let mut found = vec![];
        collect_unwanted(&mut found, ItemKind::Network, &self.networks);
        collect_unwanted(&mut found, ItemKind::Port, &self.ports);
        collect_unwanted(&mut found, ItemKind::SecurityGroup, &self.security_groups);
        collect_unwanted(&mut found, ItemKind::Disk, &self.disks);
        collect_unwanted(&mut found, ItemKind::Machine, &self.machines);
        collect_unwanted(&mut found, ItemKind::Metadata, &self.metadata);
        collect_unwanted(&mut found, ItemKind::Balancer, &self.balancers);
        collect_unwanted(&mut found, ItemKind::Endpoint, &self.endpoints);
        collect_unwanted(&mut found, ItemKind::Reviewer, &self.reviewers);
        collect_unwanted(&mut found, ItemKind::Quorum, &self.quorums);
        collect_unwanted(&mut found, ItemKind::Credential, &self.credentials);
        found
    }

    /// What a host says of an item, and of which generation. Nothing is said of metadata, of a credential, of a quorum and
    /// of a security group.
    pub fn status(&self, key: &ItemKey) -> Option<(u64, Status)> {
        let id = &key.id;
        let not_ready = |ready: bool| (!ready).then(|| "is being set up".to_owned());
        match key.kind {
            ItemKind::Network => status_of(self.networks.get(id)?, |place| {
                Status::Network(NetworkStatus { ready: place.ready, why: not_ready(place.ready) })
            }),
            ItemKind::Port => status_of(self.ports.get(id)?, |place| {
                Status::Port(PortStatus { ready: place.ready, why: not_ready(place.ready) })
            }),
            ItemKind::Disk => status_of(self.disks.get(id)?, |disk| Status::Disk(disk_status(disk))),
            ItemKind::Machine => status_of(self.machines.get(id)?, |state| Status::Machine(machine_status(state))),
            ItemKind::Balancer => status_of(self.balancers.get(id)?, |state| Status::Balancer(state.clone())),
            ItemKind::Endpoint => status_of(self.endpoints.get(id)?, |place| {
                Status::Endpoint(EndpointStatus { ready: place.ready, why: not_ready(place.ready) })
            }),
            ItemKind::Reviewer => status_of(self.reviewers.get(id)?, |place| {
                Status::Reviewer(ReviewerStatus { ready: place.ready, why: not_ready(place.ready) })
            }),
            ItemKind::Metadata | ItemKind::Quorum | ItemKind::SecurityGroup | ItemKind::Credential => None,
        }
    }

    /// The power is gone: what was in the kernel and in memory is gone with it; disks keep what is on them.
    pub fn power_off(&mut self, now: Millis) {
        self.networks.values_mut().for_each(|held| held.state.ready = false);
        self.ports.values_mut().for_each(|held| held.state.ready = false);
        self.disks.values_mut().for_each(|held| held.state.ready = false);
        self.endpoints.values_mut().for_each(|held| held.state.ready = false);
        self.reviewers.values_mut().for_each(|held| held.state.ready = false);
        self.machines.values_mut().for_each(|held| held.state = State::of(&held.spec, now));
        self.balancers.values_mut().for_each(|held| {
            held.state = BalancerStatus::default();
            keep_targets(&held.spec, &mut held.state, now);
        });
    }
}

/// Interfaces are put into a node and taken out of it while it runs; any other change starts a machine anew.
fn only_ports_differ(one: &Machine, other: &Machine) -> bool {
    matches!(other.profile, Profile::Node { .. }) && *one == Machine { ports: one.ports.clone(), ..other.clone() }
}

fn take<T, S: Default>(shelf: &mut Shelf<T, S>, id: String, life: Life, spec: T, adapt: impl FnOnce(&T, &mut S)) {
    let mut state = shelf.remove(&id).map(|held| held.state).unwrap_or_default();
    adapt(&spec, &mut state);
    shelf.insert(id, Held { life, spec, state });
}

/// A target that stays keeps its health; a new one has to pass its checks first.
fn keep_targets(spec: &Balancer, state: &mut BalancerStatus, now: Millis) {
    let mut before = std::mem::take(&mut state.targets);
    let new = || TargetHealth { healthy: false, since: now, why: Some("was not checked yet".to_owned()) };
    for target in spec.listeners.iter().flat_map(|listener| &listener.targets) {
        let health = before.remove(&target.id).unwrap_or_else(new);
        state.targets.insert(target.id.clone(), health);
    }
}

fn collect_unwanted<T, S>(found: &mut Vec<ItemKey>, kind: ItemKind, shelf: &Shelf<T, S>) {
    let unwanted = shelf.iter().filter(|(_, held)| !held.life.wanted);
    found.extend(unwanted.map(|(id, _)| ItemKey { kind, id: id.clone() }));
}

fn status_of<T, S>(held: &Held<T, S>, say: impl FnOnce(&S) -> Status) -> Option<(u64, Status)> {
    Some((held.life.generation, say(&held.state)))
}

fn disk_status(disk: &Storage) -> DiskStatus {
    match (&disk.mark, disk.lost) {
        (_, true) => DiskStatus::Lost { why: "its folder is gone".to_owned() },
        (Some(mark), _) if disk.ready => DiskStatus::Ready { mark: mark.clone() },
        _ => DiskStatus::Pending { why: "is being set up".to_owned() },
    }
}

fn machine_status(state: &State) -> MachineStatus {
    use roadstead_hostspec::MachinePhase;
    let (phase, processes) = match &state.phase {
        Phase::Waiting { for_what } => (MachinePhase::Waiting { for_what: for_what.clone() }, vec![]),
        Phase::Running { processes } => (MachinePhase::Running, processes.clone()),
        Phase::Failed { why } => (MachinePhase::Failed { why: why.clone() }, vec![]),
        Phase::Remains { why } => (MachinePhase::Remains { why: why.clone() }, vec![]),
    };
    let ready = !processes.is_empty() && processes.iter().all(|process| process.state == ProcessState::Ready);
    let said = || processes.iter().map(|process| format!("[{}] up\n", process.name)).collect();
    let console = ready.then(|| Console { at: state.since, text: said() });
    MachineStatus { phase, since: state.since, processes, console }
}
