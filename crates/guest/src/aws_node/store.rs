//! The file of the leases: whole, or as it was before.
//!
//! It must survive the daemon, not the machine: with that, all sandboxes go that hold leases. So it stands below `/run`, as
//! amazon-vpc-cni-k8s has it, and no pod waits for a disk, which etcd's would wait for, too.
//!
//! Leases that many pods ask for at once are written together: who comes first writes what all have asked for by then,
//! and the others find it done.

use super::ipam::Saved;
use anyhow::{Context as _, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file.
pub struct Store {
    path: PathBuf,
    /// The version that is in the file.
    written: Mutex<u64>,
}

impl Store {
    /// At that path.
    pub fn new(path: &Path) -> Store {
        Store { path: path.to_owned(), written: Mutex::new(0) }
    }

    /// What stands in the file; nothing if there is none.
    ///
    /// # Errors
    /// It can't be read. It is never begun anew then: pods would get addresses that others have.
    pub fn load(&self) -> Result<Saved> {
        let path = self.path.display();
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{path} is damaged: drain the node, remove the file and restart aws-node")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::default()),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }

    /// Returns once `version` is in the file. `latest` gives what there is now, with its version.
    ///
    /// # Errors
    /// The file system's.
    pub fn until_written(&self, version: u64, latest: impl FnOnce() -> (u64, Saved)) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written < version {
            let (version, saved) = latest();
            self.write(&saved).with_context(|| format!("writing {}", self.path.display()))?;
            *written = version;
        }
        Ok(())
    }

    fn write(&self, saved: &Saved) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let next = self.path.with_extension("next");
        fs::write(&next, serde_json::to_vec(saved)?)?;
        fs::rename(&next, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_types::Millis;

    #[test]
    fn what_was_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/ipam.json");
        let store = Store::new(&path);
        assert_eq!(store.load().unwrap(), Saved::default());
        let mut saved = Saved::default();
        saved.cooling.insert([10, 0, 0, 5].into(), Millis(7));
        store.until_written(3, || (4, saved.clone())).unwrap();
        assert_eq!(store.load().unwrap(), saved);
        store.until_written(4, || panic!("it is written already")).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(store.load().unwrap_err().to_string().contains("drain the node"));
    }
}
