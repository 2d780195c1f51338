//! Registered clusters: those of other providers, which EKS shows beside its own (EKS user guide, "EKS Connector").
//!
//! Only their registration is here. The connector's agent would report through a channel of Systems Manager, which this
//! region has not: a registered cluster stays PENDING, and its activation opens nothing.

mod model;
pub mod ops;
mod view;

pub use model::RegisteredCluster;
pub use view::describe;

use roadstead_store::{Read, Record};

/// The account's registered cluster of that name.
pub fn find(read: &impl Read, account: &str, name: &str) -> Option<Record<RegisteredCluster>> {
    read.get(&RegisteredCluster::key(account, name))
}
