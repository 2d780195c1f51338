//! What the disk itself takes to make something durable: nothing that writes to it can be quicker.

use anyhow::Result;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A page of the journal.
const PAGE: usize = 4096;
/// Pages that are written in turns.
const PAGES: u64 = 256;
/// How often it is measured.
const TIMES: u64 = 500;

/// How long it took, each time, to overwrite a page of a file and have the disk confirm it (fdatasync).
///
/// # Errors
/// The file can't be written.
pub fn syncs(folder: &Path) -> Result<Vec<Duration>> {
    let path = folder.join("syncs");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let page = [7; PAGE];
    for number in 0..PAGES {
        file.write_all_at(&page, number * PAGE as u64)?;
    }
    file.sync_all()?;
    let sync = |number: u64| {
        let began = Instant::now();
        file.write_all_at(&page, number % PAGES * PAGE as u64)?;
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let spans = (0..TIMES).map(sync).collect();
    fs::remove_file(&path)?;
    spans
}
