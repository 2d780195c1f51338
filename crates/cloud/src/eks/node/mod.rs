//! Nodes: what a cluster's own API must know of the instances that are its nodes, and what it says of them.
//!
//! Whoever runs instances for a cluster states a [`Node`] for each ([`ensure`]) before it boots, and takes it back when the
//! instance is gone ([`remove`]). [`NodesPlanner`] gathers a cluster's nodes in one [`NodesSpec`]; the nodes driver makes the
//! cluster's API look so, and writes what it sees as [`NodesState`].
//!
//! Node objects that nobody has stated are seen, too. As AWS's cloud controller does, those of instances that are terminated,
//! or that the account never had, are taken away; others stay. An instance that its user joined himself, and says so by
//! the tag `kubernetes.io/cluster/NAME` or by its role's access entry, gets its kubelet's certificate like the rest.

mod csr;
mod drain;
mod model;
mod object;
mod plan;
#[cfg(test)]
mod tests;
mod wish;

pub use model::{Blocker, Drain, Node, NodeState, NodesSpec, NodesState, Taint};
pub use plan::NodesPlanner;

// What the nodes driver decides by: pure, as all that decides.
pub use csr::{SERVING_SIGNER, Verdict, judge};
pub use drain::{Draining, Fate, blocker, fate};
pub use object::{instance, is_left_over, state, strangers};
pub use wish::{Edit, edit};

use roadstead_store::{AnyKey, Key, Read, Tx};

/// Label that keeps a node from being a target of load balancers outside the cluster (KEP-1143).
pub const EXCLUDE_FROM_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// States what an instance is to its cluster. Before the instance boots: its certificate is refused until then.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, node: Node) {
    tx.set(&Node::key(&node.instance), Some(owner.clone()), node);
}

/// The instance is a node no longer: its Node object goes.
pub fn remove(tx: &mut Tx, instance: &str) {
    tx.remove(&Node::key(instance));
}

/// What was seen of a cluster's node by that name, if it was the instance that the name stands for now. None: not known
/// yet.
pub fn seen(read: &impl Read, cluster: &str, name: &str) -> Option<NodeState> {
    let states = read.shared(&state_key(cluster))?;
    let state = states.body.nodes.get(name)?;
    let node = read.shared(&Node::key(&state.instance))?;
    (node.body.name == name && node.body.cluster == cluster).then(|| state.clone())
}

/// The key of what the nodes driver is asked for, `cluster` being the cluster's unique id.
pub fn key(cluster: &str) -> Key<NodesSpec> {
    Key::new(cluster)
}

/// The key of what it saw.
pub fn state_key(cluster: &str) -> Key<NodesState> {
    Key::new(cluster)
}

/// Forgets what the nodes driver was asked for, and what it saw: the cluster goes.
pub fn forget(tx: &mut Tx, cluster: &str) {
    tx.remove(&key(cluster));
    tx.remove(&state_key(cluster));
}
