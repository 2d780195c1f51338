//! Is there room for more? A region that is short of disk or memory takes no new work, so that what runs can go on: its
//! own records of what happens, and the healing of clusters, need some of both.

use nix::sys::statvfs::statvfs;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::AnyOperation;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of the journal's disk that new work leaves free: thousands of times what a record takes.
const DISK: u64 = 64 << 20;
/// Bytes of memory that new work leaves free: what one kube-apiserver takes to start again.
const MEMORY: u64 = 256 << 20;

/// The room that a region has.
pub struct Room {
    folder: PathBuf,
}

impl Room {
    /// That of the disk which `folder` is on, and of this machine.
    pub fn new(folder: &Path) -> Room {
        Room { folder: folder.to_owned() }
    }

    /// Whether an operation that changes something may go on. One that removes something always may: it makes room.
    ///
    /// # Errors
    /// 503 ServiceUnavailable, which clients try again later; the log says how much is missing, and where.
    pub fn admit(&self, operation: &AnyOperation) -> Result<(), Fault> {
        let makes_room = ["Delete", "Detach", "Untag"].iter().any(|verb| operation.name.starts_with(verb));
        match self.shortage() {
            Some((of, why)) if !makes_room => {
                let text = format!(
                    "The region is short of {of} and takes no new work until its operator frees some. \
                     What runs goes on, and deletions are accepted."
                );
                Err(Common::ServiceUnavailable.fault(text).because(why))
            }
            _ => Ok(()),
        }
    }

    /// What is missing and how much of it there is.
    fn shortage(&self) -> Option<(&'static str, String)> {
        let disk = statvfs(&self.folder).map_or(u64::MAX, |s| s.blocks_available() * s.fragment_size());
        let memory = available_memory().unwrap_or(u64::MAX);
        if disk < DISK {
            let (left, least) = (disk >> 20, DISK >> 20);
            return Some((
                "disk space",
                format!("{left} MB left at {}, at least {least} are kept free", self.folder.display()),
            ));
        }
        (memory < MEMORY).then(|| {
            let (left, least) = (memory >> 20, MEMORY >> 20);
            ("memory", format!("{left} MB available, at least {least} are kept free"))
        })
    }
}

/// Bytes of memory that programs can have without swapping; None if the kernel does not say.
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}
