//! Which addresses of a subnet are free, without looking at all that are taken.

use super::NetworkInterface;
use super::held::{held_in, is_held};
use crate::ec2::subnet::Subnet;
use crate::vacancy;
use roadstead_store::{Index, Read};
use roadstead_types::Cidr;
use std::net::Ipv4Addr;

/// AWS keeps the first four addresses of a subnet, and the last (EC2 user guide, "Subnet CIDR blocks").
const RESERVED_FIRST: u64 = 4;
/// The length of a prefix that an interface may have (EC2 user guide, "Assign prefixes to network interfaces").
pub(super) const PREFIX: u8 = 28;

/// How many addresses of the subnet are free.
pub fn free_addresses(read: &impl Read, subnet: &Subnet) -> u64 {
    let primary = read.count(Index::<NetworkInterface>::by("subnet", subnet.id.as_str()));
    let more = read.list(Index::<NetworkInterface>::by("more-in-subnet", subnet.id.as_str()));
    let held = held_in(read, &subnet.vpc, subnet.cidr);
    let taken = primary + held + more.iter().map(|eni| eni.body.others().count()).sum::<usize>();
    usable(subnet).saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX))
}

/// Whether the subnet has so many free addresses. Costs the same however many interfaces are in it, unless it is full.
pub fn has_free(read: &impl Read, subnet: &Subnet, number: usize) -> bool {
    free(read, subnet, &subnet.id).take(number).count() == number
}

/// Its free addresses: one of the lowest first, unless those are taken. `who` decides where to look then.
pub(super) fn free<'a>(read: &'a impl Read, subnet: &'a Subnet, who: &str) -> impl Iterator<Item = Ipv4Addr> {
    let all = vacancy::order(usable(subnet), who).filter_map(|n| subnet.cidr.nth(RESERVED_FIRST + n));
    all.filter(|address| is_free(read, subnet, *address))
}

/// Its free blocks for prefixes, the highest first: addresses fill the subnet from below.
pub(super) fn free_prefixes<'a>(read: &'a impl Read, subnet: &'a Subnet, who: &str) -> impl Iterator<Item = Cidr> {
    let blocks = subnet.cidr.size() >> (32 - PREFIX);
    let all = vacancy::order(blocks, who).filter_map(move |n| subnet.cidr.nth((blocks - 1 - n) << (32 - PREFIX)));
    all.map(|base| Cidr::containing(base, PREFIX)).filter(|block| is_free_prefix(read, subnet, *block))
}

/// Whether an interface could have it: it is the subnet's, not kept by AWS, and nobody's.
pub(super) fn is_free(read: &impl Read, subnet: &Subnet, address: Ipv4Addr) -> bool {
    let here = NetworkInterface::at(&subnet.id, address);
    let block = NetworkInterface::over(&subnet.id, Cidr::containing(address, PREFIX));
    is_usable(subnet, address)
        && !read.any(Index::<NetworkInterface>::by("address", here))
        && !read.any(Index::<NetworkInterface>::by("prefix", block))
        && !is_held(read, &subnet.vpc, address)
}

/// Whether an interface could have the whole block.
pub(super) fn is_free_prefix(read: &impl Read, subnet: &Subnet, block: Cidr) -> bool {
    (0..block.size()).filter_map(|n| block.nth(n)).all(|address| is_free(read, subnet, address))
}

/// Whether it is an address of the subnet that AWS does not keep.
pub(super) fn is_usable(subnet: &Subnet, address: Ipv4Addr) -> bool {
    let first = subnet.cidr.nth(RESERVED_FIRST);
    subnet.cidr.contains(address) && first.is_some_and(|first| address >= first) && address < subnet.cidr.last()
}

/// How many addresses a subnet has for interfaces.
fn usable(subnet: &Subnet) -> u64 {
    subnet.cidr.size().saturating_sub(RESERVED_FIRST + 1)
}
