//! The agent: takes what the region says there must be, keeps this machine so, and says what it sees.
//!
//! ```text
//! region ─Session, Change─▶ session ─▶ accepted ──▶ snapshot (on disk before anything is done)
//!                                          │
//!                                          └─▶ tasks, one per item ─put, remove─▶ areas ─▶ Linux
//! region ◀─Saw, Gone────── session ◀── board ◀───────────────────── saw ──────────┘
//! ```
//!
//! The region may be away for as long as it likes: the agent starts from its snapshot and goes on alone. The agent may
//! be away too: machines, networks and balancers' data paths stand without it.
//!
//! # Areas
//!
//! An area looks after one kind of item (`net` after two). It has the shape `X::new(Arc<Config>, Saw, ..)`,
//! `put(&self, generation, spec)`, `remove(&self, id)`, and is called from `areas.rs` only. The rules:
//!
//! - For one item at most one `put` or `remove` is under way. A `put` that is still under way when a newer body or the
//!   removal arrives is dropped at its next await; the next call starts from whatever stands then. A `remove` is never
//!   dropped but with the agent.
//! - `put` tries until it succeeds, or hands over to a task of the area's own. Errors go into the status, and nothing
//!   but the status; `remove` returns when nothing of the item is left.
//! - What an item needs from another area is awaited, in `put`; the order of calls says nothing.
//! - The agent has checked ids ([`accepted`]): they are safe in names and paths.

mod accepted;
mod areas;
mod board;
pub mod frame;
mod session;
mod snapshot;
mod tasks;

#[cfg(test)]
mod tests;

use crate::{Config, machine, net};
use accepted::{Accepted, Effects};
use anyhow::{Context as _, Result};
use areas::Areas;
use board::Board;
use roadstead_hostspec::{ToHost, Versioned};
use snapshot::Snapshot;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tasks::Tasks;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// Between looks at whether everything is still as it was made. What somebody takes away by hand is missed for no longer;
/// a look at a router is four netlink dumps, and starts no program.
const AUDIT: Duration = Duration::from_secs(1);

/// A host agent.
pub struct Agent {
    config: Arc<Config>,
    areas: Arc<Areas>,
    board: Arc<Board>,
    tasks: Tasks,
    /// What the region wants; none until it or a snapshot said.
    accepted: Mutex<Option<Accepted>>,
    snapshot: Snapshot,
    /// The number of the session that counts: the newest.
    session: watch::Sender<u64>,
}

impl Agent {
    /// Runs the agent of `config`, with the region calling at `listener`. Dropping the future stops the agent and
    /// leaves everything that it made.
    ///
    /// # Errors
    /// This machine lacks what the agent needs. Nothing that happens later ends it.
    pub async fn run(config: Config, listener: UnixListener) -> Result<()> {
        let agent = Arc::new(Agent::new(config)?);
        agent.resume().await?;
        tokio::select! {
            never = serve(&agent, listener) => match never {},
            never = agent.audit() => match never {},
        }
    }

    async fn audit(&self) -> Infallible {
        loop {
            tokio::time::sleep(AUDIT).await;
            self.areas.audit().await;
        }
    }

    fn new(config: Config) -> Result<Agent> {
        let config = Arc::new(config);
        let board = Arc::new(Board::default());
        let areas = Arc::new(Areas::new(config.clone(), board.saw())?);
        let (tasks, snapshot) = (Tasks::new(areas.clone(), board.clone()), Snapshot::new(&config.state_dir));
        let (accepted, session) = (Mutex::new(None), watch::Sender::new(0));
        Ok(Agent { config, areas, board, tasks, accepted, snapshot, session })
    }

    /// Goes on from the snapshot. Without a good one nothing is touched until the region says what there must be.
    async fn resume(&self) -> Result<()> {
        match self.snapshot.load().await {
            Ok(Some(known)) => {
                self.begin(&known).await?;
                *self.accepted.lock().await = Some(known);
            }
            Ok(None) => {}
            Err(error) => tracing::error!("waiting for the region: {error:#}"),
        }
        Ok(())
    }

    /// Takes over what an earlier agent made, and removes what it left that is not wanted.
    async fn begin(&self, wanted: &Accepted) -> Result<()> {
        for item in wanted.items.values() {
            self.areas.adopt(&item.item).await;
        }
        let found = self.areas.found().await.context("look for what an earlier agent made")?;
        let leftovers = found.into_iter().filter(|key| !wanted.items.contains_key(key));
        self.act(Effects { put: wanted.items.clone(), remove: leftovers.collect() });
        Ok(())
    }

    /// Accepts a session's opening: all that there must be. Gives the session's number.
    ///
    /// # Errors
    /// Why it is refused, for people.
    async fn open(&self, epoch: u64, items: Vec<Versioned>) -> Result<u64> {
        let mut accepted = self.accepted.lock().await;
        let (new, effects) = Accepted::session(accepted.as_ref(), epoch, items)?;
        self.snapshot.save(&new).await?;
        match &*accepted {
            Some(_) => self.act(effects),
            None => self.begin(&new).await?,
        }
        *accepted = Some(new);
        self.session.send_modify(|session| *session += 1);
        Ok(*self.session.borrow())
    }

    /// Accepts changes that arrived in `session`; none if a newer session has begun.
    ///
    /// # Errors
    /// Why they are refused, for people.
    async fn change(&self, session: u64, changes: Vec<ToHost>) -> Result<()> {
        let mut accepted = self.accepted.lock().await;
        let known = accepted.as_ref().filter(|_| *self.session.borrow() == session);
        let known = known.context("a newer session has begun")?;
        let (new, effects) = known.changed(changes)?;
        self.snapshot.save(&new).await?;
        *accepted = Some(new);
        self.act(effects);
        Ok(())
    }

    fn act(&self, effects: Effects) {
        for key in effects.remove {
            // Also of what an earlier agent left: that it does not go may be worth a word.
            self.board.know(&key);
            self.tasks.tell(key, None);
        }
        for (key, item) in effects.put {
            self.board.know(&key);
            self.tasks.tell(key, Some(item));
        }
    }
}

async fn serve(agent: &Arc<Agent>, listener: UnixListener) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            connected = listener.accept() => match connected {
                Ok((stream, _)) => drop(connections.spawn(session::serve(agent.clone(), stream))),
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    // Out of descriptors, most likely: without a pause this would be a busy loop.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Removes everything that the region of `config` has on this machine but its disks and files, also without a
/// snapshot and whoever made it. No agent of the region may run. Blocks.
///
/// # Errors
/// Something could not be removed; the rest is.
pub fn purge(config: &Config) -> Result<()> {
    let machines = machine::purge(config);
    let networks = net::purge(config);
    machines.and(networks)
}

/// Items by key; shared, because they are handed to tasks.
type Items = BTreeMap<roadstead_hostspec::ItemKey, Arc<Versioned>>;
