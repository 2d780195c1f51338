//! Network interfaces. [`crate::fabric`] makes them real.

mod model;

pub use model::NetworkInterface;

use crate::ec2::subnet::Subnet;
use roadstead_store::{AnyKey, Index, Read, Tx};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What is asked of a new interface.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its security groups.
    pub groups: Vec<String>,
    /// As given.
    pub description: String,
    /// Made by a service for its user.
    pub requester_managed: bool,
    /// A balancer answers for its address.
    pub balancer: bool,
}

/// Makes an interface with the lowest free address of the subnet.
///
/// # Panics
/// If the subnet has no free address: callers check [`free_addresses`] first.
pub fn create(tx: &mut Tx, owner: &AnyKey, subnet: &Subnet, request: Request) -> NetworkInterface {
    let taken = taken(tx, &subnet.id);
    let address = usable(subnet).find(|a| !taken.contains(a)).expect("callers check free_addresses first");
    let id = tx.fresh_id("eni-");
    let interface = NetworkInterface {
        mac: mac(&id),
        id,
        account: subnet.account.clone(),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        block: subnet.cidr,
        zone: subnet.zone.clone(),
        address,
        groups: request.groups,
        description: request.description,
        requester_managed: request.requester_managed,
        balancer: request.balancer,
    };
    tx.create(NetworkInterface::key(&interface.id), Some(owner.clone()), interface.clone());
    interface
}

/// How many addresses of the subnet are free.
pub fn free_addresses(read: &impl Read, subnet: &Subnet) -> u64 {
    let taken = u64::try_from(taken(read, &subnet.id).len()).unwrap_or(u64::MAX);
    subnet.cidr.size().saturating_sub(5).saturating_sub(taken)
}

fn taken(read: &impl Read, subnet: &str) -> BTreeSet<Ipv4Addr> {
    read.list(Index::<NetworkInterface>::by("subnet", subnet)).into_iter().map(|r| r.body.address).collect()
}

/// All but the first four and the last (EC2 user guide, "Subnet CIDR blocks").
fn usable(subnet: &Subnet) -> impl Iterator<Item = Ipv4Addr> {
    let block = subnet.cidr;
    (4..block.size().saturating_sub(1)).filter_map(move |n| block.nth(n))
}

/// `02:` marks it as locally administered; the rest is the end of the id, which is unique in the region.
fn mac(id: &str) -> String {
    let digits = id.get(id.len().saturating_sub(10)..).unwrap_or(id);
    let pairs: Vec<&str> = (0..digits.len() / 2).filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    format!("02:{}", pairs.join(":"))
}
