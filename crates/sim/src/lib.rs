//! The deterministic world: a region, a host under it and time, in one value and one thread.
//!
//! ```text
//! Rng(seed) ─▶ World ─┬─ Server: Region (the real one) + drivers ──ToHost──▶ Host: items, machines, processes, targets
//!                     │     ▲ Disk (survives crashes)          ◀──FromHost──
//!                     └─ after each batch and event: checks
//! ```
//! [`World`] tells stories, [`script`] turns commands into a transcript, [`seeds`] lets chance try everything: of what
//! is due, chance picks what happens next, how long it takes, what comes late or twice, and when what breaks.
//!
//! The fakes behave: they know nothing of what a test expects, they do what [`roadstead_hostspec`] and the drivers'
//! contracts say the real ones do. A story that passes here and fails outside is a mistake in a fake.

mod api;
mod checks;
pub mod crowd;
mod disk;
mod fault;
mod host;
mod ledger;
mod log;
mod node_checks;
mod nodes;
mod rng;
pub mod script;
pub mod seeds;
mod server;
mod setup;
mod world;

pub use checks::{CHECKS, Check, Violation};
pub use host::{Data, Host};
pub use log::Log;
pub use roadstead_cloud::eks::cluster::State;
pub use setup::{ACCOUNT, Ground, cluster_key, nodegroup_key};
pub use world::{Crash, World};
