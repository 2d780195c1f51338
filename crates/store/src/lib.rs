//! Records, views, transactions and the journal: the one place where the region's state lives.
//!
//! ```text
//!             begin            apply                    commit
//!   View ───────────→ Tx ───────────────→ head (batch) ────────→ Journal, durable ──→ View (published)
//!   (immutable)    overlay,   writes and               one sync                         Commit{changes}
//!                  reads      reads known
//! ```
//!
//! - A [`Record`] is a typed body under a [`Key`], with what the store keeps about it: when it was made, how often its
//!   body changed, whether it is being deleted, who owns it.
//! - A [`View`] is the whole state at one revision. It never changes, and a clone costs nothing.
//! - A [`Tx`] is an overlay on the newest state. It remembers everything it was asked ([`ReadSet`]) and everything it
//!   changed ([`Writes`]); what is dropped leaves no trace.
//! - [`Core`] puts transactions in a row, makes a batch of them durable with one sync, and only then publishes it.
//! - The truth is a chain of checksummed batches in a [`journal::Journal`]. It is verified whenever it is opened; a
//!   damaged one is refused with its place, never skipped.

mod batch;
mod core;
mod footprint;
pub mod journal;
mod key;
mod object;
mod reads;
mod registry;
mod replay;
mod tx;
mod view;

pub use crate::core::{Applied, Change, Commit, CommitError, Core, Options};
pub use footprint::Footprint;
pub use key::{AnyKey, Key, KeyError};
pub use object::{Object, Record};
pub use reads::{Interest, ReadSet, Watchers};
pub use registry::Registry;
pub use tx::{Effect, Tx, Writes};
pub use view::{Index, Read, View};

#[cfg(test)]
mod tests;
