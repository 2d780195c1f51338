//! How the nodes of a group are replaced by others: set-up, scale-up, upgrade, scale-down (EKS user guide, "Managed node
//! group update behavior").
//!
//! What goes on is decided anew in each plan, from the instances that there are. Of the nodes that the cluster has, no
//! more than `max_unavailable` are missing by our doing; an old one that is lost anyway goes first.

use super::model::{Draining, Issue, Phase, Rollout, State};
use super::plan::{DRAIN_LIMIT, NODE_LIMIT, Work, never_joined, trouble_issue};
use super::template;
use crate::autoscaling::auto_scaling_group::{self as asg, AutoScalingGroup, Member, Shrink};
use crate::ec2::subnet::Subnet;
use crate::eks::update;
use roadstead_store::Read as _;
use roadstead_types::Millis;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Between the last pod's end and the node's (EKS user guide): so that nothing sends it traffic any more.
const PAUSE: Millis = Millis::secs(60);
/// No more nodes than these are missing at once, whatever their share (API reference, maxUnavailablePercentage).
const UNAVAILABLE_MAX: u32 = 100;

/// The rollout that is under way goes on as far as it can.
pub fn advance(work: &mut Work) {
    let Some(underway) = work.group.status.update.clone() else { return };
    let Some(mut rollout) = underway.rollout else { return };
    let Some(group) = work.asg() else {
        let why = "The node group's Auto Scaling group was deleted: create another node group.";
        fail(&mut rollout, Issue::new("Unknown", why, &[work.group.spec.group_name()]));
        return end(work, &underway.id, rollout);
    };
    let fleet = Fleet::of(work, &group, &rollout);
    let counts = (fleet.old.len(), fleet.new_ready.len());
    if rollout.counts != counts {
        (rollout.counts, rollout.progress) = (counts, work.tx.now());
    }
    let done = match rollout.phase {
        Phase::SetUp => set_up(work, &mut rollout, &group),
        Phase::ScaleUp => scale_up(work, &mut rollout, &group, &fleet),
        Phase::Upgrade => upgrade(work, &mut rollout, &group, &fleet),
        Phase::ScaleDown => scale_down(work, &mut rollout, &group, &fleet),
        Phase::Abandon => shed(work, &group, &fleet),
    };
    match done {
        true => end(work, &underway.id, rollout),
        false => {
            if let Some(underway) = &mut work.group.status.update {
                underway.rollout = Some(rollout);
            }
        }
    }
}

/// The instances of a group, as a rollout sees them.
struct Fleet {
    /// Those that are to be replaced, and stay for now.
    old: BTreeMap<String, Member>,
    /// Those that are to be replaced, and are on their way out.
    old_leaving: usize,
    /// The others that stay.
    new: BTreeMap<String, Member>,
    /// Of those, who serves.
    new_ready: BTreeSet<String>,
    /// All that serve and are not being drained.
    available: BTreeSet<String>,
    /// Some instance is on its way out.
    leaving: bool,
}

impl Fleet {
    fn of(work: &Work, group: &AutoScalingGroup, rollout: &Rollout) -> Fleet {
        let is_old = |member: &Member| rollout.to.is_some_and(|to| member.template.1 != to);
        let stays = group.instances.iter().filter(|(_, member)| !member.state.ends());
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
            stays.map(|(id, member)| (id.clone(), member.clone())).partition(|(_, member)| is_old(member));
        let reachable = work.reachable();
        let serves = |(id, member): &(&String, &Member)| reachable && work.is_ready(id, member);
        let new_ready = new.iter().filter(serves).map(|(id, _)| id.clone()).collect();
        let both = old.iter().chain(&new).filter(serves);
        let available = both.map(|(id, _)| id.clone()).filter(|id| !rollout.draining.contains_key(id)).collect();
        let leaving = group.instances.values().filter(|member| member.state.ends());
        Fleet {
            old_leaving: leaving.clone().filter(|member| is_old(member)).count(),
            leaving: leaving.count() > 0,
            old,
            new,
            new_ready,
            available,
        }
    }
}

/// A launch template version for the new nodes.
fn set_up(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup) -> bool {
    let spec = work.group.spec.clone();
    let data = match template::data(work.tx, &work.cluster, &spec, &rollout.target) {
        Ok(data) => data,
        Err(issue) => {
            fail(rollout, issue);
            return false;
        }
    };
    let id = work.group.status.template.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
    let Some(to) = template::version(work.tx, &spec.account, &id, &data) else {
        fail(
            rollout,
            Issue::new("Unknown", "The node group's launch template was deleted: create another node group.", &[id]),
        );
        return false;
    };
    rollout.to = Some(to);
    rollout.max_unavailable = spec.update.max_unavailable.of(group.spec.desired).min(UNAVAILABLE_MAX);
    let outdated = group.instances.values().any(|member| !member.state.ends() && member.template.1 != to);
    if !outdated {
        enter(work, rollout, Phase::ScaleDown);
    } else if spec.update.minimal {
        enter(work, rollout, Phase::Upgrade);
    } else {
        let zones = u32::try_from(zones(work, group).len()).unwrap_or(u32::MAX);
        asg::set_surge(work.tx, &spec.account, &spec.group_name(), rollout.max_unavailable.max(2 * zones));
        enter(work, rollout, Phase::ScaleUp);
    }
    false
}

