use crate::eks::kube::Access;
use roadstead_store::{Key, Object};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// An instance that is a node of a cluster, and how the cluster's API must have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The cluster's unique id.
    pub cluster: String,
    /// Its private DNS name: the name of its Node object.
    pub name: String,
    /// `i-…`: as the Node object's `providerID` ends.
    pub instance: String,
    /// Its availability zone.
    pub zone: String,
    /// Its own addresses, not those of its pods: what its serving certificate may name.
    pub addresses: Vec<Ipv4Addr>,
    /// Labels that are kept on its Node object; one that is left out later is taken off again.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints that are kept there, in the same way.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// No new pods, and no traffic of load balancers.
    pub cordon: bool,
    /// Its pods are to go.
    pub drain: Option<Drain>,
}

/// A taint, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: String,
}

/// That a node's pods are to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Since when.
    pub since: Millis,
    /// Also those that a PodDisruptionBudget protects.
    pub force: bool,
}

/// What the nodes driver keeps in a cluster's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesSpec {
    /// The way there.
    pub access: Access,
    /// The nodes by instance.
    pub nodes: BTreeMap<String, Node>,
    /// Those that their user runs himself, by instance: nothing is kept on them, but their kubelets are known.
    #[serde(default)]
    pub self_managed: BTreeMap<String, Node>,
    /// Instances that are no more: their Node objects are taken away.
    #[serde(default)]
    pub gone: BTreeSet<String>,
}

/// What the nodes driver saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesState {
    /// Each node that it was asked for, by name.
    pub nodes: BTreeMap<String, NodeState>,
    /// Instances of Node objects that it was not asked for, and the zones that those say.
    #[serde(default)]
    pub strangers: BTreeMap<String, String>,
}

/// What was seen of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// The instance that this is said of.
    pub instance: String,
    /// Its Node object is there.
    pub registered: bool,
    /// And its condition Ready is True.
    pub ready: bool,
    /// Why not, for people: kubelet's own words where there are any.
    pub why: String,
    /// When `ready` last changed, by the cluster's own account.
    pub since: Millis,
    /// E.g. `v1.36.3`; empty before it is registered.
    pub kubelet_version: String,
    /// It was asked to be drained, and no pod is left on it but those of DaemonSets and kubelet's own.
    pub drained: bool,
    /// What keeps it from being drained.
    pub blocked_by: Vec<Blocker>,
}

/// A pod that may not be evicted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blocker {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The PodDisruptionBudget that protects it.
    pub pdb: String,
}

impl Object for Node {
    const KIND: &'static str = "eks/node";

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("cluster", self.cluster.clone())]
    }
}

impl Object for NodesSpec {
    const KIND: &'static str = "eks/nodes-spec";
}

impl Object for NodesState {
    const KIND: &'static str = "eks/nodes-state";
}

impl Node {
    /// The key of an instance's node.
    pub fn key(instance: &str) -> Key<Node> {
        Key::new(instance)
    }
}
