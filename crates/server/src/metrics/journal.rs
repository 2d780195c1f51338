use roadstead_inspect::Metrics;
use roadstead_store::journal::{Journal, JournalError, Stored};
use std::sync::Arc;
use std::time::Instant;

/// A journal whose appends are measured.
pub struct Timed<J> {
    /// It.
    pub journal: J,
    /// Where what is measured goes.
    pub metrics: Arc<Metrics>,
}

impl<J: Journal> Journal for Timed<J> {
    fn name(&self) -> String {
        self.journal.name()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        self.journal.load()
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        let began = Instant::now();
        self.journal.append(seq, frame)?;
        self.metrics.appended(frame.len() as u64, began.elapsed());
        Ok(())
    }

    fn note(&mut self, seq: u64) {
        self.journal.note(seq);
    }

    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        self.journal.compact(parts)
    }
}
