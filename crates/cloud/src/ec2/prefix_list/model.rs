use crate::ec2::block::Block;
use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// VPC quota "versions per prefix list": of more, the oldest is forgotten.
const VERSIONS_MAX: usize = 1000;

/// A prefix list that a customer manages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixList {
    /// `pl-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// As given; others may have the same.
    pub name: String,
    /// Of what all its entries are.
    pub family: Family,
    /// How many entries it may have, and for how many it counts where it is named.
    pub max_entries: usize,
    /// Counts the changes of its entries, from 1.
    pub version: u64,
    /// No two are of the same block.
    pub entries: Vec<Entry>,
    /// What they were before, by version.
    pub older: BTreeMap<u64, Vec<Entry>>,
    /// What became of what was last asked of it.
    pub state: State,
    /// Its tags.
    pub tags: Tags,
}

/// An entry of a prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The addresses.
    pub block: Block,
    /// As given.
    pub description: Option<String>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the family it names")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// As EC2 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        }
    }
}

/// What became of what was last asked of a list. Whatever works is in force at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It was made.
    Created,
    /// It was changed.
    Modified,
    /// Entries of an older version are its own again.
    Restored,
    /// What names it does not bear so many entries: why, for people. It is as it was.
    ModifyFailed(String),
    /// Something names it: what, for people.
    DeleteFailed(String),
}

impl Object for PrefixList {
    const KIND: &'static str = "ec2/prefix-list";
}

impl PrefixList {
    /// The key of an account's list.
    pub fn key(account: &str, id: &str) -> Key<PrefixList> {
        Key::new(format!("{account}/{id}"))
    }

    /// Its blocks of IPv4: those of IPv6 match nothing, as no VPC has any.
    pub fn blocks(&self) -> impl Iterator<Item = Cidr> {
        self.entries.iter().filter_map(|entry| match entry.block {
            Block::Ipv4(block) => Some(block),
            Block::Ipv6(_) => None,
        })
    }

    /// The entries of a version, if it is remembered.
    pub fn entries_of(&self, version: u64) -> Option<&Vec<Entry>> {
        if version == self.version { Some(&self.entries) } else { self.older.get(&version) }
    }

    /// Makes these its entries, by a new version.
    pub fn renew(&mut self, entries: Vec<Entry>) {
        self.older.insert(self.version, std::mem::replace(&mut self.entries, entries));
        self.version += 1;
        while self.older.len() >= VERSIONS_MAX {
            self.older.pop_first();
        }
    }
}
