//! Where the chain of batches is kept. A journal keeps frames of bytes and promises two things: what it said is
//! appended survives any crash, and a snapshot takes the place of what it stands for in one step. What the bytes mean
//! and whether they are whole is the business of [`crate::Core`].

mod acknowledged;
mod file;
mod frames;
mod lock;
mod memory;
mod storage;

pub use file::File;
pub use memory::Memory;
pub use storage::{Place, Storage};

use std::io;
use std::path::PathBuf;

/// A kept chain: a snapshot, then batches.
pub trait Journal: Send + 'static {
    /// What people call it in messages: its path.
    fn name(&self) -> String;

    /// Everything that is kept.
    fn load(&mut self) -> Result<Stored, JournalError>;

    /// Keeps batch `seq`. When this returns `Ok` no crash loses it. After an error nothing is known about this batch,
    /// and the journal must be opened anew.
    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError>;

    /// Batch `seq`, which was appended, has been acknowledged. To be remembered as well as can be at no cost: it is the
    /// check of [`Stored::acknowledged`], and no promise.
    fn note(&mut self, seq: u64);

    /// Puts a snapshot in these parts in the place of everything that is kept: all of it or, after a crash, nothing.
    /// After [`JournalError::NotCompacted`] all is as it was; after another error the journal must be opened anew.
    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError>;
}

/// What a journal holds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The parts of the snapshot, in order. None in a journal that was never written.
    pub snapshot: Vec<Vec<u8>>,
    /// The batches after the snapshot, by number.
    pub batches: Vec<(u64, Vec<u8>)>,
    /// A batch that is known to have been acknowledged: a chain that ends before it was cut off.
    pub acknowledged: Option<u64>,
}

/// Why a journal can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("data directory {directory} in use by pid {pid}: stop that process, or use another data directory")]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The process that has it, as it said itself.
        pid: String,
    },
    /// Its content is not what was written.
    #[error(
        "{journal} is damaged at {place}: {what}. Nothing was changed and nothing is skipped: restore the data \
         directory from a backup; keep the damaged one for an examination"
    )]
    Damaged {
        /// [`Journal::name`]
        journal: String,
        /// The batch, or the part of the snapshot.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// An older program wrote it, in a way that is no longer read.
    #[error(
        "{journal} was written by an earlier version of Roadstead, whose journals this one doesn't read: use another \
         data directory, or start that version"
    )]
    Older {
        /// The file.
        journal: String,
    },
    /// A newer program wrote it.
    #[error(
        "{journal} has format {format} at {place} and this program reads formats up to {newest}: start the version of \
         Roadstead that wrote it, or a later one"
    )]
    Newer {
        /// [`Journal::name`]
        journal: String,
        /// The batch, or the part of the snapshot.
        place: String,
        /// The format found.
        format: u32,
        /// The newest format that can be read.
        newest: u32,
    },
    /// It holds records that this program doesn't know.
    #[error(
        "{journal} holds records of the kind {kind:?} (at {place}), which this program doesn't know: start the version \
         of Roadstead that wrote them, or a later one"
    )]
    UnknownKind {
        /// [`Journal::name`]
        journal: String,
        /// The batch, or the part of the snapshot.
        place: String,
        /// The unknown kind.
        kind: String,
    },
    /// There was no room for the snapshot, and no harm is done.
    #[error("can't write a snapshot beside {path}, which stays as it is: {why}")]
    NotCompacted {
        /// The journal.
        path: String,
        /// The system's answer.
        why: io::Error,
    },
    /// The disk failed or is full.
    #[error("can't {action} {path}: {why}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// The system's answer.
        why: io::Error,
    },
}
