use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};

/// A virtual private cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its primary block.
    pub cidr: Cidr,
    /// The account's default VPC.
    pub is_default: bool,
    /// Its tags.
    pub tags: Tags,
}

impl Object for Vpc {
    const KIND: &'static str = "ec2/vpc";
}

impl Vpc {
    /// The key of an account's VPC.
    pub fn key(account: &str, id: &str) -> Key<Vpc> {
        Key::new(format!("{account}/{id}"))
    }
}
