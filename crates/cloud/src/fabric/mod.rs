//! The planners that compose the host's records from `ec2` and `elb` ones, and what the host said of them.
//!
//! Each item of [`roadstead_hostspec`] is two records: [`Want`], written here, and [`Saw`], written by the host driver.
//! The driver makes `Saw` (with no status yet) *before* it tells the host of an item, and removes it when the host said
//! that the item is gone; so where neither is left, nothing of it is left on any host.

mod borders;
mod detours;
mod endpoint;
mod item;
mod machine;
mod metadata;
mod nat_gateway;
mod outside;
mod plan;

pub use endpoint::EndpointPlanner;
pub use item::{HostItem, Saw, Want};
pub use machine::MachinePlanner;
pub use nat_gateway::NatGatewayPlanner;
pub use plan::{
    BalancerPlanner, CredentialPlanner, DiskPlanner, NetworkPlanner, PortPlanner, SecurityGroupPlanner, SessionPlanner,
};

use roadstead_store::{AnyKey, Key, Read, Tx};

/// Wants the item, as it is given. If a host still has an earlier one of its name, that has to go first, which wakes
/// the caller: a new record counts generations from 1 again, and a host refuses one older than it has seen.
pub fn want<T: HostItem>(tx: &mut Tx, owner: &AnyKey, item: T) {
    let key = Key::<Want<T>>::new(item.id());
    if tx.shared(&key).is_some() || tx.shared(&Key::<Saw<T>>::new(item.id())).is_none() {
        tx.set(&key, Some(owner.clone()), Want(item));
    }
}

/// No longer wants the item. True once nothing of it is left on any host.
pub fn unwant<T: HostItem>(tx: &mut Tx, id: &str) -> bool {
    tx.remove(&Key::<Want<T>>::new(id));
    gone::<T>(tx, id)
}

/// Whether the item is wanted. What stands on another item is wanted only once that is: a host that still takes an
/// earlier one of its name away would take what stands on it too.
pub fn is_wanted<T: HostItem>(read: &impl Read, id: &str) -> bool {
    read.shared(&Key::<Want<T>>::new(id)).is_some()
}

/// Whether nothing of the item is wanted or left on any host.
pub fn gone<T: HostItem>(read: &impl Read, id: &str) -> bool {
    read.shared(&Key::<Want<T>>::new(id)).is_none() && read.shared(&Key::<Saw<T>>::new(id)).is_none()
}

/// What a host said of the item, if it said so of the item as it is wanted now.
pub fn saw<T: HostItem>(read: &impl Read, id: &str) -> Option<T::Status> {
    let want = read.shared(&Key::<Want<T>>::new(id))?;
    let saw = read.shared(&Key::<Saw<T>>::new(id))?;
    if saw.body.generation == want.generation { saw.body.status.clone() } else { None }
}
