use super::{Journal, JournalError, Stored};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A journal that lasts as long as the process: for tests and the simulator. Clones share what is kept, so a store can
/// be "restarted" by opening a clone.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stored: Stored,
    failing: bool,
}

impl Memory {
    /// An empty journal.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A journal that holds this.
    pub fn holding(stored: Stored) -> Memory {
        Memory(Arc::new(Mutex::new(State { stored, failing: false })))
    }

    /// What is kept now.
    pub fn stored(&self) -> Stored {
        self.state().stored.clone()
    }

    /// From now on every write fails as a broken disk's does, or no longer.
    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<MutexGuard<'_, State>, JournalError> {
        let state = self.state();
        if state.failing {
            let why = io::Error::other("made to fail");
            return Err(JournalError::Io { action: "write", path: self.name(), why });
        }
        Ok(state)
    }
}

impl Journal for Memory {
    fn name(&self) -> String {
        "the journal in memory".to_owned()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        Ok(self.stored())
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        let mut state = self.writable()?;
        state.stored.batches.push((seq, frame.to_vec()));
        Ok(())
    }

    fn note(&mut self, seq: u64) {
        self.state().stored.acknowledged = Some(seq);
    }

    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        let mut state = self.writable()?;
        state.stored.snapshot = parts.to_vec();
        state.stored.batches.clear();
        Ok(())
    }
}
