//! Add-ons: what a cluster needs inside to be one (`vpc-cni`, `kube-proxy`, `coredns`), what it may have besides
//! (`metrics-server`), and who looks after it.
//!
//! A new cluster gets the first three once, as **self-managed**: nobody lists them, and what a user changes in them stays. An add-on
//! that somebody has asked for by CreateAddon is **managed**: it has a version, a configuration and a health, and EKS keeps
//! its objects. Either way an [`AddonSpec`] says what the cluster's API must hold; the add-ons driver makes it so and writes
//! what it sees as [`AddonState`].

pub mod catalogue;
mod configuration;
mod manifests;
mod model;
pub mod ops;
mod plan;
mod preserve;
mod schema;
#[cfg(test)]
mod tests;
mod view;

pub use model::{
    Addon, AddonSpec, AddonState, Conflict, Conflicts, Facts, Hold, Outcome, Release, Spec, State, Status, Update,
    Workload,
};
pub use plan::{AddonPlanner, DefaultsPlanner};

// What the add-ons driver applies and reads: pure, as all that decides.
pub use manifests::{api_service, objects, place, workload};
pub use model::{read_unserved, read_workload};
pub use preserve::{conflicts, without};

use roadstead_store::{Index, Read, Tx};

/// A variable that the configuration of a managed add-on sets in its pods' environment.
pub fn variable(read: &impl Read, cluster: &str, addon: &str, name: &str) -> Option<String> {
    let found = read.shared(&Addon::key(cluster, addon))?;
    let configuration = configuration::read(addon, found.body.spec.configuration.as_deref()?).ok()?;
    configuration["env"][name].as_str().map(str::to_owned)
}

/// Forgets all add-ons of a cluster that goes; its objects go with it.
pub fn forget(tx: &mut Tx, cluster: &str) {
    for addon in tx.list(Index::<Addon>::prefix(format!("{cluster}/"))) {
        tx.remove(&addon.key);
    }
    for spec in tx.list(Index::<AddonSpec>::prefix(format!("{cluster}/"))) {
        remove(tx, cluster, &spec.body.release.name);
    }
}

/// Forgets what the driver was asked for and what it saw; the objects stay as they are.
fn remove(tx: &mut Tx, cluster: &str, name: &str) {
    tx.remove(&AddonSpec::key(cluster, name));
    tx.remove(&AddonState::key(cluster, name));
}
