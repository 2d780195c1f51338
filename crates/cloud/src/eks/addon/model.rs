use crate::eks::cluster::Issue;
use crate::eks::kube::Access;
use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::Ipv4Addr;

/// An add-on that EKS manages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addon {
    /// What was asked for.
    pub spec: Spec,
    /// How it is.
    pub status: Status,
    /// Its updates, the newest last.
    pub updates: Vec<Update>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The cluster's unique id.
    pub cluster: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The cluster's account.
    pub account: String,
    /// `vpc-cni`…
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `v1.14.7-eksbuild.1`.
    pub version: String,
    /// Its configuration as it was given: JSON or YAML.
    pub configuration: Option<String>,
    /// The role of its service account.
    pub role: Option<String>,
    /// What happens to fields that somebody else has set.
    pub conflicts: Conflicts,
    /// Its tags.
    pub tags: Tags,
    /// When it is deleted, its objects stay.
    pub preserve: bool,
    /// Grows with every change that was asked for.
    pub change: u64,
}

/// What happens to fields that somebody else has set otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conflicts {
    /// Nothing is applied.
    #[default]
    None,
    /// They are ours from now on.
    Overwrite,
    /// They stay as they are.
    Preserve,
}

/// How an add-on is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// As describe says.
    pub state: State,
    /// When that began.
    pub since: Millis,
    /// When it was last changed.
    pub modified: Millis,
    /// Since when its pods are not as they must be.
    pub unwell: Option<Millis>,
    /// What is wrong, for people.
    pub issues: Vec<Issue>,
}

/// The state of an add-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Never as it must be yet.
    Creating,
    /// As it must be.
    Active,
    /// Could not be applied.
    CreateFailed,
    /// A change is on its way.
    Updating,
    /// The change could not be applied.
    UpdateFailed,
    /// Applied, and its pods do not run as they must.
    Degraded,
    /// On its way out.
    Deleting,
    /// It could not be taken away.
    DeleteFailed,
}

/// A change of an add-on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// A UUID.
    pub id: String,
    /// When it was asked for.
    pub created: Millis,
    /// What was asked for: one of EKS's parameter types, and its value.
    pub params: Vec<(String, String)>,
    /// How it ended; None: it has not.
    pub ended: Option<Result<(), Issue>>,
}

/// What the add-ons driver keeps in a cluster's API. Its name is `CLUSTER/ADD-ON`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonSpec {
    /// The way there.
    pub access: Access,
    /// What it consists of.
    pub release: Release,
    /// What was applied before it; what it no longer has of that is taken away.
    pub before: Option<Release>,
    /// For how long, and against whom.
    pub hold: Hold,
}

/// A version of an add-on with a configuration, for one cluster: all that its objects follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `vpc-cni`…
    pub name: String,
    /// `v1.14.7-eksbuild.1`.
    pub version: String,
    /// The configuration, checked; null without one.
    pub configuration: Value,
    /// The role of its service account.
    pub role: Option<String>,
    /// What it must know of its cluster.
    pub facts: Facts,
}

/// What an add-on must know of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The region.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The VPC.
    pub vpc: String,
    /// Where nodes find its API: `https://10.0.0.7:443`.
    pub endpoint: String,
    /// The address of its DNS.
    pub dns: Ipv4Addr,
}

/// How an add-on is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Applied once, and then its users' own.
    Once {
        /// It was.
        done: bool,
    },
    /// Applied whenever it is not as it must be.
    Managed {
        /// What happens to fields that somebody else has set.
        conflicts: Conflicts,
        /// Which change of it this is.
        change: u64,
        /// It was made: what others set from then on is theirs, until the next change.
        made: bool,
    },
    /// Taken away.
    Gone,
}

/// What the add-ons driver saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonState {
    /// How what it was asked for was kept.
    pub hold: Hold,
    /// What became of that.
    pub outcome: Outcome,
    /// What was applied last, as a whole.
    pub applied: Option<Release>,
    /// How what runs is; None: not seen yet, or nobody looks.
    pub workload: Option<Workload>,
}

