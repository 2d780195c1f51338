//! What should exist next for a node group.
//!
//! ```text
//! access, instance profile ─▶ launch template ─▶ Auto Scaling group ─▶ instances ─▶ nodes Ready ─▶ ACTIVE
//! ```
//! One plan states the whole each time: what the group stands on, what each of its instances is to its cluster, how far
//! an update or a repair goes on, and what is wrong.

use super::model::{Issue, Nodegroup, Phase, State};
use super::{repair, rollout, teardown, template};
use crate::autoscaling::auto_scaling_group::{
    self as asg, AutoScalingGroup, Hook, Lifecycle, Member, Outcome, Tag, Template, Transition, Trouble,
};
use crate::ec2::instance::{self, Instance, State as InstanceState};
use crate::ec2::launch_template::{self, LaunchTemplate};
use crate::ec2::subnet::Subnet;
use crate::eks::cluster::Cluster;
use crate::eks::node::{self, Drain, Node, NodeState};
use crate::eks::{access_entry, kube, update};
use crate::iam::instance_profile;
use crate::iam::role::Role;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{AnyKey, Index, Read, Record, Tx};
use roadstead_types::{Arn, Millis};
use std::collections::BTreeMap;

/// A group whose nodes are not Ready by then has failed (EKS user guide, "Managed node group error codes": 20 minutes).
pub const NODE_LIMIT: Millis = Millis::mins(20);
/// Longer no pod keeps a node that is to go (EKS user guide, "Managed node group update behavior").
pub const DRAIN_LIMIT: Millis = Millis::mins(15);
/// An API that does not answer is an issue after this.
const UNREACHABLE_LIMIT: Millis = Millis::mins(5);
/// The lifecycle hook under which nodes are drained: EKS's name.
pub const HOOK: &str = "Terminate-LC-Hook";
/// It holds an instance longer than a drain may take.
const HOOK_HEARTBEAT: Millis = Millis::mins(30);

/// Plans node groups.
pub struct NodegroupPlanner;

impl Planner for NodegroupPlanner {
    type Object = Nodegroup;
    const NAME: &'static str = "eks/nodegroup";

    fn plan(&self, record: Record<Nodegroup>, tx: &mut Tx) -> Next {
        let spec = &record.body.spec;
        let Some(cluster) = tx.get(&Cluster::key(&spec.account, &spec.cluster)) else {
            return Next::settled("its cluster is gone");
        };
        let owner = record.key.any();
        let mut work = Work { tx, owner, group: record.body.clone(), cluster: cluster.body, wakes: None };
        if record.deleting.is_some() {
            return teardown::plan(record, work);
        }
        let mut issues = work.found();
        rollout::advance(&mut work);
        repair::advance(&mut work);
        work.see_off(DRAIN_LIMIT);
        work.state_nodes();
        issues.extend(work.troubles());
        let why = work.conclude(issues);
        let Work { group, wakes, tx, .. } = work;
        let now = tx.now();
        tx.put(Record { body: group, ..record });
        match wakes {
            Some(at) => Next::after(at.since(now), why),
            None => Next::settled(why),
        }
    }
}

/// A node group in the course of its plan.
pub(super) struct Work<'a> {
    pub tx: &'a mut Tx,
    pub owner: AnyKey,
    pub group: Nodegroup,
    pub cluster: Cluster,
    /// When something is due whatever happens.
    pub wakes: Option<Millis>,
}

