use crate::ec2::block::Block;
use crate::ec2::security_group_rule::{Direction, Traffic};
use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A network ACL. Which subnets are associated with it is theirs to say. The last rule of each direction, which refuses
/// what no other matches, is in every one, and in no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// `acl-…`; that of a default one follows from its VPC's.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// By rule number: what comes into its subnets. The lowest number that matches decides.
    pub ingress: BTreeMap<u16, Entry>,
    /// The same for what leaves them.
    pub egress: BTreeMap<u16, Entry>,
    /// Its tags.
    pub tags: Tags,
}

/// A rule of a network ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it decides of.
    pub traffic: Traffic,
    /// Who sends that, or gets it.
    pub block: Block,
    /// Whether it passes.
    pub allows: bool,
}

/// A subnet's association with an ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// `aclassoc-…`.
    pub id: String,
    /// The ACL.
    pub acl: String,
}

impl Object for NetworkAcl {
    const KIND: &'static str = "ec2/network-acl";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("vpc", self.vpc.clone())]
    }
}

impl NetworkAcl {
    /// The key of an account's ACL.
    pub fn key(account: &str, id: &str) -> Key<NetworkAcl> {
        Key::new(format!("{account}/{id}"))
    }

    /// Whether it is its VPC's default one.
    pub fn is_default(&self) -> bool {
        self.id == default_id(&self.vpc)
    }

    /// The rules of a direction.
    pub fn entries(&self, direction: Direction) -> &BTreeMap<u16, Entry> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The same, to be changed.
    pub fn entries_mut(&mut self, direction: Direction) -> &mut BTreeMap<u16, Entry> {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }
}

/// Id of a VPC's default ACL.
pub(super) fn default_id(vpc: &str) -> String {
    with_prefix("acl-", vpc)
}

/// A subnet's association until somebody replaces it.
pub fn default_association(vpc: &str, subnet: &str) -> Association {
    Association { id: with_prefix("aclassoc-", subnet), acl: default_id(vpc) }
}

/// An id with another prefix.
fn with_prefix(prefix: &str, id: &str) -> String {
    format!("{prefix}{}", id.split_once('-').map_or(id, |(_, rest)| rest))
}
