//! Clusters take memory and processors: at most two tests of this machine, of whichever process, have them at a time.

use crate::story;
use std::fs::{File, OpenOptions};
use std::time::Duration;

const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_mins(30);

/// The right to have clusters, until it is dropped. The kernel takes it back from a process that dies.
pub struct Turn(#[expect(dead_code, reason = "held for its lock")] File);

impl Turn {
    /// Waits for a turn.
    pub fn take() -> Turn {
        story::until("a turn to have clusters", PATIENCE, || (0..AT_ONCE).find_map(Turn::try_take))
    }

    fn try_take(n: usize) -> Option<Turn> {
        let path = std::env::temp_dir().join(format!("roadstead-e2e-turn-{n}"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some(Turn(file))
    }
}
