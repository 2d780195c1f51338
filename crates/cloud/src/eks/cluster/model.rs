use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Cidr, Millis, Tags};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// What its creator asked for.
    pub spec: Spec,
    /// Its tags.
    pub tags: Tags,
    /// Where its parts stand; made by its first plan.
    pub placement: Option<Placement>,
    /// How it is.
    pub status: Status,
    /// It was given its self-managed add-ons: what has become of them since is its users' business.
    #[serde(default)]
    pub defaults_stated: bool,
}

fn wanted() -> bool {
    true
}

/// What a cluster's creator asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name, unique in account and region.
    pub name: String,
    /// 32 hexadecimal digits: names the cluster for ever, in its issuer and in what belongs to it.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The principal that made it: its first administrator.
    pub creator: String,
    /// Kubernetes minor, e.g. `1.36`.
    pub version: String,
    /// The cluster role.
    pub role_arn: String,
    /// Where in the user's network.
    pub vpc: VpcConfig,
    /// Addresses of services.
    pub service_cidr: Cidr,
    /// `CONFIG_MAP`, `API` or `API_AND_CONFIG_MAP`.
    pub authentication_mode: String,
    /// Whether the creator became its administrator.
    pub creator_is_admin: bool,
    /// `EXTENDED` or `STANDARD`.
    pub support_type: String,
    /// Log types that are enabled.
    pub logging: Vec<String>,
    /// Refuses deletion while ACTIVE.
    pub deletion_protection: bool,
    /// It begins with its add-ons, which nobody manages but its users.
    #[serde(default = "wanted")]
    pub self_managed_addons: bool,
    /// Echoed by describe.
    pub client_request_token: Option<String>,
}

/// A cluster's place in its user's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcConfig {
    /// Derived from the subnets.
    pub vpc: String,
    /// At least two, in two zones.
    pub subnets: Vec<String>,
    /// The user's own.
    pub security_groups: Vec<String>,
    /// Made for the cluster.
    pub cluster_security_group: String,
    /// Reached from outside.
    pub endpoint_public: bool,
    /// Reached inside the VPC under the endpoint's name.
    pub endpoint_private: bool,
    /// Who may reach it from outside.
    pub public_cidrs: Vec<Cidr>,
}

/// Where the parts of a control plane stand. Made once; replacements take these places over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The service's own network for this cluster's etcd.
    pub network: String,
    /// The etcd members, one a zone.
    pub members: Vec<Member>,
    /// The API machines.
    pub servers: Vec<Server>,
    /// The balancer's interfaces in the user's subnets.
    pub balancer_interfaces: Vec<String>,
    /// The addresses that the balancer has: the first is the cluster's own inside the VPC, and stays, whatever subnets it
    /// stands in; then those of the interfaces.
    pub balancer_addresses: Vec<Ipv4Addr>,
    /// The balancer's address outside, closed while the endpoint is not public. None only where there was none left.
    pub public_address: Option<Ipv4Addr>,
    /// What is left of it in subnets that it goes from.
    #[serde(default)]
    pub leaving: Leaving,
    /// How often the API servers' certificate was made anew, for other addresses.
    #[serde(default)]
    pub certificate: u32,
}

/// What is left of a control plane in subnets that it goes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Interfaces.
    pub interfaces: Vec<String>,
    /// Addresses that the balancer has until all stand in their new places.
    pub addresses: Vec<Ipv4Addr>,
    /// All do: the balancer no longer has these, and the interfaces go.
    pub closed: bool,
}

/// How a cluster stood in its user's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// What its user had asked for.
    pub vpc: VpcConfig,
    /// The API machines.
    pub servers: Vec<Server>,
    /// The balancer's interfaces.
    pub balancer_interfaces: Vec<String>,
    /// The balancer's addresses.
    pub balancer_addresses: Vec<Ipv4Addr>,
    /// It does so no longer, and will never again.
    pub left: bool,
}

/// An etcd member's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `etcd-1`…
    pub name: String,
    /// Its interface in the cluster's own network.
    pub interface: String,
    /// Its address there.
    pub address: Ipv4Addr,
    /// Its data.
    pub volume: String,
    /// It came to a cluster that was there before it, and not with the two others.
    #[serde(default)]
    pub joined: bool,
    /// Where it is on its way out and in again.
    #[serde(default)]
    pub stage: Stage,
}

