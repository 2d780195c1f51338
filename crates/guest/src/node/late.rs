//! `guest node images`: takes in the images that come after the node has booted. EKS's nodes pull those from its registry;
//! here the agent shows archives of them as soon as it has the programs, and a node that waited for them would be late.

use super::ami::Ami;
use super::{say, snapshot, write};
use crate::ImageArchive;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What was taken in, by the name of its notice: below containerd's root, so that one that begins anew knows of none.
const TAKEN: &str = "/var/lib/containerd/roadstead-late";
/// Between looks. (A watch takes one of the few inotify instances that all nodes of a host share.)
const LOOK: Duration = Duration::from_secs(2);

/// Does not end: what can't be done now is tried again.
pub fn run() -> Result<()> {
    let ami = Ami::read()?;
    let mut told = None;
    loop {
        if let Err(why) = take_in(&ami) {
            let why = format!("{why:#}");
            if told.as_ref() != Some(&why) {
                say(&why);
                told = Some(why);
            }
        }
        thread::sleep(LOOK);
    }
}

fn take_in(ami: &Ami) -> Result<()> {
    let containerd = ami.containerd();
    let programs = containerd.parent().context("containerd is in no folder")?;
    for notice in due(Path::new(ImageArchive::LATE), Path::new(TAKEN))? {
        let text = fs::read(&notice).with_context(|| notice.display().to_string())?;
        let archive: ImageArchive = serde_json::from_slice(&text).with_context(|| notice.display().to_string())?;
        snapshot::import_one(programs, &ami.region, &archive)?;
        write(&mark(Path::new(TAKEN), &notice), 0o644, b"")?;
        say(&format!("has the image {}:{}", archive.repository, archive.tag));
    }
    Ok(())
}

/// The notices of images that were not taken in yet.
fn due(folder: &Path, taken: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let is_due = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == ImageArchive::NOTICE) && !mark(taken, path).exists()
    };
    Ok(paths.into_iter().filter(is_due).collect())
}

fn mark(taken: &Path, notice: &Path) -> PathBuf {
    taken.join(notice.file_name().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_due_once_it_is_whole_and_until_it_was_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let (shown, taken) = (folder.path().join("shown"), folder.path().join("taken"));
        fs::create_dir_all(&shown).unwrap();
        fs::create_dir_all(&taken).unwrap();
        for name in ["a-1.tar", "a-1.new", "b-1.tar", "b-1.json"] {
            fs::write(shown.join(name), "").unwrap();
        }
        assert_eq!(due(&shown, &taken).unwrap(), [shown.join("b-1.json")]);
        write(&mark(&taken, &shown.join("b-1.json")), 0o644, b"").unwrap();
        assert!(due(&shown, &taken).unwrap().is_empty());
        assert!(due(&folder.path().join("none"), &taken).is_err());
    }
}
