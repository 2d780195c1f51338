//! What an operator sees of a region, pure: the questions of `roadstead admin`, what answers them, and how that looks.
//!
//! ```text
//! Question ─socket→ names (what is meant?) ─→ Row, Story, Rehearsed, Report, Machine, Metrics ─socket→ render ─→ people
//! ```
//! Nothing in here changes anything, and nothing that is sealed in a record leaves it: see [`Row`].

mod diff;
mod machine;
mod metrics;
mod names;
mod question;
mod rehearsed;
pub mod render;
mod report;
mod row;
mod story;
mod table;
mod timeline;
#[cfg(test)]
mod world;

pub use diff::Difference;
pub use machine::{Machine, ROLES, machines};
pub use metrics::Metrics;
pub use names::{Target, record};
pub use question::Question;
pub use rehearsed::Rehearsed;
pub use report::Report;
pub use row::{Glance, Row};
pub use story::{Node, Plan, Story, Whys, around};
pub use timeline::Timeline;
