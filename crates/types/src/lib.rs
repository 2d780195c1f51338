//! Leaf vocabulary of Roadstead: the words every other crate speaks. No I/O, no clock, no randomness.

mod arn;
mod mac;
mod net;
mod sealed;
mod time;

pub use arn::{AccountId, Arn, ArnError, Region};
pub use mac::Mac;
pub use net::{Cidr, CidrError};
pub use sealed::Sealed;
pub use time::Millis;

/// AWS resource tags, sorted by key.
pub type Tags = std::collections::BTreeMap<String, String>;
