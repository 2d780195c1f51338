use crate::batch::{self, Link};
use crate::journal::{Journal, JournalError};
use crate::reads::ReadSet;
use crate::replay::replay;
use crate::tx::{Effect, Tx, Writes};
use crate::view::View;
use crate::{AnyKey, Registry};
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The synchronous heart of the store: one transaction after the other, and from time to time a commit, which makes
/// all of them durable with one sync and publishes them.
///
/// ```text
/// begin ─→ Tx ─→ apply ─→ head (unpublished) ─→ commit ─→ journal ─→ view() (published)
///                  └ or drop: nothing happened     └ fails: halted, head is lost, view() stays
///
/// and from time to time, when everybody is answered: tidy ─→ a snapshot takes the place of the batches
/// ```
pub struct Core {
    journal: Box<dyn Journal>,
    options: Options,
    published: Arc<View>,
    /// The newest state: the published one, and the transactions of the pending batch.
    head: View,
    /// The pending batch: per record, what stood there before the batch and what stands there now.
    pending: BTreeMap<AnyKey, Effect>,
    /// Counts the applied transactions: see [`Tx`].
    stamp: u64,
    link: Link,
    bytes_snapshot: u64,
    bytes_since_snapshot: u64,
    /// Compaction failed, and is not tried again before there are so many bytes since the snapshot.
    bytes_to_retry: u64,
    halted: Option<String>,
}

/// What a store may be told when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where a new store's ids start: random for a region, fixed for a test. An existing store keeps its own.
    pub seed: u64,
    /// The journal is compacted when the batches since the last snapshot take this many bytes and are also twice the
    /// size of that snapshot, so that writing snapshots never costs more than writing batches.
    pub compact_bytes_min: u64,
}

impl Options {
    /// The defaults, with ids that follow from this seed.
    pub fn seeded(seed: u64) -> Options {
        Options { seed, compact_bytes_min: 4 << 20 }
    }
}

/// A transaction that was taken in.
#[derive(Debug)]
pub struct Applied {
    /// What it changed: known before it is durable, so that planners can run on it within the same batch.
    pub writes: Writes,
    /// What it asked.
    pub reads: ReadSet,
}

/// A batch that is durable and published.
#[derive(Debug)]
pub struct Commit {
    /// Its number in the chain.
    pub revision: u64,
    /// The state it made.
    pub view: Arc<View>,
    /// What it changed, in the order of the keys.
    pub changes: Vec<Change>,
}

/// What a batch did to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: AnyKey,
    /// Whether it existed before the batch.
    pub before: bool,
    /// Whether it exists now.
    pub after: bool,
}

/// Why a batch was not committed: the store has halted. What was published stays readable; nothing else is kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store halted after revision {revision} and takes no more writes: {why}. Remedy that, then restart")]
pub struct CommitError {
    /// The last revision that is durable for certain.
    pub revision: u64,
    /// What went wrong.
    pub why: String,
}

impl Core {
    /// Opens the journal, verifies all of it and rebuilds the state; starts a new chain in an empty one.
    pub fn open(mut journal: impl Journal, registry: Registry, options: Options) -> Result<Core, JournalError> {
        let stored = journal.load()?;
        let fresh = stored.snapshot.is_empty() && stored.batches.is_empty() && stored.acknowledged.is_none();
        if fresh {
            let view = View::empty(Arc::new(registry), options.seed);
            let mut core = Core::at(Box::new(journal), options, view, Link::default());
            core.write_snapshot()?;
            return Ok(core);
        }
        let bytes = |frames: &mut dyn Iterator<Item = &Vec<u8>>| frames.map(|frame| frame.len() as u64).sum();
        let bytes_snapshot = bytes(&mut stored.snapshot.iter());
        let bytes_since_snapshot = bytes(&mut stored.batches.iter().map(|(_, frame)| frame));
        let (view, link) = replay(&journal.name(), stored, Arc::new(registry))?;
        Ok(Core { bytes_snapshot, bytes_since_snapshot, ..Core::at(Box::new(journal), options, view, link) })
    }

    fn at(journal: Box<dyn Journal>, options: Options, view: View, link: Link) -> Core {
        let published = Arc::new(view.clone());
        Core {
            journal,
            options,
            published,
            head: view,
            pending: BTreeMap::new(),
            stamp: 0,
            link,
            bytes_snapshot: 0,
            bytes_since_snapshot: 0,
            bytes_to_retry: 0,
            halted: None,
        }
    }

    /// The newest published state: all of it is durable.
    pub fn view(&self) -> &Arc<View> {
        &self.published
    }

    /// The newest state, with what is applied and not yet committed: for decisions that end in the same batch.
    pub fn head(&self) -> &View {
        &self.head
    }

    /// Starts a transaction at this time. Drop it to abort.
    pub fn begin(&self, now: Millis) -> Tx {
        Tx::new(self.head.clone(), now, self.stamp)
    }

