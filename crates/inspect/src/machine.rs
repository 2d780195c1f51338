use crate::names::Target;
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::settings::SERVICE_ACCOUNT;
use roadstead_store::{Object as _, Read as _, View};
use serde::{Deserialize, Serialize};

/// What a cluster's machines are for.
pub const ROLES: [&str; 2] = ["etcd", "api"];

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Machine {
    /// `i-…`
    pub id: String,
    /// `etcd-1`: who it is, whichever instance has that place.
    pub place: String,
}

/// The machines of a cluster, or those of one of [`ROLES`].
///
/// # Errors
/// There is no such cluster.
pub fn machines(view: &View, cluster: &str, role: Option<&str>) -> Result<Vec<Machine>, String> {
    let found = match Target::of(view, &format!("{}/{cluster}", Cluster::KIND))? {
        Target::Record(key) => key.typed::<Cluster>().and_then(|key| view.get(&key)),
        Target::Kind(_) => None,
    };
    let spec = found.ok_or_else(|| format!("'{cluster}' is not a cluster"))?.body.spec;
    let roles = ROLES.iter().filter(|one| role.is_none_or(|role| role == **one));
    let groups = roles.filter_map(|role| view.get(&Group::key(SERVICE_ACCOUNT, &spec.group_name(role))));
    let instances = groups.flat_map(|group| group.body.instances);
    Ok(instances.map(|(place, id)| Machine { id, place }).collect())
}
