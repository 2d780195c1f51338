//! What planners did lately: for people, in memory, bounded, gone with the process.

use roadstead_store::{AnyKey, Effect, View, Writes};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many events are kept; the oldest makes room for the newest.
const KEPT: usize = 2048;
/// How many of the records that one plan changed an event names.
const NAMED: usize = 16;
/// How far up owners are followed: a circle of them, which nothing makes, would otherwise never end.
const DEPTH_MAX: usize = 16;

/// A plan that changed something, or ended for another reason than the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEvent {
    /// Counts events from the start of the process.
    pub seq: u64,
    /// When it ran.
    pub time: Millis,
    /// [`super::Planner::NAME`]
    pub planner: String,
    /// The planned object.
    pub key: AnyKey,
    /// What it belonged to when it was planned, nearest first.
    pub owners: Vec<AnyKey>,
    /// Why it ended as it did.
    pub why: String,
    /// It panicked, or never settles.
    pub failed: bool,
    /// The records that it changed: the first ones of many.
    pub writes: Vec<Touched>,
    /// How many more it changed.
    pub more: usize,
}

/// A record that a plan changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// What happened to it.
    pub how: How,
    /// Which record.
    pub key: AnyKey,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// It was not there before.
    Created,
    /// It was there and is another.
    Changed,
    /// It is not there any more.
    Removed,
}

/// Called with every event on the writer's thread, before the batch of its plan is durable: it must be quick.
pub type Listener = Box<dyn FnMut(&Arc<PlanEvent>) + Send>;

/// What one planner did since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// [`super::Planner::NAME`]
    pub planner: &'static str,
    /// How often it ran.
    pub plans: u64,
    /// How many records it changed.
    pub writes: u64,
    /// How often it panicked.
    pub panics: u64,
    /// How long it took in all; zero without a stopwatch.
    pub busy: std::time::Duration,
}

impl PlanEvent {
    /// Whether this is about the record: planned, above what was planned, or changed.
    pub fn concerns(&self, key: &AnyKey) -> bool {
        self.key == *key || self.owners.contains(key) || self.writes.iter().any(|write| write.key == *key)
    }
}

impl How {
    /// As diffs have it.
    pub fn sign(self) -> char {
        match self {
            How::Created => '+',
            How::Changed => '~',
            How::Removed => '-',
        }
    }
}

impl From<&Effect> for Touched {
    fn from(effect: &Effect) -> Touched {
        let how = match (effect.created(), effect.removed()) {
            (true, _) => How::Created,
            (_, true) => How::Removed,
            _ => How::Changed,
        };
        Touched { how, key: effect.key.clone() }
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.how.sign(), self.key)
    }
}

/// A record and what it belongs to, nearest first.
pub(super) struct Lineage {
    key: AnyKey,
    owners: Vec<AnyKey>,
}

impl Lineage {
    /// As the view has it.
    pub fn of(key: &AnyKey, view: &View) -> Lineage {
        let above = std::iter::successors(view.owner(key), |owner| view.owner(owner));
        Lineage { key: key.clone(), owners: above.take(DEPTH_MAX).cloned().collect() }
    }
}

/// The newest events.
#[derive(Default)]
pub(super) struct Events {
    kept: VecDeque<Arc<PlanEvent>>,
    next: u64,
    listener: Option<Listener>,
}

impl Events {
    /// From now on `listener` hears of every event.
    pub fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// The events that are kept, newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PlanEvent>> {
        self.kept.iter()
    }

    /// A plan ended, with this reason or this failure.
    pub fn add(
        &mut self,
        time: Millis,
        planner: &'static str,
        lineage: Lineage,
        end: Result<String, String>,
        writes: &Writes,
    ) -> Arc<PlanEvent> {
        let failed = end.is_err();
        let event = Arc::new(PlanEvent {
            seq: self.next,
            time,
            planner: planner.to_owned(),
            key: lineage.key,
            owners: lineage.owners,
            why: end.unwrap_or_else(|failure| failure),
            failed,
            writes: writes.iter().take(NAMED).map(Touched::from).collect(),
            more: writes.len().saturating_sub(NAMED),
        });
        self.next += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        if let Some(listener) = &mut self.listener {
            listener(&event);
        }
        event
    }
}
