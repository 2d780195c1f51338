//! Groups: users who are granted the same. Who is in one is written at the user.

mod model;
pub mod ops;
pub mod policies;

pub use model::Group;
