//! Access entries: which AWS principals a cluster knows, and as whom.

mod model;
pub mod ops;

pub use model::{AccessEntry, EC2_LINUX, STANDARD, default_username};

use super::cluster;
use roadstead_hostspec::Mapping;
use roadstead_store::{Index, Read, Tx};

/// States that instances with this role may join the cluster, for a node group of that name: the cluster knows them as
/// `system:node:PRIVATE-DNS-NAME`.
pub fn ensure_node_role(tx: &mut Tx, cluster: &cluster::Spec, role_arn: &str, node_group: &str) {
    let key = AccessEntry::key(&cluster.id, role_arn);
    if let Some(mut entry) = tx.get(&key) {
        entry.body.node_groups.insert(node_group.into());
        return tx.put(entry);
    }
    let mut entry = AccessEntry::new(tx, cluster, role_arn, EC2_LINUX);
    entry.node_groups.insert(node_group.into());
    tx.create(key, Some(cluster::Cluster::key(&cluster.account, &cluster.name).any()), entry);
}

/// The node group needs the role no longer. An entry that was made for node groups goes with the last of them.
pub fn release_node_role(tx: &mut Tx, cluster: &cluster::Spec, role_arn: &str, node_group: &str) {
    let key = AccessEntry::key(&cluster.id, role_arn);
    let Some(mut entry) = tx.get(&key) else { return };
    entry.body.node_groups.remove(node_group);
    match entry.body.node_groups.is_empty() && !entry.body.asked_for {
        true => tx.remove(&key),
        false => tx.put(entry),
    }
}

/// Whether instances with this role may join the cluster.
pub fn joins_nodes(read: &impl Read, cluster: &str, role_arn: &str) -> bool {
    read.shared(&AccessEntry::key(cluster, role_arn)).is_some_and(|entry| entry.body.kind == EC2_LINUX)
}

/// Who is who in the cluster.
pub fn mappings(read: &impl Read, cluster: &str) -> Vec<Mapping> {
    let entries = read.list(Index::<AccessEntry>::by("cluster", cluster));
    entries.into_iter().map(|entry| entry.body.mapping()).collect()
}

/// Forgets all entries of a cluster that goes.
pub fn forget(tx: &mut Tx, cluster: &str) {
    for entry in tx.list(Index::<AccessEntry>::by("cluster", cluster)) {
        tx.remove(&entry.key);
    }
}
