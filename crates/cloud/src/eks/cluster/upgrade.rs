//! UpdateClusterVersion: the control plane goes to the next minor of Kubernetes, one API server after another, while the
//! others serve. Groups replace what is not as its slot says; so all there is to do is to see that a machine with the
//! programs of the wanted version runs at all, to say that it is wanted, and to see when every API server is of it.

use super::model::{Before, Cluster, Spec};
use super::ops;
use super::view::PLATFORM_VERSION;
use super::{config, control_plane};
use crate::autoscaling::{self, Group};
use crate::ec2::instance::{self, Instance, Phase};
use crate::eks::nodegroup::Nodegroup;
use crate::eks::update;
use crate::settings::{KubernetesVersion, SERVICE_ACCOUNT, Settings};
use roadstead_kernel::Caller;
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::INVALID_PARAMETER_EXCEPTION;
use roadstead_store::{Index, Read as _, Record, Tx};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// So many minors a kubelet may be behind the API servers (upstream's version skew policy).
const KUBELET_LAG: u32 = 3;
/// A machine that has another version's programs, and waits for nothing else, runs within this.
pub const TRIAL: Millis = Millis::secs(30);

/// EKS UpdateClusterVersion.
pub fn update(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateClusterVersionRequest,
) -> Result<api::UpdateClusterVersionResponse, Fault> {
    let mut record = ops::find(tx, caller, &input.name)?;
    config::idle(&record.body, KIND)?;
    if input.rollback_config.is_some() {
        return Err(invalid("rollbackConfig is not available in this region yet: leave it out"));
    }
    let offered = allowed(tx, &record, &input.version)?;
    let before = std::mem::replace(&mut record.body.spec.version, input.version.clone());
    let params = vec![("Version", input.version), ("PlatformVersion", PLATFORM_VERSION.into())];
    let key = record.key.clone();
    let shown = config::begin(tx, record, KIND, params, Some(Before::Version(before)));
    let trial = instance::launch(tx, &key.any(), SERVICE_ACCOUNT, &[], &[], control_plane::trial(&offered));
    let mut record = tx.get(&key).expect("its update has just begun");
    record.body.status.update.as_mut().expect("it has just begun").trial = Some(trial);
    tx.put(record);
    Ok(api::UpdateClusterVersionResponse { update: Some(shown) })
}

/// Goes on with an update to another version: a machine tries its programs, and no API server goes before that runs.
pub fn go_on(tx: &mut Tx, record: &mut Record<Cluster>) {
    let Some(underway) = record.body.status.update.as_mut() else { return };
    let Some(trial) = &underway.trial else { return };
    let instance = tx.shared(&Instance::key(trial));
    if instance.is_none_or(|instance| instance.body.status.machine == Phase::Running) {
        end_trial(tx, trial);
        // What is to be done now has as long as ever.
        (underway.trial, underway.since) = (None, tx.now());
    }
}

/// The minor that API servers are to be of.
pub fn minor_of_servers(cluster: &Cluster) -> &str {
    let underway = cluster.status.update.as_ref();
    match underway.and_then(|underway| Some((underway.trial.as_ref()?, underway.before.as_ref()?))) {
        Some((_, Before::Version(before))) => before,
        Some((_, Before::Endpoint(_) | Before::Network(_))) | None => &cluster.spec.version,
    }
}

/// Ends a trial; says what it waited for, for people.
pub fn end_trial(tx: &mut Tx, trial: &str) -> String {
    let key = Instance::key(trial);
    let why = tx.shared(&key).map(|instance| instance.body.status.why.clone()).unwrap_or_default();
    tx.delete(&key);
    why
}

/// Why an update to a version whose programs no machine could try has failed.
pub fn not_tried(spec: &Spec, wanted: &str, why: &str) -> update::Error {
    let message = format!(
        "No machine with the programs of Kubernetes {wanted} ran within {} s ({why}); the control plane was not touched. \
         Where the region runs, build them with `cargo xtask components kubernetes-{wanted}`, and ask again.",
        TRIAL.0 / 1000
    );
    // EKS has no code for a version whose programs are not there.
    update::Error { code: "Unknown".into(), message, resources: vec![spec.name.clone()] }
}

/// EKS's name for such an update.
const KIND: &str = "VersionUpdate";

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// The version, if it is exactly one minor up, on offer, and no node too old for it (EKS user guide, "Update existing
/// cluster to new Kubernetes version").
fn allowed(tx: &Tx, cluster: &Record<Cluster>, version: &str) -> Result<KubernetesVersion, Fault> {
    let from = &cluster.body.spec.version;
    let (Some(old), Some(new)) = (minor(from), minor(version)) else {
        return Err(invalid(format!("unsupported Kubernetes version: {version}")));
    };
    if new != (old.0, old.1 + 1) {
        return Err(invalid(format!("Unsupported Kubernetes minor version update from {from} to {version}")));
    }
    let settings = Settings::of(tx);
    let offered = settings.kubernetes.iter().find(|offered| offered.minor == version);
    let offered = offered.ok_or_else(|| invalid(format!("unsupported Kubernetes version: {version}")))?;
    let too_old = |group: &Record<Nodegroup>| {
        minor(&group.body.spec.release.version).is_some_and(|nodes| nodes.1 + KUBELET_LAG < new.1)
    };
    let groups = tx.list(Index::<Nodegroup>::prefix(format!("{}/", cluster.key.name())));
    let mut behind: Vec<String> = groups.into_iter().filter(too_old).map(|group| group.body.spec.name).collect();
    behind.sort();
    match behind.as_slice() {
        [] => Ok(offered.clone()),
        // The words are ours: AWS documents the rule and not the text.
        names => Err(invalid(format!(
            "Nodegroups {} run a kubelet more than {KUBELET_LAG} minor versions older than {version}: update them first",
            names.join(", ")
        ))),
    }
}

/// `1.36` → (1, 36).
pub(in crate::eks) fn minor(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether every API server is as the cluster is to be, and serves.
pub fn is_done(tx: &Tx, spec: &Spec) -> bool {
    let group = tx.shared(&Group::key(SERVICE_ACCOUNT, &spec.group_name("api")));
    group.is_some_and(|group| autoscaling::is_current(tx, &group.body))
}
