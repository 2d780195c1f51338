//! Addresses that a service answers under without an interface: it has left their subnet, and its clients know it by them.

use roadstead_store::{AnyKey, Index, Key, Object, Read, Tx};
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An address of a VPC that no interface may have while this record is there, whatever becomes of its subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAddress {
    /// The VPC.
    pub vpc: String,
    /// The address.
    pub address: Ipv4Addr,
}

impl Object for HeldAddress {
    const KIND: &'static str = "ec2/held-address";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("vpc", self.vpc.clone())]
    }
}

impl HeldAddress {
    fn key(vpc: &str, address: Ipv4Addr) -> Key<HeldAddress> {
        Key::new(format!("{vpc}/{address}"))
    }
}

/// Keeps an address for a service, if that is not done yet. It is let go of with [`release`].
pub fn hold(tx: &mut Tx, owner: &AnyKey, vpc: &str, address: Ipv4Addr) {
    tx.set(&HeldAddress::key(vpc, address), Some(owner.clone()), HeldAddress { vpc: vpc.into(), address });
}

/// Lets go of all addresses that are held for a service.
pub fn release(tx: &mut Tx, owner: &AnyKey) {
    for key in tx.owned_by(owner).iter().filter_map(AnyKey::typed::<HeldAddress>) {
        tx.remove(&key);
    }
}

/// Whether an address is held.
pub(super) fn is_held(read: &impl Read, vpc: &str, address: Ipv4Addr) -> bool {
    read.shared(&HeldAddress::key(vpc, address)).is_some()
}

/// How many addresses of a block are held.
pub fn held_in(read: &impl Read, vpc: &str, block: Cidr) -> usize {
    let all = read.list(Index::<HeldAddress>::by("vpc", vpc));
    all.iter().filter(|held| block.contains(held.body.address)).count()
}
