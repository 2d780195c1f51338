use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};

/// A security group. Its rules are records of their own: [`SecurityGroupRule`](crate::ec2::security_group_rule::SecurityGroupRule).
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
    /// It was born with a rule by which its members reach each other.
    pub allows_itself: bool,
    /// The rules that it was born with are records.
    #[serde(default)]
    pub has_rules: bool,
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
