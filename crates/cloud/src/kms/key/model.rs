use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// A symmetric key. It has no material yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKey {
    /// A UUID.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// As given.
    pub description: String,
    /// Whether it may be used.
    pub state: State,
    /// Every so many days its material is to be another; never if there are none.
    pub rotation_days: Option<i32>,
    /// The key policy, JSON text as given.
    pub policy: String,
    /// Its tags.
    pub tags: Tags,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
    /// It may not, and is gone at that time.
    PendingDeletion {
        /// When.
        at: Millis,
    },
}

impl Object for KmsKey {
    const KIND: &'static str = "kms/key";
}

impl KmsKey {
    /// The key of an account's key.
    pub fn key(account: &str, id: &str) -> Key<KmsKey> {
        Key::new(format!("{account}/{id}"))
    }

    /// Its ARN.
    pub fn arn(&self, region: &str) -> Arn {
        Arn::new("kms", region, &self.account, format!("key/{}", self.id))
    }
}
