use crate::ec2::instance::{Attachment, Image, Instance};
use roadstead_store::{AnyKey, Key, Object, Read, Record, Tx};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A group of instances, one for each slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What it must be.
    pub spec: Spec,
    /// Instance ids by slot name.
    pub instances: BTreeMap<String, String>,
    /// How many instances in a row were replaced in a slot of which none became ready.
    #[serde(default)]
    pub stuck: BTreeMap<String, u32>,
    /// Instances that were terminated and killed, have left their slots, and do not end. They hold their volumes.
    #[serde(default)]
    pub remains: BTreeSet<String>,
}

/// What a group must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Unique in its account.
    pub name: String,
    /// Its owner.
    pub account: String,
    /// Its places.
    pub slots: Vec<Slot>,
    /// The load balancer whose targets its instances are, under their ids: one is replaced only while every other one
    /// is healthy there, not just ready by its own account.
    #[serde(default)]
    pub balancer: Option<String>,
}

/// A place in a group: an identity that outlives the instance which holds it. A replacement takes over interfaces and
/// volumes, so nobody who knows the identity has to learn a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Unique in the group.
    pub name: String,
    /// An instance is to stand in it. One in a closed slot is terminated, and while a slot is closed no other instance
    /// is replaced.
    #[serde(default = "is_open")]
    pub open: bool,
    /// Interfaces, `eth0` first.
    pub interfaces: Vec<String>,
    /// Volumes and where they are mounted.
    pub volumes: Vec<Attachment>,
    /// What the instance runs.
    pub image: Image,
}

fn is_open() -> bool {
    true
}

impl Object for Group {
    const KIND: &'static str = "autoscaling/group";
}

impl Group {
    /// The key of an account's group.
    pub fn key(account: &str, name: &str) -> Key<Group> {
        Key::new(format!("{account}/{name}"))
    }
}

/// The instance that was killed, does not end, and has one of these volumes; and since when, and why, for people.
pub fn holder(read: &impl Read, group: &Group, volumes: &[&str]) -> Option<(String, Millis, String)> {
    group.remains.iter().find_map(|id| {
        let instance = read.shared(&Instance::key(id))?;
        let has = instance.body.spec.volumes.iter().any(|own| volumes.contains(&own.volume.as_str()));
        let (since, why) = (instance.body.status.since, instance.body.status.remains.clone());
        has.then(|| (id.clone(), since, why.unwrap_or_default()))
    })
}

/// States what the group must be.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, spec: Spec) {
    let key = Group::key(&spec.account, &spec.name);
    match tx.shared(&key) {
        None => {
            let (instances, stuck, remains) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
            tx.create(key, Some(owner.clone()), Group { spec, instances, stuck, remains });
        }
        Some(group) if group.body.spec == spec => {}
        Some(group) => {
            let mut group = Record::clone(&group);
            group.body.spec = spec;
            tx.put(group);
        }
    }
}
