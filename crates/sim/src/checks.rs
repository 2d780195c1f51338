//! What must be so at every moment, whatever happens: each check is a pure function of what was, what is, and what the
//! last step changed.

use crate::host::{self, Host};
use crate::ledger::{self, Changed, Ledger, Meta};
use crate::node_checks;
use crate::server::{self, PRIVATE};
use roadstead_cloud::autoscaling::{Group, Slot};
use roadstead_cloud::ec2::instance::{self, Instance};
use roadstead_cloud::ec2::network_interface::NetworkInterface;
use roadstead_cloud::ec2::volume::Volume;
use roadstead_cloud::eks::addon::AddonState;
use roadstead_cloud::eks::cluster::{Cluster, Member, Placement, Stage, State};
use roadstead_cloud::eks::etcd::{self, EtcdState};
use roadstead_cloud::eks::kube::{self, KubeState};
use roadstead_cloud::eks::node::NodesState;
use roadstead_cloud::elb::load_balancer::LoadBalancer;
use roadstead_cloud::fabric::{HostItem, Saw, Want};
use roadstead_cloud::keys::KeyState;
use roadstead_cloud::settings::SERVICE_ACCOUNT;
use roadstead_hostspec::{Balancer, Machine, MachinePhase, MachineStatus, Metadata, ProcessState};
use roadstead_kernel::planner::Explanation;
use roadstead_store::{AnyKey, Index, Key, Object, Read, Record, View};
use roadstead_types::Millis;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the check.
    pub check: &'static str,
    /// What was found.
    pub what: String,
    /// When.
    pub at: Millis,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = CHECKS.iter().find(|check| check.name == self.check).map_or("", |check| check.rule);
        write!(f, "{}: {}\n  the rule: {rule}", self.check, self.what)
    }
}

impl std::error::Error for Violation {}

/// What a check looks at: one durable batch and all around it.
pub struct Batch<'a> {
    /// The state before the batch.
    pub before: &'a View,
    /// The state with it.
    pub after: &'a View,
    /// What it changed.
    pub changes: &'a [Changed],
    /// The frame as it stands on the disk.
    pub frame: &'a [u8],
    /// Clusters that the kube driver has found to serve, by id.
    pub served: &'a BTreeSet<String>,
    /// Plans that panic or never settle.
    pub troubled: &'a [Explanation],
}

/// A rule with a name.
pub struct Check {
    /// How it is called when it is broken.
    pub name: &'static str,
    /// What must be so, and why.
    pub rule: &'static str,
    test: Test,
}

enum Test {
    /// After every durable batch.
    Batch(fn(&Batch) -> Result<(), String>),
    /// After everything that happens on the host; the view is the published one.
    Event(fn(&host::Event, &View) -> Result<(), String>),
    /// Tested by the world itself, where it happens.
    World,
}

