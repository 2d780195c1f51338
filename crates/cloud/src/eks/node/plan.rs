use super::model::{Node, NodesSpec};
use crate::eks::cluster::{Cluster, State};
use crate::eks::kube;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Index, Read, Record, Tx};

/// Gathers what a cluster's API must know of its nodes.
pub struct NodesPlanner;

impl Planner for NodesPlanner {
    type Object = Cluster;
    const NAME: &'static str = "eks/nodes";

    fn plan(&self, record: Record<Cluster>, tx: &mut Tx) -> Next {
        if record.body.status.state != State::Active {
            return Next::settled("the cluster is not there");
        }
        let id = &record.body.spec.id;
        let Some(kube) = tx.shared(&kube::key(id)) else { return Next::settled("the cluster has no API") };
        let nodes = tx.list(Index::<Node>::by("cluster", id.as_str()));
        let nodes: std::collections::BTreeMap<_, _> =
            nodes.into_iter().map(|node| (node.body.instance.clone(), node.body)).collect();
        let why = format!("{} nodes", nodes.len());
        let spec = NodesSpec { access: kube.body.access(), nodes };
        tx.set(&super::key(id), Some(record.key.any()), spec);
        Next::settled(why)
    }
}
