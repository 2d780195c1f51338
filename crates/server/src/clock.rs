//! The one clock of the control plane.

use roadstead_types::Millis;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
