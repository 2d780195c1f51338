//! Clusters.

mod check;
pub mod config;
mod control_plane;
mod membership;
mod model;
pub mod ops;
mod pki;
mod placement;
mod plan;
mod relocate;
pub mod tags;
mod teardown;
pub mod upgrade;
pub mod versions;
mod view;

pub use check::CLUSTER_POLICY;
pub(in crate::eks) use check::trusts;
pub use membership::MembershipPlanner;
pub use model::{
    Before, Cluster, Issue, Leaving, Member, Placement, Server, Spec, Stage, Stand, State, Status, Underway, VpcConfig,
};
pub use plan::ClusterPlanner;
pub(in crate::eks) use upgrade::minor;

use roadstead_store::{Read as _, Tx};
use roadstead_types::Tags;

/// Makes a cluster: its planner does the rest.
pub fn create(tx: &mut Tx, spec: Spec, tags: Tags) -> Cluster {
    let status = Status { state: State::Creating, since: tx.now(), authority: None, issues: vec![], update: None };
    let cluster = Cluster { tags, placement: None, status, spec, defaults_stated: false };
    tx.create(Cluster::key(&cluster.spec.account, &cluster.spec.name), None, cluster.clone());
    cluster
}

/// Begins to delete a cluster.
pub fn delete(tx: &mut Tx, mut record: roadstead_store::Record<Cluster>) -> Cluster {
    record.body.status.state = State::Deleting;
    record.body.status.since = tx.now();
    let (key, cluster) = (record.key.clone(), record.body.clone());
    tx.put(record);
    tx.delete(&key);
    cluster
}
