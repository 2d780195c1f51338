//! IAM: who there is.

pub mod access_key;
pub mod role;
pub mod user;
mod unique_id;

pub use unique_id::unique_id;
