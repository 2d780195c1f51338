//! The root agent: records of the host, made real on Linux.

mod backoff;
mod config;
pub mod disk;
pub mod machine;
pub mod net;

pub use config::Config;

use roadstead_hostspec::{ItemKey, Status};
use std::sync::Arc;

/// How an area says what it sees of an item, under which generation of its body. May be called at any time, also with
/// what it said before.
pub type Saw = Arc<dyn Fn(ItemKey, u64, Status) + Send + Sync>;
