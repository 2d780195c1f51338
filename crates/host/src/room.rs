//! Is there room for more? A region that is short of disk or memory takes no new work, so that what runs can go on: its
//! own records of what happens, and the healing of clusters, need some of both.

use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

/// Bytes of the disk that new work leaves free: thousands of times what a record takes.
const DISK: u64 = 64 << 20;
/// Bytes of memory that new work leaves free: what one kube-apiserver takes to start again.
const MEMORY: u64 = 256 << 20;

/// What is missing, of the disk which `folder` is on or of this machine, and how much of it there is.
pub fn shortage(folder: &Path) -> Option<(&'static str, String)> {
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
