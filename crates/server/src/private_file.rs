//! Files that only their owner reads, written in one step.

use anyhow::{Context as _, Result};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes `path` so that a crash leaves the old one or the new one, never a part.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension("new");
    let written = write(&aside, content).and_then(|()| Ok(fs::rename(&aside, path)?));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Makes `path`, unless it exists: then nothing is changed, and the answer is false. Of two at once, one wins.
pub fn claim(path: &Path, content: &[u8]) -> Result<bool> {
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let claimed = write(&aside, content).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        linked => Ok(linked.map(|()| true)?),
    });
    let _ = fs::remove_file(&aside);
    claimed.with_context(|| format!("cannot claim {}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_stays_and_what_is_replaced_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7");
        assert!(claim(&path, b"first").unwrap());
        assert!(!claim(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