/// All checks.
pub const CHECKS: &[Check] = &[
    Check {
        name: "generations-grow",
        rule: "a record's generation never falls while the record lives, and a batch that removes a record and makes \
               one of the same name starts no lower: a driver tells new from old by it",
        test: Test::Batch(generations_grow),
    },
    Check {
        name: "deleting-stays",
        rule: "what was asked to be deleted is never asked back",
        test: Test::Batch(deleting_stays),
    },
    Check {
        name: "owner-outlives",
        rule: "no record but what a driver saw outlives its owner; least of all a want, which nobody would take back",
        test: Test::Batch(owner_outlives),
    },
    Check {
        name: "wants-begin-clean",
        rule: "an item is wanted anew only when nothing of an earlier one of its name is left: a host that has seen \
               generation 7 refuses generation 1",
        test: Test::Batch(wants_begin_clean),
    },
    Check {
        name: "states-move-on",
        rule: "a cluster goes CREATING → ACTIVE | FAILED, anything → DELETING → gone, and never back",
        test: Test::Batch(states_move_on),
    },
    Check {
        name: "active-means-probed",
        rule: "a cluster becomes ACTIVE only when the kube driver has found it to serve, end to end",
        test: Test::Batch(active_means_probed),
    },
    Check {
        name: "one-key-for-ever",
        rule: "a key never changes: what was signed by the first would not fit the second",
        test: Test::Batch(one_key_for_ever),
    },
    Check {
        name: "secrets-stay-sealed",
        rule: "a private part stands in the journal only as the ciphertext of a sealed handle",
        test: Test::Batch(secrets_stay_sealed),
    },
    Check {
        name: "addresses-are-unique",
        rule: "in a network no two interfaces have one address, no two balancers answer for one, and none for a machine's; \
               outside no two balancers and no two living clusters have one public address",
        test: Test::Batch(addresses_are_unique),
    },
    Check {
        name: "one-machine-per-disk",
        rule: "at any time at most one wanted machine has a disk: two members on one data directory destroy it",
        test: Test::Batch(one_machine_per_disk),
    },
    Check {
        name: "one-machine-per-interface",
        rule: "at any time at most one wanted machine has an interface",
        test: Test::Batch(one_machine_per_interface),
    },
    Check {
        name: "terminated-leaves-nothing",
        rule: "of a user's instance that is terminated or stopped nothing is wanted, and a terminated one has no \
               interface",
        test: Test::Batch(terminated_leaves_nothing),
    },
    Check {
        name: "healthy-machines-stay",
        rule: "of a group that lives, planners terminate no instance but one whose slot is closed, or whose image or \
               interfaces are out of date or that is not ready, and that only while every other one is ready (or none is, and nothing can \
               be lost): never two at once",
        test: Test::Batch(healthy_machines_stay),
    },
    Check {
        name: "statuses-are-current",
        rule: "what is ready is so by what a host has seen of its present body",
        test: Test::Batch(statuses_are_current),
    },
    Check {
        name: "members-stay",
        rule: "names of a group's slots and their interfaces in the service's own networks stay while it lives, and volumes \
               unless they are being deleted: they are etcd's membership",
        test: Test::Batch(members_stay),
    },
    Check {
        name: "one-member-at-a-time",
        rule: "of an etcd at most one member is on its way; it begins to leave only while both others are ready, and if it \
               is ready itself only because its disk is lost or it is no member",
        test: Test::Batch(one_member_at_a_time),
    },
    Check {
        name: "votes-are-remembered",
        rule: "no member of etcd begins on an empty disk under an id that may have voted: it could vote twice",
        test: Test::Event(votes_are_remembered),
    },
    Check {
        name: "writes-are-kept",
        rule: "whoever forms a quorum of etcd knows all that was acknowledged",
        test: Test::Event(writes_are_kept),
    },
    Check {
        name: "healthy-members-stay",
        rule: "no member of etcd is taken out that runs on its data",
        test: Test::Event(healthy_members_stay),
    },
    Check {
        name: "quorum-is-kept",
        rule: "no change of its membership takes the quorum from an etcd that had one",
        test: Test::Event(quorum_is_kept),
    },
    Check { name: "plans-are-well", rule: "no plan panics, and every plan settles", test: Test::Batch(plans_are_well) },
    Check { name: "nothing-panics", rule: "no call panics, and nothing else does", test: Test::World },
    Check {
        name: "nothing-from-under",
        rule: "no network, interface or disk is taken from a host while something there stands on it",
        test: Test::Event(nothing_from_under),
    },
    Check {
        name: "data-is-kept",
        rule: "a disk with a member's data goes only when its volume is being deleted",
        test: Test::Event(data_is_kept),
    },
    Check {
        name: "nothing-stale",
        rule: "a host is never told an older body of an item than one it has",
        test: Test::Event(nothing_stale),
    },
    Check {
        name: "acknowledged-is-durable",
        rule: "what was published is there after a crash of the region, unchanged",
        test: Test::World,
    },
    Check {
        name: "nodes-leave-drained",
        rule: "of a node group planners terminate no instance whose node may have pods, unless it had its time to be \
               drained",
        test: Test::Batch(node_checks::nodes_leave_drained),
    },
    Check {
        name: "few-nodes-are-missing",
        rule: "an update of a node group takes no more nodes at once than it may, and none that serves while as many do \
               not as may be missing",
        test: Test::Batch(node_checks::few_nodes_are_missing),
    },
    Check {
        name: "groups-keep-their-size",
        rule: "an Auto Scaling group's size is within its bounds, and it launches no instance beyond it",
        test: Test::Batch(node_checks::groups_keep_their_size),
    },
    Check {
        name: "node-groups-move-on",
        rule: "a node group goes CREATING → ACTIVE | CREATE_FAILED, anything → DELETING → gone, and never back; an update \
               ends once",
        test: Test::Batch(node_checks::node_groups_move_on),
    },
    Check { name: "settles", rule: "a world that nobody disturbs comes to rest", test: Test::World },
    Check {
        name: "all-is-well-in-the-end",
        rule: "when faults stop, every cluster is ACTIVE without issues and serves, or FAILED after its hour, or gone; \
               hosts have what is wanted and nothing else",
        test: Test::World,
    },
    Check {
        name: "deleted-leaves-nothing",
        rule: "when all clusters are deleted, the records are those from before them, and hosts have nothing",
        test: Test::World,
    },
];

