//! Volumes: storage that outlives the instances which mount it. [`crate::fabric`] makes them real.

use roadstead_store::{AnyKey, Key, Object, Tx};
use serde::{Deserialize, Serialize};

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// `vol-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its zone.
    pub zone: String,
    /// Size in bytes.
    pub bytes: u64,
    /// What was seen of it.
    #[serde(default)]
    pub status: Status,
}

/// What was seen of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// By what hosts know its disk; none before it was made. It never changes: another disk is another volume.
    pub mark: Option<String>,
    /// Why its data must be taken for lost, for people.
    pub lost: Option<String>,
}

impl Object for Volume {
    const KIND: &'static str = "ec2/volume";
}

impl Volume {
    /// The key of a volume.
    pub fn key(id: &str) -> Key<Volume> {
        Key::new(id)
    }
}

/// Makes a volume.
pub fn create(tx: &mut Tx, owner: &AnyKey, account: &str, zone: &str, bytes: u64) -> Volume {
    let id = tx.fresh_id("vol-");
    let volume =
        Volume { id: id.clone(), account: account.into(), zone: zone.into(), bytes, status: Status::default() };
    tx.create(Volume::key(&id), Some(owner.clone()), volume.clone());
    volume
}
