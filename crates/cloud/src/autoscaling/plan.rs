use crate::autoscaling::{Group, Slot, holder};
use crate::ec2::instance::{self, Instance};
use crate::elb::load_balancer::LoadBalancer;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read, Record, Tx};
use roadstead_types::Millis;

/// How long an instance may be there without being ready until another one takes its place; twice as long for each one
/// before it that did not become ready either.
const STUCK: Millis = Millis::mins(3);
/// It doubles so often.
const DOUBLINGS: u32 = 4;

/// Keeps one instance in each slot. An instance whose image or interfaces are no longer its slot's is replaced, one at a
/// time and only while every other one serves; so is one that does not get ready. One that was killed and does not end
/// gives its slot free, which is filled as soon as it holds none of the slot's volumes.
pub struct GroupPlanner;

impl Planner for GroupPlanner {
    type Object = Group;
    const NAME: &'static str = "autoscaling/group";

    fn plan(&self, mut record: Record<Group>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            return terminate(&record, tx);
        }
        let before = record.body.clone();
        let group = &mut record.body;
        group.instances.retain(|_, id| tx.shared(&Instance::key(id)).is_some());
        group.remains.retain(|id| tx.shared(&Instance::key(id)).is_some());
        group.remains.extend(group.instances.extract_if(.., |_, id| remains(tx, id)).map(|(_, id)| id));
        for slot in &group.spec.slots {
            match group.instances.get(&slot.name) {
                None if slot.open && !is_held(tx, group, slot) => {
                    let id = launch(tx, &record.key.any(), &group.spec.account, slot);
                    group.instances.insert(slot.name.clone(), id);
                }
                Some(id) if !slot.open => tx.delete(&Instance::key(id)),
                _ => {}
            }
        }
        let ready = group.instances.values().filter(|id| is_ready(tx, id)).count();
        let size = group.spec.slots.len();
        let why = format!("{ready} of {size} instances ready");
        let (unready, ready): (Vec<_>, Vec<_>) = group.instances.iter().partition(|(_, id)| !is_ready(tx, id));
        group.stuck.retain(|slot, _| !ready.iter().any(|(ready, _)| *ready == slot));
        let mut next = Next::settled(why.clone());
        if let Some(outdated) = outdated(group, tx).filter(|id| may_replace(group, tx, id)) {
            tx.delete(&Instance::key(&outdated));
        } else if let Some((wait, slot, id)) = unready.iter().filter_map(|(slot, id)| stuck(group, tx, slot, id)).min()
        {
            if wait > Millis(0) {
                next = Next::after(wait, why);
            } else if may_replace(group, tx, &id) || group.instances.values().all(|id| !serves(tx, group, id)) {
                *group.stuck.entry(slot).or_default() += 1;
                tx.delete(&Instance::key(&id));
            }
        }
        if record.body != before {
            tx.put(record);
        }
        next
    }
}

/// A volume of the slot is held by an instance that does not end.
fn is_held(tx: &Tx, group: &Group, slot: &Slot) -> bool {
    let volumes: Vec<&str> = slot.volumes.iter().map(|attachment| attachment.volume.as_str()).collect();
    holder(tx, group, &volumes).is_some()
}

/// It was killed, and does not end.
fn remains(tx: &Tx, id: &str) -> bool {
    tx.shared(&Instance::key(id)).is_some_and(|instance| instance.body.status.remains.is_some())
}

/// How long until an instance that is there and not ready has had its time, counted from when all that are ready now
/// were so; and its slot, and its id.
fn stuck(group: &Group, tx: &Tx, slot: &str, id: &str) -> Option<(Millis, String, String)> {
    let instance = tx.shared(&Instance::key(id)).filter(|instance| instance.deleting.is_none())?;
    let status = &instance.body.status;
    let before = group.stuck.get(slot).copied().unwrap_or_default().min(DOUBLINGS);
    let limit = Millis(STUCK.0 << before);
    let others = group.instances.values().filter(|id| is_ready(tx, id)).filter_map(|id| tx.shared(&Instance::key(id)));
    let since = others.map(|other| other.body.status.since).chain([status.since]).max()?;
    (status.began && !status.ready).then(|| (limit.since(tx.now().since(since)), slot.to_owned(), id.to_owned()))
}

/// Every slot is open and has its instance, and every other instance serves: two at a time are never missed.
fn may_replace(group: &Group, tx: &Tx, id: &str) -> bool {
    group.spec.slots.iter().all(|slot| slot.open && group.instances.contains_key(&slot.name))
        && group.instances.values().all(|other| other == id || serves(tx, group, other))
}

fn launch(tx: &mut Tx, owner: &roadstead_store::AnyKey, account: &str, slot: &Slot) -> String {
    instance::launch(tx, owner, account, &slot.interfaces, &slot.volumes, slot.image.clone())
}

fn is_ready(tx: &Tx, id: &str) -> bool {
    tx.shared(&Instance::key(id)).is_some_and(|i| i.deleting.is_none() && i.body.status.ready)
}

/// Ready, and a healthy target where the group has a balancer.
fn serves(tx: &Tx, group: &Group, id: &str) -> bool {
    let is_healthy = |name: &String| {
        let balancer = tx.shared(&LoadBalancer::key(name));
        balancer.is_some_and(|balancer| balancer.body.healthy.iter().any(|target| target == id))
    };
    is_ready(tx, id) && group.spec.balancer.as_ref().is_none_or(is_healthy)
}

/// Whether each slot has an instance that is as the slot says, and serves.
pub fn is_current(tx: &Tx, group: &Group) -> bool {
    outdated(group, tx).is_none()
        && group.spec.slots.iter().all(|slot| group.instances.get(&slot.name).is_some_and(|id| serves(tx, group, id)))
}

/// The first instance that is not what its slot says.
fn outdated(group: &Group, tx: &Tx) -> Option<String> {
    group.spec.slots.iter().find_map(|slot| {
        let id = group.instances.get(&slot.name)?;
        let instance = tx.shared(&Instance::key(id))?;
        let spec = &instance.body.spec;
        (spec.image != slot.image || spec.interfaces != slot.interfaces).then(|| id.clone())
    })
}

fn terminate(record: &Record<Group>, tx: &mut Tx) -> Next {
    let left: Vec<_> = record.body.instances.values().chain(&record.body.remains).map(|id| Instance::key(id)).collect();
    let left: Vec<_> = left.into_iter().filter(|key| tx.shared(key).is_some()).collect();
    for key in &left {
        tx.delete(key);
    }
    if left.is_empty() {
        tx.remove(&record.key);
        return Next::settled("deleted");
    }
    Next::settled(format!("terminating {} instances", left.len()))
}
