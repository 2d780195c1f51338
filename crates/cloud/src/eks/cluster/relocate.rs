//! UpdateClusterConfig of `subnetIds` and `securityGroupIds`: a control plane goes to other subnets while it serves.
//!
//! ```text
//! interfaces in the new subnets, and a certificate that names their addresses
//!   ─▶ the balancer has the new addresses beside the old ones
//!   ─▶ API servers are replaced, one while the other serves; clients are told of the new addresses
//!   ─▶ the balancer has the new addresses alone ─▶ the old interfaces go: Successful
//! ```
//! Until the last line it can be undone. The first of the balancer's addresses stays though its interface goes: nodes and
//! kubeconfigs know the cluster by it, as they know EKS's by a name. It is held, so that nobody else gets it.

use super::model::{Before, Cluster, Leaving, Placement, Spec, Stand, VpcConfig};
use super::{config, pki, placement, upgrade};
use crate::ec2::network_interface::{self as eni, NetworkInterface};
use crate::ec2::subnet::Subnet;
use crate::fabric::{self, Want};
use roadstead_hostspec as hostspec;
use roadstead_shapes::eks::INVALID_PARAMETER_EXCEPTION;
use roadstead_store::{AnyKey, Key, Read as _, Record, Tx};
use roadstead_wire::fault::Fault;
use std::net::Ipv4Addr;

/// Begins to bring a control plane to its spec's subnets and groups; says how it stood with those `before`.
pub fn begin(tx: &mut Tx, record: &mut Record<Cluster>, before: VpcConfig) -> Result<Option<Stand>, Fault> {
    let owner = record.key.any();
    let Cluster { spec, placement: Some(placement), .. } = &mut record.body else { return Ok(None) };
    let stand = stand(before, placement);
    go(tx, &owner, spec, placement)?;
    regroup(tx, spec, placement);
    Ok(Some(stand))
}

/// Zone by zone: what stands in one of the subnets stays there.
fn go(tx: &mut Tx, owner: &AnyKey, spec: &Spec, placement: &mut Placement) -> Result<(), Fault> {
    let subnets = placement::chosen_subnets(tx, spec).map_err(|why| INVALID_PARAMETER_EXCEPTION.fault(why))?;
    let mut left = vec![];
    for server in &mut placement.servers {
        if let Some(new) = successor(tx, owner, spec, &subnets, &server.front)? {
            left.push(std::mem::replace(&mut server.front, new.id));
            server.front_address = new.address;
        }
    }
    for interface in &mut placement.balancer_interfaces {
        if let Some(new) = successor(tx, owner, spec, &subnets, interface)? {
            left.push(std::mem::replace(interface, new.id));
        }
    }
    let addresses = addresses(tx, placement);
    leave(placement, left, addresses);
    Ok(())
}

/// The interface that takes another one's place, if that one is in none of the cluster's subnets.
fn successor(
    tx: &mut Tx,
    owner: &AnyKey,
    spec: &Spec,
    subnets: &[Subnet],
    interface: &str,
) -> Result<Option<NetworkInterface>, Fault> {
    let Some(old) = tx.shared(&NetworkInterface::key(interface)) else { return Ok(None) };
    let near = |subnet: &&Subnet| subnet.zone == old.body.zone;
    let Some(subnet) = subnets.iter().find(near).filter(|_| !spec.vpc.subnets.contains(&old.body.subnet)) else {
        return Ok(None);
    };
    if !eni::has_free(tx, subnet, 1) {
        return Err(INVALID_PARAMETER_EXCEPTION.fault(format!("Subnet {} has no free IP addresses", subnet.id)));
    }
    let request = placement::requester(spec, old.body.balancer);
    Ok(Some(eni::create(tx, owner, subnet, request)))
}

/// The balancer's: the cluster's own, and those of its interfaces.
fn addresses(tx: &Tx, placement: &Placement) -> Vec<Ipv4Addr> {
    let own = placement.balancer_addresses.first().copied();
    let interfaces = placement.balancer_interfaces.iter().filter_map(|id| tx.shared(&NetworkInterface::key(id)));
    let others = interfaces.map(|interface| interface.body.address).filter(|address| Some(*address) != own);
    own.into_iter().chain(others).collect()
}

