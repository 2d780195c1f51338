use super::model::{Node, NodesSpec};
use crate::ec2::instance::{self, Instance, Launch, State as InstanceState};
use crate::eks::access_entry;
use crate::eks::cluster::{self, Cluster, State};
use crate::eks::kube;
use crate::iam::instance_profile;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Index, Read, Record, Tx};
use std::collections::{BTreeMap, BTreeSet};

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
        let nodes: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.body.instance.clone(), node.body)).collect();
        let (self_managed, gone) = strangers(tx, &record.body.spec, &nodes);
        let why = format!("{} nodes", nodes.len() + self_managed.len());
        let spec = NodesSpec { access: kube.body.access(), nodes, self_managed, gone };
        tx.set(&super::key(id), Some(record.key.any()), spec);
        Next::settled(why)
    }
}

/// Of those that were seen in the cluster and that nobody has stated: the user's own nodes, and who is no more.
fn strangers(
    read: &impl Read,
    cluster: &cluster::Spec,
    stated: &BTreeMap<String, Node>,
) -> (BTreeMap<String, Node>, BTreeSet<String>) {
    let (mut own, mut gone) = (BTreeMap::new(), BTreeSet::new());
    let Some(state) = read.shared(&super::state_key(&cluster.id)) else { return (own, gone) };
    // Of another region it is not known what it has.
    let here = state.body.strangers.iter().filter(|(_, zone)| zone.starts_with(&cluster.region));
    for (id, _) in here.filter(|(id, _)| !stated.contains_key(*id)) {
        let found = read.shared(&Instance::key(id)).filter(|found| found.body.spec.account == cluster.account);
        let launch = found.as_ref().and_then(|found| found.body.spec.launch.as_ref());
        match launch {
            Some(_) if instance::state(read, id) == InstanceState::Terminated => drop(gone.insert(id.clone())),
            Some(launch) if may_join(read, cluster, launch) => drop(own.insert(id.clone(), node(cluster, id, launch))),
            Some(_) => {}
            None => drop(gone.insert(id.clone())),
        }
    }
    (own, gone)
}

/// Its user says that it is a node of the cluster: by the tag that AWS's cloud controller goes by, or by an access entry
/// for its role.
fn may_join(read: &impl Read, cluster: &cluster::Spec, launch: &Launch) -> bool {
    let tag = launch.tags.get(&format!("kubernetes.io/cluster/{}", cluster.name));
    let role = || instance_profile::find(read, &cluster.account, launch.instance_profile.as_ref()?)?.role;
    tag.is_some_and(|value| value == "owned" || value == "shared")
        || role().is_some_and(|role| access_entry::joins_nodes(read, &cluster.id, &role))
}

fn node(cluster: &cluster::Spec, instance: &str, launch: &Launch) -> Node {
    Node {
        cluster: cluster.id.clone(),
        name: launch.private_dns_name.clone(),
        instance: instance.to_owned(),
        zone: launch.zone.clone(),
        addresses: vec![launch.address],
        labels: BTreeMap::new(),
        taints: vec![],
        cordon: false,
        drain: None,
    }
}
