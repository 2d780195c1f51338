//! Instances: machines of an account. [`crate::fabric`] makes them real and writes their status.

use crate::ec2::network_interface::NetworkInterface;
use roadstead_hostspec::{File, Process, Profile};
use roadstead_store::{AnyKey, Key, Object, Read, Tx};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// What it is.
    pub spec: Spec,
    /// What was seen of it.
    pub status: Status,
}

/// What an instance is. It never changes: another image is another instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// `i-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its interfaces, `eth0` first.
    pub interfaces: Vec<String>,
    /// Its volumes and where they are mounted.
    pub volumes: Vec<Attachment>,
    /// What it runs.
    pub image: Image,
}

/// A volume in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `vol-…`.
    pub volume: String,
    /// Absolute path inside.
    pub path: String,
}

/// What an instance runs, and how much of the host it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Host name inside.
    pub hostname: String,
    /// What its programs may do.
    #[serde(default)]
    pub profile: Profile,
    /// Thousandths of a CPU; 0 = no limit.
    pub cpu_millis: u32,
    /// Bytes; 0 = no limit.
    pub memory_bytes: u64,
    /// Sets of programs.
    pub components: Vec<String>,
    /// Its files.
    pub files: Vec<File>,
    /// Its processes.
    pub processes: Vec<Process>,
}

/// What was seen of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// All of its processes are ready.
    pub ready: bool,
    /// It runs, or was tried: it does not merely wait for what others have to make first.
    #[serde(default)]
    pub began: bool,
    /// Why not, for people.
    pub why: String,
    /// When `ready`, `began` or whether it remains last changed.
    pub since: Millis,
    /// It is being terminated, was killed and has no interface any more, and does not end: why, for people. It holds its
    /// volumes and nothing else.
    #[serde(default)]
    pub remains: Option<String>,
}

impl Object for Instance {
    const KIND: &'static str = "ec2/instance";
}

impl Instance {
    /// The key of an instance.
    pub fn key(id: &str) -> Key<Instance> {
        Key::new(id)
    }
}

/// Launches an instance.
pub fn launch(
    tx: &mut Tx,
    owner: &AnyKey,
    account: &str,
    interfaces: &[String],
    volumes: &[Attachment],
    image: Image,
) -> String {
    let id = tx.fresh_id("i-");
    let spec = Spec {
        id: id.clone(),
        account: account.into(),
        interfaces: interfaces.to_vec(),
        volumes: volumes.to_vec(),
        image,
    };
    let status = Status { ready: false, began: false, why: "launching".into(), since: tx.now(), remains: None };
    tx.create(Instance::key(&id), Some(owner.clone()), Instance { spec, status });
    id
}

/// The primary address of an instance's first interface.
pub fn address(read: &impl Read, spec: &Spec) -> Option<Ipv4Addr> {
    let first = spec.interfaces.first()?;
    Some(read.get(&NetworkInterface::key(first))?.body.address)
}
