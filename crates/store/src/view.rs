use crate::footprint::{Footprint, Notes};
use crate::object::{SharedRow, shared, typed};
use crate::reads::Interest;
use crate::{AnyKey, Key, Object, Record, Registry};
use imbl::{OrdMap, OrdSet};
use roadstead_types::Millis;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

/// What may be asked of the state. Code that only looks is generic over this, so that an operation, a planner and a
/// read-only operation share it.
pub trait Read {
    /// The record under this key.
    fn get<T: Object>(&self, key: &Key<T>) -> Option<Record<T>> {
        self.shared(key).map(|record| Record::clone(&record))
    }

    /// The same without a copy of its body: for whoever only looks at it.
    fn shared<T: Object>(&self, key: &Key<T>) -> Option<Arc<Record<T>>>;

    /// The records of a range, in the order of their names. Costs what it returns, however many others there are.
    fn list<T: Object>(&self, by: Index<T>) -> Vec<Record<T>>;

    /// How many records the range has.
    fn count<T: Object>(&self, by: Index<T>) -> usize;

    /// Whether the range has a record: costs the same however many it has.
    fn any<T: Object>(&self, by: Index<T>) -> bool;

    /// The keys of everything, of whatever kind, that belongs to this record. Sorted.
    fn owned_by(&self, owner: &AnyKey) -> Vec<AnyKey>;

    /// When the record of this key was made, if it is there and is not being deleted.
    fn born(&self, key: &AnyKey) -> Option<Millis>;

    /// The time: of the transaction in a [`crate::Tx`]; of the last one in a [`View`], or as [`View::at`] says.
    fn now(&self) -> Millis;
}

/// A range of the records of kind `T`.
pub struct Index<T> {
    range: Range,
    of: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
pub(crate) enum Range {
    Prefix(Arc<str>),
    By(&'static str, Arc<str>),
    Owner(AnyKey),
}

impl<T: Object> Index<T> {
    /// All of them.
    pub fn all() -> Index<T> {
        Index::prefix("")
    }

    /// Those whose names begin so. End it with the separator: `acct/us-east-1` begins `acct/us-east-11` too.
    pub fn prefix(prefix: impl Into<Arc<str>>) -> Index<T> {
        Index { range: Range::Prefix(prefix.into()), of: PhantomData }
    }

    /// Those with this value in the index of this name: see [`Object::index`].
    pub fn by(index: &'static str, value: impl Into<Arc<str>>) -> Index<T> {
        Index { range: Range::By(index, value.into()), of: PhantomData }
    }

    /// Those that belong to this record.
    pub fn owner(owner: &AnyKey) -> Index<T> {
        Index { range: Range::Owner(owner.clone()), of: PhantomData }
    }

    pub(crate) fn range(&self) -> &Range {
        &self.range
    }
}

impl Range {
    pub(crate) fn interest(&self, kind: &'static str) -> Interest {
        match self {
            Range::Prefix(prefix) => Interest::Prefix { kind, prefix: prefix.clone() },
            Range::By(index, value) => Interest::By { kind, index, value: value.clone() },
            Range::Owner(owner) => Interest::Owner { kind, owner: owner.clone() },
        }
    }
}

/// The whole state at one revision: immutable, shared, cheap to clone.
#[derive(Clone)]
pub struct View {
    revision: u64,
    now: Millis,
    registry: Arc<Registry>,
    ids: Ids,
    tables: OrdMap<&'static str, Table>,
    /// (owner, owned), for records of all kinds.
    owned: OrdSet<(AnyKey, AnyKey)>,
    /// Somebody wants to know what is asked.
    notes: Option<Arc<Notes>>,
}

/// The records of one kind by name, and the values of their indexes: (index, value, name).
#[derive(Clone, Default)]
struct Table {
    rows: OrdMap<Arc<str>, SharedRow>,
    indexes: OrdSet<(&'static str, Arc<str>, Arc<str>)>,
    /// How often it was changed since the store was opened. Views that are published follow each other, so of two with
    /// the same number the tables are the same.
    version: u64,
}

/// Where ids come from: see [`crate::Tx::fresh_id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub seed: u64,
    pub used: u64,
}

impl Read for View {
    fn shared<T: Object>(&self, key: &Key<T>) -> Option<Arc<Record<T>>> {
        self.row(T::KIND, key.name()).map(shared)
    }