/// Gives the balancer its addresses; those that it had beside them, and these interfaces, are left.
fn leave(placement: &mut Placement, interfaces: Vec<String>, addresses: Vec<Ipv4Addr>) {
    if interfaces.is_empty() {
        return;
    }
    let had = std::mem::replace(&mut placement.balancer_addresses, addresses);
    let left = had.into_iter().filter(|address| !placement.balancer_addresses.contains(address)).collect();
    placement.leaving = Leaving { interfaces, addresses: left, closed: false };
    placement.certificate += 1;
}

fn stand(vpc: VpcConfig, placement: &Placement) -> Stand {
    Stand {
        vpc,
        servers: placement.servers.clone(),
        balancer_interfaces: placement.balancer_interfaces.clone(),
        balancer_addresses: placement.balancer_addresses.clone(),
        left: false,
    }
}

/// Goes back to where the cluster stood.
pub fn undo(tx: &mut Tx, spec: &mut Spec, placement: &mut Placement, stand: Stand) {
    spec.vpc = stand.vpc;
    let fronts = placement.servers.iter().map(|server| server.front.clone());
    let stays =
        |id: &String| stand.servers.iter().any(|server| server.front == *id) || stand.balancer_interfaces.contains(id);
    let left = fronts.chain(placement.balancer_interfaces.iter().cloned()).filter(|id| !stays(id)).collect();
    leave(placement, left, stand.balancer_addresses);
    placement.servers = stand.servers;
    placement.balancer_interfaces = stand.balancer_interfaces;
    regroup(tx, spec, placement);
}

/// Gives every interface that the cluster has in its user's network the groups that it is to have.
pub fn regroup(tx: &mut Tx, spec: &Spec, placement: &Placement) {
    let fronts = placement.servers.iter().map(|server| &server.front);
    for id in fronts.chain(&placement.balancer_interfaces) {
        if let Some(mut interface) = tx.get(&NetworkInterface::key(id)) {
            interface.body.groups = spec.vpc.control_plane_groups();
            tx.put(interface);
        }
    }
}

/// Lets go of what is left behind, once everything stands and serves in its new place.
pub fn go_on(tx: &mut Tx, record: &mut Record<Cluster>) {
    let owner = record.key.any();
    let Cluster { spec, placement: Some(placement), status, .. } = &mut record.body else { return };
    if placement.leaving.is_empty() || !config::is_enforced(tx, &spec.id) {
        return;
    }
    if !placement.leaving.closed {
        if upgrade::is_done(tx, spec) {
            placement.leaving.closed = true;
            if let Some(Before::Network(stand)) = status.update.as_mut().and_then(|update| update.before.as_mut()) {
                stand.left = true;
            }
        }
        return;
    }
    hold_own_address(tx, &owner, spec, placement);
    let left: Vec<_> = placement.leaving.interfaces.iter().map(|id| NetworkInterface::key(id)).collect();
    left.iter().for_each(|key| tx.delete(key));
    if left.iter().all(|key| tx.shared(key).is_none()) {
        placement.leaving = Leaving::default();
        pki::forget_former(tx, &owner, spec, placement);
    }
}

/// The cluster's own address is no interface's once its subnet was left.
fn hold_own_address(tx: &mut Tx, owner: &AnyKey, spec: &Spec, placement: &Placement) {
    let has = |id: &String, own| tx.shared(&NetworkInterface::key(id)).is_some_and(|eni| eni.body.address == own);
    let homeless = |own: &Ipv4Addr| !placement.balancer_interfaces.iter().any(|id| has(id, *own));
    if let Some(own) = placement.balancer_addresses.first().copied().filter(homeless) {
        eni::hold(tx, owner, &spec.vpc.vpc, own);
    }
}

/// Whether everything stands in the cluster's subnets and nothing elsewhere, and hosts have its security groups.
pub fn is_done(tx: &Tx, spec: &Spec, placement: &Placement) -> bool {
    let groups = spec.vpc.control_plane_groups();
    let has_groups = |id: &str| {
        let told = tx.shared(&Key::<Want<hostspec::Port>>::new(id));
        told.is_some_and(|told| told.body.0.groups == groups)
            && fabric::saw::<hostspec::Port>(tx, id).is_some_and(|seen| seen.ready)
    };
    placement.leaving.is_empty()
        && config::is_enforced(tx, &spec.id)
        && placement.servers.iter().all(|server| has_groups(&server.front))
}
