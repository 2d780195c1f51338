use crate::iam::grants::Grants;
use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis};
use serde::{Deserialize, Serialize};

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in its account, whatever its case.
    pub name: String,
    /// `AGPA…`; outlives the name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Its policies.
    #[serde(flatten)]
    pub grants: Grants,
    /// When it was made.
    pub created: Millis,
}

impl Object for Group {
    const KIND: &'static str = "iam/group";
    fn index(&self) -> Vec<(&'static str, String)> {
        self.grants.index(&self.account)
    }
}

impl Group {
    /// The key of an account's group.
    pub fn key(account: &str, name: &str) -> Key<Group> {
        Key::new(format!("{account}/{}", name.to_lowercase()))
    }

    /// Its ARN, path included.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("group{}{}", self.path, self.name))
    }
}
