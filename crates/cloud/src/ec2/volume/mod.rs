//! Volumes: storage that outlives the machines which mount it. [`crate::fabric`] makes them real.

mod model;
pub mod ops;

pub use model::{Attachment, Status, Volume};

use roadstead_store::{AnyKey, Tx};
use roadstead_types::Tags;

/// Makes a volume.
pub fn create(tx: &mut Tx, owner: &AnyKey, account: &str, zone: &str, bytes: u64) -> Volume {
    let id = tx.fresh_id("vol-");
    let volume = Volume {
        id: id.clone(),
        account: account.into(),
        zone: zone.into(),
        bytes,
        attachment: None,
        tags: Tags::new(),
        status: Status::default(),
    };
    tx.create(Volume::key(&id), Some(owner.clone()), volume.clone());
    volume
}