    /// Takes a transaction into the pending batch. Panics if another one was applied since it began: there is one
    /// writer, and it runs one transaction at a time.
    pub fn apply(&mut self, tx: Tx) -> Applied {
        assert!(tx.stamp == self.stamp, "invariant: transactions run one after the other");
        let (view, writes, reads) = tx.finish();
        if !writes.is_empty() {
            self.stamp += 1;
            self.head = view;
            for effect in writes.iter() {
                self.pend(effect);
            }
        }
        Applied { writes, reads }
    }

    fn pend(&mut self, effect: &Effect) {
        let pending = self.pending.entry(effect.key.clone()).or_insert_with(|| effect.clone());
        pending.after.clone_from(&effect.after);
    }

    /// Runs `work` in a transaction and applies it, unless it returns an error: then nothing has happened.
    pub fn transact<R, E>(
        &mut self,
        now: Millis,
        work: impl FnOnce(&mut Tx) -> Result<R, E>,
    ) -> Result<(R, Writes), E> {
        let mut tx = self.begin(now);
        let result = work(&mut tx)?;
        Ok((result, self.apply(tx).writes))
    }

    /// Makes the pending batch durable and publishes it; `None` if nothing is pending. After an error the store has
    /// halted: the pending batch may or may not survive in the journal, but nobody was told of it, and every further
    /// commit is refused.
    pub fn commit(&mut self) -> Result<Option<Arc<Commit>>, CommitError> {
        if let Some(why) = &self.halted {
            return Err(self.halted_because(why.clone()));
        }
        if self.pending.is_empty() {
            return Ok(None);
        }
        self.head.set_revision(self.link.seq + 1);
        if let Err(why) = self.append_batch() {
            self.halted = Some(why.clone());
            return Err(self.halted_because(why));
        }
        self.published = Arc::new(self.head.clone());
        let commit = Commit { revision: self.link.seq, view: self.published.clone(), changes: self.take_changes() };
        Ok(Some(Arc::new(commit)))
    }

    /// What nobody needs to wait for: to be called after a commit, once its callers were answered. Notes that they
    /// were, and compacts the journal if that is due; if it fails the store has halted.
    pub fn tidy(&mut self) {
        if self.halted.is_none() {
            self.journal.note(self.link.seq);
            self.compact_if_due();
        }
    }

    /// Why the store takes no more writes, if so.
    pub fn halted(&self) -> Option<CommitError> {
        self.halted.as_ref().map(|why| self.halted_because(why.clone()))
    }

    fn halted_because(&self, why: String) -> CommitError {
        CommitError { revision: self.link.seq, why }
    }

    fn append_batch(&mut self) -> Result<(), String> {
        let net = self.pending.values().filter(|effect| effect.before.is_some() || effect.after.is_some());
        let changes = net.map(|effect| (&effect.key, effect.after.as_ref()));
        let frame = batch::encode_batch(&self.head, &self.link, changes).map_err(|e| e.to_string())?;
        let seq = self.link.seq + 1;
        self.journal.append(seq, &frame.bytes).map_err(|e| e.to_string())?;
        self.link = Link { seq, hash: frame.hash };
        self.bytes_since_snapshot += frame.bytes.len() as u64;
        Ok(())
    }

    fn take_changes(&mut self) -> Vec<Change> {
        let pending = std::mem::take(&mut self.pending).into_values();
        let changes = pending.map(|effect| {
            let (before, after) = (effect.before.is_some(), effect.after.is_some());
            Change { key: effect.key, before, after }
        });
        changes.filter(|change| change.before || change.after).collect()
    }

    /// The batch is durable whether this succeeds or not. What only takes room that is not there is put off: there may
    /// be enough for batches, and those of deletions make some.
    fn compact_if_due(&mut self) {
        let due = self.options.compact_bytes_min.max(2 * self.bytes_snapshot).max(self.bytes_to_retry);
        if self.bytes_since_snapshot < due {
            return;
        }
        match self.write_snapshot() {
            Ok(()) => {}
            Err(why @ JournalError::NotCompacted { .. }) => {
                self.bytes_to_retry = 2 * self.bytes_since_snapshot;
                tracing::warn!(%why, retry_at_bytes = self.bytes_to_retry, "the journal was not compacted");
            }
            Err(why) => {
                tracing::error!(%why, "compacting the journal failed");
                self.halted = Some(why.to_string());
            }
        }
    }

    fn write_snapshot(&mut self) -> Result<(), JournalError> {
        let frames =
            batch::encode_snapshot(&self.published, &self.link).expect("invariant: what was a batch is encodable");
        let parts: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame.bytes).collect();
        self.journal.compact(&parts)?;
        self.bytes_snapshot = parts.iter().map(|part| part.len() as u64).sum();
        (self.bytes_since_snapshot, self.bytes_to_retry) = (0, 0);
        Ok(())
    }
}
