//! End to end: the real `roadstead`, driven by the real `aws` CLI, boto3 and `kubectl`. Nothing of ours is linked in.
//!
//! ```text
//! cargo test -p e2e          needs root, the pinned clients first on PATH (scripts/test sees to it) and built components
//! ROADSTEAD_PROGRAM          the program under test            [target/debug/roadstead]
//! ROADSTEAD_E2E_DIR          where regions keep their data     [/var/tmp: short, and on a disk]
//! ROADSTEAD_E2E_ANSWERS      a file that takes what regions answered, for `cargo xtask gate`
//! ```
//!
//! A [`Region`] has its own data directory, slot and port, so tests run side by side; at most two of them have clusters
//! at a time. However a test ends, its region is purged, and a region that leaves anything on the machine fails the
//! test that had it. A story is one `#[test]` of [`steps!`], each a function whose name is a sentence; how long each took
//! is printed. A failed test's logs stay in `roadstead-e2e-logs` beside the regions.

mod answers;
mod boto;
mod client;
mod cluster;
mod flow;
mod followed;
pub mod image;
mod machines;
mod outside;
pub mod pages;
mod process;
mod region;
mod story;
mod traces;
mod turn;
pub mod twice;
mod wire;

pub use boto::{Answer, Call, call, merged, text};
pub use client::{Client, Refusal, refusal};
pub use cluster::Cluster;
pub use flow::State;
pub use followed::Followed;
pub use machines::{Process, kill, signal};
pub use outside::Outside;
pub use process::{Said, run, spawn, try_run};
pub use region::{Options, Region, components};
pub use story::{say, step, until, within};
pub use wire::{Reply, Request};
