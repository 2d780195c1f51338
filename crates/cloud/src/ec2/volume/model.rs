use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Tags};
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
    /// The user's instance that it is in.
    #[serde(default)]
    pub attachment: Option<Attachment>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// What was seen of it.
    #[serde(default)]
    pub status: Status,
}

/// A volume in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `i-…`.
    pub instance: String,
    /// E.g. `/dev/xvda`.
    pub device: String,
    /// Since when.
    pub since: Millis,
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
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("account", self.account.clone())]
    }
}

impl Volume {
    /// The key of a volume.
    pub fn key(id: &str) -> Key<Volume> {
        Key::new(id)
    }
}
