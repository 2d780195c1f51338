//! Planners: what should exist next, decided from what is recorded now.
//!
//! A planner is a pure function from the state to changes of the state. It is handed one object of its kind and a
//! transaction, reads whatever it needs and writes down what should be so. It never waits, never does I/O, and never
//! hears *what* happened: it computes the whole from what is there, so a missed, repeated or reordered wake-up can't
//! harm.
//!
//! ```text
//! changed record ─→ Watchers: who read it? ─→ queue ─→ plan(object, tx) ─→ writes ─→ changed records ─→ …
//!                      ↑                                  │ reads             │ Next::After ─→ timer ─→ queue
//!                      └──────────────────────────────────┘
//! ```
//!
//! Nobody writes subscriptions: the transaction remembers every key and range that a plan looked at, answers that were
//! "nothing there" included, and a change to any of them wakes the plan. See [`Engine`].

mod engine;
mod events;
mod queue;

pub(crate) use engine::panic_text;
pub use engine::{Engine, Explanation, Planners, Rehearsal, Stopwatch};
pub use events::{How, Listener, PlanEvent, Tally, Touched};
pub use queue::Chooser;

use roadstead_store::{Object, Record, Tx};
use roadstead_types::Millis;
use std::borrow::Cow;
use std::fmt;

/// What should exist next, for the objects of one kind. Several planners may share a kind; each writes its own facts.
///
/// A plan that writes what it reads is planned again at once, until it has nothing left to write: so a planner must
/// converge, and may do its work in steps. One that panics loses its transaction, is retried with backoff, and shows in
/// [`Engine::explain`].
pub trait Planner: Send + Sync + 'static {
    /// The kind it plans.
    type Object: Object;

    /// How it is called in logs and explanations: `eks/nodegroup/rollout`. Unique within a region.
    const NAME: &'static str;

    /// Decides for one object, which is as `tx` has it. Never called for an object that doesn't exist.
    fn plan(&self, object: Record<Self::Object>, tx: &mut Tx) -> Next;
}

/// How a plan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Nothing more to do until something that was read changes.
    Settled {
        /// The reason, for people.
        why: Why,
    },
    /// As settled, and plan again when this span has passed: for deadlines and schedules.
    After {
        /// The span from the transaction's time.
        wait: Millis,
        /// The reason, for people.
        why: Why,
    },
}

impl Next {
    /// Nothing more to do until something that was read changes.
    pub fn settled(why: impl Into<Why>) -> Next {
        Next::Settled { why: why.into() }
    }

    /// As settled, and plan again when `wait` has passed.
    pub fn after(wait: Millis, why: impl Into<Why>) -> Next {
        Next::After { wait, why: why.into() }
    }

    /// The reason, for people.
    pub fn why(&self) -> &Why {
        let (Next::Settled { why } | Next::After { why, .. }) = self;
        why
    }

    /// The span after which to plan again whatever happens.
    pub fn wait(&self) -> Option<Millis> {
        match self {
            Next::Settled { .. } => None,
            Next::After { wait, .. } => Some(*wait),
        }
    }
}

/// Why a plan ended as it did, in a few words that an operator can use: "waits for 2 of 3 instances". Feeds logs,
/// events and `admin explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why(Cow<'static, str>);

impl From<&'static str> for Why {
    fn from(text: &'static str) -> Why {
        Why(Cow::Borrowed(text))
    }
}

impl From<String> for Why {
    fn from(text: String) -> Why {
        Why(Cow::Owned(text))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