/// What became of an add-on's objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Not applied yet, and tried again; why, for people.
    Pending(String),
    /// All are there.
    Applied,
    /// Fields of them are somebody else's.
    Conflicts(Vec<Conflict>),
    /// The API does not take one; why, for people.
    Refused(String),
    /// None is left.
    Gone,
}

/// A field that somebody else has set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The object: `DaemonSet.apps aws-node`.
    pub object: String,
    /// The field: `.spec.template.spec.containers[name="aws-node"].image`.
    pub field: String,
    /// Who set it, as the API says.
    pub who: String,
}

/// How a DaemonSet or Deployment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Pods that there must be.
    pub desired: u64,
    /// Pods of the present version.
    pub updated: u64,
    /// Pods that are available.
    pub available: u64,
    /// Why the API servers do not serve what it adds to their API; None: they do, or it adds nothing.
    #[serde(default)]
    pub unserved: Option<String>,
}

impl Object for Addon {
    const KIND: &'static str = "eks/addon";
}

impl Object for AddonSpec {
    const KIND: &'static str = "eks/addon-spec";
}

impl Object for AddonState {
    const KIND: &'static str = "eks/addon-state";
}

impl Addon {
    /// The key of a cluster's add-on.
    pub fn key(cluster: &str, name: &str) -> Key<Addon> {
        Key::new(format!("{cluster}/{name}"))
    }
}

impl AddonSpec {
    /// The key of what the driver is asked for.
    pub fn key(cluster: &str, name: &str) -> Key<AddonSpec> {
        Key::new(format!("{cluster}/{name}"))
    }
}

impl AddonState {
    /// The key of what the driver saw.
    pub fn key(cluster: &str, name: &str) -> Key<AddonState> {
        Key::new(format!("{cluster}/{name}"))
    }
}

impl Hold {
    /// What is said of the other one holds for this one: it is the same change, made already or not.
    pub fn is_same_change(&self, other: &Hold) -> bool {
        match (self, other) {
            (Hold::Managed { change, .. }, Hold::Managed { change: other, .. }) => change == other,
            _ => self == other,
        }
    }
}

impl Release {
    /// The version of what is in it: `1.14.7` of `v1.14.7-eksbuild.1`.
    pub fn software(&self) -> &str {
        let version = self.version.trim_start_matches('v');
        version.split("-eksbuild").next().unwrap_or(version)
    }
}

impl Workload {
    /// All pods that there must be are there, of the present version, and what they add to the API is served.
    pub fn is_well(&self) -> bool {
        self.is_whole() && self.unserved.is_none()
    }

    /// All pods that there must be are there, of the present version.
    pub fn is_whole(&self) -> bool {
        self.updated >= self.desired && self.available >= self.desired
    }
}

/// How a DaemonSet or Deployment is, by its status; None while that speaks of an earlier version of it.
pub fn read_workload(object: &Value) -> Option<Workload> {
    let status = &object["status"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    if number(&status["observedGeneration"]) < number(&object["metadata"]["generation"]) {
        return None;
    }
    let named = |desired: &Value, updated: &str, available: &str| Workload {
        desired: number(desired),
        updated: number(&status[updated]),
        available: number(&status[available]),
        unserved: None,
    };
    match object["kind"] == "DaemonSet" {
        true => Some(named(&status["desiredNumberScheduled"], "updatedNumberScheduled", "numberAvailable")),
        false => Some(named(&object["spec"]["replicas"], "updatedReplicas", "availableReplicas")),
    }
}

/// Why an APIService is not available, by its status; None: it is. Without one the API servers have not looked yet.
pub fn read_unserved(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let available = conditions.into_iter().flatten().find(|condition| condition["type"] == "Available");
    let Some(available) = available else { return Some("the API servers have not looked at it yet".into()) };
    (available["status"] != "True").then(|| available["message"].as_str().unwrap_or_default().to_owned())
}
