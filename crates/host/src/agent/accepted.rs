//! What the region wants, and the rules by which it may change that. Pure.

use super::Items;
use anyhow::{Result, bail, ensure};
use roadstead_hostspec::{ItemKey, ToHost, Versioned};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The region's wishes, as last accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub epoch: u64,
    pub items: Items,
}

/// What follows from a new set of wishes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    pub put: Items,
    pub remove: Vec<ItemKey>,
}

/// The longest id: with a mark and a suffix it still is a file's name.
const LONGEST_ID: usize = 128;

impl Accepted {
    /// A session's opening names all that there must be. A rewound region comes with a newer epoch, in which
    /// generations begin anew.
    pub fn session(known: Option<&Accepted>, epoch: u64, items: Vec<Versioned>) -> Result<(Accepted, Effects)> {
        let none = Accepted { epoch, ..Accepted::default() };
        let known = known.unwrap_or(&none);
        if epoch < known.epoch {
            bail!("epoch {epoch} is older than {}, which this host has seen: the region was rewound", known.epoch);
        }
        let (mut new, mut effects) = (Accepted { epoch, ..Accepted::default() }, Effects::default());
        for item in items {
            let key = checked_key(&item)?;
            let before = known.items.get(&key);
            if epoch == known.epoch {
                ensure_not_older(&key, before, &item)?;
            }
            let item = match before {
                Some(before) if **before == item => before.clone(),
                _ => effects.put.entry(key.clone()).insert_entry(Arc::new(item)).get().clone(),
            };
            new.items.insert(key, item);
        }
        effects.remove = known.items.keys().filter(|key| !new.items.contains_key(key)).cloned().collect();
        Ok((new, effects))
    }

    /// Changes, in their order.
    pub fn changed(&self, changes: Vec<ToHost>) -> Result<(Accepted, Effects)> {
        let (mut new, mut told) = (self.clone(), BTreeMap::new());
        for change in changes {
            let ToHost::Change { put, remove } = change else { bail!("only Change may follow Session") };
            for item in put {
                let key = checked_key(&item)?;
                ensure_not_older(&key, new.items.get(&key), &item)?;
                let item = Arc::new(item);
                told.insert(key.clone(), Some(item.clone()));
                new.items.insert(key, item);
            }
            for key in remove {
                ensure_safe_id(&key)?;
                new.items.remove(&key);
                told.insert(key, None);
            }
        }
        let mut effects = Effects::default();
        for (key, item) in told {
            match item {
                Some(item) if self.items.get(&key) == Some(&item) => {}
                Some(item) => drop(effects.put.insert(key, item)),
                None => effects.remove.push(key),
            }
        }
        Ok((new, effects))
    }
}

fn checked_key(item: &Versioned) -> Result<ItemKey> {
    let key = item.item.key();
    ensure_safe_id(&key)?;
    Ok(key)
}

/// Ids become names of files, interfaces and namespaces.
fn ensure_safe_id(key: &ItemKey) -> Result<()> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !key.id.is_empty() && key.id.len() <= LONGEST_ID && key.id.chars().all(safe) && !key.id.starts_with('.');
    ensure!(fits, "'{key}' is not an id: 1 to {LONGEST_ID} letters, digits, '-', '_' and '.', not beginning with '.'");
    Ok(())
}

fn ensure_not_older(key: &ItemKey, known: Option<&Arc<Versioned>>, item: &Versioned) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    let (known, new) = (known.generation, item.generation);
    ensure!(new >= known, "generation {new} of {key} is older than {known}, which this host has");
    Ok(())
}

/// The form in the snapshot.
#[derive(Serialize, Deserialize)]
struct Plain {
    epoch: u64,
    items: Vec<Arc<Versioned>>,
}

impl Serialize for Accepted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plain { epoch: self.epoch, items: self.items.values().cloned().collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Accepted, D::Error> {
        let Plain { epoch, items } = Plain::deserialize(deserializer)?;
        Ok(Accepted { epoch, items: items.into_iter().map(|item| (item.item.key(), item)).collect() })
    }
}
