//! Auto Scaling: groups that keep as many instances as they have places.

mod group;
mod plan;

pub use group::{Group, Slot, Spec, ensure, holder};
pub use plan::GroupPlanner;
