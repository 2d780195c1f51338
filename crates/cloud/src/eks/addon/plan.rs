//! What should be of a cluster's add-ons, and how they are.

use super::catalogue::{self, DEFAULTS};
use super::model::{
    Addon, AddonSpec, AddonState, Conflict, Conflicts, Facts, Hold, Outcome, Release, Spec, State, Workload,
};
use super::{configuration, remove};
use crate::eks::cluster::{self, Cluster, Issue};
use crate::eks::kube::{self, KubeSpec};
use crate::settings::Settings;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read, Record, Tx};
use roadstead_types::Millis;
use serde_json::Value;

/// How long the pods of an add-on may take to be as they must, when it is made or changed.
const PATIENCE: Millis = Millis::mins(3);
/// And how long they may not be so when they were before: a node that goes takes pods with it, and others come.
const TOLERANCE: Millis = Millis::secs(60);

/// Gives a new cluster its add-ons, self-managed, once.
pub struct DefaultsPlanner;

impl Planner for DefaultsPlanner {
    type Object = Cluster;
    const NAME: &'static str = "eks/default-addons";

    fn plan(&self, mut record: Record<Cluster>, tx: &mut Tx) -> Next {
        let cluster = record.body.spec.clone();
        if record.body.status.state != cluster::State::Active {
            return Next::settled("the cluster is not there");
        }
        let Some(kube) = tx.shared(&kube::key(&cluster.id)) else { return Next::settled("the cluster has no API") };
        let first = cluster.self_managed_addons && !record.body.defaults_stated;
        for name in DEFAULTS {
            let key = AddonSpec::key(&cluster.id, name);
            let stated = tx.shared(&key);
            let ours = stated.as_ref().map_or(first, |stated| matches!(stated.body.hold, Hold::Once { .. }));
            let Some(release) = default_release(tx, &cluster, &kube.body, name).filter(|_| ours) else { continue };
            let state = tx.shared(&AddonState::key(&cluster.id, name));
            let applied = state.and_then(|state| state.body.applied.clone());
            let done = applied.as_ref() == Some(&release);
            let spec = AddonSpec { access: kube.body.access(), release, before: None, hold: Hold::Once { done } };
            tx.set(&key, Some(record.key.any()), spec);
        }
        if first {
            record.body.defaults_stated = true;
            tx.put(record);
        }
        Next::settled(if cluster.self_managed_addons { "stated" } else { "the cluster's creator wants none" })
    }
}

fn default_release(tx: &Tx, cluster: &cluster::Spec, kube: &KubeSpec, name: &str) -> Option<Release> {
    let version = catalogue::version(&Settings::of(tx), name, &cluster.version)?;
    let facts = facts(cluster, kube);
    Some(Release { name: name.into(), version, configuration: Value::Null, role: None, facts })
}

fn facts(cluster: &cluster::Spec, kube: &KubeSpec) -> Facts {
    let endpoint = kube.addresses.first().map(|address| format!("https://{address}:{}", kube.port));
    Facts {
        region: cluster.region.clone(),
        cluster: cluster.name.clone(),
        vpc: cluster.vpc.vpc.clone(),
        endpoint: endpoint.unwrap_or_default(),
        dns: cluster.service_cidr.nth(10).unwrap_or(cluster.service_cidr.base()),
    }
}

/// Keeps what EKS manages.
pub struct AddonPlanner;

impl Planner for AddonPlanner {
    type Object = Addon;
    const NAME: &'static str = "eks/addon";

    fn plan(&self, mut record: Record<Addon>, tx: &mut Tx) -> Next {
        let spec = record.body.spec.clone();
        let cluster = tx.shared(&Cluster::key(&spec.account, &spec.cluster_name));
        let cluster = cluster.filter(|cluster| cluster.body.spec.id == spec.cluster && cluster.deleting.is_none());
        let kube = tx.shared(&kube::key(&spec.cluster));
        let (Some(cluster), Some(kube)) = (cluster, kube) else {
            return Next::settled("the cluster goes, and this with it");
        };
        if record.deleting.is_some() && spec.preserve {
            return end(tx, &record);
        }
        let key = AddonSpec::key(&spec.cluster, &spec.name);
        let state = tx.get(&AddonState::key(&spec.cluster, &spec.name)).map(|state| state.body);
        let hold = match record.deleting {
            Some(_) => Hold::Gone,
            None => managed(tx, &spec, state.as_ref()),
        };
        let release = Release {
            name: spec.name.clone(),
            version: spec.version.clone(),
            configuration: configuration(&spec),
            role: spec.role.clone(),
            facts: facts(&cluster.body.spec, &kube.body),
        };
        let applied = state.as_ref().and_then(|state| state.applied.clone());
        let before = applied.filter(|applied| *applied != release);
        let wanted = AddonSpec { access: kube.body.access(), release, before, hold: hold.clone() };
        tx.set(&key, Some(record.key.any()), wanted);
        // What was seen of another wish says nothing about this one.
        let state = state.filter(|state| state.hold.is_same_change(&hold));
        if record.deleting.is_some() {
            return match state.map(|state| state.outcome) {
                Some(Outcome::Gone) => end(tx, &record),
                Some(Outcome::Pending(why) | Outcome::Refused(why)) => Next::settled(format!("deleting: {why}")),
                _ => Next::settled("deleting: its objects go"),
            };
        }
        let now = tx.now();
        let (wait, why) = conclude(&mut record.body, state, now);
        tx.put(record);
        match wait {
            Some(wait) => Next::after(wait, why),
            None => Next::settled(why),
        }
    }
}

