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
        // A power failure takes away what its folder was not told to keep.
        for made in folder.ancestors().take_while(|above| Some(*above) != data.parent()).skip(1) {
            fs::File::open(made)?.sync_all()?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_cloud::ecr::repository::{Mutability, Repository};
    use roadstead_kernel::region::{Region, Running};
    use roadstead_store::journal::Memory;
    use roadstead_store::{Core, Options, Read as _, Tx};
    use roadstead_types::{Millis, Tags};
    use std::time::Duration;

    const ACCOUNT: &str = "111122223333";
    const BYTES: &[u8] = b"bytes";
    const DIGEST: &str = "sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";

    /// A region with a repository.
    fn region() -> (Handle, Running) {
        let core = Core::open(Memory::new(), roadstead_cloud::registry(), Options::seeded(1)).unwrap();
        let region = Region::new(core, roadstead_cloud::planners());
        let (handle, running) = Handle::start(region, Arc::new(|| Millis::secs(1)));
        write(&handle, |tx| {
            let repository = Repository {
                name: "web".into(),
                account: ACCOUNT.into(),
                mutability: Mutability::Mutable,
                tags: Tags::new(),
            };
            tx.create(Repository::key(ACCOUNT, "web"), None, repository);
        });
        (handle, running)
    }

    fn write(handle: &Handle, work: impl FnOnce(&mut Tx) + Send + 'static) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let work = move |tx: &mut Tx| {
            work(tx);
            Ok::<_, ()>(())
        };
        handle.write(work, move |result| sender.send(result.is_ok()).unwrap());
        assert!(receiver.recv().unwrap());
    }

    async fn upload(blobs: &Arc<Blobs>, data: &Path) -> Held {
        let file = data.join("upload");
        fs::write(&file, BYTES).unwrap();
        blobs.clone().keep(file, DIGEST.to_owned()).await.unwrap()
    }

    async fn until(what: &str, look: impl Fn() -> bool) {
        let waits = async {
            while !look() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waits).await.expect(what);
    }

    #[tokio::test]
    async fn a_blob_stays_while_it_is_held_or_a_repository_has_it() {
        let data = tempfile::tempdir().unwrap();
        let (handle, _running) = region();
        let blobs = Blobs::open(data.path(), &handle).unwrap();
        let path = blobs.path(DIGEST);
        let (first, second) = (upload(&blobs, data.path()).await, upload(&blobs, data.path()).await);
        drop(first);
        blobs.collect(DIGEST).unwrap();
        assert!(path.exists(), "one holds it still");
        write(&handle, |tx| layer::add(tx, ACCOUNT, "web", DIGEST, 5).unwrap());
        drop(second);
        blobs.collect(DIGEST).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BYTES);
        let repository = handle.view().get(&Repository::key(ACCOUNT, "web")).unwrap().body;
        write(&handle, move |tx| layer::forget(tx, &repository));
        until("the janitor hears of it", || !path.exists()).await;
    }

    #[tokio::test]
    async fn what_was_held_in_vain_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let (handle, _running) = region();
        let blobs = Blobs::open(data.path(), &handle).unwrap();
        let held = upload(&blobs, data.path()).await;
        assert!(blobs.path(DIGEST).exists());
        drop(held);
        until("it is removed", || !blobs.path(DIGEST).exists()).await;
    }

    #[tokio::test]
    async fn a_start_removes_what_a_crash_left() {
        let data = tempfile::tempdir().unwrap();
        let (handle, _running) = region();
        write(&handle, |tx| layer::add(tx, ACCOUNT, "web", DIGEST, 5).unwrap());
        let folder = data.path().join("blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        let (known, unknown) = (folder.join(DIGEST.trim_start_matches("sha256:")), folder.join("0".repeat(64)));
        fs::write(&known, BYTES).unwrap();
        fs::write(&unknown, BYTES).unwrap();
        drop(Blobs::open(data.path(), &handle).unwrap());
        assert!(known.exists() && !unknown.exists());
    }
}
