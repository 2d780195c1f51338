use roadstead_store::journal::{Journal, JournalError, Memory, Stored};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The disk under the region's journal. It outlives every crash of the region, may be made to fail, and shows each
/// frame that reached it.
#[derive(Clone, Default)]
pub struct Disk {
    memory: Memory,
    state: Arc<Mutex<State>>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing reached the disk.
    Lost,
    /// All of it did, but the region was told that it failed.
    Kept,
}

#[derive(Default)]
struct State {
    next: Option<Failure>,
    frames: Vec<Vec<u8>>,
}

impl Disk {
    /// The next write fails so, or none does.
    pub fn fail(&self, how: Option<Failure>) {
        self.state().next = how;
    }

    /// The frames that were written since this was last asked.
    pub fn take_frames(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().frames)
    }

    /// The frames that were written since they were last taken.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        self.state().frames.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> JournalError {
        JournalError::Io { action: "write", path: self.name(), why: io::Error::other("made to fail") }
    }
}

impl Journal for Disk {
    fn name(&self) -> String {
        "the simulated disk".to_owned()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        self.memory.load()
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        let failure = self.state().next.take();
        if failure != Some(Failure::Lost) {
            self.memory.append(seq, frame)?;
            self.state().frames.push(frame.to_vec());
        }
        failure.map_or(Ok(()), |_| Err(self.failure()))
    }

    fn note(&mut self, seq: u64) {
        self.memory.note(seq);
    }

    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        self.memory.compact(parts)
    }
}
