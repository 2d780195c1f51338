use crate::eks::node::Taint;
use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A managed node group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodegroup {
    /// What is asked for.
    pub spec: Spec,
    /// Its tags.
    pub tags: Tags,
    /// How it is.
    pub status: Status,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Unique in its cluster.
    pub name: String,
    /// A UUID: names for ever what belongs to it.
    pub id: String,
    /// The cluster's name.
    pub cluster: String,
    /// The owner of both.
    pub account: String,
    /// Their region.
    pub region: String,
    /// ARN of the role of its nodes.
    pub node_role: String,
    /// Where its nodes stand.
    pub subnets: Vec<String>,
    /// The sizes that it begins with: from then on its Auto Scaling group has them.
    pub scaling: Scaling,
    /// In the order in which they are tried; empty: the launch template names one.
    pub instance_types: Vec<String>,
    /// E.g. `AL2023_x86_64_STANDARD`; `CUSTOM` with an image of the user's.
    pub ami_type: String,
    /// `ON_DEMAND` or `SPOT`.
    pub capacity_type: String,
    /// Size of a root volume, GiB; None: the launch template says so.
    pub disk_gib: Option<u32>,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    pub taints: Vec<Taint>,
    /// How it is updated.
    pub update: UpdateConfig,
    /// Which nodes are replaced without being asked for.
    pub repair: Repair,
    /// What its nodes run; changes with a version update that succeeds.
    pub release: Release,
}

/// What nodes run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The Kubernetes minor, e.g. `1.36`.
    pub version: String,
    /// E.g. `1.36.3-20261101`; the image's id where that is the user's.
    pub release_version: String,
    /// `ami-…`.
    pub image: String,
    /// The user's launch template.
    pub template: Option<UserTemplate>,
}

/// A launch template of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserTemplate {
    /// `lt-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Which version.
    pub version: u64,
}

/// How many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
    /// Now.
    pub desired: u32,
}

/// How a group is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// How many nodes may be missing at once.
    pub max_unavailable: Share,
    /// New nodes come only when old ones are gone (`MINIMAL`).
    pub minimal: bool,
}

/// Some nodes of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// Which nodes are replaced without being asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Any.
    pub enabled: bool,
    /// None, while more than these are not well.
    pub threshold: Option<Share>,
    /// So many at once.
    pub parallel: Option<Share>,
    /// Exceptions by condition and reason.
    pub overrides: Vec<RepairOverride>,
}

/// An exception to how nodes are repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairOverride {
    /// The node's condition, e.g. `Ready`.
    pub condition: String,
    /// The condition's reason, as it is given.
    pub reason: String,
    /// How long it must have been so.
    pub wait: Millis,
    /// The node is replaced; otherwise it is left alone.
    pub replace: bool,
}

/// How a node group is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// As describe says.
    pub state: State,
    /// When that began.
    pub since: Millis,
    /// When it was last changed by its user, or by itself.
    pub modified: Millis,
    /// What is wrong; empty when all is well.
    pub issues: Vec<Issue>,
    /// The service's own launch template: its id, and the version of nodes that are launched now.
    pub template: Option<(String, u64)>,
    /// Its Auto Scaling group was made: it is not made again when its user deletes it.
    pub founded: bool,
    /// The update that is under way.
    pub update: Option<Underway>,
    /// Nodes that are being replaced because they were not well.
    pub repairing: BTreeSet<String>,
}

/// The state of a node group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its nodes are not all Ready yet.
    Creating,
    /// All is there.
    Active,
    /// An update is under way.
    Updating,
    /// Something that it stands on is not as it should be.
    Degraded,
    /// On its way out.
    Deleting,
    /// Its nodes never were Ready.
    CreateFailed,
}

/// An update that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// Its id.
    pub id: String,
    /// How its nodes are replaced; None: they stay.
    pub rollout: Option<Rollout>,
}

/// How the nodes of a group are replaced by others.
///
/// ```text
/// SetUp ─a launch template version─▶ ScaleUp ─a new node Ready in each zone─▶ Upgrade ─no old node left─▶ ScaleDown ─▶ done
///                                       └────────────── an error ──────────────┴──▶ Abandon ─the surge is gone─▶ failed
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// What the new nodes run.
    pub target: Release,
    /// Pods that can't be evicted don't keep their node.
    pub force: bool,
    /// How far it is.
    pub phase: Phase,
    /// When something last went on.
    pub progress: Millis,
    /// The launch template version of the new nodes; None before set-up.
    pub to: Option<u64>,
    /// How many nodes may be missing at once, resolved.
    pub max_unavailable: u32,
    /// Old nodes that are being drained.
    pub draining: BTreeMap<String, Draining>,
    /// How many old and how many new Ready nodes there were when something last went on.
    pub counts: (usize, usize),
    /// What went wrong.
    pub error: Option<Issue>,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing has been done yet.
    SetUp,
    /// More nodes than asked for are launched.
    ScaleUp,
    /// Old nodes are drained and terminated.
    Upgrade,
    /// What is too many goes.
    ScaleDown,
    /// It failed: what is too many goes, and what is left of the old ones stays.
    Abandon,
}

/// A node that is being drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Since when.
    pub since: Millis,
    /// When the last pod was gone.
    pub drained: Option<Millis>,
}

/// What is wrong with a node group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// One of EKS's codes.
    pub code: String,
    /// For people: what, and what to do.
    pub message: String,
    /// What it is about.
    pub resources: Vec<String>,
}

impl Issue {
    pub(super) fn new(code: &str, message: impl Into<String>, resources: &[String]) -> Issue {
        Issue { code: code.into(), message: message.into(), resources: resources.to_vec() }
    }
}

impl Object for Nodegroup {
    const KIND: &'static str = "eks/nodegroup";
}

impl Nodegroup {
    /// The key of a cluster's node group.
    pub fn key(account: &str, cluster: &str, name: &str) -> Key<Nodegroup> {
        Key::new(format!("{account}/{cluster}/{name}"))
    }
}

impl Spec {
    /// Its ARN.
    pub fn arn(&self) -> Arn {
        Arn::new("eks", &self.region, &self.account, format!("nodegroup/{}/{}/{}", self.cluster, self.name, self.id))
    }

    /// The name of its Auto Scaling group.
    pub fn group_name(&self) -> String {
        format!("eks-{}-{}", self.name, self.id)
    }

    /// The name of the launch template and of the instance profile that the service makes for it.
    pub fn own_name(&self) -> String {
        format!("eks-{}", self.id)
    }
}

impl Share {
    /// So many of a group of that size: at least one.
    pub fn of(self, size: u32) -> u32 {
        match self {
            Share::Count(number) => number,
            Share::Percent(percent) => size.saturating_mul(percent) / 100,
        }
        .max(1)
    }
}
