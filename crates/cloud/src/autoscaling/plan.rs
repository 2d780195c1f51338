use crate::autoscaling::{Group, Slot};
use crate::ec2::instance::{self, Instance};
use crate::elb::load_balancer::LoadBalancer;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read, Record, Tx};

/// Keeps one instance in each slot. An instance whose image is no longer its slot's is replaced, one at a time and only
/// while every other one serves.
pub struct GroupPlanner;

impl Planner for GroupPlanner {
    type Object = Group;
    const NAME: &'static str = "autoscaling/group";

    fn plan(&self, mut record: Record<Group>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            return terminate(&record, tx);
        }
        let before = record.body.instances.clone();
        let group = &mut record.body;
        group.instances.retain(|_, id| tx.get(&Instance::key(id)).is_some());
        for slot in &group.spec.slots {
            if !group.instances.contains_key(&slot.name) {
                let id = launch(tx, &record.key.any(), &group.spec.account, slot);
                group.instances.insert(slot.name.clone(), id);
            }
        }
        let ready = group.instances.values().filter(|id| is_ready(tx, id)).count();
        let size = group.instances.len();
        if let Some(outdated) = outdated(group, tx)
            && group.instances.values().all(|id| *id == outdated || serves(tx, group, id))
        {
            tx.delete(&Instance::key(&outdated));
        }
        if record.body.instances != before {
            tx.put(record);
        }
        Next::settled(format!("{ready} of {size} instances ready"))
    }
}

fn launch(tx: &mut Tx, owner: &roadstead_store::AnyKey, account: &str, slot: &Slot) -> String {
    instance::launch(tx, owner, account, &slot.interfaces, &slot.volumes, slot.image.clone())
}

fn is_ready(tx: &Tx, id: &str) -> bool {
    tx.get(&Instance::key(id)).is_some_and(|i| i.deleting.is_none() && i.body.status.ready)
}

/// Ready, and a healthy target where the group has a balancer.
fn serves(tx: &Tx, group: &Group, id: &str) -> bool {
    let is_healthy = |name: &String| {
        let balancer = tx.get(&LoadBalancer::key(name));
        balancer.is_some_and(|balancer| balancer.body.healthy.iter().any(|target| target == id))
    };
    is_ready(tx, id) && group.spec.balancer.as_ref().is_none_or(is_healthy)
}

/// The first instance that is not what its slot says.
fn outdated(group: &Group, tx: &Tx) -> Option<String> {
    group.spec.slots.iter().find_map(|slot| {
        let id = group.instances.get(&slot.name)?;
        let instance = tx.get(&Instance::key(id))?;
        (instance.body.spec.image != slot.image).then(|| id.clone())
    })
}

fn terminate(record: &Record<Group>, tx: &mut Tx) -> Next {
    let left: Vec<_> = record.body.instances.values().map(|id| Instance::key(id)).collect();
    let left: Vec<_> = left.into_iter().filter(|key| tx.get(key).is_some()).collect();
    for key in &left {
        tx.delete(key);
    }
    if left.is_empty() {
        tx.remove(&record.key);
        return Next::settled("deleted");
    }
    Next::settled(format!("terminating {} instances", left.len()))
}
