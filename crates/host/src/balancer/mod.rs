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
//! | it is silent as a whole | as if its process were | with the next packet they send once it was for 15 s |
//!
//! Connections to a silent target are left as they are: what is only slow answers them in the end, and a handshake that
//! waits in its backlog is finished when it is up (docs/adr/0007). A client that only listens is told at once when the
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
use crate::tended::{Tended, Told};
use crate::{Config, Saw};
use actor::Actor;
use roadstead_hostspec::Balancer;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The area of balancers. A handle: copies share everything.
#[derive(Clone)]
pub struct Balancers(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    roster: Roster,
    tended: Tended<Balancer>,
}

impl Balancers {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets, roster: Roster) -> Balancers {
        Balancers(Arc::new(Inner { config, saw, nets, roster, tended: Tended::new() }))
    }

    /// Hands the balancer to a task of its own, which keeps its data path and reports.
    pub async fn put(&self, generation: u64, spec: Balancer) {
        if self.0.tended.moves(&spec) {
            self.remove(&spec.id).await;
        }
        self.0.tended.tell(generation, spec, |told| self.start(told));
    }

    /// Ends the checks and removes the data path; tries until it is gone.
    pub async fn remove(&self, id: &str) {
        let Some(network) = self.0.tended.end(id).await else { return };
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

    fn start(&self, told: Told<Balancer>) -> JoinHandle<()> {
        let Inner { config, saw, nets, roster, .. } = &*self.0;
        tokio::spawn(Actor::new(config.clone(), saw.clone(), nets.clone(), roster.clone(), told).run())
    }
}
