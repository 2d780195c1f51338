use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An elastic address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `eipalloc-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// The address outside.
    pub public: Ipv4Addr,
    /// What it stands for.
    pub association: Option<Association>,
    /// Its tags.
    pub tags: Tags,
}

/// What an elastic address stands for. It counts while the interface is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// `eipassoc-…`.
    pub id: String,
    /// `eni-…`.
    pub interface: String,
    /// One of its private addresses.
    pub private: Ipv4Addr,
}

impl Object for Address {
    const KIND: &'static str = "ec2/address";
    fn index(&self) -> Vec<(&'static str, String)> {
        let mut index = vec![("public", self.public.to_string())];
        if let Some(association) = &self.association {
            index.push(("association", association.id.clone()));
            index.push(("interface", association.interface.clone()));
        }
        index
    }
}

impl Address {
    /// The key of an account's address.
    pub fn key(account: &str, id: &str) -> Key<Address> {
        Key::new(format!("{account}/{id}"))
    }
}
