mod chain;
mod crashes;
mod disk;
mod model;
mod transactions;

use crate::journal::{Journal, JournalError, Memory};
use crate::{AnyKey, Core, Index, Key, Object, Options, Read, Record, Registry, Tx, Writes};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};

/// A kind with two indexes, one of them with several values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Subnet {
    vpc: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    free: u32,
}

impl Object for Subnet {
    const KIND: &'static str = "ec2/subnet";

    fn index(&self) -> Vec<(&'static str, String)> {
        let tags = self.tags.iter().map(|tag| ("tag", tag.clone()));
        tags.chain([("vpc", self.vpc.clone())]).collect()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Vpc {
    cidr: String,
}

impl Object for Vpc {
    const KIND: &'static str = "ec2/vpc";
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add::<Subnet>().add::<Vpc>();
    registry
}

fn open(journal: impl Journal) -> Result<Core, JournalError> {
    Core::open(journal, registry(), Options::seeded(7))
}

fn core() -> Core {
    open(Memory::new()).unwrap()
}

/// Runs `work` at 1 s, applies it and doesn't commit.
fn stage<R>(core: &mut Core, work: impl FnOnce(&mut Tx) -> R) -> (R, Writes) {
    core.transact(Millis::secs(1), |tx| Ok::<R, ()>(work(tx))).unwrap()
}

/// Runs `work` at 1 s, commits and tidies.
fn commit<R>(core: &mut Core, work: impl FnOnce(&mut Tx) -> R) -> R {
    let (result, _) = stage(core, work);
    core.commit().unwrap();
    core.tidy();
    result
}

fn subnet(vpc: &str) -> Subnet {
    Subnet { vpc: vpc.to_owned(), ..Subnet::default() }
}

fn vpc(cidr: &str) -> Vpc {
    Vpc { cidr: cidr.to_owned() }
}

fn key<T: Object>(name: &str) -> Key<T> {
    Key::new(name)
}

fn names<T: Object>(records: &[Record<T>]) -> Vec<&str> {
    records.iter().map(|record| record.key.name()).collect()
}
