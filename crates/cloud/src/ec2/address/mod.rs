//! Elastic addresses: addresses of the outside that an account keeps, and gives to interfaces.

mod model;
pub mod ops;

pub use model::{Address, Association};

use crate::ec2::network_interface::NetworkInterface;
use crate::settings::Settings;
use roadstead_store::{Index, Read, Record, Tx};
use std::net::Ipv4Addr;

/// So many addresses at the end of the region's public pool are elastic ones where there is no outside; the rest is the
/// balancers'.
pub const RESERVED: u64 = 16;

/// A free address, the lowest; None when they are used up.
pub fn free(read: &impl Read) -> Option<Ipv4Addr> {
    let Settings { outside, public_pool, .. } = Settings::of(read);
    let pool = outside.unwrap_or(public_pool);
    // The first address of a block and the last are nobody's.
    let last = pool.size().saturating_sub(1);
    let first = if outside.is_some() { 1 } else { last.saturating_sub(RESERVED) };
    let is_free = |address: &Ipv4Addr| {
        let public = address.to_string();
        !read.any(Index::<Address>::by("public", public.as_str()))
            && !read.any(Index::<NetworkInterface>::by("public", public))
    };
    (first..last).filter_map(|n| pool.nth(n)).find(is_free)
}

/// The elastic address of one of an interface's private ones.
pub fn of_private(read: &impl Read, interface: &str, private: Ipv4Addr) -> Option<Address> {
    let is_it = |address: &Address| address.association.as_ref().is_some_and(|has| has.private == private);
    of_interface(read, interface).into_iter().map(|record| record.body).find(is_it)
}

/// Has an address stand for an interface's private one, in the place of what was lent for that. The association's id.
pub fn give(tx: &mut Tx, mut address: Record<Address>, interface: &str, private: Ipv4Addr) -> String {
    release(tx, interface, private);
    let id = tx.fresh_id("eipassoc-");
    address.body.association = Some(Association { id: id.clone(), interface: interface.to_owned(), private });
    tx.put(address);
    id
}

/// Gives an interface an address of the outside for as long as its instance runs, unless it has one or there are none.
pub fn lend(tx: &mut Tx, interface: &str) {
    let Some(mut record) = tx.get(&NetworkInterface::key(interface)) else { return };
    let has = record.body.public.is_some() || of_private(tx, interface, record.body.address).is_some();
    if has || Settings::of(tx).outside.is_none() {
        return;
    }
    record.body.public = free(tx);
    tx.put(record);
}

/// Takes back what was lent for this private address of an interface.
pub fn release(tx: &mut Tx, interface: &str, private: Ipv4Addr) {
    let lent = tx.get(&NetworkInterface::key(interface)).filter(|eni| eni.body.address == private);
    if let Some(mut record) = lent.filter(|eni| eni.body.public.is_some()) {
        record.body.public = None;
        tx.put(record);
    }
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
