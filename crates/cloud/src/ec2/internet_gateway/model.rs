use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};

/// An internet gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// `igw-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// The one VPC that it is attached to.
    pub vpc: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Object for InternetGateway {
    const KIND: &'static str = "ec2/internet-gateway";
    fn index(&self) -> Vec<(&'static str, String)> {
        self.vpc.iter().map(|vpc| ("vpc", vpc.clone())).collect()
    }
}

impl InternetGateway {
    /// The key of an account's gateway.
    pub fn key(account: &str, id: &str) -> Key<InternetGateway> {
        Key::new(format!("{account}/{id}"))
    }
}
