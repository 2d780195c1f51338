//! Machines: a root, processes and limits for each, kept running while the spec wants them.
//!
//! ```text
//!            put                  all there               PID 1 reports
//!  (none) ──────────▶ Waiting ───────────────▶ starting ───────────────▶ Running
//!                        ▲                         │ error                  │ PID 1 is gone, or frozen: killed
//!                        └────── pause ────────  Failed  ◀──────────────────┘
//! ```
//!
//! Each machine has a task of its own, so a slow one delays nobody. The task has no memory that matters: what runs is
//! found on the host by its mark, and a restarted agent that is given the same spec leaves it alone.

mod actor;
mod check;
mod driver;
mod namespaces;
mod network;
mod pulse;
mod roster;

#[cfg(test)]
mod tests;

use crate::disk::Disks;
use crate::images::Images;
use crate::net::Nets;
use crate::{Config, Saw, lock};
use actor::{Actor, Want};
use anyhow::Result;
use driver::Driver;
use namespaces::Namespaces;
use network::{Fabric, Network};
use roadstead_hostspec::Machine;
pub use roster::Roster;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// The cgroup controllers of this host by which machines can be limited.
///
/// # Errors
/// The hierarchy that machines are found by is not mounted; says how to.
pub fn cgroup_controllers() -> Result<BTreeSet<String>> {
    namespaces::cgroup::Cgroups::detect("")?.controllers()
}

/// The area of machines. A handle: copies share everything.
#[derive(Clone)]
pub struct Machines(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    network: Arc<dyn Network>,
    disks: Disks,
    images: Images,
    driver: Arc<dyn Driver>,
    roster: Roster,
    /// Beside each task: what it is told, by machine id.
    wants: Mutex<BTreeMap<String, watch::Sender<Want>>>,
}

impl Machines {
    /// Looks at what runs on this host; nothing is started or stopped before somebody puts or removes it. Must be there
    /// before the first disk is put, since running machines hold theirs.
    ///
    /// # Errors
    /// The host lacks what machines need, e.g. a cgroup version 2 hierarchy.
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets, disks: Disks) -> Result<Machines> {
        let mark = config.mark();
        Machines::with_network(config, saw, Arc::new(Fabric { nets, mark }), disks)
    }

    fn with_network(config: Arc<Config>, saw: Saw, network: Arc<dyn Network>, disks: Disks) -> Result<Machines> {
        let driver = Arc::new(Namespaces::new(config.clone())?);
        for id in driver.ids() {
            if let Some(marks) = driver.marks(&id) {
                disks.adopt(&id, &marks.disks);
            }
        }
        let (images, roster, wants) = (Images::new(config.clone()), Roster::default(), Mutex::default());
        images.resume()?;
        Ok(Machines(Arc::new(Inner { config, saw, network, disks, images, driver, roster, wants })))
    }

    /// Who runs.
    pub fn roster(&self) -> Roster {
        self.0.roster.clone()
    }

    /// Ids of machines of which anything is on this host, whether or not anybody put them.
    pub fn ids(&self) -> Vec<String> {
        self.0.driver.ids()
    }

    /// There must be this machine. One that runs with this body is left alone; one with another body is stopped and
    /// started anew. A generation older than the one known is ignored.
    pub fn put(&self, generation: u64, machine: Machine) {
        let id = machine.id.clone();
        self.tell(&id, Want::Run { generation, machine: Arc::new(machine) });
    }

    /// There must be no such machine: it is stopped, and all that belonged to it but its disks is removed. The future
    /// ends when nothing of it is left, or when it was put again. Nothing waits for the future: it may be dropped.
    pub fn remove(&self, id: &str) -> impl Future<Output = ()> + Send + use<> {
        let mut want = self.tell(id, Want::Gone);
        async move {
            // An error: the task has ended, and took its sender along.
            let _ = want.wait_for(|want| matches!(want, Want::Run { .. })).await;
        }
    }

    fn tell(&self, id: &str, want: Want) -> watch::Receiver<Want> {
        let mut wants = self.wants();
        if let Some(sender) = wants.get(id) {
            sender.send_if_modified(|known| known.supersede(want));
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(want);
        wants.insert(id.to_owned(), sender);
        tokio::spawn(Actor::new(self.clone(), id.to_owned(), receiver.clone()).run());
        receiver
    }

    fn wants(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<Want>>> {
        lock(&self.0.wants)
    }
}

/// Kills and removes every machine of the region on this host, whoever started it; disks stay. Blocks.
pub fn purge(config: &Config) -> Result<()> {
    let driver = Namespaces::new(Arc::new(config.clone()))?;
    for id in driver.ids() {
        driver.stop(&id, Duration::ZERO)?;
        driver.clear(&id)?;
    }
    driver.clear_all();
    network::purge(config)
}

/// SHA-256, in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