    fn list<T: Object>(&self, by: Index<T>) -> Vec<Record<T>> {
        self.select(T::KIND, by.range()).map(|row| typed(row).clone()).collect()
    }

    fn count<T: Object>(&self, by: Index<T>) -> usize {
        self.select(T::KIND, by.range()).count()
    }

    fn any<T: Object>(&self, by: Index<T>) -> bool {
        self.select(T::KIND, by.range()).next().is_some()
    }

    fn owned_by(&self, owner: &AnyKey) -> Vec<AnyKey> {
        self.note_beyond();
        self.owned_range(owner, "").map(|(_, owned)| owned.clone()).collect()
    }

    fn born(&self, key: &AnyKey) -> Option<Millis> {
        self.row(key.kind(), key.name())?.born()
    }

    fn now(&self) -> Millis {
        self.note_beyond();
        self.now
    }
}

impl View {
    pub(crate) fn empty(registry: Arc<Registry>, seed: u64) -> View {
        let ids = Ids { seed, used: 0 };
        View { revision: 0, now: Millis(0), registry, ids, tables: OrdMap::new(), owned: OrdSet::new(), notes: None }
    }

    /// The number of the batch that made this state.
    pub fn revision(&self) -> u64 {
        self.note_beyond();
        self.revision
    }

    /// The same state, which takes notes of what is asked of it.
    pub fn noting(&self) -> View {
        View { notes: Some(Arc::default()), ..self.clone() }
    }

    /// What a view that [takes notes](View::noting) was asked so far. None if it takes none, and if it was asked what may
    /// be otherwise although no record has changed, as is the time.
    pub fn footprint(&self) -> Option<Footprint> {
        let kinds = self.notes.as_ref()?.kinds()?.into_iter();
        let kinds = kinds.map(|kind| (self.version(&kind), kind)).map(|(version, kind)| (kind, version)).collect();
        Some(Footprint { store: self.registry.clone(), kinds })
    }

    /// See [`Table::version`].
    pub(crate) fn version(&self, kind: &str) -> u64 {
        self.tables.get(kind).map_or(0, |table| table.version)
    }

    /// A record of this kind was looked for.
    fn note(&self, kind: &str) {
        if let Some(notes) = &self.notes {
            notes.kind(kind);
        }
    }

    /// Something else was asked than records of one kind.
    fn note_beyond(&self) {
        if let Some(notes) = &self.notes {
            notes.beyond();
        }
    }

    /// The same state seen at another time: a view otherwise stands at the time of its last transaction.
    pub fn at(&self, now: Millis) -> View {
        View { now, ..self.clone() }
    }

    /// Whether the record exists.
    pub fn contains(&self, key: &AnyKey) -> bool {
        self.row(key.kind(), key.name()).is_some()
    }

    /// Every kind that there may be, in order, and how many records of it there are.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.note_beyond();
        self.registry.kinds().map(|kind| (kind, self.tables.get(kind).map_or(0, |table| table.rows.len())))
    }

    /// What the record belongs to.
    pub fn owner(&self, key: &AnyKey) -> Option<&AnyKey> {
        self.row(key.kind(), key.name())?.owner()
    }

    /// The keys of a kind whose names begin with `prefix`, sorted.
    pub fn keys(&self, kind: &'static str, prefix: &str) -> Vec<AnyKey> {
        self.note(kind);
        self.names(kind, prefix).map(|(name, _)| AnyKey::new(kind, name.clone())).collect()
    }

    /// The names of the records of kind `T` that begin with `prefix` and come after it and `after`, sorted.
    pub fn names_after<'a, T: Object>(
        &'a self,
        prefix: &'a str,
        after: &str,
    ) -> impl Iterator<Item = &'a str> + use<'a, T> {
        self.note(T::KIND);
        let from = format!("{prefix}{after}");
        let bounds = (Bound::Excluded(from.as_str()), Bound::Unbounded);
        let rows = self.tables.get(T::KIND).map(|table| table.rows.range::<_, str>(bounds));
        rows.into_iter().flatten().map(|(name, _)| &**name).take_while(move |name| name.starts_with(prefix))
    }