/// The zones that the group is launched in.
fn zones(work: &Work, group: &AutoScalingGroup) -> BTreeSet<String> {
    let zone = |id: &String| Some(work.tx.shared(&Subnet::key(&group.spec.account, id))?.body.zone.clone());
    group.spec.subnets.iter().filter_map(zone).collect()
}

/// Until each zone has a new node that is Ready.
fn scale_up(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    let has = |zone: &String| fleet.new_ready.iter().any(|id| fleet.new[id].zone == *zone);
    if zones(work, group).iter().all(has) {
        enter(work, rollout, Phase::Upgrade);
    } else {
        wait_for_nodes(work, rollout, group, fleet);
    }
    false
}

/// Old nodes are drained and terminated, a few at a time.
fn upgrade(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    rollout.draining.retain(|id, _| fleet.old.contains_key(id));
    if fleet.old.is_empty() && fleet.old_leaving == 0 {
        enter(work, rollout, Phase::ScaleDown);
        return false;
    }
    for (id, draining) in rollout.draining.clone() {
        if let Err(issue) = drain(work, rollout, &id, &draining) {
            fail(rollout, issue);
            return false;
        }
    }
    let begun = begin_drains(work, rollout, group, fleet);
    if !begun && rollout.draining.is_empty() && fleet.old_leaving == 0 {
        wait_for_nodes(work, rollout, group, fleet);
    }
    false
}

/// A node that is being drained goes on as far as it can.
fn drain(work: &mut Work, rollout: &mut Rollout, id: &str, draining: &Draining) -> Result<(), Issue> {
    let now = work.tx.now();
    let reachable = work.reachable();
    let seen = work.seen(id).filter(|_| reachable);
    let asked = work.tx.shared(&crate::eks::node::Node::key(id)).is_some_and(|node| node.body.drain.is_some());
    let cause = "an instance was taken out of service in response to an update of its node group.";
    if let Some(drained) = draining.drained {
        match now.since(drained) >= PAUSE {
            true => work.terminate(id, Shrink::No, cause),
            false => work.wake_at(drained + PAUSE),
        }
    } else if asked && seen.as_ref().is_some_and(|seen| seen.drained) {
        rollout.draining.insert(id.to_owned(), Draining { drained: Some(now), ..draining.clone() });
        work.wake_at(now + PAUSE);
    } else if now.since(draining.since) < DRAIN_LIMIT {
        work.wake_at(draining.since + DRAIN_LIMIT);
    } else if rollout.force || seen.as_ref().is_some_and(|seen| !seen.ready) {
        // Whatever runs there is not asked any more, or nobody knows whether it runs.
        work.terminate(id, Shrink::No, cause);
    } else {
        return Err(undrained(work, id));
    }
    Ok(())
}

/// Why a node could not be drained: EKS names neither pod nor budget, which is what its users ask for most.
fn undrained(work: &Work, id: &str) -> Issue {
    if !work.reachable() {
        let why =
            format!("The cluster's API does not answer, so that node {id} could not be drained. Try the update again.");
        return Issue::new("ClusterUnreachable", why, &[id.to_owned()]);
    }
    let blockers = work.seen(id).map(|seen| seen.blocked_by).unwrap_or_default();
    let named = blockers.iter().map(|b| format!("{}/{} (PodDisruptionBudget {})", b.namespace, b.pod, b.pdb));
    let named: Vec<String> = named.collect();
    let why = match named.is_empty() {
        true => format!(
            "Reached max retries while trying to evict pods from nodes in node group {}: pods on {id} did not end.",
            work.group.spec.name
        ),
        false => format!(
            "Reached max retries while trying to evict pods from nodes in node group {}: {} on {id}. Let the budget allow it, or update with force.",
            work.group.spec.name,
            named.join(", ")
        ),
    };
    let pods = blockers.iter().map(|b| format!("{}/{}", b.namespace, b.pod));
    let pods = pods.chain(blockers.iter().map(|b| format!("{}/{}", b.namespace, b.pdb)));
    let resources: Vec<String> = [id.to_owned()].into_iter().chain(pods.collect::<BTreeSet<_>>()).collect();
    Issue::new("PodEvictionFailure", why, &resources)
}

