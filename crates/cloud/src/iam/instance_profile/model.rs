use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// An instance profile: how a role gets to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// Unique in its account, whatever its case.
    pub name: String,
    /// `AIPA…`; outlives the name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// ARN of its role, path included; at most one.
    pub role: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
}

impl Object for InstanceProfile {
    const KIND: &'static str = "iam/instance-profile";
    fn index(&self) -> Vec<(&'static str, String)> {
        self.role.iter().map(|role| ("role", role.clone())).collect()
    }
}

impl InstanceProfile {
    /// The key of an account's instance profile.
    pub fn key(account: &str, name: &str) -> Key<InstanceProfile> {
        Key::new(format!("{account}/{}", name.to_lowercase()))
    }

    /// Its ARN, path included.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("instance-profile{}{}", self.path, self.name))
    }
}