    /// The record as one line of JSON, as it stands in the journal: for people.
    pub fn json(&self, key: &AnyKey) -> Option<String> {
        line(self.row(key.kind(), key.name())?)
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn ids(&self) -> Ids {
        self.ids
    }

    pub(crate) fn set_ids_used(&mut self, used: u64) {
        self.ids.used = used;
    }

    pub(crate) fn set_now(&mut self, now: Millis) {
        self.now = now;
    }

    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Takes over what a frame's head says about the whole state.
    pub(crate) fn restore(&mut self, revision: u64, now: Millis, ids: Ids) {
        (self.revision, self.now, self.ids) = (revision, now, ids);
    }

    pub(crate) fn row(&self, kind: &str, name: &str) -> Option<&SharedRow> {
        self.note(kind);
        self.tables.get(kind)?.rows.get(name)
    }

    /// All rows: by kind, then by name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (AnyKey, &SharedRow)> {
        self.note_beyond();
        let tables = self.tables.iter();
        tables.flat_map(|(kind, table)| table.rows.iter().map(|(name, row)| (AnyKey::new(kind, name.clone()), row)))
    }

    fn select<'a>(&'a self, kind: &'static str, range: &'a Range) -> Box<dyn Iterator<Item = &'a SharedRow> + 'a> {
        // A record that comes to belong to an owner, or ceases to, is itself written.
        self.note(kind);
        match range {
            Range::Prefix(prefix) => Box::new(self.names(kind, prefix).map(|(_, row)| row)),
            Range::By(index, value) => Box::new(self.indexed(kind, index, value)),
            Range::Owner(owner) => {
                let owned = self.owned_range(owner, kind).take_while(move |(_, owned)| owned.kind() == kind);
                Box::new(owned.filter_map(move |(_, owned)| self.row(kind, owned.name())))
            }
        }
    }

    fn names<'a>(&'a self, kind: &str, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a SharedRow)> {
        let table = self.tables.get(kind).into_iter();
        let bounds = (Bound::Included(prefix), Bound::Unbounded);
        let from = table.flat_map(move |table| table.rows.range::<_, str>(bounds));
        from.take_while(move |(name, _)| name.starts_with(prefix))
    }

    fn indexed<'a>(
        &'a self,
        kind: &str,
        index: &'static str,
        value: &'a Arc<str>,
    ) -> impl Iterator<Item = &'a SharedRow> {
        self.tables.get(kind).into_iter().flat_map(move |table| {
            let from = table.indexes.range((index, value.clone(), Arc::from(""))..);
            let entries = from.take_while(move |(i, v, _)| *i == index && v == value);
            entries.filter_map(|(_, _, name)| table.rows.get(name))
        })
    }

    fn owned_range(&self, owner: &AnyKey, kind: &'static str) -> impl Iterator<Item = &(AnyKey, AnyKey)> {
        let from = (owner.clone(), AnyKey::new(kind, ""));
        let owner = owner.clone();
        self.owned.range(from..).take_while(move |(of, _)| *of == owner)
    }

    /// Puts `row` under this key, or nothing, and gives back what stood there. Keeps every index true.
    pub(crate) fn replace(&mut self, kind: &'static str, name: &Arc<str>, row: Option<SharedRow>) -> Option<SharedRow> {
        let before = self.row(kind, name).cloned();
        if let Some(before) = &before {
            self.forget_entries(kind, name, before);
        }
        let table = self.tables.entry(kind).or_default();
        table.version += 1;
        match row {
            Some(row) => {
                table.indexes.extend(index_entries(&row, name));
                if let Some(owner) = row.owner() {
                    self.owned.insert((owner.clone(), AnyKey::new(kind, name.clone())));
                }
                table.rows.insert(name.clone(), row);
            }
            None => drop(table.rows.remove(name)),
        }
        before
    }

    fn forget_entries(&mut self, kind: &'static str, name: &Arc<str>, row: &SharedRow) {
        let table = self.tables.entry(kind).or_default();
        for entry in index_entries(row, name) {
            table.indexes.remove(&entry);
        }
        if let Some(owner) = row.owner() {
            self.owned.remove(&(owner.clone(), AnyKey::new(kind, name.clone())));
        }
    }
}

/// The row as one line of JSON, as it stands in the journal: for people.
pub(crate) fn line(row: &SharedRow) -> Option<String> {
    let mut line = Vec::new();
    row.write_line(&mut line).ok()?;
    String::from_utf8(line).ok()
}

fn index_entries(row: &SharedRow, name: &Arc<str>) -> impl Iterator<Item = (&'static str, Arc<str>, Arc<str>)> {
    let name = name.clone();
    row.index().into_iter().map(move |(index, value)| (index, value.into(), name.clone()))
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View(revision {}, at {})", self.revision, self.now)
    }
}
