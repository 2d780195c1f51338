use roadstead_hostspec as hostspec;
use roadstead_store::Object;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A kind of item that a host makes real.
pub trait HostItem: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static {
    /// Kind of the record that wants it.
    const WANT: &'static str;
    /// Kind of the record that says what a host saw of it.
    const SAW: &'static str;
    /// What a host says of it.
    type Status: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static;
    /// Unique in its kind.
    fn id(&self) -> &str;
    /// As it travels.
    fn item(self) -> hostspec::Item;
    /// Its kind as it travels.
    fn kind() -> hostspec::ItemKind;
    /// The status of this kind out of any.
    fn status(any: hostspec::Status) -> Option<Self::Status>;
}

/// An item that a host must have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Want<T: HostItem>(pub T);

/// What a host said of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Saw<T: HostItem> {
    /// Generation of the [`Want`] that it was seen under.
    pub generation: u64,
    /// None: told, and nothing heard yet.
    pub status: Option<T::Status>,
}

impl<T: HostItem> Object for Want<T> {
    const KIND: &'static str = T::WANT;
}

impl<T: HostItem> Object for Saw<T> {
    const KIND: &'static str = T::SAW;
}

macro_rules! host_item {
    ($kind:ident, $status:ty, $id:ident, $want:literal, $saw:literal, $extract:pat => $got:expr) => {
        impl HostItem for hostspec::$kind {
            const WANT: &'static str = $want;
            const SAW: &'static str = $saw;
            type Status = $status;
            fn id(&self) -> &str {
                &self.$id
            }
            fn item(self) -> hostspec::Item {
                hostspec::Item::$kind(self)
            }
            fn kind() -> hostspec::ItemKind {
                hostspec::ItemKind::$kind
            }
            fn status(any: hostspec::Status) -> Option<$status> {
                match any {
                    $extract => $got,
                    #[allow(unreachable_patterns, reason = "what has no status has a pattern that takes everything")]
                    _ => None,
                }
            }
        }
    };
}

host_item!(Network, hostspec::NetworkStatus, id, "host/network", "host/network-status", hostspec::Status::Network(s) => Some(s));
host_item!(Port, hostspec::PortStatus, id, "host/port", "host/port-status", hostspec::Status::Port(s) => Some(s));
host_item!(SecurityGroup, (), id, "host/security-group", "host/security-group-status", _ => None);
host_item!(Disk, hostspec::DiskStatus, id, "host/disk", "host/disk-status", hostspec::Status::Disk(s) => Some(s));
host_item!(Machine, hostspec::MachineStatus, id, "host/machine", "host/machine-status", hostspec::Status::Machine(s) => Some(s));
host_item!(Balancer, hostspec::BalancerStatus, id, "host/balancer", "host/balancer-status", hostspec::Status::Balancer(s) => Some(s));
host_item!(Endpoint, hostspec::EndpointStatus, id, "host/endpoint", "host/endpoint-status", hostspec::Status::Endpoint(s) => Some(s));
host_item!(Reviewer, hostspec::ReviewerStatus, id, "host/reviewer", "host/reviewer-status", hostspec::Status::Reviewer(s) => Some(s));
host_item!(Metadata, (), id, "host/metadata", "host/metadata-status", _ => None);
host_item!(Quorum, (), id, "host/quorum", "host/quorum-status", _ => None);
host_item!(Credential, (), access_key_id, "host/credential", "host/credential-status", _ => None);
