//! What a region is: its name, its account, its zones. One record, written at every start from the configuration.

use roadstead_store::{Key, Object, Read};
use roadstead_types::{Cidr, Millis};
use serde::{Deserialize, Serialize};

/// The account that owns what a service runs for its users (etcd networks, control plane machines). No user is in it.
pub const SERVICE_ACCOUNT: &str = "000000000000";

/// The region's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// E.g. `us-east-1`.
    pub region: String,
    /// The account of the region's user.
    pub account: String,
    /// At least three, in order.
    pub zones: Vec<Zone>,
    /// Where public addresses come from.
    pub public_pool: Cidr,
    /// The addresses of VPCs outside; none: there is no outside, and nothing leaves a VPC.
    #[serde(default)]
    pub outside: Option<Cidr>,
    /// Host names (and ports) under which this region's own STS is reached, as tokens may name it.
    pub sts_hosts: Vec<String>,
    /// The Kubernetes versions on offer, newest first.
    pub kubernetes: Vec<KubernetesVersion>,
    /// The etcd component set, e.g. `etcd-3.6.16`.
    pub etcd: String,
    /// The containerd component set, e.g. `containerd-2.3.7`.
    #[serde(default)]
    pub containerd: String,
    /// The runc component set, e.g. `runc-1.5.2`.
    #[serde(default)]
    pub runc: String,
    /// The CoreDNS component set, e.g. `coredns-1.14.7`.
    #[serde(default)]
    pub coredns: String,
    /// The metrics-server component set, e.g. `metrics-server-0.9.0`.
    #[serde(default)]
    pub metrics_server: String,
    /// Processors of the host, of which no instance may have more; 0 = not known.
    #[serde(default)]
    pub vcpus: u32,
    /// Policies decide who may do what. A region of before, whose first user has none, says nothing here.
    #[serde(default)]
    pub policies_decide: bool,
}

/// An availability zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// E.g. `us-east-1a`.
    pub name: String,
    /// E.g. `use1-az1`.
    pub id: String,
}

/// A Kubernetes version on offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesVersion {
    /// E.g. `1.36`.
    pub minor: String,
    /// E.g. `1.36.3`.
    pub patch: String,
    /// The component set, e.g. `kubernetes-1.36.3`.
    pub components: String,
    /// Whether a cluster whose creator names no version gets this one.
    pub default: bool,
    /// When upstream released the minor.
    pub released: Millis,
    /// The date of its node images, `20261013`: when the newest of what is in them was released.
    #[serde(default)]
    pub image_date: String,
}

impl Object for Settings {
    const KIND: &'static str = "region/settings";
}

impl Settings {
    /// The key of the one record.
    pub fn key() -> Key<Settings> {
        Key::new("settings")
    }

    /// The region's settings.
    ///
    /// # Panics
    /// If the store was never initialised; the server does so before anything reads.
    pub fn of(read: &impl Read) -> Settings {
        read.get(&Settings::key()).expect("the region's settings are written before anything else").body
    }

    /// The default Kubernetes version.
    pub fn default_kubernetes(&self) -> Option<&KubernetesVersion> {
        self.kubernetes.iter().find(|v| v.default)
    }
}
