//! UpdateClusterVersion: the control plane goes to the next minor of Kubernetes, one API server after another, while the
//! others serve. Groups replace what is not as its slot says; so all there is to do is to say which version is wanted, and
//! to see when every API server is of it.

use super::config;
use super::model::{Before, Cluster, Spec};
use super::ops;
use super::view::PLATFORM_VERSION;
use crate::autoscaling::{self, Group};
use crate::eks::nodegroup::Nodegroup;
use crate::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_kernel::Caller;
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::INVALID_PARAMETER_EXCEPTION;
use roadstead_store::{Index, Read as _, Record, Tx};
use roadstead_wire::fault::Fault;

/// So many minors a kubelet may be behind the API servers (upstream's version skew policy).
const KUBELET_LAG: u32 = 3;

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
    allowed(tx, &record, &input.version)?;
    let before = std::mem::replace(&mut record.body.spec.version, input.version.clone());
    let params = vec![("Version", input.version), ("PlatformVersion", PLATFORM_VERSION.into())];
    let shown = config::begin(tx, record, KIND, params, Some(Before::Version(before)));
    Ok(api::UpdateClusterVersionResponse { update: Some(shown) })
}

/// EKS's name for such an update.
const KIND: &str = "VersionUpdate";

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// Exactly one minor up, on offer, and no node too old for it (EKS user guide, "Update existing cluster to new Kubernetes
/// version").
fn allowed(tx: &Tx, cluster: &Record<Cluster>, version: &str) -> Result<(), Fault> {
    let from = &cluster.body.spec.version;
    let (Some(old), Some(new)) = (minor(from), minor(version)) else {
        return Err(invalid(format!("unsupported Kubernetes version: {version}")));
    };
    if new != (old.0, old.1 + 1) {
        return Err(invalid(format!("Unsupported Kubernetes minor version update from {from} to {version}")));
    }
    if Settings::of(tx).kubernetes.iter().all(|offered| offered.minor != version) {
        return Err(invalid(format!("unsupported Kubernetes version: {version}")));
    }
    let too_old = |group: &Record<Nodegroup>| {
        minor(&group.body.spec.release.version).is_some_and(|nodes| nodes.1 + KUBELET_LAG < new.1)
    };
    let groups = tx.list(Index::<Nodegroup>::prefix(format!("{}/", cluster.key.name())));
    let mut behind: Vec<String> = groups.into_iter().filter(too_old).map(|group| group.body.spec.name).collect();
    behind.sort();
    match behind.as_slice() {
        [] => Ok(()),
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
