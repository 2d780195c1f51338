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
    /// What ModifyVpcAttribute changes.
    #[serde(default)]
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
}

/// What a VPC does for its instances' names. Recorded; instances always find names by the VPC's resolver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The VPC's resolver answers.
    pub dns_support: bool,
    /// Instances with public addresses have public names.
    pub dns_hostnames: bool,
    /// CloudWatch counts addresses.
    pub usage_metrics: bool,
}

impl Default for Attributes {
    fn default() -> Attributes {
        Attributes { dns_support: true, dns_hostnames: false, usage_metrics: false }
    }
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
