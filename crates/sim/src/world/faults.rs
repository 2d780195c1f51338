//! What breaks, and what must be so when it has stopped to.

use super::World;
use crate::checks::{self, Violation};
use crate::disk::Failure;
use crate::node_checks;
use roadstead_cloud::eks::cluster::{Cluster, State};
use roadstead_store::{Index, Read};
use roadstead_types::Millis;

/// How the region's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It is killed between two batches; what it had not begun to write is lost.
    Killed,
    /// Its disk fails it at the next batch, which is lost.
    LosesBatch,
    /// Its disk fails it at the next batch, which is on the disk all the same.
    KeepsBatch,
}

impl World {
    /// The region's process ends, and is started again after this time.
    pub fn crash(&mut self, how: Crash, away: Millis) {
        match how {
            Crash::Killed => self.end_server(away),
            Crash::LosesBatch => self.process.disk.fail(Some(Failure::Lost)),
            Crash::KeepsBatch => self.process.disk.fail(Some(Failure::Kept)),
        }
    }

    /// The whole machine loses its power for so long.
    pub fn power_off(&mut self, away: Millis) {
        self.end_server(away);
        self.host.power_off(away);
    }

    /// The clock is set forward.
    pub fn jump(&mut self, span: Millis) {
        self.now = self.now + span;
        self.host.tick(self.now);
    }

    /// The key driver is so many times slower.
    pub fn slow_keys(&mut self, times: u64) {
        if let Some(server) = &mut self.process.server {
            server.keys.slowness = times;
        }
    }

    /// No fault goes on.
    pub fn heal(&mut self) {
        self.host.come_back();
        self.host.join();
        self.host.resume();
        self.process.disk.fail(None);
        self.slow_keys(1);
        self.nodes.guard(false);
        self.user.awaited.clear();
        if self.process.server.is_none() {
            self.process.returns = self.now;
        }
    }

    /// After faults have stopped and the world has come to rest: is everything as it should be?
    pub fn check_rest(&self) -> Result<(), Violation> {
        let wrong = |what: String| self.violation("all-is-well-in-the-end", what);
        let mut all_rest = true;
        for record in self.seen.published.list(Index::<Cluster>::all()) {
            let (status, id) = (&record.body.status, &record.body.spec.id);
            if self.host.is_beyond_help(id) {
                // Its groups go on putting machines in the place of others: one may be on its way at any time.
                all_rest = false;
                if status.issues.is_empty() {
                    return Err(wrong(format!("{} has lost its data, and says nothing", record.key)));
                }
                continue;
            }
            if status.state == State::Active && self.host.whole_members(id) != Some(3) {
                return Err(wrong(format!("etcd of {} has not got its three votes back", record.key)));
            }
            let hour = status.state == State::Failed && status.since.since(record.created) >= Millis::mins(60);
            if !hour && (status.state != State::Active || !status.issues.is_empty()) {
                return Err(wrong(format!("{} is {:?}: {:?}", record.key, status.state, status.issues)));
            }
            if status.state == State::Active && self.host.serving(id) < 2 {
                return Err(wrong(format!("{} is ACTIVE, and does not serve on both API machines", record.key)));
            }
        }
        node_checks::rest(&self.seen.published).map_err(wrong)?;
        if all_rest { checks::met(&self.seen.published, &self.seen.ledger, &self.host).map_err(wrong) } else { Ok(()) }
    }

    /// After all clusters were deleted and the world has come to rest: is nothing left of them?
    pub fn check_empty(&self) -> Result<(), Violation> {
        let left = self.leftovers();
        if !left.is_empty() || self.host.count() > 0 {
            let host = self.host.count();
            return Err(
                self.violation("deleted-leaves-nothing", format!("left are {left:?} and {host} items on the host"))
            );
        }
        Ok(())
    }
}
