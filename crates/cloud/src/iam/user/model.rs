use crate::iam::boundary;
use crate::iam::grants::Grants;
use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique in its account, whatever its case.
    pub name: String,
    /// `AIDA…`; outlives the name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Its policies.
    #[serde(flatten)]
    pub grants: Grants,
    /// The ARN of the managed policy that is its permissions boundary.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Names of the records of the groups that it is in.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
}

impl Object for User {
    const KIND: &'static str = "iam/user";
    fn index(&self) -> Vec<(&'static str, String)> {
        let groups = self.groups.iter().map(|group| ("group", group.clone()));
        let boundary = boundary::index(&self.account, self.boundary.as_ref());
        self.grants.index(&self.account).into_iter().chain(groups).chain(boundary).collect()
    }
}

impl User {
    /// The key of an account's user.
    pub fn key(account: &str, name: &str) -> Key<User> {
        Key::new(format!("{account}/{}", name.to_lowercase()))
    }

    /// Its ARN, path included.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("user{}{}", self.path, self.name))
    }
}
