//! Key pairs: public keys for SSH, by name. The private one of a pair that EC2 makes is shown once and kept nowhere.

mod model;
pub mod ops;
mod ssh;

pub use model::KeyPair;

use roadstead_store::{Index, Read};

/// The key pair of an account that has a name.
pub fn named(read: &impl Read, account: &str, name: &str) -> Option<KeyPair> {
    read.list(Index::<KeyPair>::by("name", format!("{account}/{name}"))).pop().map(|record| record.body)
}
