//! users.

mod model;
pub mod ops;

pub use model::User;
