//! Takes a cluster apart: what serves first, then the machines, then the places they stood in. Each step waits until
//! the host has nothing left of the one before.

use super::model::{Cluster, Placement, Spec};
use super::pki;
use crate::autoscaling::Group;
use crate::ec2::instance::Instance;
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::security_group;
use crate::ec2::subnet::Subnet;
use crate::ec2::volume::Volume;
use crate::ec2::vpc::Vpc;
use crate::eks::{access_entry, addon, etcd, kube, node, update};
use crate::elb::load_balancer::LoadBalancer;
use crate::fabric;
use crate::settings::SERVICE_ACCOUNT;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::Next;
use roadstead_store::{AnyKey, Index, Key, Object, Read, Record, Tx};

/// Plans a cluster that is being deleted.
pub fn plan(record: Record<Cluster>, tx: &mut Tx) -> Next {
    let spec = &record.body.spec;
    // That which has tried another version's programs.
    let instances: Vec<Key<Instance>> = tx.owned_by(&record.key.any()).iter().filter_map(AnyKey::typed).collect();
    if !delete_all(tx, instances) {
        return Next::settled("deleting: a machine goes");
    }
    if let Some(placement) = &record.body.placement {
        if !stop_serving(tx, spec) {
            return Next::settled("deleting: balancer and token reviewer go");
        }
        // An API server whose etcd is gone hangs when it is told to stop: API machines first.
        for role in ["api", "etcd"] {
            if !delete_all(tx, [Group::key(SERVICE_ACCOUNT, &spec.group_name(role))]) {
                return Next::settled(format!("deleting: {role} machines go"));
            }
        }
        if !release(tx, &record.key.any(), placement) {
            return Next::settled("deleting: interfaces, volumes and network go");
        }
        pki::remove(tx, &record.key.any(), spec, placement);
    }
    // What its user has given it to, or named it in, keeps it: as on EKS, it is the user's to delete then.
    if !security_group::is_used(tx, &spec.vpc.cluster_security_group) {
        security_group::remove(tx, &spec.account, &spec.vpc.cluster_security_group);
    }
    update::remove_all(tx, &record.key.any());
    tx.remove(&record.key);
    Next::settled("deleted")
}

fn stop_serving(tx: &mut Tx, spec: &Spec) -> bool {
    kube::remove(tx, &spec.id);
    etcd::remove(tx, &spec.id);
    node::forget(tx, &spec.id);
    access_entry::forget(tx, &spec.id);
    addon::forget(tx, &spec.id);
    let balancer = delete_all(tx, [LoadBalancer::key(&spec.id)]);
    let quorum = fabric::unwant::<hostspec::Quorum>(tx, &spec.group_name("etcd"));
    let reviewer = fabric::unwant::<hostspec::Reviewer>(tx, &spec.id);
    let probe = fabric::unwant::<hostspec::Credential>(tx, &spec.probe_key_id());
    balancer && quorum && reviewer && probe
}

fn release(tx: &mut Tx, cluster: &AnyKey, placement: &Placement) -> bool {
    network_interface::release(tx, cluster);
    // Those of members that left, and of subnets that it left, are on their way out already.
    let interfaces: Vec<Key<NetworkInterface>> = tx.owned_by(cluster).iter().filter_map(AnyKey::typed).collect();
    let interfaces = delete_all(tx, interfaces);
    let volumes: Vec<Key<Volume>> = tx.owned_by(cluster).iter().filter_map(AnyKey::typed).collect();
    let volumes = delete_all(tx, volumes);
    if !interfaces || !volumes {
        return false;
    }
    for subnet in tx.list(Index::<Subnet>::by("vpc", placement.network.as_str())) {
        tx.remove(&subnet.key);
    }
    delete_all(tx, [Vpc::key(SERVICE_ACCOUNT, &placement.network)])
}

/// Deletes what is still there; true once nothing is.
fn delete_all<T: Object>(tx: &mut Tx, keys: impl IntoIterator<Item = Key<T>>) -> bool {
    let mut gone = true;
    for key in keys {
        if tx.get(&key).is_some() {
            tx.delete(&key);
            gone = false;
        }
    }
    gone
}
