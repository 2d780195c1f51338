//! Borders of subnets: what network ACLs come to.

use crate::ec2::block::Block;
use crate::ec2::network_acl::{self, Entry, NetworkAcl};
use crate::ec2::security_group_rule::Direction;
use crate::ec2::subnet::Subnet;
use crate::ec2::vpc::Vpc;
use crate::fabric::plan::traffic;
use roadstead_hostspec as hostspec;
use roadstead_store::{Index, Read};

/// A VPC's borders, in order; none of subnets that let everything through both ways.
pub(super) fn of(read: &impl Read, vpc: &Vpc) -> Vec<hostspec::Border> {
    let acls = network_acl::of_vpc(read, &vpc.id);
    let mut borders: Vec<hostspec::Border> = acls.iter().flat_map(|acl| of_acl(read, &acl.body)).collect();
    borders.sort_by_key(|border| border.subnet);
    borders
}

fn of_acl(read: &impl Read, acl: &NetworkAcl) -> Vec<hostspec::Border> {
    let (ingress, egress) = (side(acl, Direction::Ingress), side(acl, Direction::Egress));
    if ingress.is_none() && egress.is_none() {
        return Vec::new();
    }
    let subnets = read.list(Index::<Subnet>::by("network-acl", acl.id.as_str())).into_iter();
    let border =
        |subnet: Subnet| hostspec::Border { subnet: subnet.cidr, ingress: ingress.clone(), egress: egress.clone() };
    subnets.map(|subnet| border(subnet.body)).collect()
}

/// What a direction's entries come to, up to the one that leaves nothing to those behind it; None if that is the first,
/// and lets everything through.
fn side(acl: &NetworkAcl, direction: Direction) -> Option<Vec<hostspec::Entry>> {
    let mut entries = vec![];
    for entry in acl.entries(direction).values().filter_map(entry) {
        let is_last = entry.traffic == hostspec::Traffic::All && entry.peer.prefix() == 0;
        if is_last && entry.allows && entries.is_empty() {
            return None;
        }
        entries.push(entry);
        if is_last {
            break;
        }
    }
    Some(entries)
}

/// None of one that matches nothing: of IPv6, which no VPC has.
fn entry(entry: &Entry) -> Option<hostspec::Entry> {
    let peer = match entry.block {
        Block::Ipv4(block) => block,
        Block::Ipv6(_) => return None,
    };
    Some(hostspec::Entry { traffic: traffic(entry.traffic)?, peer, allows: entry.allows })
}
