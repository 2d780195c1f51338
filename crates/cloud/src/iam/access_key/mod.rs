//! access_keys.

mod model;
pub mod ops;

pub use model::AccessKey;