/// Tests everything about a batch.
pub fn batch(batch: &Batch, at: Millis) -> Result<(), Violation> {
    for check in CHECKS {
        if let Test::Batch(test) = check.test {
            test(batch).map_err(|what| Violation { check: check.name, what, at })?;
        }
    }
    Ok(())
}

/// Tests everything about an event on the host.
pub fn event(event: &host::Event, view: &View, at: Millis) -> Result<(), Violation> {
    for check in CHECKS {
        if let Test::Event(test) = check.test {
            test(event, view).map_err(|what| Violation { check: check.name, what, at })?;
        }
    }
    Ok(())
}

impl Batch<'_> {
    /// The changed records of a kind, as they were and as they are.
    pub(crate) fn of<T: Object>(&self) -> impl Iterator<Item = (&Changed, Option<Record<T>>, Option<Record<T>>)> {
        self.changes.iter().filter_map(|change| {
            let key = change.key.typed::<T>()?;
            Some((change, self.before.get(&key), self.after.get(&key)))
        })
    }
}

fn generations_grow(batch: &Batch) -> Result<(), String> {
    for Changed { key, before, after } in batch.changes {
        if let (Some(before), Some(after)) = (before, after)
            && after.generation < before.generation
        {
            return Err(format!("{key} went from generation {} to {}", before.generation, after.generation));
        }
    }
    Ok(())
}

fn deleting_stays(batch: &Batch) -> Result<(), String> {
    let since = |meta: &Option<Meta>| meta.as_ref().and_then(|meta| meta.deleting);
    for change in batch.changes.iter().filter(|change| since(&change.before).is_some() && change.after.is_some()) {
        if since(&change.after) != since(&change.before) {
            return Err(format!("{} was being deleted and no longer is", change.key));
        }
    }
    Ok(())
}

fn owner_outlives(batch: &Batch) -> Result<(), String> {
    let by_driver = |key: &AnyKey| {
        let states = [KeyState::KIND, KubeState::KIND, EtcdState::KIND, NodesState::KIND, AddonState::KIND];
        server::is_saw(key.kind()) || states.contains(&key.kind())
    };
    for change in batch.changes {
        let orphans = batch.after.owned_by(&change.key);
        if let Some(orphan) = orphans.iter().find(|key| change.after.is_none() && !by_driver(key)) {
            return Err(format!("{} is gone, and {orphan} belongs to it", change.key));
        }
        let owner = change.after.as_ref().and_then(|meta| meta.owner.as_ref());
        if let Some(owner) =
            owner.filter(|owner| change.is_new() && !by_driver(&change.key) && !batch.after.contains(owner))
        {
            return Err(format!("{} is new, and its owner {owner} is not there", change.key));
        }
        if change.is_new() && server::is_want(change.key.kind()) && owner.is_none() {
            return Err(format!("{} belongs to nobody", change.key));
        }
    }
    Ok(())
}

