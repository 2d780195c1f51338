//! What must be so of node groups and their Auto Scaling groups at every moment, whatever happens.

use crate::checks::Batch;
use crate::ledger::Changed;
use roadstead_cloud::autoscaling::auto_scaling_group::{AutoScalingGroup, Lifecycle, Member};
use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::eks::node::{self, Node, NodeState};
use roadstead_cloud::eks::nodegroup::{DRAIN_LIMIT, Nodegroup, Phase, Rollout, State};
use roadstead_cloud::eks::update::{self, Update};
use roadstead_store::{Index, Read, Record, View};
use roadstead_types::Millis;

/// A group that goes drains its nodes no longer than this.
const DELETE_DRAIN_LIMIT: Millis = Millis::mins(5);

/// The Auto Scaling group that has an instance.
fn group_of(view: &View, instance: &str) -> Option<Record<AutoScalingGroup>> {
    view.list(Index::<AutoScalingGroup>::by("instance", instance)).into_iter().next()
}

fn node_state(view: &View, instance: &str) -> Option<NodeState> {
    let node = view.get(&Node::key(instance))?.body;
    node::seen(view, &node.cluster, &node.name)
}

/// Planners terminate no node that may have pods, unless it had its time to be drained.
pub fn nodes_leave_drained(batch: &Batch) -> Result<(), String> {
    for change in batch.changes.iter().filter(|change| change.begins_deleting()) {
        let Some(instance) = change.key.typed::<Instance>() else { continue };
        let id = instance.name();
        let Some(group) = group_of(batch.after, id).filter(|group| group.deleting.is_none()) else { continue };
        let ours = group.body.instances.get(id).is_some_and(|member| member.state == Lifecycle::TerminatingProceed);
        let nodegroup = group.owner.and_then(|owner| owner.typed::<Nodegroup>());
        let Some(nodegroup) = nodegroup.filter(|_| ours).and_then(|key| batch.after.get(&key)) else { continue };
        let views = [batch.before, batch.after];
        let empty = |view: &&View| node_state(view, id).is_some_and(|state| !state.registered || state.drained);
        let node = views.iter().find_map(|view| view.get(&Node::key(id)));
        let since = node.as_ref().and_then(|node| Some(node.body.drain.as_ref()?.since));
        let since = since.unwrap_or(group.body.instances[id].since);
        let limit = if nodegroup.deleting.is_some() { DELETE_DRAIN_LIMIT } else { DRAIN_LIMIT };
        let expired = batch.after.now().since(since) >= limit;
        if node.is_some() && !expired && !views.iter().any(empty) {
            return Err(format!("{instance} is terminated, and its node may have pods: {:?}", node_state(batch.after, id)));
        }
    }
    Ok(())
}

/// An update takes no more nodes than it may.
pub fn few_nodes_are_missing(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<Nodegroup>() {
        let Some((before, after)) = before.zip(after) else { continue };
        let (Some(was), Some(is)) = (rollout(&before.body), rollout(&after.body)) else { continue };
        let begun: Vec<&String> = is.draining.keys().filter(|id| !was.draining.contains_key(*id)).collect();
        if begun.is_empty() || is.phase != Phase::Upgrade {
            continue;
        }
        let key = AutoScalingGroup::key(&after.body.spec.account, &after.body.spec.group_name());
        let (Some(old), Some(new)) = (batch.before.get(&key), batch.after.get(&key)) else { continue };
        let outdated = |member: &Member| is.to.is_some_and(|to| member.template.1 != to);
        // A batch may hold several plans: what was so before it or is so after it may have been seen by one of them.
        let leaves = |id: &String| {
            let ends = |group: &Record<AutoScalingGroup>| group.body.instances.get(id).is_some_and(|m| m.state.ends());
            ends(&old) && ends(&new)
        };
        let leaving = new.body.instances.iter().filter(|(id, member)| outdated(member) && leaves(id)).count();
        let limit = usize::try_from(is.max_unavailable).unwrap_or(usize::MAX);
        if is.draining.len() + leaving > limit {
            let which = is.draining.keys().collect::<Vec<_>>();
            return Err(format!("{}: {which:?} and {leaving} more are missing, {limit} may be", change.key));
        }
        let serves = |id: &String| [batch.before, batch.after].iter().any(|v| node_state(v, id).is_some_and(|s| s.ready));
        let others = [&old, &new].into_iter().flat_map(|group| group.body.instances.keys());
        let others: std::collections::BTreeSet<&String> =
            others.filter(|id| !is.draining.contains_key(*id) && serves(id)).collect();
        let desired = old.body.spec.desired.min(new.body.spec.desired);
        let enough = others.len() + limit >= usize::try_from(desired).unwrap_or(usize::MAX);
        if !enough && begun.iter().all(|id| serves(id)) {
            return Err(format!("{}: {begun:?} are drained while only {others:?} serve", change.key));
        }
    }
    Ok(())
}