impl Work<'_> {
    pub fn wake_at(&mut self, at: Millis) {
        self.wakes = Some(self.wakes.map_or(at, |earlier| earlier.min(at)));
    }

    /// Its Auto Scaling group, if that is there and stays.
    pub fn asg(&self) -> Option<AutoScalingGroup> {
        let found = asg::find(self.tx, &self.group.spec.account, &self.group.spec.group_name());
        found.filter(|record| record.deleting.is_none()).map(|record| record.body)
    }

    /// What is seen in the cluster's API is what is there now.
    pub fn reachable(&self) -> bool {
        self.tx.shared(&kube::state_key(&self.cluster.spec.id)).is_some_and(|state| state.body.ready)
    }

    /// What the cluster's API says of an instance.
    pub fn seen(&self, id: &str) -> Option<NodeState> {
        let node = self.tx.shared(&Node::key(id))?;
        let seen = node::seen(self.tx, &self.cluster.spec.id, &node.body.name)?;
        (seen.instance == id).then_some(seen)
    }

    /// It serves pods.
    pub fn is_ready(&self, id: &str, member: &Member) -> bool {
        member.state == Lifecycle::InService && self.seen(id).is_some_and(|seen| seen.registered && seen.ready)
    }

    /// Lets a node go: it is drained, then terminated.
    pub fn terminate(&mut self, id: &str, shrink: asg::Shrink, cause: &str) {
        let (account, name) = (self.group.spec.account.clone(), self.group.spec.group_name());
        asg::terminate(self.tx, &account, &name, id, shrink, cause);
    }

    /// The launch template version that new nodes are launched from.
    fn launches(&self) -> Option<u64> {
        let status = &self.group.status;
        let rollout = status.update.as_ref().and_then(|underway| underway.rollout.as_ref());
        let to = rollout.filter(|rollout| rollout.phase != Phase::Abandon).and_then(|rollout| rollout.to);
        to.or(status.template.as_ref().map(|(_, version)| *version))
    }

    /// States what the group stands on; says what of it can't be had.
    fn found(&mut self) -> Vec<Issue> {
        let mut issues = self.missing();
        if issues.iter().any(|issue| issue.code == "IamNodeRoleNotFound") {
            return issues;
        }
        let spec = self.group.spec.clone();
        access_entry::ensure_node_role(self.tx, &self.cluster.spec, &spec.node_role, &spec.name);
        instance_profile::create_for_service(self.tx, &spec.account, &spec.own_name(), &spec.node_role);
        if let Err(issue) = self.state_template() {
            issues.push(issue);
            return issues;
        }
        if self.group.status.founded && self.asg().is_none() {
            let name = spec.group_name();
            let why =
                format!("The Auto Scaling group {name} was deleted. Create another node group, and delete this one.");
            issues.push(Issue::new("AutoScalingGroupNotFound", why, &[name]));
            return issues;
        }
        self.state_asg();
        issues
    }

    /// What of the user's, under the group, is gone.
    fn missing(&self) -> Vec<Issue> {
        let spec = &self.group.spec;
        let mut issues = vec![];
        let arn: Option<Arn> = spec.node_role.parse().ok();
        let role = arn.as_ref().and_then(|arn| self.tx.shared(&Role::key(&spec.account, arn.name())));
        if role.is_none() {
            let why = format!("The node role {} does not exist. Create it anew with the same name.", spec.node_role);
            issues.push(Issue::new("IamNodeRoleNotFound", why, std::slice::from_ref(&spec.node_role)));
        }
        let gone = spec.subnets.iter().filter(|id| self.tx.shared(&Subnet::key(&spec.account, id)).is_none());
        let gone: Vec<String> = gone.cloned().collect();
        if !gone.is_empty() {
            let why =
                format!("Of the node group's subnets {} do not exist. Create another node group.", gone.join(", "));
            issues.push(Issue::new("Ec2SubnetNotFound", why, &gone));
        }
        issues
    }

    /// The service's launch template, which says what the spec does: its version for nodes that are launched while no
    /// rollout is under way.
    fn state_template(&mut self) -> Result<(), Issue> {
        let spec = self.group.spec.clone();
        let data = template::data(self.tx, &self.cluster, &spec, &spec.release)?;
        let Some((id, _)) = self.group.status.template.clone() else {
            let name = spec.own_name();
            let template = launch_template::create(self.tx, &spec.account, &name, data, template::marks(&spec));
            self.group.status.template = Some((template.id, 1));
            return Ok(());
        };
        let version = template::version(self.tx, &spec.account, &id, &data).ok_or_else(|| {
            let why = format!("The launch template {id} of the node group was deleted. Create another node group, and delete this one.");
            Issue::new("Ec2LaunchTemplateNotFound", why, std::slice::from_ref(&id))
        })?;
        self.group.status.template = Some((id, version));
        Ok(())
    }

    fn state_asg(&mut self) {
        let (Some((id, _)), Some(version)) = (self.group.status.template.clone(), self.launches()) else { return };
        let spec = &self.group.spec;
        let rollout = self.group.status.update.as_ref().and_then(|underway| underway.rollout.as_ref());
        let before = self.asg().map(|group| group.spec);
        let account = &spec.account;
        let name = self.tx.shared(&LaunchTemplate::key(account, &id)).map(|t| t.body.name.clone()).unwrap_or_default();
        let wanted = asg::Spec {
            name: spec.group_name(),
            id: spec.id.clone(),
            account: account.clone(),
            region: spec.region.clone(),
            template: Template { id, name, version: version.to_string() },
            instance_types: spec.instance_types.clone(),
            min: spec.scaling.min,
            max: spec.scaling.max,
            desired: spec.scaling.desired,
            surge: 0,
            terminate_first: spec.update.minimal && rollout.is_some_and(|rollout| rollout.phase != Phase::Abandon),
            subnets: spec.subnets.clone(),
            grace: Millis::secs(15),
            cooldown_seconds: 300,
            health_check_type: "EC2".into(),
            termination_policies: vec![
                "AllocationStrategy".into(),
                "OldestLaunchTemplate".into(),
                "OldestInstance".into(),
            ],
            protect_new: false,
            capacity_rebalance: spec.capacity_type == "SPOT",
        };
        // What is the user's to change once the group is there.
        let wanted = match before {
            None => wanted,
            Some(before) => asg::Spec {
                grace: before.grace,
                cooldown_seconds: before.cooldown_seconds,
                health_check_type: before.health_check_type,
                termination_policies: before.termination_policies,
                protect_new: before.protect_new,
                ..wanted
            },
        };
        let (tags, owner) = (tags(&self.group), self.owner.clone());
        asg::ensure(self.tx, &owner, wanted, tags, BTreeMap::from([(HOOK.to_owned(), hook())]));
        self.group.status.founded = true;
    }

    /// What the cluster must know of each instance; of those that are gone, nothing.
    pub fn state_nodes(&mut self) {
        let members = self.asg().map(|group| group.instances).unwrap_or_default();
        for (id, member) in &members {
            if let Some(node) = self.node(id, member) {
                node::ensure(self.tx, &self.owner.clone(), node);
            }
        }
        for record in self.tx.list(Index::<Node>::owner(&self.owner)) {
            if !members.contains_key(&record.body.instance) {
                node::remove(self.tx, &record.body.instance);
            }
        }
    }

    fn node(&self, id: &str, member: &Member) -> Option<Node> {
        let before = self.tx.get(&Node::key(id)).map(|record| record.body);
        let instance = self.tx.shared(&Instance::key(id));
        let launch = instance.as_ref().and_then(|instance| instance.body.spec.launch.as_ref());
        let (name, addresses) = match (launch, &before) {
            (Some(launch), _) => (launch.private_dns_name.clone(), vec![launch.address]),
            (None, Some(before)) => (before.name.clone(), before.addresses.clone()),
            (None, None) => return None,
        };
        let drain = self.drain(id, member, before.as_ref());
        Some(Node {
            cluster: self.cluster.spec.id.clone(),
            name,
            instance: id.into(),
            zone: member.zone.clone(),
            addresses,
            labels: self.group.spec.labels.clone(),
            taints: self.group.spec.taints.clone(),
            cordon: drain.is_some() || self.is_outdated(member),
            drain,
        })
    }

    /// Its pods are to go: it leaves, or an update is about to replace it.
    fn drain(&self, id: &str, member: &Member, before: Option<&Node>) -> Option<Drain> {
        let rollout = self.group.status.update.as_ref().and_then(|underway| underway.rollout.as_ref());
        let by_rollout = rollout.and_then(|rollout| Some((rollout, rollout.draining.get(id)?)));
        let since = match (member.state.ends(), by_rollout) {
            (_, Some((_, draining))) => draining.since,
            (true, None) => member.since,
            (false, None) => return None,
        };
        let last = before.and_then(|before| before.drain.clone());
        // An earlier drain that was called off may still count as done: first that has to be seen off.
        if last.is_none() && self.seen(id).is_some_and(|seen| seen.drained) {
            return None;
        }
        let since = last.as_ref().map_or(since, |last| last.since);
        let expired = self.tx.now().since(since) >= DRAIN_LIMIT;
        let force = expired && (member.state.ends() || by_rollout.is_some_and(|(rollout, _)| rollout.force));
        Some(Drain { since, force: force || last.is_some_and(|last| last.force) })
    }

    /// An update is about to replace it, and takes new pods elsewhere.
    fn is_outdated(&self, member: &Member) -> bool {
        let rollout = self.group.status.update.as_ref().and_then(|underway| underway.rollout.as_ref());
        rollout.is_some_and(|rollout| {
            let cordons = matches!(rollout.phase, Phase::Upgrade | Phase::ScaleDown) && !self.group.spec.update.minimal;
            cordons && rollout.to.is_some_and(|to| member.template.1 != to)
        })
    }

    /// Those that wait to be terminated go when their pods have, or when `limit` has passed.
    pub fn see_off(&mut self, limit: Millis) {
        let Some(group) = self.asg() else { return };
        let (now, reachable) = (self.tx.now(), self.reachable());
        for (id, member) in &group.instances {
            let holds = member.waits.get(HOOK).is_some_and(|wait| wait.outcome.is_none());
            if member.state != Lifecycle::TerminatingWait || !holds {
                continue;
            }
            let drain = self.tx.shared(&Node::key(id)).and_then(|node| node.body.drain.clone());
            let since = drain.as_ref().map_or(member.since, |drain| drain.since);
            let seen = self.seen(id).filter(|_| reachable);
            let empty = seen.is_some_and(|seen| !seen.registered || (drain.is_some() && seen.drained));
            let gone = !matches!(instance::state(self.tx, id), InstanceState::Pending | InstanceState::Running);
            if empty || gone || now.since(since) >= limit {
                asg::complete(self.tx, &group.spec.account, &group.spec.name, id, HOOK, Outcome::Continue);
            } else {
                self.wake_at(since + limit);
            }
        }
    }

    /// What the Auto Scaling group and the cluster's API say is wrong.
    fn troubles(&mut self) -> Vec<Issue> {
        let mut issues = vec![];
        if let Some(group) = self.asg()
            && let Some(trouble) = &group.status.trouble
        {
            issues.push(trouble_issue(trouble, &group));
        }
        let state = self.tx.shared(&kube::state_key(&self.cluster.spec.id));
        if let Some(state) = state.filter(|state| !state.body.ready) {
            let due = state.body.since + UNREACHABLE_LIMIT;
            if due <= self.tx.now() {
                let why = format!(
                    "The cluster's API does not answer, so that nodes can be neither seen nor drained: {}",
                    state.body.why
                );
                issues.push(Issue::new("ClusterUnreachable", why, std::slice::from_ref(&self.group.spec.cluster)));
            } else {
                self.wake_at(due);
            }
        }
        issues
    }

    /// Writes the status that follows from the issues; says why, for operators.
    fn conclude(&mut self, mut issues: Vec<Issue>) -> String {
        let now = self.tx.now();
        let group = self.asg();
        let desired = group.as_ref().map_or(0, |group| group.spec.desired);
        let members = group.map(|group| group.instances).unwrap_or_default();
        let (ready, unready): (Vec<_>, Vec<_>) = members.iter().partition(|(id, member)| self.is_ready(id, member));
        let enough = ready.len() >= usize::try_from(desired).unwrap_or(usize::MAX);
        let whole = enough && issues.is_empty() && self.group.status.founded;
        let age = now.since(self.group.status.since);
        let state = match self.group.status.state {
            State::Creating if whole => State::Active,
            State::Creating if age >= NODE_LIMIT => State::CreateFailed,
            State::Creating => {
                self.wake_at(self.group.status.since + NODE_LIMIT);
                State::Creating
            }
            State::Active | State::Degraded if issues.is_empty() => State::Active,
            State::Active | State::Degraded => State::Degraded,
            State::Updating if self.group.status.update.is_none() => State::Active,
            // Its issues are those that it failed with.
            State::CreateFailed => return format!("CreateFailed: {} of {desired} nodes are Ready", ready.len()),
            other @ (State::Updating | State::Deleting) => other,
        };
        if state == State::CreateFailed && !enough {
            issues.push(never_joined(&unready.into_iter().map(|(id, _)| id.clone()).collect::<Vec<_>>()));
        }
        let mut why = format!("{state:?}: {} of {desired} nodes are Ready", ready.len());
        if let Some(issue) = issues.first() {
            why += &format!("; {}", issue.message);
        }
        let status = &mut self.group.status;
        if state != status.state {
            (status.state, status.since) = (state, now);
        }
        status.issues = issues;
        self.end_config_update();
        why
    }

    /// A change of the configuration is done when it is stated.
    fn end_config_update(&mut self) {
        let spec = &self.group.spec;
        if let Some(underway) = self.group.status.update.take_if(|underway| underway.rollout.is_none()) {
            let done = update::State::Successful;
            update::end(self.tx, &spec.account, &spec.cluster, &underway.id, done, vec![]);
            self.group.status.state = State::Active;
            self.group.status.since = self.tx.now();
        }
    }
}

