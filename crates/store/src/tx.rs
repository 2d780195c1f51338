use crate::object::{SharedRow, typed};
use crate::reads::{Interest, ReadSet};
use crate::view::{Index, Read, View, line};
use crate::{AnyKey, Key, Object, Record};
use roadstead_types::Millis;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A transaction: the newest state, with the changes made here on top. Nobody else sees them until [`crate::Core`]
/// has applied it; dropping it instead undoes everything, ids included.
pub struct Tx {
    /// The state with this transaction's changes in it. Persistent maps make the copy free and the old state safe.
    view: View,
    /// What stood, before this transaction, under every key that it wrote.
    before: BTreeMap<AnyKey, Option<SharedRow>>,
    reads: RefCell<ReadSet>,
    /// The state this began from: [`crate::Core::apply`] takes it only if that is still the newest one.
    pub(crate) stamp: u64,
}

impl Read for Tx {
    fn shared<T: Object>(&self, key: &Key<T>) -> Option<Arc<Record<T>>> {
        self.note(Interest::Key(key.any()));
        self.view.shared(key)
    }

    fn list<T: Object>(&self, by: Index<T>) -> Vec<Record<T>> {
        self.note(by.range().interest(T::KIND));
        self.view.list(by)
    }

    fn count<T: Object>(&self, by: Index<T>) -> usize {
        self.note(by.range().interest(T::KIND));
        self.view.count(by)
    }

    fn any<T: Object>(&self, by: Index<T>) -> bool {
        self.note(by.range().interest(T::KIND));
        self.view.any(by)
    }

    fn owned_by(&self, owner: &AnyKey) -> Vec<AnyKey> {
        self.note(Interest::OwnedKeys(owner.clone()));
        self.view.owned_by(owner)
    }

    fn born(&self, key: &AnyKey) -> Option<Millis> {
        self.note(Interest::Key(key.clone()));
        self.view.born(key)
    }

    fn now(&self) -> Millis {
        self.view.now()
    }
}

impl Tx {
    pub(crate) fn new(mut view: View, now: Millis, stamp: u64) -> Tx {
        view.set_now(now);
        Tx { view, before: BTreeMap::new(), reads: RefCell::default(), stamp }
    }

    /// A new AWS-style id: `fresh_id("vpc-")` is `vpc-0` and 16 hexadecimal digits, 17 digits in all. Never repeated
    /// within a store. It follows from the store's seed and a counter, so it can be guessed: an id is no secret.
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        let ids = self.view.ids();
        self.view.set_ids_used(ids.used + 1);
        format!("{prefix}0{:016x}", scramble(ids.seed.wrapping_add(ids.used)))
    }

    /// A new record. Panics if one stands under this key: look first, the answer for the user is the caller's.
    pub fn create<T: Object>(&mut self, key: Key<T>, owner: Option<AnyKey>, body: T) -> Record<T> {
        assert!(self.view.registry().holds::<T>(), "invariant: the kind {} is in the registry", T::KIND);
        assert!(self.current(&key).is_none(), "invariant: {key} is created only once");
        let record = Record { key, created: self.view.now(), generation: 1, deleting: None, owner, body };
        self.replace(&record.key, Some(record.clone()));
        record
    }

    /// Changes a record's body or owner. One that is already so is not written and wakes nobody. Panics if the record
    /// doesn't exist. `created`, `generation` and `deleting` stay what the store has, whatever `record` says.
    pub fn put<T: Object>(&mut self, record: Record<T>) {
        let Some(current) = self.current(&record.key) else {
            panic!("invariant: {} exists when it is put", record.key)
        };
        let changed = current.body != record.body;
        if !changed && current.owner == record.owner {
            return;
        }
        let generation = current.generation + u64::from(changed);
        let record = Record { created: current.created, generation, deleting: current.deleting, ..record };
        self.replace(&record.key.clone(), Some(record));
    }

    /// Makes the record say `body`, and creates it if there is none: how an observation is written down. The owner
    /// counts only for a new record.
    pub fn set<T: Object>(&mut self, key: &Key<T>, owner: Option<AnyKey>, body: T) {
        match self.current(key) {
            Some(current) if current.body == body => {}
            Some(current) => {
                let record = Record { key: key.clone(), owner: current.owner.clone(), body, ..*current };
                self.put(record);
            }
            None => drop(self.create(key.clone(), owner, body)),
        }
    }

    /// Asks for the record's deletion, which its planner carries out. Nothing happens if that was asked before, or if
    /// there is no such record.
    pub fn delete<T: Object>(&mut self, key: &Key<T>) {
        let Some(current) = self.current(key).filter(|record| record.deleting.is_none()) else { return };
        let record = Record { deleting: Some(self.view.now()), ..current.clone() };
        self.replace(key, Some(record));
    }

    /// Takes the record out of the store. Nothing happens if there is no such record.
    pub fn remove<T: Object>(&mut self, key: &Key<T>) {
        if self.current(key).is_some() {
            self.replace(key, None);
        }
    }

    /// What was asked so far.
    pub fn reads(&self) -> ReadSet {
        self.reads.borrow().clone()
    }

    /// What was changed so far.
    pub fn writes(&self) -> Writes {
        let effects = self.before.iter().map(|(key, before)| {
            let after = self.view.row(key.kind(), key.name()).cloned();
            Effect { key: key.clone(), before: before.clone(), after }
        });
        Writes(effects.filter(|effect| effect.before.is_some() || effect.after.is_some()).collect())
    }

    pub(crate) fn finish(self) -> (View, Writes, ReadSet) {
        let writes = self.writes();
        (self.view, writes, self.reads.into_inner())
    }

    fn note(&self, asked: Interest) {
        self.reads.borrow_mut().note(asked);
    }

    /// A look that is not remembered: for decisions of the store's own, which don't alter what a write means.
    fn current<T: Object>(&self, key: &Key<T>) -> Option<&Record<T>> {
        self.view.row(T::KIND, key.name()).map(typed)
    }

    fn replace<T: Object>(&mut self, key: &Key<T>, record: Option<Record<T>>) {
        let row = record.map(|record| Arc::new(record) as SharedRow);
        let before = self.view.replace(T::KIND, key.shared_name(), row);
        self.before.entry(key.any()).or_insert(before);
    }
}