fn wants_begin_clean(batch: &Batch) -> Result<(), String> {
    let mut new = batch.changes.iter().filter(|change| change.is_new());
    match new.find(|change| server::saw_of(&change.key).is_some_and(|saw| batch.after.contains(&saw))) {
        Some(change) => Err(format!("{} is wanted again, and a host still has the earlier one", change.key)),
        None => Ok(()),
    }
}

fn states_move_on(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<Cluster>() {
        let was = before.filter(|_| change.before.is_some()).map(|record| record.body.status.state);
        let is = after.map(|record| record.body.status.state);
        let fine = match (was, is) {
            (None, Some(state)) => state == State::Creating,
            (Some(was), Some(is)) if was == is => true,
            (Some(State::Creating), Some(_)) => true,
            (Some(State::Active | State::Failed), Some(is)) => is == State::Deleting,
            (Some(was), None) => was == State::Deleting,
            (Some(State::Deleting), Some(_)) => false,
            (None, None) => true,
        };
        if !fine && !is_another(change) {
            return Err(format!("{} went from {was:?} to {is:?}", change.key));
        }
    }
    Ok(())
}

/// One batch has removed the record and made another of the same name.
fn is_another(change: &Changed) -> bool {
    let created = |meta: &Option<Meta>| meta.as_ref().map(|meta| meta.created);
    created(&change.before) != created(&change.after)
}

fn active_means_probed(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<Cluster>() {
        let is_active = |record: &Option<Record<Cluster>>| {
            record.as_ref().is_some_and(|record| record.body.status.state == State::Active)
        };
        let Some(cluster) = after.as_ref().filter(|_| is_active(&after) && !is_active(&before)) else { continue };
        let id = &cluster.body.spec.id;
        let said = batch.after.get(&kube::state_key(id)).is_some_and(|state| state.body.ready);
        if !said || !batch.served.contains(id) {
            return Err(format!("{} is ACTIVE, and no probe has reached it", change.key));
        }
    }
    Ok(())
}

fn one_key_for_ever(batch: &Batch) -> Result<(), String> {
    let mut states = batch.of::<KeyState>().filter_map(|(_, _, after)| after);
    match states.find(|record| record.generation > 1) {
        Some(record) => Err(format!("{} was made again", record.key)),
        None => Ok(()),
    }
}

fn secrets_stay_sealed(batch: &Batch) -> Result<(), String> {
    let text = ledger::text(batch.frame);
    let leaks = |at: &usize| !text[..*at].ends_with("\"ciphertext\":\"");
    match text.match_indices(PRIVATE).map(|(at, _)| at).find(leaks) {
        Some(at) => Err(format!("…{}…", &text[at.saturating_sub(80)..text.len().min(at + 80)])),
        None => Ok(()),
    }
}

