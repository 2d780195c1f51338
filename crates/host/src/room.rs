//! Is there room for more? A region that is short of disk or memory takes no new work, so that what runs can go on: its
//! own records of what happens, and the healing of clusters, need some of both.

use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of the disk that new work leaves free: thousands of times what a record takes.
const DISK: u64 = 64 << 20;
/// Bytes of memory that new work leaves free: what one kube-apiserver takes to start again.
const MEMORY: u64 = 256 << 20;

/// A look holds for so long: it costs more than a small request does, and nothing fills up sooner.
const LOOK_HOLDS: Duration = Duration::from_millis(100);

/// What is missing, and how much of it there is.
pub type Shortage = (&'static str, String);

/// The room of a folder for those who ask often.
pub struct Room {
    folder: PathBuf,
    looked: Mutex<Option<(Instant, Option<Shortage>)>>,
}

impl Room {
    /// Of this folder.
    pub fn new(folder: PathBuf) -> Room {
        Room { folder, looked: Mutex::default() }
    }

    /// As the function [`shortage`], as it was a moment ago.
    pub fn shortage(&self) -> Option<Shortage> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, last)) = looked.as_ref().filter(|(at, _)| at.elapsed() < LOOK_HOLDS) {
            return last.clone();
        }
        let now = shortage(&self.folder);
        *looked = Some((Instant::now(), now.clone()));
        now
    }
}

/// What is missing, of the disk which `folder` is on or of this machine, and how much of it there is.
pub fn shortage(folder: &Path) -> Option<Shortage> {
    let disk = statvfs(folder).map_or(u64::MAX, |s| s.blocks_available() * s.fragment_size());
    let memory = available_memory().unwrap_or(u64::MAX);
    if disk < DISK {
        let (left, least) = (disk >> 20, DISK >> 20);
        return Some(("disk space", format!("{left} MB left at {}, at least {least} are kept free", folder.display())));
    }
    (memory < MEMORY).then(|| {
        let (left, least) = (memory >> 20, MEMORY >> 20);
        ("memory", format!("{left} MB available, at least {least} are kept free"))
    })
}

/// Bytes of memory that programs can have without swapping; None if the kernel does not say.
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}