/// A bijection of the 64-bit numbers that looks random (the finalizer of SplitMix64): distinct counters give distinct
/// ids, with no table of those already used.
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What happened to one record.
#[derive(Clone)]
pub struct Effect {
    /// Which record.
    pub key: AnyKey,
    pub(crate) before: Option<SharedRow>,
    pub(crate) after: Option<SharedRow>,
}

impl Effect {
    /// Whether the record was not there before.
    pub fn created(&self) -> bool {
        self.before.is_none()
    }

    /// Whether the record is not there any more.
    pub fn removed(&self) -> bool {
        self.after.is_none()
    }

    /// The record as it was, as [`View::json`] has it.
    pub fn before(&self) -> Option<String> {
        self.before.as_ref().and_then(line)
    }

    /// The record as it is now, as [`View::json`] has it.
    pub fn after(&self) -> Option<String> {
        self.after.as_ref().and_then(line)
    }

    /// The questions whose answers this alters, but for those about prefixes of its name.
    pub(crate) fn interests(&self) -> BTreeSet<Interest> {
        let mut touched = BTreeSet::from([Interest::Key(self.key.clone())]);
        for row in self.before.iter().chain(&self.after) {
            let kind = row.kind();
            let values = row.index().into_iter();
            touched.extend(values.map(|(index, value)| Interest::By { kind, index, value: value.into() }));
            touched.extend(row.owner().map(|owner| Interest::Owner { kind, owner: owner.clone() }));
        }
        let (was, is) = (owner(self.before.as_ref()), owner(self.after.as_ref()));
        if was != is {
            touched.extend(was.into_iter().chain(is).cloned().map(Interest::OwnedKeys));
        }
        touched
    }
}

fn owner(row: Option<&SharedRow>) -> Option<&AnyKey> {
    row.and_then(|row| row.owner())
}

/// What a transaction changed: one effect per record, in the order of their keys.
#[derive(Clone, Default)]
pub struct Writes(Vec<Effect>);

impl Writes {
    /// The effects, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.0.iter()
    }

    /// How many records changed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, _) => write!(f, "created {}", self.key),
            (_, None) => write!(f, "removed {}", self.key),
            _ => write!(f, "changed {}", self.key),
        }
    }
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
