use roadstead_store::{Key, Object};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};

/// A name of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// `alias/eks`; unique in its account.
    pub name: String,
    /// Its owner.
    pub account: String,
    /// The id of the key.
    pub target: String,
    /// When it was last given a key.
    pub updated: Millis,
}

impl Object for Alias {
    const KIND: &'static str = "kms/alias";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("target", format!("{}/{}", self.account, self.target))]
    }
}

impl Alias {
    /// The key of an account's alias.
    pub fn key(account: &str, name: &str) -> Key<Alias> {
        Key::new(format!("{account}/{name}"))
    }
}
