use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

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
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
}

impl Object for User {
    const KIND: &'static str = "iam/user";
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
