//! What clients got, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ten times the pace of the reader and the writer.
const FRESH: Duration = Duration::from_millis(500);

/// Shared by all clients.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    /// To write into, or to read.
    pub fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything so far.
#[derive(Default)]
pub struct Book {
    /// Reads, each over a connection of its own.
    pub reads: Track,
    /// The same, from a pod.
    pub inner: Track,
    /// Writes, over one connection as long as that holds.
    pub writes: Track,
    /// Reads of a client that tries three times within two seconds.
    pub patient: Track,
    /// The numbers of the writes that were acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// The numbers that the watch has shown, and when it first did.
    pub shown: BTreeMap<u64, Instant>,
    /// When idle watches were told that their server is gone.
    pub told: Vec<Instant>,
    /// The port of the writer's connection.
    pub port: Option<u16>,
}

impl Book {
    /// Whether the last read and the last write went well, and not long ago.
    pub fn goes_on(&self) -> bool {
        self.reads.goes_on() && self.writes.goes_on()
    }
}

/// What one client got.
#[derive(Default)]
pub struct Track {
    good: Vec<Instant>,
    bad: Vec<(Instant, String)>,
}

impl Track {
    /// Notes how something that ended now did.
    pub fn note<T>(&mut self, result: &anyhow::Result<T>) {
        match result {
            Ok(_) => self.good.push(Instant::now()),
            Err(error) => self.bad.push((Instant::now(), format!("{error:#}"))),
        }
    }

    /// How many went well so far.
    pub fn count(&self) -> usize {
        self.good.len()
    }

    fn goes_on(&self) -> bool {
        let failed = self.bad.last().map(|(at, _)| *at);
        self.good.last().is_some_and(|at| Some(*at) > failed && at.elapsed() < FRESH)
    }

    /// What failed between two instants.
    pub fn failures(&self, from: Instant, to: Instant) -> Vec<&str> {
        let within = self.bad.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, why)| why.as_str()).collect()
    }

    /// The longest time without a success that began before `to` and ended after `from`.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let pairs = self.good.windows(2).map(|pair| (pair[0], pair[1]));
        let open = self.good.last().map(|last| (*last, to.max(*last)));
        let touching = pairs.chain(open).filter(|(begin, end)| *begin <= to && *end >= from);
        touching.map(|(begin, end)| end - begin).max().unwrap_or(to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_if_any_of_it_is_within() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let track = Track { good: [0, 50, 950, 1000, 1050].map(at).to_vec(), bad: vec![(at(500), "reset".into())] };
        assert_eq!(track.longest_gap(at(400), at(1050)).as_millis(), 900);
        assert_eq!(track.longest_gap(at(960), at(1050)).as_millis(), 50);
        assert_eq!(track.longest_gap(at(1000), at(3050)).as_millis(), 2000, "the last one is still open");
        assert_eq!(track.failures(at(400), at(600)), ["reset"]);
        assert!(track.failures(at(501), at(600)).is_empty());
    }
}