/// How it is kept: once its newest change was made it stays made, whatever is seen later.
fn managed(tx: &Tx, spec: &Spec, state: Option<&AddonState>) -> Hold {
    let hold = Hold::Managed { conflicts: spec.conflicts, change: spec.change, made: true };
    let known = tx.shared(&AddonSpec::key(&spec.cluster, &spec.name)).is_some_and(|known| known.body.hold == hold);
    let seen = state.is_some_and(|state| state.hold.is_same_change(&hold) && state.outcome == Outcome::Applied);
    match known || seen {
        true => hold,
        false => Hold::Managed { conflicts: spec.conflicts, change: spec.change, made: false },
    }
}

/// It was checked when it was asked for.
fn configuration(spec: &Spec) -> Value {
    let text = spec.configuration.as_deref().unwrap_or_default();
    configuration::read(&spec.name, text).unwrap_or_default()
}

fn end(tx: &mut Tx, record: &Record<Addon>) -> Next {
    remove(tx, &record.body.spec.cluster, &record.body.spec.name);
    tx.remove(&record.key);
    Next::settled("deleted")
}

/// Writes the status that follows from what was seen; says why, and when to look again if nothing changes.
fn conclude(addon: &mut Addon, state: Option<AddonState>, now: Millis) -> (Option<Millis>, String) {
    let status = &addon.status;
    let in_motion = matches!(status.state, State::Creating | State::Updating);
    let pending = Outcome::Pending("its objects are being applied".into());
    let (outcome, workload) = state.map_or((pending, None), |state| (state.outcome, state.workload));
    let well = workload.as_ref().is_some_and(Workload::is_well);
    let unwell = (!well).then(|| status.unwell.unwrap_or(now));
    let patience = if in_motion { PATIENCE } else { TOLERANCE };
    let left = unwell.map_or(patience, |since| patience.since(now.since(since)));
    let (next, issue) = match outcome {
        Outcome::Conflicts(conflicts) => (failed(status.state), Some(conflict(&conflicts))),
        Outcome::Refused(why) => (failed(status.state), Some(refusal(&why))),
        // That the cluster's API is away for a moment is the cluster's matter.
        Outcome::Pending(_) | Outcome::Gone if !in_motion => (status.state, None),
        Outcome::Pending(why) if left == Millis(0) => {
            (State::Degraded, Some(Issue::new("ClusterUnreachable", why, &[])))
        }
        Outcome::Pending(_) | Outcome::Gone => (status.state, None),
        Outcome::Applied if well => (State::Active, None),
        Outcome::Applied if left == Millis(0) => {
            (State::Degraded, Some(unwell_issue(&addon.spec.name, workload.as_ref())))
        }
        Outcome::Applied => (status.state, status.issues.first().cloned()),
    };
    let waits = unwell.is_some() && left > Millis(0) && !matches!(next, State::CreateFailed | State::UpdateFailed);
    if in_motion && next != addon.status.state {
        end_update(addon, issue.as_ref());
    }
    let status = &mut addon.status;
    if next != status.state {
        (status.state, status.since) = (next, now);
    }
    status.unwell = unwell;
    let why = issue.as_ref().map_or_else(|| format!("{next:?}"), |issue| format!("{next:?}: {}", issue.message));
    status.issues = issue.into_iter().collect();
    (waits.then_some(left), why)
}

/// A change that could not be made leaves what was there before it.
fn failed(state: State) -> State {
    match state {
        State::Creating | State::CreateFailed => State::CreateFailed,
        State::Active | State::Updating | State::UpdateFailed | State::Degraded => State::UpdateFailed,
        State::Deleting | State::DeleteFailed => State::DeleteFailed,
    }
}

fn end_update(addon: &mut Addon, issue: Option<&Issue>) {
    if let Some(update) = addon.updates.last_mut().filter(|update| update.ended.is_none()) {
        update.ended = Some(issue.cloned().map_or(Ok(()), Err));
    }
}

/// In EKS's words, which name every field.
fn conflict(conflicts: &[Conflict]) -> Issue {
    let each = conflicts.iter().map(|c| format!("\n{} - {}", c.object, c.field));
    let message = "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts:";
    Issue::new("ConfigurationConflict", format!("{message}{}", each.collect::<String>()), &[])
}

fn refusal(why: &str) -> Issue {
    let code = if why.contains("admission webhook") { "AdmissionRequestDenied" } else { "InternalFailure" };
    Issue::new(code, why, &[])
}

fn unwell_issue(name: &str, workload: Option<&Workload>) -> Issue {
    if let Some(why) = workload.filter(|w| w.is_whole()).and_then(|w| w.unserved.as_deref()) {
        let what = "The add-on is unhealthy because its pods run and the cluster's API servers do not serve its API:";
        return Issue::new("InternalFailure", format!("{what} {why}"), &[name.to_owned()]);
    }
    let counts = workload.map(|w| format!(" {} of {} replicas are available.", w.available, w.desired));
    let what = "The add-on is unhealthy because it doesn't have the desired number of replicas.";
    Issue::new("InsufficientNumberOfReplicas", format!("{what}{}", counts.unwrap_or_default()), &[name.to_owned()])
}

impl From<Option<roadstead_shapes::eks::ResolveConflicts>> for Conflicts {
    fn from(asked: Option<roadstead_shapes::eks::ResolveConflicts>) -> Conflicts {
        use roadstead_shapes::eks::ResolveConflicts;
        match asked {
            Some(ResolveConflicts::Overwrite) => Conflicts::Overwrite,
            Some(ResolveConflicts::Preserve) => Conflicts::Preserve,
            _ => Conflicts::None,
        }
    }
}
