//! Disks: folders that outlive the machines that mount them.
//!
//! A disk is lent to one machine at a time. Who holds it is known from the machines that run (they carry its id), so a
//! restarted agent learns it from them and not from a file. That a disk was made once is noted apart from it: see
//! [`folder`].

mod folder;
#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::{Config, Saw, blocking, lock};
use folder::{Folders, Found};
use roadstead_hostspec::{Disk, DiskStatus, ItemKey, ItemKind, Status};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Between looks whether a disk is still there. It bounds how late a lost one is noticed.
const LOOK: Duration = Duration::from_secs(2);

/// The area of disks. A handle: copies share everything.
#[derive(Clone)]
pub struct Disks(Arc<Inner>);

struct Inner {
    folders: Folders,
    saw: Saw,
    known: Mutex<Known>,
    /// Told at every change of what may be lent.
    changed: watch::Sender<()>,
    /// Told when a disk is found to be lost: what took one may have taken others, and who decides must know of all.
    alarm: watch::Sender<()>,
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
    /// By what it is known, while it is there.
    mark: Option<String>,
    /// To be deleted as soon as nobody holds it.
    doomed: bool,
}

impl Disks {
    /// Knows none yet. Finishes deletions that another agent began.
    pub fn new(config: &Config, saw: Saw) -> Disks {
        let folders = Folders::new(&config.state_dir);
        let left = folders.clone();
        tokio::task::spawn_blocking(move || left.sweep());
        let (changed, alarm) = (watch::Sender::new(()), watch::Sender::new(()));
        Disks(Arc::new(Inner { folders, saw, known: Mutex::default(), changed, alarm }))
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
        tokio::spawn(self.clone().keep(disk, generation));
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
        self.0.folders.ids()
    }

    /// Lends a disk to a machine until [`Disks::give_back`]: its folder, or what is in the way, for people.
    pub(crate) fn lend(&self, disk: &str, machine: &str) -> Result<PathBuf, String> {
        let mut known = self.known();
        let entry = known.disks.get(disk).filter(|entry| !entry.doomed);
        let mark = entry.and_then(|entry| entry.mark.as_ref()).ok_or_else(|| format!("disk {disk}"))?;
        match self.0.folders.look(disk, mark) {
            Ok(Found::Whole(_)) => {}
            Ok(Found::Lost(why)) => return Err(format!("disk {disk}: {why}")),
            Err(why) => return Err(format!("disk {disk}: {why:#}")),
        }
        match known.holders.get(disk) {
            Some(holder) if holder != machine => Err(format!("disk {disk}, which machine {holder} still has mounted")),
            _ => {
                known.holders.insert(disk.to_owned(), machine.to_owned());
                Ok(self.0.folders.path(disk))
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

    /// Finds the disk, or makes it, and looks after it as long as this body of it is wanted.
    async fn keep(self, disk: Disk, generation: u64) {
        let (mut backoff, mut alarm) = (Backoff::new(), self.0.alarm.subscribe());
        loop {
            alarm.borrow_and_update();
            let (folders, wanted) = (self.0.folders.clone(), disk.clone());
            let found = blocking(move || folders.open(&wanted.id, wanted.mark.as_deref())).await;
            let (is_known, status) = match found {
                Ok(Found::Whole(mark)) => (true, DiskStatus::Ready { mark }),
                Ok(Found::Lost(why)) => (true, DiskStatus::Lost { why }),
                Err(why) => (false, DiskStatus::Pending { why: format!("{why:#}") }),
            };
            if !self.found(&disk.id, generation, status) {
                return;
            }
            if is_known {
                // An error is the end of the time, too: the sender lives as long as `self`.
                let _ = tokio::time::timeout(LOOK, alarm.changed()).await;
            } else {
                backoff.pause().await;
            }
        }
    }

    /// Takes down what was found of a disk, unless this body of it is no longer wanted.
    fn found(&self, id: &str, generation: u64, status: DiskStatus) -> bool {
        let mark = match &status {
            DiskStatus::Ready { mark } => Some(mark.clone()),
            _ => None,
        };
        let before = {
            let mut known = self.known();
            let Some(entry) = known.disks.get_mut(id).filter(|e| !e.doomed && e.generation == generation) else {
                return false;
            };
            std::mem::replace(&mut entry.mark, mark.clone())
        };
        let is_loss = matches!(status, DiskStatus::Lost { .. });
        self.report(id, generation, status);
        if before != mark {
            self.0.changed.send_replace(());
        }
        if is_loss && before.is_some() {
            self.0.alarm.send_replace(());
        }
        true
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
            let (folders, name) = (self.0.folders.clone(), id.clone());
            match blocking(move || folders.delete(&name)).await {
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

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.0.known)
    }
}

/// Whether an id or name may stand in paths of the host.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(plain)
}
