//! Detours: what routes to interfaces come to.

use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::route_table::{self, RouteTable, Target};
use crate::ec2::subnet::Subnet;
use crate::ec2::vpc::Vpc;
use roadstead_hostspec::Detour;
use roadstead_store::{Index, Read};
use roadstead_types::Cidr;

/// A VPC's detours, in order.
pub(super) fn of(read: &impl Read, vpc: &Vpc) -> Vec<Detour> {
    let leads = |table: &RouteTable| table.targets().any(|target| matches!(target, Target::Interface(_)));
    // Nearly no VPC has any: only one that has reads its subnets.
    if !route_table::of_vpc(read, &vpc.id).iter().any(|table| leads(&table.body)) {
        return Vec::new();
    }
    let subnets = read.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
    let mut detours: Vec<Detour> = subnets.iter().flat_map(|subnet| of_subnet(read, vpc, &subnet.body)).collect();
    detours.sort();
    detours
}

fn of_subnet(read: &impl Read, vpc: &Vpc, subnet: &Subnet) -> Vec<Detour> {
    let Some(table) = route_table::of_subnet(read, &vpc.id, &subnet.id) else { return Vec::new() };
    let mut detours = vec![];
    for (block, target) in table.body.leads(read) {
        let Target::Interface(id) = target else { continue };
        let by = forwarder(read, id);
        let detour = |to| Detour { from: subnet.cidr, to, by: by.clone() };
        detours.extend(beyond_local(vpc, block).into_iter().map(detour));
    }
    detours
}

/// The interface, if it gets what is not for it: with the check of source and destination that is dropped, and without an
/// instance that runs nobody is there.
fn forwarder(read: &impl Read, id: &str) -> Option<String> {
    let eni = read.shared(&NetworkInterface::key(id)).filter(|eni| eni.deleting.is_none())?;
    let forwards = !eni.body.source_dest_check && network_interface::is_in_use(read, &eni.body);
    forwards.then(|| id.to_owned())
}

/// A block without what the local routes, which lead closer, take of it.
fn beyond_local(vpc: &Vpc, block: Cidr) -> Vec<Cidr> {
    let own: Vec<Cidr> = vpc.blocks().collect();
    if own.iter().any(|own| own.contains_cidr(block)) { vec![block] } else { block.without(&own) }
}
