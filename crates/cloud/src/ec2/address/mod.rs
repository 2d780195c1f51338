//! Elastic addresses: addresses of the outside that an account keeps, and gives to interfaces.

mod model;
pub mod ops;

pub use model::{Address, Association};

use crate::ec2::network_interface::NetworkInterface;
use crate::settings::Settings;
use roadstead_store::{Index, Read, Record};
use std::net::Ipv4Addr;

/// So many addresses at the end of the region's public pool are elastic ones; the rest is the balancers'.
pub const RESERVED: u64 = 16;

/// A free address, the lowest; None when they are used up.
pub fn free(read: &impl Read) -> Option<Ipv4Addr> {
    let pool = Settings::of(read).public_pool;
    // The last address of a block is nobody's.
    let first = pool.size().saturating_sub(RESERVED + 1);
    let is_free = |address: &Ipv4Addr| !read.any(Index::<Address>::by("public", address.to_string()));
    (first..first + RESERVED).filter_map(|n| pool.nth(n)).find(is_free)
}

/// Who has an address, while that interface is there.
pub fn association<'a>(read: &impl Read, address: &'a Address) -> Option<(&'a Association, Record<NetworkInterface>)> {
    let association = address.association.as_ref()?;
    let interface = read.get(&NetworkInterface::key(&association.interface));
    Some((association, interface.filter(|interface| interface.deleting.is_none())?))
}

/// The elastic addresses of an interface.
pub fn of_interface(read: &impl Read, interface: &str) -> Vec<Record<Address>> {
    read.list(Index::<Address>::by("interface", interface))
}

/// Whether an interface in the VPC has one.
pub fn is_in_vpc(read: &impl Read, account: &str, vpc: &str) -> bool {
    let all = read.list(Index::<Address>::prefix(format!("{account}/")));
    all.iter().filter_map(|address| association(read, &address.body)).any(|(_, eni)| eni.body.vpc == vpc)
}
