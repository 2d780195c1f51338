//! roles.

mod model;
pub mod ops;

pub use model::Role;
