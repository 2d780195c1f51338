use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// A customer's managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Unique in its account, whatever its case and path.
    pub name: String,
    /// `ANPA…`; outlives the name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// As given; never changes.
    pub description: Option<String>,
    /// One to five, the oldest first.
    pub versions: Vec<Version>,
    /// The number of the one that counts.
    pub default: u32,
    /// How many there ever were: a number is given once.
    pub made: u32,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
    /// When its newest version was made.
    pub updated: Millis,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 1, 2, …
    pub number: u32,
    /// JSON text as given.
    pub document: String,
    /// When it was made.
    pub created: Millis,
}

impl Object for Policy {
    const KIND: &'static str = "iam/policy";
}

impl Policy {
    /// The key of an account's policy.
    pub fn key(account: &str, name: &str) -> Key<Policy> {
        Key::new(format!("{account}/{}", name.to_lowercase()))
    }

    /// Its ARN, path included.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("policy{}{}", self.path, self.name))
    }

    /// Adds a version.
    pub fn add_version(&mut self, document: String, now: Millis) -> Version {
        self.made += 1;
        let version = Version { number: self.made, document, created: now };
        self.versions.push(version.clone());
        self.updated = now;
        version
    }
}

impl Version {
    /// `v1`.
    pub fn id(&self) -> String {
        format!("v{}", self.number)
    }
}
