//! Takes a node group apart: nodes are drained, then terminated, all together; then goes what they were made from.

use super::model::Nodegroup;
use super::plan::Work;
use crate::autoscaling::auto_scaling_group::{self as asg, Shrink};
use crate::ec2::launch_template;
use crate::eks::{access_entry, node, update};
use crate::iam::instance_profile;
use roadstead_kernel::planner::Next;
use roadstead_store::{Index, Read as _, Record};
use roadstead_types::Millis;

/// Longer no pod keeps a group that goes (EKS: about five minutes).
const DRAIN_LIMIT: Millis = Millis::mins(5);

/// Plans a node group that is being deleted.
pub fn plan(record: Record<Nodegroup>, mut work: Work) -> Next {
    let spec = record.body.spec.clone();
    let name = spec.group_name();
    if let Some(group) = work.asg().filter(|group| !group.instances.is_empty() || group.size() > 0) {
        if group.size() > 0 || group.spec.min > 0 {
            asg::set_surge(work.tx, &spec.account, &name, 0);
            asg::resize(work.tx, &spec.account, &name, 0, group.spec.max, 0);
        }
        for id in group.instances.keys() {
            work.terminate(id, Shrink::No, "an instance was taken out of service because its node group is deleted.");
        }
        work.see_off(DRAIN_LIMIT);
        work.state_nodes();
        let why = format!("deleting: {} nodes go", group.instances.len());
        let now = work.tx.now();
        return match work.wakes {
            Some(at) => Next::after(at.since(now), why),
            None => Next::settled(why),
        };
    }
    let tx = work.tx;
    if !asg::delete(tx, &spec.account, &name) {
        return Next::settled("deleting: its Auto Scaling group goes");
    }
    for record in tx.list(Index::<node::Node>::owner(&work.owner)) {
        node::remove(tx, &record.body.instance);
    }
    if let Some((id, _)) = &record.body.status.template {
        launch_template::remove(tx, &spec.account, id);
    }
    instance_profile::remove_for_service(tx, &spec.account, &spec.own_name());
    access_entry::release_node_role(tx, &work.cluster.spec, &spec.node_role, &spec.name);
    update::remove_all(tx, &work.owner);
    tx.remove(&record.key);
    Next::settled("deleted")
}