/// Begins to drain as many old nodes as may be missing; says whether it began any.
fn begin_drains(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    if !work.reachable() {
        return false;
    }
    let limit = usize::try_from(rollout.max_unavailable).unwrap_or(usize::MAX);
    let desired = usize::try_from(group.spec.desired).unwrap_or(usize::MAX);
    let mut available = fleet.available.clone();
    let mut rest: Vec<&String> = fleet.old.keys().filter(|id| !rollout.draining.contains_key(*id)).collect();
    // Who does not serve is missed by nobody.
    rest.sort_by_key(|id| (available.contains(*id), *id));
    let mut begun = false;
    for id in rest {
        if rollout.draining.len() + fleet.old_leaving >= limit {
            break;
        }
        let serves = available.remove(id);
        if serves && available.len() + limit < desired {
            break;
        }
        rollout.draining.insert(id.clone(), Draining { since: work.tx.now(), drained: None });
        rollout.progress = work.tx.now();
        begun = true;
    }
    begun
}

/// Until the group has its size again, and all of it is Ready.
fn scale_down(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    if !shed(work, group, fleet) {
        return false;
    }
    if fleet.new_ready.len() >= usize::try_from(group.spec.desired).unwrap_or(usize::MAX) {
        return true;
    }
    wait_for_nodes(work, rollout, group, fleet);
    false
}

/// The surge goes, one node at a time. True once it is gone.
fn shed(work: &mut Work, group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    if group.spec.surge == 0 {
        return true;
    }
    if fleet.leaving {
        return false;
    }
    let stay = fleet.old.len() + fleet.new.len();
    if stay < usize::try_from(group.size()).unwrap_or(usize::MAX) {
        // One that is not there yet is not launched any more.
        asg::set_surge(work.tx, &group.spec.account, &group.spec.name, group.spec.surge - 1);
    } else if let Some(id) = surplus(fleet) {
        let cause = "an instance was taken out of service at the end of an update of its node group.";
        work.terminate(&id, Shrink::Surge, cause);
    }
    false
}

/// Who is too many: one that does not serve, else of the fullest zone the youngest; old ones only when there are no others.
fn surplus(fleet: &Fleet) -> Option<String> {
    let among = if fleet.new.is_empty() { &fleet.old } else { &fleet.new };
    let crowd = |zone: &str| among.values().filter(|member| member.zone == zone).count();
    let order = |(id, member): &(&String, &Member)| {
        let serves = fleet.available.contains(*id);
        (serves, Reverse(crowd(&member.zone)), Reverse(member.since), (*id).clone())
    };
    among.iter().min_by_key(order).map(|(id, _)| id.clone())
}

/// Fails when for too long no node has become Ready or gone.
fn wait_for_nodes(work: &mut Work, rollout: &mut Rollout, group: &AutoScalingGroup, fleet: &Fleet) {
    let due = rollout.progress + NODE_LIMIT;
    if work.tx.now() < due {
        return work.wake_at(due);
    }
    let unready: Vec<String> = fleet.new.keys().filter(|id| !fleet.new_ready.contains(*id)).cloned().collect();
    let issue = match &group.status.trouble {
        _ if !work.reachable() => Issue::new(
            "ClusterUnreachable",
            "The cluster's API does not answer: try the update again when it does.",
            &[],
        ),
        Some(trouble) => {
            let issue = trouble_issue(trouble, group);
            let code =
                if issue.code == "InsufficientFreeAddresses" { issue.code } else { "NodeCreationFailure".into() };
            Issue { code, ..issue }
        }
        None => never_joined(&unready),
    };
    fail(rollout, issue);
}

fn enter(work: &Work, rollout: &mut Rollout, phase: Phase) {
    (rollout.phase, rollout.progress) = (phase, work.tx.now());
}

/// What is left of the old nodes stays, and takes pods again.
fn fail(rollout: &mut Rollout, issue: Issue) {
    rollout.phase = Phase::Abandon;
    rollout.error.get_or_insert(issue);
    rollout.draining.clear();
}

/// Says how it ended. The version of a group changes only with an update that succeeded.
fn end(work: &mut Work, id: &str, rollout: Rollout) {
    let spec = &mut work.group.spec;
    let now = work.tx.now();
    let (state, errors) = match &rollout.error {
        Some(issue) => (update::State::Failed, vec![error(issue)]),
        None => {
            spec.release = rollout.target;
            if let (Some((_, version)), Some(to)) = (&mut work.group.status.template, rollout.to) {
                *version = to;
            }
            (update::State::Successful, vec![])
        }
    };
    update::end(work.tx, &spec.account, &spec.cluster, id, state, errors);
    let status = &mut work.group.status;
    status.update = None;
    (status.state, status.since, status.modified) = (State::Active, now, now);
}

/// An issue as an update's error, whose codes are fewer.
pub fn error(issue: &Issue) -> update::Error {
    const KNOWN: [&str; 6] = [
        "NodeCreationFailure",
        "PodEvictionFailure",
        "InsufficientFreeAddresses",
        "ClusterUnreachable",
        "AccessDenied",
        "Unknown",
    ];
    let code = if KNOWN.contains(&issue.code.as_str()) { issue.code.clone() } else { "Unknown".into() };
    update::Error { code, message: issue.message.clone(), resources: issue.resources.clone() }
}
