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
    /// More blocks, in the order in which they came.
    #[serde(default)]
    pub more: Vec<Block>,
    /// The account's default VPC.
    pub is_default: bool,
    /// What ModifyVpcAttribute changes.
    #[serde(default)]
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
}

/// A block that a VPC has besides its primary one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// `vpc-cidr-assoc-…`.
    pub association: String,
    /// The block.
    pub cidr: Cidr,
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
    fn index(&self) -> Vec<(&'static str, String)> {
        self.more.iter().map(|block| ("association", block.association.clone())).collect()
    }
}

impl Vpc {
    /// The key of an account's VPC.
    pub fn key(account: &str, id: &str) -> Key<Vpc> {
        Key::new(format!("{account}/{id}"))
    }

    /// All of its blocks, the primary one first.
    pub fn blocks(&self) -> impl Iterator<Item = Cidr> {
        [self.cidr].into_iter().chain(self.more.iter().map(|block| block.cidr))
    }
}
