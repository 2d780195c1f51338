//! Network interfaces. [`crate::fabric`] makes them real.

mod model;

pub use model::NetworkInterface;

use crate::ec2::subnet::Subnet;
use crate::vacancy;
use roadstead_store::{AnyKey, Index, Read, Tx};
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

/// Makes an interface with a free address of the subnet: one of the lowest, unless those are taken.
///
/// # Panics
/// If the subnet has no free address: callers check [`has_free`] first.
pub fn create(tx: &mut Tx, owner: &AnyKey, subnet: &Subnet, request: Request) -> NetworkInterface {
    let id = tx.fresh_id("eni-");
    let address = free(tx, subnet, &id).next().expect("callers check has_free first");
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
    let taken = read.count(Index::<NetworkInterface>::by("subnet", subnet.id.as_str()));
    usable(subnet).saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX))
}

/// Whether the subnet has so many free addresses. Costs the same however many interfaces are in it, unless it is full.
pub fn has_free(read: &impl Read, subnet: &Subnet, number: usize) -> bool {
    free(read, subnet, &subnet.id).take(number).count() == number
}

fn free<'a>(read: &'a impl Read, subnet: &'a Subnet, who: &str) -> impl Iterator<Item = Ipv4Addr> {
    let all = vacancy::order(usable(subnet), who).filter_map(|n| subnet.cidr.nth(RESERVED_FIRST + n));
    all.filter(|address| {
        let here = NetworkInterface::at(&subnet.id, *address);
        !read.any(Index::<NetworkInterface>::by("address", here))
    })
}

/// AWS keeps the first four addresses of a subnet, and the last (EC2 user guide, "Subnet CIDR blocks").
const RESERVED_FIRST: u64 = 4;

/// How many addresses a subnet has for interfaces.
fn usable(subnet: &Subnet) -> u64 {
    subnet.cidr.size().saturating_sub(RESERVED_FIRST + 1)
}

/// `02:` marks it as locally administered; the rest is the end of the id, which is unique in the region.
fn mac(id: &str) -> String {
    let digits = id.get(id.len().saturating_sub(10)..).unwrap_or(id);
    let pairs: Vec<&str> = (0..digits.len() / 2).filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    format!("02:{}", pairs.join(":"))
}
