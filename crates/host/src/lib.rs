//! The root agent: records of the host, made real on Linux.

pub mod agent;
mod backoff;
pub mod balancer;
mod config;
pub mod dial;
pub mod disk;
pub mod doctor;
pub mod endpoint;
pub mod images;
pub mod link_local;
pub mod logs;
pub mod machine;
pub mod net;
pub mod quorum;
pub mod room;
mod tended;
pub mod tokens;

pub use config::Config;

use roadstead_hostspec::{ItemKey, Status};
use roadstead_types::Millis;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// How an area says what it sees of an item, under which generation of its body. May be called at any time, also with
/// what it said before.
pub type Saw = Arc<dyn Fn(ItemKey, u64, Status) + Send + Sync>;

/// The time of day.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Runs `f` on a thread that may block, to its end even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(f).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panicked) => std::panic::resume_unwind(panicked),
            // The runtime is shutting down, and drops whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}

/// For data that a panic cannot leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