fn addresses_are_unique(batch: &Batch) -> Result<(), String> {
    let interfaces = batch.of::<NetworkInterface>().filter_map(|(_, _, after)| after);
    let networks: BTreeSet<String> = interfaces.map(|record| record.body.vpc).collect();
    for network in networks {
        let interfaces = batch.after.list(Index::<NetworkInterface>::by("vpc", network.as_str()));
        let balancers = batch.after.list(Index::<LoadBalancer>::all()).into_iter().map(|record| record.body.spec);
        let dialled: Vec<_> = balancers.filter(|spec| spec.vpc == network).flat_map(|spec| spec.addresses).collect();
        if let Some(eni) = interfaces.iter().find(|eni| !eni.body.balancer && dialled.contains(&eni.body.address)) {
            return Err(format!("{} has {}, which a balancer answers for", eni.key, eni.body.address));
        }
        let addresses = |eni: Record<NetworkInterface>| {
            let all: Vec<_> = [eni.body.address].into_iter().chain(eni.body.others()).collect();
            all.into_iter().map(move |address| (address, eni.key.any()))
        };
        let all = interfaces.into_iter().flat_map(addresses);
        unique(all.map(|(address, eni)| (format!("{address} in {network}"), eni)))?;
    }
    if batch.of::<LoadBalancer>().next().is_some() {
        let balancers = batch.after.list(Index::<LoadBalancer>::all());
        let answers = |balancer: &Record<LoadBalancer>| {
            let (spec, key) = (balancer.body.spec.clone(), balancer.key.any());
            let public = spec.public.map(|public| public.address.to_string());
            let inside = spec.addresses.into_iter().map(move |address| format!("{address} in {}", spec.vpc));
            public.into_iter().chain(inside).map(move |address| (address, key.clone())).collect::<Vec<_>>()
        };
        unique(balancers.iter().flat_map(answers))?;
    }
    if batch.of::<Cluster>().next().is_some() {
        // One that is being deleted has given its address back with its balancer.
        let clusters = batch.after.list(Index::<Cluster>::all()).into_iter().filter(|c| c.deleting.is_none());
        let public = clusters.filter_map(|cluster| Some((cluster.body.placement?.public_address?, cluster.key.any())));
        unique(public.map(|(address, key)| (address.to_string(), key)))?;
    }
    Ok(())
}

fn unique(addresses: impl Iterator<Item = (String, AnyKey)>) -> Result<(), String> {
    let mut owners = BTreeMap::new();
    for (address, owner) in addresses {
        if let Some(other) = owners.insert(address.clone(), owner.clone()) {
            return Err(format!("{other} and {owner} both have {address}"));
        }
    }
    Ok(())
}

fn one_machine_per_disk(batch: &Batch) -> Result<(), String> {
    if !batch.changes.iter().any(|change| change.is_new() && change.key.kind() == Want::<Machine>::KIND) {
        return Ok(());
    }
    let machines = batch.after.list(Index::<Want<Machine>>::all());
    let disks = machines.iter().flat_map(|m| m.body.0.disks.iter().map(|disk| (disk.disk.clone(), m.key.any())));
    unique(disks)
}

fn one_machine_per_interface(batch: &Batch) -> Result<(), String> {
    if !batch.changes.iter().any(|change| change.after.is_some() && change.key.kind() == Want::<Machine>::KIND) {
        return Ok(());
    }
    let machines = batch.after.list(Index::<Want<Machine>>::all());
    unique(machines.iter().flat_map(|m| m.body.0.ports.iter().map(|port| (port.port.clone(), m.key.any()))))
}

fn terminated_leaves_nothing(batch: &Batch) -> Result<(), String> {
    for (change, _, after) in batch.of::<Instance>() {
        let Some(record) = after else { continue };
        let id = &record.body.spec.id;
        let state = instance::State::of(&record);
        if !matches!(state, instance::State::Terminated | instance::State::Stopped) {
            continue;
        }
        let left = [Key::<Want<Machine>>::new(id.as_str()).any(), Key::<Want<Metadata>>::new(id.as_str()).any()];
        if let Some(left) = left.iter().find(|key| batch.after.contains(key)) {
            return Err(format!("{} is {state:?}, and {left} is there", change.key));
        }
        let interfaces = batch.after.any(Index::<NetworkInterface>::by("instance", id.as_str()));
        if state == instance::State::Terminated && interfaces {
            return Err(format!("{} is terminated and has an interface", change.key));
        }
    }
    Ok(())
}

