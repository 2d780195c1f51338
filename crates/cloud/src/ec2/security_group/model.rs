use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};

/// A security group. Its rules are recorded from its birth (all out; the default group also all from itself in);
/// the fabric does not enforce them yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// Unique in the VPC.
    pub name: String,
    /// As given.
    pub description: String,
    /// Members reach each other.
    pub allows_itself: bool,
    /// Its tags.
    pub tags: Tags,
}

impl Object for SecurityGroup {
    const KIND: &'static str = "ec2/security-group";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("vpc", self.vpc.clone())]
    }
}

impl SecurityGroup {
    /// The key of an account's group.
    pub fn key(account: &str, id: &str) -> Key<SecurityGroup> {
        Key::new(format!("{account}/{id}"))
    }
}
