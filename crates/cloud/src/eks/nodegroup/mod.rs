//! Managed node groups: instances that are nodes of a cluster, in an Auto Scaling group of the user's account.

mod check;
mod model;
pub mod ops;
mod plan;
mod repair;
mod rollout;
mod teardown;
mod template;
mod user_data;
mod view;

pub use model::{
    Draining, Issue, Nodegroup, Phase, Release, Repair, RepairOverride, Rollout, Scaling, Share, Spec, State, Status,
    Underway, UpdateConfig, UserTemplate,
};
pub use plan::{DRAIN_LIMIT, NodegroupPlanner};

use roadstead_store::{Index, Read};

/// The name of a node group of that cluster, if it has any.
pub fn any(read: &impl Read, account: &str, cluster: &str) -> Option<String> {
    let all = read.list(Index::<Nodegroup>::prefix(format!("{account}/{cluster}/")));
    all.into_iter().next().map(|record| record.body.spec.name)
}