fn healthy_machines_stay(batch: &Batch) -> Result<(), String> {
    for change in batch.changes.iter().filter(|change| change.begins_deleting()) {
        let Some(instance) = change.key.typed::<Instance>() else { continue };
        let Some(group) = group_of(batch.after, change).filter(|group| group.deleting.is_none()) else { continue };
        if is_closed(&group.body, &instance) {
            continue;
        }
        let others: Vec<_> = group.body.instances.values().filter(|id| **id != instance.name()).collect();
        // A batch may hold several plans: what was so before it or is so after it may have been seen by one of them.
        let views = [batch.before, batch.after];
        let unready = views.iter().any(|view| view.get(&instance).is_some_and(|i| !i.body.status.ready));
        if !unready
            && views
                .iter()
                .all(|view| group_of(view, change).is_none_or(|group| is_current(&group.body, &instance, view)))
        {
            return Err(format!("{instance} is terminated, and it is the wanted one"));
        }
        let may_stay = |id: &&&String| !views.iter().any(|view| is_ready(view, id));
        let none = unready && !others.iter().any(|id| views.iter().all(|view| is_ready(view, id)));
        if !none && others.len() + 1 < group.body.spec.slots.len() {
            return Err(format!("{instance} is terminated while a slot of its group is empty"));
        }
        if let Some(other) = others.iter().find(may_stay).filter(|_| !none) {
            return Err(format!("{instance} is terminated while {other} is not ready"));
        }
    }
    // One batch may terminate and remove an instance of which no host has heard.
    let known = |change: &Changed| {
        let deleting = change.before.as_ref().is_none_or(|before| before.deleting.is_some());
        !deleting && batch.before.contains(&Key::<Saw<Machine>>::new(change.key.name()).any())
    };
    let mut gone = batch.changes.iter().filter(|c| c.key.kind() == Instance::KIND && c.after.is_none());
    let killed = gone.find(|change| known(change));
    killed.map_or(Ok(()), |change| Err(format!("{} is gone without having been terminated", change.key)))
}

/// By what the host has said, not by what a planner has made of it.
fn is_ready(view: &View, instance: &str) -> bool {
    let stays = view.get(&Instance::key(instance)).is_some_and(|record| record.deleting.is_none());
    let said = view.get(&Key::<Saw<Machine>>::new(instance)).and_then(|saw| saw.body.status);
    let ready = |status: MachineStatus| {
        status.phase == MachinePhase::Running
            && !status.processes.is_empty()
            && status.processes.iter().all(|process| process.state == ProcessState::Ready)
    };
    stays && said.is_some_and(ready)
}

/// A status may be old, but never speaks for a body that nobody has seen yet.
fn statuses_are_current(batch: &Batch) -> Result<(), String> {
    for change in batch.changes {
        let (id, view) = (change.key.name(), batch.after);
        let stale = match change.key.kind() {
            Instance::KIND | <Machine as HostItem>::SAW | <Machine as HostItem>::WANT => {
                let ready = view.get(&Instance::key(id)).is_some_and(|record| record.body.status.ready);
                ready && is_stale::<Machine>(view, id)
            }
            LoadBalancer::KIND | <Balancer as HostItem>::SAW | <Balancer as HostItem>::WANT => {
                let ready = view.get(&LoadBalancer::key(id)).is_some_and(|record| record.body.ready);
                ready && is_stale::<Balancer>(view, id)
            }
            _ => false,
        };
        if stale && change.after.as_ref().is_some_and(|meta| meta.deleting.is_none()) {
            return Err(format!("{} is ready by what was seen of an earlier body", change.key));
        }
    }
    Ok(())
}

fn is_stale<T: HostItem>(view: &View, id: &str) -> bool {
    let want = view.get(&Key::<Want<T>>::new(id)).map(|record| record.generation);
    let saw = view.get(&Key::<Saw<T>>::new(id)).map(|record| record.body.generation);
    want.is_some() && want != saw
}

fn group_of(view: &View, instance: &Changed) -> Option<Record<Group>> {
    let owner = instance.after.as_ref()?.owner.as_ref()?;
    view.get(&owner.typed::<Group>()?)
}

/// Its slot is to be empty.
fn is_closed(group: &Group, instance: &Key<Instance>) -> bool {
    let slot = group.instances.iter().find(|(_, id)| id.as_str() == instance.name()).map(|(slot, _)| slot);
    group.spec.slots.iter().any(|s| Some(&s.name) == slot && !s.open)
}

