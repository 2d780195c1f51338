//! Disks: folders that outlive the machines that mount them.
//!
//! A disk is lent to one machine at a time. Who holds it is known from the machines that run (they carry its id), so a
//! restarted agent learns it from them and not from a file.

#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::{Config, Saw, blocking, lock};
use anyhow::{Context as _, Result, ensure};
use roadstead_hostspec::{Disk, DiskStatus, ItemKey, ItemKind, Status};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// Begins the name of a folder that is being deleted.
const DOOMED: &str = ".removed-";

/// The area of disks. A handle: copies share everything.
#[derive(Clone)]
pub struct Disks(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    known: Mutex<Known>,
    /// Told at every change of what may be lent.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    disks: BTreeMap<String, Entry>,
    /// By disk id: the machine that has it mounted.
    holders: BTreeMap<String, String>,
}

#[derive(Default)]
struct Entry {
    generation: u64,
    ready: bool,
    /// To be deleted as soon as nobody holds it.
    doomed: bool,
}

impl Disks {
    /// Knows none yet. Finishes deletions that another agent began.
    pub fn new(config: Arc<Config>, saw: Saw) -> Disks {
        let disks = Disks(Arc::new(Inner { config, saw, known: Mutex::default(), changed: watch::Sender::new(()) }));
        for name in disks.folders().into_iter().filter(|name| name.starts_with(DOOMED)) {
            let path = disks.root().join(name);
            tokio::task::spawn_blocking(move || fs::remove_dir_all(path));
        }
        disks
    }

    /// There must be this disk. A generation older than the one known is ignored.
    pub fn put(&self, generation: u64, disk: Disk) {
        {
            let mut known = self.known();
            let entry = known.disks.entry(disk.id.clone()).or_default();
            if generation < entry.generation {
                return;
            }
            (entry.generation, entry.doomed) = (generation, false);
        }
        tokio::spawn(self.clone().make(disk.id, generation));
    }

    /// There must be no such disk. Its folder is deleted when the last machine that has it mounted is gone; the future
    /// ends then, or at once if the disk was put again. Nothing waits for the future: it may be dropped.
    pub fn remove(&self, id: &str) -> impl Future<Output = ()> + Send + use<> {
        self.known().disks.entry(id.to_owned()).or_default().doomed = true;
        let task = tokio::spawn(self.clone().delete(id.to_owned()));
        async move {
            // It neither panics nor is cancelled, but with the whole runtime.
            let _ = task.await;
        }
    }

    /// Ids of the disks that this machine has, whether or not anybody put them.
    pub fn ids(&self) -> Vec<String> {
        self.folders().into_iter().filter(|name| !name.starts_with(DOOMED)).collect()
    }

    /// Lends a disk to a machine until [`Disks::give_back`]: its folder, or what is in the way, for people.
    pub(crate) fn lend(&self, disk: &str, machine: &str) -> Result<PathBuf, String> {
        let mut known = self.known();
        match known.disks.get(disk) {
            Some(entry) if entry.ready && !entry.doomed => {}
            _ => return Err(format!("disk {disk}")),
        }
        match known.holders.get(disk) {
            Some(holder) if holder != machine => Err(format!("disk {disk}, which machine {holder} still has mounted")),
            _ => {
                known.holders.insert(disk.to_owned(), machine.to_owned());
                Ok(self.root().join(disk))
            }
        }
    }

    /// A machine that runs has these disks mounted.
    pub(crate) fn adopt(&self, machine: &str, disks: &[String]) {
        self.known().holders.extend(disks.iter().map(|disk| (disk.clone(), machine.to_owned())));
    }

    /// No process of the machine is left.
    pub(crate) fn give_back(&self, machine: &str) {
        self.known().holders.retain(|_, holder| holder != machine);
        self.0.changed.send_replace(());
    }

    /// Told at every change after which a disk may be lent that could not be before.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Makes the folder, however long that takes, unless it is no longer wanted.
    async fn make(self, id: String, generation: u64) {
        let mut backoff = Backoff::new();
        loop {
            let (root, name) = (self.root(), id.clone());
            let made = blocking(move || make_folder(&root, &name)).await;
            {
                let mut known = self.known();
                let Some(entry) = known.disks.get_mut(&id).filter(|e| !e.doomed && e.generation == generation) else {
                    return;
                };
                entry.ready = made.is_ok();
            }
            let why = made.as_ref().err().map(|why| format!("{why:#}"));
            self.report(&id, generation, DiskStatus { ready: made.is_ok(), why });
            self.0.changed.send_replace(());
            if made.is_ok() {
                return;
            }
            backoff.pause().await;
        }
    }

    async fn delete(self, id: String) {
        let (mut changes, mut backoff) = (self.changes(), Backoff::new());
        loop {
            changes.borrow_and_update();
            let (wanted, held) = {
                let known = self.known();
                (known.disks.get(&id).is_none_or(|e| !e.doomed), known.holders.contains_key(&id))
            };
            if wanted {
                return;
            }
            if held {
                // The sender lives as long as `self`.
                let _ = changes.changed().await;
                continue;
            }
            let (root, name) = (self.root(), id.clone());
            match blocking(move || delete_folder(&root, &name)).await {
                Ok(()) => break,
                Err(why) => tracing::warn!(disk = id, "deleting a disk: {why:#}"),
            }
            backoff.pause().await;
        }
        self.known().disks.remove(&id);
    }

    fn report(&self, id: &str, generation: u64, status: DiskStatus) {
        (self.0.saw)(ItemKey { kind: ItemKind::Disk, id: id.to_owned() }, generation, Status::Disk(status));
    }

    fn folders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn root(&self) -> PathBuf {
        self.0.config.state_dir.join("disks")
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.0.known)
    }
}

/// Whether an id or name may stand in paths of the host.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(plain)
}

/// Makes a disk's folder so that it is still there when the power comes back.
fn make_folder(root: &Path, id: &str) -> Result<()> {
    ensure!(is_name(id), "'{id}' is no name of a disk: letters, digits, '-', '_' and '.' make one");
    let path = &root.join(id);
    let make = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.and_then(|()| File::open(root)?.sync_all()),
        }
    };
    make().with_context(|| format!("making {}", path.display()))
}

/// Takes the name away first, so that a disk is never half there.
fn delete_folder(root: &Path, id: &str) -> Result<()> {
    if !is_name(id) {
        return Ok(());
    }
    let doomed = root.join(format!("{DOOMED}{id}"));
    match fs::rename(root.join(id), &doomed) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("renaming it"),
        _ => {}
    }
    match fs::remove_dir_all(&doomed) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("deleting {}", doomed.display()))
        }
        _ => Ok(()),
    }
}
