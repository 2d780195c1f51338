//! Items of a network that each have a task of their own, which is told of every newer body.

use crate::lock;
use roadstead_hostspec::{Balancer, Endpoint, Network, Quorum, Reviewer};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a task is told: generation and body.
pub(crate) type Told<S> = watch::Receiver<(u64, S)>;

/// An item of a network.
pub(crate) trait InNetwork {
    fn id(&self) -> &str;
    fn network(&self) -> &str;
}

impl InNetwork for Balancer {
    fn id(&self) -> &str {
        &self.id
    }

    fn network(&self) -> &str {
        &self.network
    }
}

impl InNetwork for Endpoint {
    fn id(&self) -> &str {
        &self.id
    }

    fn network(&self) -> &str {
        &self.network
    }
}

impl InNetwork for Quorum {
    fn id(&self) -> &str {
        &self.id
    }

    fn network(&self) -> &str {
        &self.network
    }
}

impl InNetwork for Reviewer {
    fn id(&self) -> &str {
        &self.id
    }

    fn network(&self) -> &str {
        &self.network
    }
}

/// The network itself.
impl InNetwork for Network {
    fn id(&self) -> &str {
        &self.id
    }

    fn network(&self) -> &str {
        &self.id
    }
}

/// Tasks by the id of their item. They end with this.
pub(crate) struct Tended<S>(Mutex<BTreeMap<String, Running<S>>>);

/// A task, and what it was last told.
struct Running<S> {
    told: watch::Sender<(u64, S)>,
    task: JoinHandle<()>,
}

impl<S: InNetwork> Tended<S> {
    /// None yet.
    pub fn new() -> Tended<S> {
        Tended(Mutex::default())
    }

    /// Whether the item is in another network so far: there it has to end first.
    pub fn moves(&self, spec: &S) -> bool {
        let running = lock(&self.0);
        running.get(spec.id()).is_some_and(|running| running.told.borrow().1.network() != spec.network())
    }

    /// Tells the item's task, or starts one.
    pub fn tell(&self, generation: u64, spec: S, start: impl FnOnce(Told<S>) -> JoinHandle<()>) {
        let mut running = lock(&self.0);
        if let Some(known) = running.get(spec.id()) {
            known.told.send_replace((generation, spec));
            return;
        }
        let id = spec.id().to_owned();
        let (told, hears) = watch::channel((generation, spec));
        running.insert(id, Running { told, task: start(hears) });
    }

    /// Ends the item's task and says in which network it was; `None` if there is no such item.
    pub async fn end(&self, id: &str) -> Option<String> {
        let Running { told, task } = lock(&self.0).remove(id)?;
        task.abort();
        // It ends at its next await; only then is nobody left who could put back what is removed now.
        let _ended = task.await;
        let network = told.borrow().1.network().to_owned();
        Some(network)
    }
}

impl<S> Drop for Tended<S> {
    fn drop(&mut self) {
        for running in lock(&self.0).values() {
            running.task.abort();
        }
    }
}
