//! Quorums: a member that does not serve is closed to clients while a majority serves without it.
//!
//! ```text
//! machines: Roster ──▶ the quorum's task: refused() ──▶ Nets::refuse: the router resets what clients send there
//! ```
//!
//! Who is ready is what PID 1 of each machine says (docs/adr/0007), which asks inside the machine and so is not shut out
//! itself; nor are the other members, which talk on another port. An agent that starts refuses nobody until it knows.

#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::machine::Roster;
use crate::net::Nets;
use crate::tended::{Tended, Told};
use roadstead_hostspec::{Quorum, Server};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The area of quorums.
pub struct Quorums {
    nets: Nets,
    roster: Roster,
    tended: Tended<Quorum>,
}

impl Quorums {
    /// Starts without touching anything.
    pub fn new(nets: Nets, roster: Roster) -> Quorums {
        Quorums { nets, roster, tended: Tended::new() }
    }

    /// Hands the quorum to a task of its own.
    pub async fn put(&self, generation: u64, spec: Quorum) {
        if self.tended.moves(&spec) {
            self.remove(&spec.id).await;
        }
        let keep = |told| tokio::spawn(keep(self.nets.clone(), self.roster.clone(), told));
        self.tended.tell(generation, spec, keep);
    }

    /// Lets clients in everywhere; tries until that is so.
    pub async fn remove(&self, id: &str) {
        let Some(network) = self.tended.end(id).await else { return };
        let mut backoff = Backoff::new();
        while let Err(error) = self.nets.admit_all(&network, id).await {
            tracing::warn!(quorum = id, "cannot let clients in: {error:#}");
            backoff.pause().await;
        }
    }
}

/// Keeps the router as the roster demands, until the area drops the other end of `told`, or aborts.
async fn keep(nets: Nets, roster: Roster, mut told: Told<Quorum>) {
    let (mut backoff, mut changes, mut applied) = (Backoff::new(), roster.changes(), None);
    loop {
        let spec = told.borrow_and_update().1.clone();
        let refused = refused(&spec, |server| standing(&roster, server));
        let settled = applied.as_ref() == Some(&refused) || {
            nets.wait_for_network(&spec.network).await;
            match nets.refuse(&spec.network, &spec.id, refused.clone()).await {
                Ok(()) => {
                    tracing::info!(quorum = spec.id, ?refused, "clients are refused");
                    (applied, backoff) = (Some(refused), Backoff::new());
                    true
                }
                Err(error) => {
                    tracing::warn!(quorum = spec.id, "cannot refuse clients: {error:#}");
                    applied = None;
                    false
                }
            }
        };
        tokio::select! {
            told = told.changed() => if told.is_err() { return },
            Ok(()) = changes.changed() => {}
            () = backoff.pause(), if !settled => {}
        }
    }
}

/// What is known of a member's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    Absent,
    /// It is of another host, or nobody has looked yet.
    Unknown,
}

fn standing(roster: &Roster, Server { machine, process }: &Server) -> Standing {
    match (roster.is_ready(machine, process), roster.absence(machine, process)) {
        (true, _) => Standing::Ready,
        (false, Some(_)) => Standing::Absent,
        (false, None) => Standing::Unknown,
    }
}

/// Where clients are refused: at members that are known not to serve, while those that are known to serve are a majority.
/// Pure.
fn refused(spec: &Quorum, standing: impl Fn(&Server) -> Standing) -> BTreeSet<(Ipv4Addr, u16)> {
    let members: Vec<_> = spec.members.iter().map(|member| (member.address, standing(&member.server))).collect();
    let ready = members.iter().filter(|(_, standing)| *standing == Standing::Ready).count();
    let absent = members.iter().filter(|(_, standing)| *standing == Standing::Absent && ready >= spec.majority);
    absent.map(|(address, _)| (*address, spec.port)).collect()
}
