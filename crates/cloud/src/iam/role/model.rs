use crate::iam::boundary;
use crate::iam::grants::Grants;
use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Unique in its account, whatever its case.
    pub name: String,
    /// `AROA…`; outlives the name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// The trust policy, JSON text as given.
    pub trust_policy: String,
    /// As given.
    pub description: Option<String>,
    /// Seconds, 3600..=43200.
    pub max_session_seconds: i64,
    /// Its policies.
    #[serde(flatten)]
    pub grants: Grants,
    /// The ARN of the managed policy that is its permissions boundary.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
}

impl Object for Role {
    const KIND: &'static str = "iam/role";
    fn index(&self) -> Vec<(&'static str, String)> {
        let boundary = boundary::index(&self.account, self.boundary.as_ref());
        self.grants.index(&self.account).into_iter().chain(boundary).collect()
    }
}

impl Role {
    /// The key of an account's role.
    pub fn key(account: &str, name: &str) -> Key<Role> {
        Key::new(format!("{account}/{}", name.to_lowercase()))
    }

    /// Its ARN, path included.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("role{}{}", self.path, self.name))
    }
}
