//! Layer-4 balancers: the data path is the router's (nftables), health is ours.
//!
//! ```text
//! checks, one task per target ──▶ the balancer's task ──▶ Nets::put_frontend: the targets that get new connections
//!   from the balancer's address     ▲   │          └────▶ Nets::cut: what was open to a target that is lost
//! machines: Roster ─────────────────┘   └──▶ BalancerStatus
//! ```
//!
//! What is known of health is kept in `run_dir`, so an agent that restarts goes on with it, as the kernel does with
//! the data path; it is void once the router is another, as connections are.
//!
//! # How soon clients notice
//!
//! | what happens to a target | new connections go elsewhere | open ones are told |
//! |---|---|---|
//! | its process ends, or its machine does | at once: PID 1 or the agent sees it | at once: its kernel closes them |
//! | its process refuses or answers no | after `unhealthy` checks, or its own readiness probe | they are its own affair |
//! | its process is silent: frozen, or overloaded | after `unhealthy` checks that time out | when it is killed for it |
//! | the way to it is gone | as soon as a check finds no way | with the next packet that they send |
//! | it is silent as a whole | as if its process were | with the next packet they send once it was for [`GIVE_UP`](state::GIVE_UP) |
//!
//! Connections to a silent target are left as they are: what is only slow answers them in the end, and a handshake that
//! waits in its backlog is finished when it is up (docs/adr/0006). A client that only listens is told at once when the
//! process or the machine ends; when the way is gone it learns of it with its own next keep-alive: 15 s for Go's
//! dialler, 30 s for client-go.

mod actor;
mod check;
mod memory;
mod state;

#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::machine::Roster;
use crate::net::{Nets, Part};
use crate::{Config, Saw, lock};
use actor::Actor;
use roadstead_hostspec::Balancer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The area of balancers. A handle: copies share everything.
#[derive(Clone)]
pub struct Balancers(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    roster: Roster,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A balancer's task, and what it was last told.
struct Running {
    spec: watch::Sender<(u64, Balancer)>,
    task: JoinHandle<()>,
}

impl Balancers {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets, roster: Roster) -> Balancers {
        Balancers(Arc::new(Inner { config, saw, nets, roster, running: Mutex::default() }))
    }

    /// Hands the balancer to a task of its own, which keeps its data path and reports.
    pub async fn put(&self, generation: u64, spec: Balancer) {
        let moved = self.network(&spec.id).is_some_and(|network| network != spec.network);
        if moved {
            self.remove(&spec.id).await;
        }
        let mut running = lock(&self.0.running);
        match running.get(&spec.id) {
            Some(known) => drop(known.spec.send_replace((generation, spec))),
            None => drop(running.insert(spec.id.clone(), self.start(generation, spec))),
        }
    }

    /// Ends the checks and removes the data path; tries until it is gone.
    pub async fn remove(&self, id: &str) {
        let Some(Running { spec, task }) = lock(&self.0.running).remove(id) else { return };
        task.abort();
        // It ends at its next await; only then is nobody left who could put the data path back.
        let _ended = task.await;
        let network = spec.borrow().1.network.clone();
        let mut backoff = Backoff::new();
        while let Err(error) = self.0.nets.remove_frontend(&network, id).await {
            tracing::warn!(balancer = id, "cannot remove the data path: {error:#}");
            backoff.pause().await;
        }
        memory::forget(&self.0.config, id).await;
    }

    /// Has the router keep the data path that an earlier agent made, until the balancer is put.
    pub async fn adopt(&self, spec: &Balancer) {
        let health = memory::recall(&self.0.config, spec).await;
        let frontend = state::frontend(spec, &health);
        self.0.nets.adopt(&spec.network, Part::Frontend(spec.id.clone(), frontend)).await;
    }

    fn start(&self, generation: u64, spec: Balancer) -> Running {
        let (sender, receiver) = watch::channel((generation, spec));
        let Inner { config, saw, nets, roster, .. } = &*self.0;
        let actor = Actor::new(config.clone(), saw.clone(), nets.clone(), roster.clone(), receiver);
        Running { spec: sender, task: tokio::spawn(actor.run()) }
    }

    fn network(&self, id: &str) -> Option<String> {
        lock(&self.0.running).get(id).map(|running| running.spec.borrow().1.network.clone())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for running in lock(&self.running).values() {
            running.task.abort();
        }
    }
}
