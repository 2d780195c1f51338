//! Auto Scaling groups of users: as many instances of a launch template as are asked for, evenly over the zones.
//!
//! The control plane's own groups, whose instances have places that outlive them, are [`crate::autoscaling::Group`].

mod activity;
mod check;
mod health;
pub mod hooks;
mod launch;
mod model;
pub mod ops;
mod plan;
pub mod tags;
mod termination;
mod view;

pub use model::{
    Activity, ActivityState, AutoScalingGroup, Hook, Lifecycle, Member, Outcome, Process, Spec, Status, Tag, Template,
    Transition, Trouble, Wait,
};
pub use plan::AutoScalingGroupPlanner;

use roadstead_store::{AnyKey, Read, Record, Tx};
use std::collections::BTreeMap;

/// Which number falls with an instance that is terminated; otherwise another one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrink {
    /// None: it is replaced.
    No,
    /// [`Spec::desired`].
    Desired,
    /// [`Spec::surge`].
    Surge,
}

/// States a group that a service keeps for a user. Once it is there, its sizes, tags and other hooks are the user's: only
/// what its instances are launched from and where follows `spec`.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, spec: Spec, tags: BTreeMap<String, Tag>, hooks: BTreeMap<String, Hook>) {
    let key = AutoScalingGroup::key(&spec.account, &spec.name);
    match tx.get(&key) {
        None => drop(create(tx, Some(owner), spec, tags, hooks)),
        Some(mut record) => {
            let group = &mut record.body;
            let asg = &group.spec;
            let (min, max, desired, surge) = (asg.min, asg.max, asg.desired, asg.surge);
            if group.spec.template != spec.template {
                group.status.trouble = None;
            }
            group.spec = Spec { min, max, desired, surge, ..spec };
            group.hooks.extend(hooks);
            tx.put(record);
        }
    }
}

/// The account's group of that name.
pub fn find(read: &impl Read, account: &str, name: &str) -> Option<Record<AutoScalingGroup>> {
    read.get(&AutoScalingGroup::key(account, name))
}

/// Changes the sizes of a group that is there.
pub fn resize(tx: &mut Tx, account: &str, name: &str, min: u32, max: u32, desired: u32) {
    let Some(mut record) = find(tx, account, name) else { return };
    let spec = &mut record.body.spec;
    (spec.min, spec.max, spec.desired) = (min, max, desired);
    record.body.status.trouble = None;
    tx.put(record);
}

/// How many more instances a group has than it is asked for; see [`Spec::surge`].
pub fn set_surge(tx: &mut Tx, account: &str, name: &str, surge: u32) {
    let Some(mut record) = find(tx, account, name) else { return };
    record.body.spec.surge = surge;
    tx.put(record);
}

/// Lets an instance of a group go, through its lifecycle hooks. Nothing happens if it is on its way already.
pub fn terminate(tx: &mut Tx, account: &str, name: &str, instance: &str, shrink: Shrink, cause: &str) {
    let Some(mut record) = find(tx, account, name) else { return };
    if record.body.instances.get(instance).is_none_or(|member| member.state.ends()) {
        return;
    }
    let spec = &mut record.body.spec;
    match shrink {
        Shrink::No => {}
        Shrink::Desired => spec.desired = spec.desired.saturating_sub(1),
        Shrink::Surge => spec.surge = spec.surge.saturating_sub(1),
    }
    plan::begin_termination(tx, &record.key.clone(), &mut record.body, instance, cause);
    tx.put(record);
}

/// Says how a hook's action on an instance ended; nothing happens if it does not hold the instance.
pub fn complete(tx: &mut Tx, account: &str, name: &str, instance: &str, hook: &str, outcome: Outcome) {
    let Some(mut record) = find(tx, account, name) else { return };
    let waits = record.body.instances.get_mut(instance).map(|member| &mut member.waits);
    if let Some(wait) = waits.and_then(|waits| waits.get_mut(hook)) {
        wait.outcome.get_or_insert(outcome);
        tx.put(record);
    }
}

/// Deletes a group and all that is in it. True once nothing of it is left.
pub fn delete(tx: &mut Tx, account: &str, name: &str) -> bool {
    let key = AutoScalingGroup::key(account, name);
    tx.delete(&key);
    tx.shared(&key).is_none()
}

fn create(
    tx: &mut Tx,
    owner: Option<&AnyKey>,
    spec: Spec,
    tags: BTreeMap<String, Tag>,
    hooks: BTreeMap<String, Hook>,
) -> Record<AutoScalingGroup> {
    let key = AutoScalingGroup::key(&spec.account, &spec.name);
    let group = AutoScalingGroup {
        spec,
        tags,
        hooks,
        suspended: BTreeMap::new(),
        instances: BTreeMap::new(),
        status: Status::default(),
    };
    tx.create(key, owner.cloned(), group)
}