/// The hook under which nodes are drained.
fn hook() -> Hook {
    Hook {
        transition: Transition::Terminating,
        heartbeat: HOOK_HEARTBEAT,
        default: Outcome::Continue,
        metadata: None,
        notification_target: None,
        role: None,
    }
}

/// Tags of the Auto Scaling group: what cluster-autoscaler finds it by, too.
fn tags(group: &Nodegroup) -> BTreeMap<String, Tag> {
    let tag = |(key, value): (String, String)| (key, Tag { value, propagate: true });
    let autoscaler = [
        ("k8s.io/cluster-autoscaler/enabled".to_owned(), "true".to_owned()),
        (format!("k8s.io/cluster-autoscaler/{}", group.spec.cluster), "owned".to_owned()),
    ];
    template::marks(&group.spec).into_iter().chain(autoscaler).map(tag).collect()
}

/// Nodes that did not get Ready.
pub(super) fn never_joined(instances: &[String]) -> Issue {
    let why = "Instances failed to join the kubernetes cluster, or are not Ready there. Look at their console output (EC2 \
               GetConsoleOutput) and at kubectl describe node.";
    Issue::new("NodeCreationFailure", why, instances)
}

/// Why instances can't be launched, as EKS says it.
pub(super) fn trouble_issue(trouble: &Trouble, group: &AutoScalingGroup) -> Issue {
    let (code, about) = match trouble.code.as_str() {
        "InsufficientFreeAddressesInSubnet" => ("InsufficientFreeAddresses", trouble.subnet.clone()),
        "InvalidSubnetID.NotFound" => ("Ec2SubnetNotFound", trouble.subnet.clone()),
        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" => ("AmiIdNotFound", group.spec.template.id.clone()),
        "InvalidInstanceType" => ("Ec2InstanceTypeDoesNotExist", group.spec.template.id.clone()),
        "InvalidGroup.NotFound" => ("Ec2SecurityGroupNotFound", group.spec.template.id.clone()),
        "InvalidLaunchTemplateId.NotFound" => ("Ec2LaunchTemplateNotFound", group.spec.template.id.clone()),
        "InvalidLaunchTemplateId.VersionNotFound" => {
            ("Ec2LaunchTemplateVersionMismatch", group.spec.template.id.clone())
        }
        "InstanceLimitExceeded" | "VcpuLimitExceeded" => ("InstanceLimitExceeded", group.spec.name.clone()),
        _ => ("AsgInstanceLaunchFailures", group.spec.name.clone()),
    };
    let next = match code {
        "InsufficientFreeAddresses" => "Free addresses in the subnet, or create a node group in another one.",
        "AmiIdNotFound" => "Update the node group to an image that is on offer: eks update-nodegroup-version.",
        _ => "See autoscaling describe-scaling-activities.",
    };
    Issue::new(code, format!("Could not launch instances: {} {next}", trouble.message), &[about])
}