/// Where an etcd member is on its way out and in again.
///
/// ```text
/// Voting ─its disk is lost─▶ Leaving ─its machine is gone, it is no member─▶ Joining, on a new volume
///    ▲                          ▲                                              │ added as learner: its id; its machine starts
///    │                          └───────── that disk is lost, too ─────────────┤
///    └──────────────────────────── caught up and promoted ─────────────────────┘
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It has a vote.
    #[default]
    Voting,
    /// Its data are lost: its machine goes, then its membership, then its volume.
    Leaving {
        /// Why, for people.
        why: String,
    },
    /// It begins anew.
    Joining {
        /// etcd's id of it, once it was added: its machine may run.
        id: Option<u64>,
    },
}

impl VpcConfig {
    /// The security groups of the control plane's interfaces in the user's network: the cluster's, and the user's own.
    pub fn control_plane_groups(&self) -> Vec<String> {
        let own = &self.cluster_security_group;
        [own].into_iter().chain(self.security_groups.iter().filter(|group| *group != own)).cloned().collect()
    }
}

impl Leaving {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }
}

impl Member {
    /// Its machine is to run.
    pub fn runs(&self) -> bool {
        matches!(self.stage, Stage::Voting | Stage::Joining { id: Some(_) })
    }
}

/// An API machine's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `api-1`…
    pub name: String,
    /// Its interface in the user's subnet.
    pub front: String,
    /// Its address there: the balancer's target.
    pub front_address: Ipv4Addr,
    /// Its interface in the cluster's own network.
    pub back: String,
}

/// How a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// As describe says.
    pub state: State,
    /// When that began.
    pub since: Millis,
    /// PEM of its authority, once there.
    pub authority: Option<String>,
    /// What is wrong, for people; empty when all is well.
    pub issues: Vec<Issue>,
    /// The update that is under way: the cluster is UPDATING, and serves.
    #[serde(default)]
    pub update: Option<Underway>,
}

/// An update of a cluster that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// Of its [`Update`](crate::eks::update::Update).
    pub id: String,
    /// When it began.
    pub since: Millis,
    /// How what it changes was before, if it may fail.
    #[serde(default)]
    pub before: Option<Before>,
    /// The instance that tries another version's programs: no API server is touched while it does.
    #[serde(default)]
    pub trial: Option<String>,
}

/// How something was before an update that may fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// The endpoint's access.
    Endpoint(VpcConfig),
    /// The Kubernetes minor.
    Version(String),
    /// Its subnets and security groups.
    Network(Box<Stand>),
}

/// The state of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Not yet probed end to end.
    Creating,
    /// Was probed end to end.
    Active,
    /// On its way out.
    Deleting,
    /// Never became active.
    Failed,
}

/// What is wrong with a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// One of EKS's codes.
    pub code: String,
    /// For people: what, and what it waits for.
    pub message: String,
    /// What it is about.
    pub resources: Vec<String>,
}

impl Issue {
    pub(in crate::eks) fn new(code: &str, message: impl Into<String>, resources: &[String]) -> Issue {
        Issue { code: code.into(), message: message.into(), resources: resources.to_vec() }
    }
}

impl Object for Cluster {
    const KIND: &'static str = "eks/cluster";
}

impl Cluster {
    /// Whether it is ACTIVE as EKS shows it: it serves, and nothing of it is being changed.
    pub fn is_active(&self) -> bool {
        self.status.state == State::Active && self.status.update.is_none()
    }

    /// The key of an account's cluster.
    pub fn key(account: &str, name: &str) -> Key<Cluster> {
        Key::new(format!("{account}/{name}"))
    }
}

impl Spec {
    /// The cluster's ARN.
    pub fn arn(&self) -> Arn {
        Arn::new("eks", &self.region, &self.account, format!("cluster/{}", self.name))
    }

    /// The issuer of its service account tokens: 32 upper-case hexadecimal digits at EKS's own address.
    pub fn issuer(&self) -> String {
        format!("https://oidc.eks.{}.amazonaws.com/id/{}", self.region, self.id)
    }
}

impl Spec {
    /// The name of the control plane's group for a role: `etcd`, `api`.
    pub fn group_name(&self, role: &str) -> String {
        format!("eks-{}-{role}", self.id)
    }

    /// The access key id of the cluster's probe.
    pub fn probe_key_id(&self) -> String {
        format!("AKIA{}", &self.id[..16])
    }
}
