//! The rules of the game; no service's name is in here.
//!
//! ```text
//! call ─▶ Kernel::read / Kernel::write: validate ─▶ authorize ─▶ idempotency ─▶ operation ─▶ audit
//! ```
//! An operation is registered once ([`Service`]) and gets all of this from its description. Planners ([`planner`]) and
//! drivers ([`driver`]) are the other two roles; [`region`] is the heart that runs operations and planners in one row.

mod audit;
mod authorize;
mod caller;
pub mod driver;
mod idempotency;
mod kernel;
mod memo;
pub mod page;
pub mod planner;
pub mod region;
mod service;

pub use audit::{Event, RETAINED, failed};
pub use authorize::{Ask, Call, Decision, Denial, Policies};
pub use caller::{Caller, Identity, Mint, Minted, Secrets};
pub use kernel::{Answer, Kernel};
pub use memo::{Memo, Question};
pub use service::Service;

use roadstead_store::Registry;

/// Makes the kernel's own kinds known to a store.
pub fn register(registry: &mut Registry) {
    registry.add::<audit::Event>();
    registry.add::<audit::Cursor>();
    registry.add::<idempotency::Done>();
}
