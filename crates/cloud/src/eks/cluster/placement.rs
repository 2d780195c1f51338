//! Where a control plane stands.
//!
//! API machines and balancer stand in the user's subnets, so that API servers reach kubelets, pods and webhooks
//! directly. etcd stands in a network of the service's own, one per cluster, to which the API machines have a second
//! interface: no route, subnet or rule of the user's can touch the quorum.

use super::model::{Leaving, Member, Placement, Server, Spec, Stage};
use super::pki::REVIEWER;
use crate::ec2::subnet::Subnet;
use crate::ec2::{network_interface as eni, subnet, volume, vpc};
use crate::elb::load_balancer;
use crate::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_store::{AnyKey, Read, Tx};
use roadstead_types::Cidr;
use std::net::Ipv4Addr;

/// etcd members; one a zone.
pub const MEMBERS: usize = 3;
/// API machines to begin with; in two zones.
pub const SERVERS: usize = 2;
/// What a subnet must have free (EKS user guide, "VPC and subnet requirements": at least six).
pub const NEEDED_PER_SUBNET: usize = 6;
/// An etcd member's volume, bytes: room for the 8 GB quota of EKS and its snapshots.
pub const VOLUME_BYTES: u64 = 20 << 30;

/// An interface of the cluster's in its user's network.
pub fn requester(spec: &Spec, balancer: bool) -> eni::Request {
    eni::Request {
        groups: spec.vpc.control_plane_groups(),
        description: format!("Amazon EKS {}", spec.name),
        requester_managed: true,
        balancer,
        ..eni::Request::default()
    }
}

/// The service's network of a cluster. VPCs can't have it (EC2 refuses 198.19.0.0/16), so an API machine with a leg in
/// both never meets the same address twice; clusters never meet each other.
fn service_block() -> Cidr {
    Cidr::containing(REVIEWER, 16)
}

/// Takes places for all parts, or says what is short and takes none.
pub fn place(tx: &mut Tx, owner: &AnyKey, spec: &Spec) -> Result<Placement, String> {
    let subnets = chosen_subnets(tx, spec)?;
    for subnet in &subnets {
        if !eni::has_free(tx, subnet, NEEDED_PER_SUBNET) {
            return Err(format!("subnet {} has fewer than {NEEDED_PER_SUBNET} free addresses", subnet.id));
        }
    }
    // A private one's, too: it may be opened later, and its certificate names the address.
    let public_address = load_balancer::free_public_address(tx, owner.name());
    if public_address.is_none() && spec.vpc.endpoint_public {
        return Err("the region's public addresses are used up".into());
    }
    let (network, members, back) = place_etcd(tx, owner);
    let servers = (1..).zip(subnets.iter().cycle()).take(SERVERS).map(|(n, subnet)| {
        let front = eni::create(tx, owner, subnet, requester(spec, false));
        let near = back.iter().find(|b| b.zone == subnet.zone).unwrap_or(&back[n % back.len()]);
        let back = eni::create(tx, owner, near, eni::Request::default());
        Server { name: format!("api-{n}"), front: front.id, front_address: front.address, back: back.id }
    });
    let servers = servers.collect();
    let balancer = subnets.iter().take(SERVERS).map(|subnet| eni::create(tx, owner, subnet, requester(spec, true)));
    let (balancer_interfaces, balancer_addresses) = balancer.map(|eni| (eni.id, eni.address)).unzip();
    Ok(Placement {
        network,
        members,
        servers,
        balancer_interfaces,
        balancer_addresses,
        public_address,
        leaving: Leaving::default(),
        certificate: 0,
    })
}

/// The service's network, the members in it, and its subnets.
fn place_etcd(tx: &mut Tx, owner: &AnyKey) -> (String, Vec<Member>, Vec<Subnet>) {
    let network = vpc::create_for_service(tx, owner, service_block());
    let (mut members, mut subnets) = (vec![], vec![]);
    for (n, zone) in (1..).zip(&Settings::of(tx).zones).take(MEMBERS) {
        let block = Cidr::containing(Ipv4Addr::new(198, 19, n, 0), 24);
        let subnet = subnet::create(tx, Some(owner.clone()), &network, block, zone, false);
        let eni = eni::create(tx, owner, &subnet, eni::Request::default());
        let volume = volume::create(tx, owner, SERVICE_ACCOUNT, &subnet.zone, VOLUME_BYTES).id;
        members.push(Member {
            name: format!("etcd-{n}"),
            interface: eni.id,
            address: eni.address,
            volume,
            joined: false,
            stage: Stage::Voting,
        });
        subnets.push(subnet);
    }
    (network.id, members, subnets)
}

/// One subnet a zone, in the order in which the user named them.
pub fn chosen_subnets(tx: &Tx, spec: &Spec) -> Result<Vec<Subnet>, String> {
    let mut chosen: Vec<Subnet> = vec![];
    for id in &spec.vpc.subnets {
        let subnet = tx.get(&Subnet::key(&spec.account, id)).ok_or_else(|| format!("subnet {id} is gone"))?.body;
        if chosen.iter().all(|c| c.zone != subnet.zone) {
            chosen.push(subnet);
        }
    }
    Ok(chosen)
}