fn is_current(group: &Group, instance: &Key<Instance>, view: &View) -> bool {
    let slot = group.instances.iter().find(|(_, id)| id.as_str() == instance.name()).map(|(slot, _)| slot);
    let slot = group.spec.slots.iter().find(|s| Some(&s.name) == slot);
    let spec = view.get(instance).map(|record| record.body.spec);
    slot.zip(spec).is_some_and(|(slot, spec)| (&slot.image, &slot.interfaces) == (&spec.image, &spec.interfaces))
}

fn members_stay(batch: &Batch) -> Result<(), String> {
    let changed = batch.changes.iter().filter(|c| c.before.is_some() && c.after.is_some() && !is_another(c));
    for key in changed.filter_map(|change| change.key.typed::<Group>()) {
        let slots = |view: &View| view.get(&key).map(|record| record.body.spec.slots).unwrap_or_default();
        let (was, is) = (slots(batch.before), slots(batch.after));
        // Those of API machines in their user's network may go from subnet to subnet.
        let is_own = |id: &&String| {
            let of = |view: &View| view.get(&NetworkInterface::key(id));
            of(batch.after).or(of(batch.before)).is_none_or(|interface| interface.body.account == SERVICE_ACCOUNT)
        };
        let identity = |slots: &[Slot]| -> Vec<_> {
            let own = |slot: &Slot| slot.interfaces.iter().filter(is_own).cloned().collect::<Vec<_>>();
            slots.iter().map(|slot| (slot.name.clone(), own(slot))).collect()
        };
        let left = was.iter().flat_map(|slot| &slot.volumes).filter(|v| !is.iter().any(|s| s.volumes.contains(v)));
        let stays = |volume: &str| batch.after.get(&Volume::key(volume)).is_some_and(|v| v.deleting.is_none());
        if identity(&was) != identity(&is) || { left }.any(|volume| stays(&volume.volume)) {
            return Err(format!("the slots of {key} have changed"));
        }
    }
    Ok(())
}

fn one_member_at_a_time(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<Cluster>() {
        let id = after.as_ref().map(|record| record.body.spec.id.clone()).unwrap_or_default();
        let placement = |record: Option<Record<Cluster>>| record.and_then(|record| record.body.placement);
        let (Some(was), Some(is)) = (placement(before), placement(after)) else { continue };
        let passing = is.members.iter().filter(|member| member.stage != Stage::Voting).count();
        if passing > 1 {
            return Err(format!("{passing} members of {} are on their way", change.key));
        }
        let leaves = |n: &usize| was.members[*n].stage == Stage::Voting && is.members[*n].stage != Stage::Voting;
        if let Some(n) = (0..is.members.len()).find(leaves).filter(|_| !is_another(change)) {
            begins_safely(batch, &is, n, &id).map_err(|why| format!("{}: {why}", change.key))?;
        }
    }
    Ok(())
}

/// A member begins to leave: the others must have been seen to be ready, by the host's own words.
fn begins_safely(batch: &Batch, placement: &Placement, n: usize, cluster: &str) -> Result<(), String> {
    let ready = |view: &View, name: &str| {
        let group = view.get(&Group::key(SERVICE_ACCOUNT, &format!("eks-{cluster}-etcd")));
        group.and_then(|group| group.body.instances.get(name).cloned()).is_some_and(|id| is_ready(view, &id))
    };
    let others = placement.members.iter().enumerate().filter(|(other, _)| *other != n).map(|(_, member)| member);
    let unready = |other: &&Member| !ready(batch.before, &other.name) && !ready(batch.after, &other.name);
    let leaves = &placement.members[n];
    if let Some(other) = { others }.find(unready) {
        return Err(format!("{} leaves while {} is not ready", leaves.name, other.name));
    }
    let has_cause = |view: &View| {
        let volume = view.get(&Volume::key(&leaves.volume));
        let seen = view.get(&etcd::state_key(cluster)).and_then(|state| state.body.members);
        let listed = seen.is_none_or(|seen| seen.iter().any(|seen| seen.peer_url == etcd::peer_url(leaves.address)));
        !ready(view, &leaves.name) || !listed || volume.is_none_or(|volume| volume.body.status.lost.is_some())
    };
    match [batch.before, batch.after].iter().any(|view| has_cause(view)) {
        true => Ok(()),
        false => Err(format!("{} leaves, and is ready", leaves.name)),
    }
}

