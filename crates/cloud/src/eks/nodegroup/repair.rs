//! Nodes that are not well are replaced, where the group asks for that (EKS user guide, "Detect node health issues and
//! enable automatic node repair").

use super::model::{RepairOverride, Share, State};
use super::plan::Work;
use crate::autoscaling::auto_scaling_group::{Lifecycle, Shrink};
use crate::eks::node::NodeState;
use roadstead_store::Read as _;
use roadstead_types::Millis;

/// How long a node may be NotReady.
const WAIT: Millis = Millis::mins(30);
/// Nothing is repaired while more nodes than these, and more than that share, are not well: then it is not the nodes.
const SPARED: (usize, usize) = (5, 20);

/// Replaces nodes that have not been Ready for too long. Not while an update is under way, which replaces them itself, and
/// never by what was seen before the cluster's API fell silent.
pub fn advance(work: &mut Work) {
    let Some(group) = work.asg() else { return };
    let status = &mut work.group.status;
    status.repairing.retain(|id| group.instances.contains_key(id));
    let may = matches!(status.state, State::Active | State::Degraded) && status.update.is_none();
    if !work.group.spec.repair.enabled || !may || !work.reachable() {
        return;
    }
    let config = work.group.spec.repair.clone();
    let serving = group.instances.iter().filter(|(_, member)| member.state == Lifecycle::InService);
    let unwell = serving.filter_map(|(id, member)| {
        let seen = work.seen(id)?;
        // Nobody says how a node was before its instance was in service.
        let since = if seen.registered { seen.since.max(member.since) } else { member.since };
        (!seen.registered || !seen.ready).then(|| (since, id.clone(), seen))
    });
    let mut unwell: Vec<(Millis, String, NodeState)> = unwell.collect();
    unwell.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let size = group.instances.len();
    let too_many = match config.threshold {
        Some(share) => unwell.len() > count(share, size),
        None => unwell.len() > SPARED.0 && unwell.len() * 100 > SPARED.1 * size,
    };
    if too_many {
        return;
    }
    let parallel = count(config.parallel.unwrap_or(Share::Count(1)), size);
    for (since, id, seen) in unwell {
        let (wait, replace) = rule(&config.overrides, &seen);
        if !replace || work.group.status.repairing.len() >= parallel {
            continue;
        }
        if work.tx.now().since(since) < wait {
            work.wake_at(since + wait);
            continue;
        }
        work.group.status.repairing.insert(id.clone());
        work.terminate(
            &id,
            Shrink::No,
            &format!("an instance was replaced because its node was not Ready: {}", seen.why),
        );
    }
}

/// How long it must have been so, and whether the node is replaced then.
fn rule(overrides: &[RepairOverride], seen: &NodeState) -> (Millis, bool) {
    let fits = |rule: &&RepairOverride| rule.condition == "Ready" && seen.why.contains(&rule.reason);
    overrides.iter().find(fits).map_or((WAIT, true), |rule| (rule.wait, rule.replace))
}

fn count(share: Share, size: usize) -> usize {
    usize::try_from(share.of(u32::try_from(size).unwrap_or(u32::MAX))).unwrap_or(usize::MAX)
}
