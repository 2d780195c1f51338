//! Blobs: files that are named by the digest of what is in them, one for all repositories that have it.
//!
//! A file that no record speaks of is removed: by a janitor that hears of each record that goes, and at the start. One that
//! a record is about to speak of is held meanwhile.

use anyhow::Result;
use roadstead_cloud::ecr::layer::{self, Layer};
use roadstead_kernel::region::Handle;
use roadstead_store::Object as _;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The files.
pub struct Blobs {
    folder: PathBuf,
    handle: Handle,
    /// Digests that a record may speak of soon, and how many are about to.
    held: Mutex<HashMap<String, usize>>,
    suspects: UnboundedSender<String>,
}

/// While it is there, so is the file.
pub struct Held {
    blobs: Arc<Blobs>,
    digest: String,
}

impl Blobs {
    /// Opens the folder, removes what no record speaks of, and does so from now on.
    ///
    /// # Errors
    /// The folder can't be used.
    pub fn open(data: &Path, handle: &Handle) -> Result<Arc<Blobs>> {
        let folder = data.join("blobs/sha256");
        fs::create_dir_all(&folder)?;
        let (suspects, told) = unbounded_channel();
        let blobs = Arc::new(Blobs { folder, handle: handle.clone(), held: Mutex::default(), suspects });
        for entry in fs::read_dir(&blobs.folder)? {
            blobs.collect(&format!("sha256:{}", entry?.file_name().to_string_lossy()))?;
        }
        let tell = blobs.suspects.clone();
        handle.subscribe(Box::new(move |commit| {
            let gone = commit.changes.iter().filter(|change| !change.after && change.key.kind() == Layer::KIND);
            for digest in gone.filter_map(|change| change.key.name().split_once('@')) {
                // Nobody listens once the region stops.
                let _ = tell.send(digest.1.to_owned());
            }
        }));
        tokio::spawn(blobs.clone().tidy(told));
        Ok(blobs)
    }

    /// The file of a digest.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest.trim_start_matches("sha256:"))
    }

    /// Takes a file in under its digest, and holds it. It must have been synced.
    ///
    /// # Errors
    /// It can't be renamed, or that not be made to last.
    pub async fn keep(self: Arc<Self>, file: PathBuf, digest: String) -> io::Result<Held> {
        let work = move || {
            let held = self.hold(&digest);
            fs::rename(file, self.path(&digest))?;
            fs::File::open(&self.folder)?.sync_all()?;
            Ok(held)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    fn hold(self: &Arc<Self>, digest: &str) -> Held {
        *self.holds().entry(digest.to_owned()).or_default() += 1;
        Held { blobs: self.clone(), digest: digest.to_owned() }
    }

    /// Removes the file unless it is held or a record speaks of it.
    fn collect(&self, digest: &str) -> io::Result<()> {
        // Nobody can hold it in between, and who holds it later brings it along.
        let holds = self.holds();
        if holds.contains_key(digest) || layer::is_kept(&self.handle.view(), digest) {
            return Ok(());
        }
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn tidy(self: Arc<Self>, mut told: UnboundedReceiver<String>) {
        while let Some(digest) = told.recv().await {
            let own = self.clone();
            let done = tokio::task::spawn_blocking(move || own.collect(&digest)).await;
            if let Ok(Err(error)) = done {
                tracing::warn!("removing a blob, which the next start tries again: {error}");
            }
        }
    }

    fn holds(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holds = self.blobs.holds();
        let left = holds.get(&self.digest).map_or(0, |count| count - 1);
        match left {
            0 => holds.remove(&self.digest),
            left => holds.insert(self.digest.clone(), left),
        };
        drop(holds);
        // What it was held for may not have come to pass.
        let _ = self.blobs.suspects.send(self.digest.clone());
    }
}
