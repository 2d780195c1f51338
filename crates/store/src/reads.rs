use crate::AnyKey;
use crate::tx::{Effect, Writes};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// One question that was asked of the store, whatever the answer was: also a miss is worth remembering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// The record under this key.
    Key(AnyKey),
    /// The records of a kind whose names begin so; with an empty prefix, all of them.
    Prefix {
        /// [`crate::Object::KIND`]
        kind: &'static str,
        /// What the names begin with.
        prefix: Arc<str>,
    },
    /// The records of a kind with this value in an index.
    By {
        /// [`crate::Object::KIND`]
        kind: &'static str,
        /// The index, as [`crate::Object::index`] names it.
        index: &'static str,
        /// The value looked for.
        value: Arc<str>,
    },
    /// The records of a kind that belong to `owner`.
    Owner {
        /// [`crate::Object::KIND`]
        kind: &'static str,
        /// What they belong to.
        owner: AnyKey,
    },
    /// The keys, not the contents, of everything that belongs to this record.
    OwnedKeys(AnyKey),
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interest::Key(key) => write!(f, "{key}"),
            Interest::Prefix { kind, prefix } => write!(f, "{kind}/{prefix}*"),
            Interest::By { kind, index, value } => write!(f, "{kind} with {index}={value}"),
            Interest::Owner { kind, owner } => write!(f, "{kind} of {owner}"),
            Interest::OwnedKeys(owner) => write!(f, "keys of all that {owner} owns"),
        }
    }
}

/// Everything that a transaction asked. A change that alters any of the answers [touches](ReadSet::touched_by) it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet(BTreeSet<Interest>);

impl ReadSet {
    pub(crate) fn note(&mut self, asked: Interest) {
        self.0.insert(asked);
    }

    /// The questions, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Interest> {
        self.0.iter()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the effect alters the answer to any of the questions.
    pub fn touched_by(&self, effect: &Effect) -> bool {
        let touched: BTreeSet<Interest> = effect.interests().into_iter().collect();
        self.0.iter().any(|asked| match asked {
            Interest::Prefix { kind, prefix } => effect.key.kind() == *kind && effect.key.name().starts_with(&**prefix),
            exact => touched.contains(exact),
        })
    }
}

/// Who asked what: finds those whom a change concerns in time that depends on the change, not on how many they are.
#[derive(Debug)]
pub struct Watchers<W> {
    by_interest: HashMap<Interest, BTreeSet<W>>,
    /// Per kind, how many watched prefixes there are of each length in bytes: a changed name is looked up once per
    /// length. Programs use a handful of lengths, so this stays a handful of look-ups.
    prefix_lengths: HashMap<&'static str, BTreeMap<usize, usize>>,
}

impl<W> Default for Watchers<W> {
    fn default() -> Watchers<W> {
        Watchers { by_interest: HashMap::new(), prefix_lengths: HashMap::new() }
    }
}

impl<W: Copy + Ord + Hash> Watchers<W> {
    /// Nobody watches anything.
    pub fn new() -> Watchers<W> {
        Watchers::default()
    }

    /// `who` asked all that is in `reads`.
    pub fn watch(&mut self, who: W, reads: &ReadSet) {
        for asked in reads.iter() {
            let watchers = self.by_interest.entry(asked.clone()).or_default();
            if watchers.is_empty() {
                count_prefix(&mut self.prefix_lengths, asked);
            }
            watchers.insert(who);
        }
    }

    /// Takes back [`Watchers::watch`] with the same `reads`.
    pub fn unwatch(&mut self, who: W, reads: &ReadSet) {
        for asked in reads.iter() {
            let Some(watchers) = self.by_interest.get_mut(asked) else { continue };
            watchers.remove(&who);
            if watchers.is_empty() {
                self.by_interest.remove(asked);
                uncount_prefix(&mut self.prefix_lengths, asked);
            }
        }
    }

    /// Whom these writes concern, in order.
    pub fn touched(&self, writes: &Writes) -> BTreeSet<W> {
        let mut found = BTreeSet::new();
        for effect in writes.iter() {
            let exact = effect.interests();
            for interest in exact.into_iter().chain(self.watched_prefixes(&effect.key)) {
                found.extend(self.by_interest.get(&interest).into_iter().flatten());
            }
        }
        found
    }

    /// The prefixes of this name that somebody watches, and perhaps more of the same lengths.
    fn watched_prefixes<'a>(&'a self, key: &'a AnyKey) -> impl Iterator<Item = Interest> + 'a {
        self.prefix_lengths.get_key_value(key.kind()).into_iter().flat_map(move |(&kind, lengths)| {
            // `get` has no answer where the length cuts a character in two; then no watched prefix is meant.
            let prefixes = lengths.keys().filter_map(|&length| key.name().get(..length));
            prefixes.map(move |prefix| Interest::Prefix { kind, prefix: prefix.into() })
        })
    }
}

fn count_prefix(lengths: &mut HashMap<&'static str, BTreeMap<usize, usize>>, asked: &Interest) {
    if let Interest::Prefix { kind, prefix } = asked {
        *lengths.entry(kind).or_default().entry(prefix.len()).or_default() += 1;
    }
}

fn uncount_prefix(lengths: &mut HashMap<&'static str, BTreeMap<usize, usize>>, asked: &Interest) {
    let Interest::Prefix { kind, prefix } = asked else { return };
    let of_kind = lengths.get_mut(kind).expect("invariant: a watched prefix was counted");
    let count = of_kind.get_mut(&prefix.len()).expect("invariant: a watched prefix was counted");
    *count -= 1;
    if *count == 0 {
        of_kind.remove(&prefix.len());
    }
}