fn votes_are_remembered(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::Forgot { member } => Err(format!("{member} begins anew under an id that may have voted")),
        _ => Ok(()),
    }
}

fn writes_are_kept(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::WriteLost { cluster } => Err(format!("etcd of {cluster} has lost what it acknowledged")),
        _ => Ok(()),
    }
}

fn healthy_members_stay(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::HealthyRemoved { member } => Err(format!("{member} was taken out, and it was well")),
        _ => Ok(()),
    }
}

fn quorum_is_kept(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::QuorumLost { cluster, by } => Err(format!("{by} has taken the quorum from {cluster}")),
        _ => Ok(()),
    }
}

fn plans_are_well(batch: &Batch) -> Result<(), String> {
    match batch.troubled.first() {
        None => Ok(()),
        Some(plan) => Err(format!("{} of {}: {}", plan.planner, plan.key, plan.trouble.clone().unwrap_or_default())),
    }
}

fn nothing_from_under(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::TakenFromUnder { what, user } => Err(format!("{what} was removed, and {user} stands on it")),
        _ => Ok(()),
    }
}

fn data_is_kept(event: &host::Event, view: &View) -> Result<(), String> {
    let host::Event::DataRemoved { disk } = event else { return Ok(()) };
    match view.get(&Volume::key(disk)) {
        Some(volume) if volume.deleting.is_none() => {
            Err(format!("the data on {disk} is gone, and nobody asked for it"))
        }
        _ => Ok(()),
    }
}

fn nothing_stale(event: &host::Event, _: &View) -> Result<(), String> {
    match event {
        host::Event::Refused { what } => Err(format!("the host refused an older body of {what}")),
        _ => Ok(()),
    }
}

/// Compares what was published before a crash with what is there after it, but for what a batch has changed that was
/// durable and never published.
pub fn durable(published: &View, reopened: &View, ledger: &Ledger, unseen: &BTreeSet<AnyKey>) -> Result<(), String> {
    if reopened.revision() < published.revision() {
        return Err(format!("revision {} was published, {} is here", published.revision(), reopened.revision()));
    }
    let differs = |key: &&AnyKey| !unseen.contains(*key) && published.json(key) != reopened.json(key);
    ledger.keys().find(differs).map_or(Ok(()), |key| Err(format!("{key} is not as it was")))
}

/// Hosts have what is wanted and nothing else, and the region knows it.
pub fn met(view: &View, ledger: &Ledger, host: &Host) -> Result<(), String> {
    let wants = ledger.keys().filter(|key| server::is_want(key.kind())).count();
    let saws = ledger.keys().filter(|key| server::is_saw(key.kind())).count();
    if wants != saws || wants != host.count() {
        return Err(format!("{wants} items are wanted, {saws} were seen, the host has {}", host.count()));
    }
    let clusters = view.list(Index::<Cluster>::all());
    if let Some(cluster) = clusters.iter().find(|cluster| cluster.body.status.update.is_some()) {
        return Err(format!("{} is being updated, and does not go on", cluster.key));
    }
    // Nobody can make a control plane whose etcd has lost its data ready again.
    let clusters = clusters.into_iter().map(|record| record.body.spec.id);
    let lost: Vec<String> = clusters.filter(|id| host.is_beyond_help(id)).collect();
    for record in view.list(Index::<Instance>::all()) {
        let of = |id: &String| record.owner.as_ref().is_some_and(|group| group.name().contains(id.as_str()));
        let runs = matches!(instance::State::of(&record), instance::State::Pending | instance::State::Running);
        if runs && !record.body.status.ready && !lost.iter().any(of) {
            return Err(format!("{} is not ready: {}", record.key, record.body.status.why));
        }
    }
    Ok(())
}
