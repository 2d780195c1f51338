use roadstead_store::AnyKey;
use roadstead_types::Millis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is known of every record that is durable, read from the journal's own frames: which there are, and all that
/// the store keeps about them but their bodies.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<AnyKey, Meta>);

/// What the store keeps about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// When it was created.
    pub created: Millis,
    /// Grows with each change of the body.
    pub generation: u64,
    /// When its deletion was asked for.
    pub deleting: Option<Millis>,
    /// What it belongs to.
    pub owner: Option<AnyKey>,
}

/// A record that a batch created, changed or removed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Which record.
    pub key: AnyKey,
    /// As it was before the batch.
    pub before: Option<Meta>,
    /// As it is now.
    pub after: Option<Meta>,
}

/// A line of a frame: see the store's `batch` module.
#[derive(Deserialize)]
struct Line {
    put: Option<AnyKey>,
    remove: Option<AnyKey>,
    #[serde(default)]
    created: Millis,
    #[serde(default)]
    generation: u64,
    deleting: Option<Millis>,
    owner: Option<AnyKey>,
}

/// Format and hash stand before a frame's text.
const ENVELOPE_BYTES: usize = 4 + 32;

/// The text of a frame: its head, then a line for each record.
///
/// # Panics
/// If the frame is none of the store's.
pub fn text(frame: &[u8]) -> &str {
    std::str::from_utf8(&frame[ENVELOPE_BYTES..]).expect("a frame is text in an envelope")
}

impl Ledger {
    /// Enters a batch.
    ///
    /// # Panics
    /// If the frame is none of the store's.
    pub fn enter(&mut self, frame: &[u8]) -> Vec<Changed> {
        text(frame).lines().skip(1).map(|line| self.enter_line(line)).collect()
    }

    fn enter_line(&mut self, line: &str) -> Changed {
        let line: Line = serde_json::from_str(line).expect("a frame is lines of JSON");
        if let Some(key) = line.remove {
            let before = self.0.remove(&key);
            return Changed { key, before, after: None };
        }
        let key = line.put.expect("a line puts or removes");
        let Line { created, generation, deleting, owner, .. } = line;
        let after = Meta { created, generation, deleting, owner };
        let before = self.0.insert(key.clone(), after.clone());
        Changed { key, before, after: Some(after) }
    }

    /// What is known of a record.
    pub fn get(&self, key: &AnyKey) -> Option<&Meta> {
        self.0.get(key)
    }

    /// All keys, by kind.
    pub fn keys(&self) -> impl Iterator<Item = &AnyKey> {
        self.0.keys()
    }

    /// The names of a kind's records.
    pub fn names(&self, kind: &'static str) -> impl Iterator<Item = &str> {
        let from = self.0.range(AnyKey::new(kind, "")..).map(|(key, _)| key);
        from.take_while(move |key| key.kind() == kind).map(AnyKey::name)
    }
}

impl Changed {
    /// The record was not there before.
    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// The record's deletion was asked for in this batch.
    pub fn begins_deleting(&self) -> bool {
        let deleting = |meta: &Option<Meta>| meta.as_ref().is_some_and(|m| m.deleting.is_some());
        deleting(&self.after) && !deleting(&self.before)
    }
}