fn rollout(group: &Nodegroup) -> Option<&Rollout> {
    group.status.update.as_ref()?.rollout.as_ref()
}

/// An Auto Scaling group stays within its bounds.
pub fn groups_keep_their_size(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<AutoScalingGroup>() {
        let Some(after) = after else { continue };
        let spec = &after.body.spec;
        if !(spec.min..=spec.max).contains(&spec.desired) {
            return Err(format!("{}: {} is not within {} to {}", change.key, spec.desired, spec.min, spec.max));
        }
        let size = before.as_ref().map_or(0, |before| before.body.size()).max(after.body.size());
        let live = |member: &&Member| !member.state.ends() && !member.balances;
        let many = after.body.instances.values().filter(live).count();
        let known = |id: &String| before.as_ref().is_some_and(|before| before.body.instances.contains_key(id));
        let launched = after.body.instances.keys().any(|id| !known(id));
        if launched && many > usize::try_from(size).unwrap_or(usize::MAX) {
            return Err(format!("{} has launched one of {many} instances, and is asked for {size}", change.key));
        }
    }
    Ok(())
}

/// Node groups and updates go on, and never back.
pub fn node_groups_move_on(batch: &Batch) -> Result<(), String> {
    for (change, before, after) in batch.of::<Nodegroup>() {
        let was = before.filter(|_| !is_another(change)).map(|record| record.body.status.state);
        let is = after.map(|record| record.body.status.state);
        let fine = match (was, is) {
            (None, Some(is)) => is == State::Creating || is == State::CreateFailed || is == State::Active,
            (Some(State::Deleting), Some(is)) => is == State::Deleting,
            (Some(State::CreateFailed), Some(is)) => matches!(is, State::CreateFailed | State::Deleting),
            (Some(State::Creating), Some(is)) => is != State::Updating,
            (Some(State::Active | State::Updating | State::Degraded), Some(is)) => {
                !matches!(is, State::Creating | State::CreateFailed)
            }
            // One batch may ask for the deletion of an empty one, and carry it out.
            (_, None) => true,
        };
        if !fine {
            return Err(format!("{} went from {was:?} to {is:?}", change.key));
        }
    }
    for (change, before, after) in batch.of::<Update>() {
        let ended = before.as_ref().is_some_and(|before| before.body.state != update::State::InProgress);
        if ended && after.is_some_and(|after| Some(after.body.state) != before.as_ref().map(|b| b.body.state)) {
            return Err(format!("{} had ended", change.key));
        }
    }
    Ok(())
}

/// One batch has removed the record and made another of the same name.
fn is_another(change: &Changed) -> bool {
    let created = |meta: &Option<crate::ledger::Meta>| meta.as_ref().map(|meta| meta.created);
    change.after.is_some() && created(&change.before) != created(&change.after)
}

/// After faults have stopped and the world has come to rest: is every node group as it should be?
pub fn rest(view: &View) -> Result<(), String> {
    for record in view.list(Index::<Nodegroup>::all()) {
        let (spec, status) = (&record.body.spec, &record.body.status);
        let group = view.get(&AutoScalingGroup::key(&spec.account, &spec.group_name()));
        let wrong = |what: &str| Err(format!("{} is {:?} ({:?}), and {what}", record.key, status.state, status.issues));
        if status.update.is_some() {
            return wrong("its update does not end");
        }
        let explained = match status.state {
            State::Active => false,
            State::CreateFailed => status.since.since(record.created) >= Millis::mins(20),
            State::Degraded => status.issues.iter().any(|issue| {
                // What its user did to it.
                ["AmiIdNotFound", "AutoScalingGroupNotFound"].contains(&issue.code.as_str())
            }),
            State::Creating | State::Updating | State::Deleting => return wrong("does not go on"),
        };
        if explained {
            continue;
        }
        if status.state != State::Active {
            return wrong("nothing is said that its user could do");
        }
        let Some(group) = group else { return wrong("has no Auto Scaling group") };
        if group.body.spec.surge > 0 {
            return wrong("has more nodes than it was asked for");
        }
        let ready = |id: &&String| {
            let open = view.get(&Node::key(id)).is_some_and(|node| !node.body.cordon && node.body.drain.is_none());
            open && node_state(view, id).is_some_and(|state| state.ready)
        };
        let many = group.body.instances.keys().filter(ready).count();
        if many != usize::try_from(group.body.spec.desired).unwrap_or(usize::MAX) || many != group.body.instances.len() {
            return wrong(&format!("{many} nodes serve of {:?}", group.body.instances));
        }
    }
    let orphan = view.list(Index::<Node>::all()).into_iter().find(|node| group_of(view, &node.body.instance).is_none());
    match orphan {
        Some(node) => Err(format!("{} is in no group", node.key)),
        None => Ok(()),
    }
}

