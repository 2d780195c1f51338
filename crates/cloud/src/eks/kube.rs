//! The way to a cluster's own API: what must be in it, and whether it answers.
//!
//! The kube driver dials the cluster through its balancer, inside its VPC, as an API server's client: so what it reports
//! is what a client sees, not what a process says of itself.

use roadstead_store::{AnyKey, Key, Object, Tx};
use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// How to reach a cluster's API, and what to keep in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeSpec {
    /// The cluster's name: a token's signed `x-k8s-aws-id`.
    pub cluster: String,
    /// Region that the probe's token is scoped to.
    pub region: String,
    /// The network to dial in.
    pub network: String,
    /// The balancer's addresses there; kept as the endpoints of the `kubernetes` Service (kube-apiserver runs with
    /// `--endpoint-reconciler-type=none`).
    pub addresses: Vec<Ipv4Addr>,
    /// The TCP port.
    pub port: u16,
    /// PEM of the cluster's authority.
    pub authority: String,
    /// PEM of the service's own client certificate.
    pub certificate: String,
    /// Its key, PKCS #8 PEM.
    pub key: Sealed,
    /// Access key id of the probe: a principal that the cluster knows and that may do nothing in it.
    pub probe_key_id: String,
    /// Its secret access key.
    pub probe_secret: Sealed,
    /// The user name that the probe must be known by.
    pub probe_user: String,
}

/// The way into a cluster's own API for the service, which may do everything there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The network to dial in.
    pub network: String,
    /// The balancer's addresses there.
    pub addresses: Vec<Ipv4Addr>,
    /// The TCP port.
    pub port: u16,
    /// PEM of the cluster's authority.
    pub authority: String,
    /// PEM of the service's own client certificate.
    pub certificate: String,
    /// Its key, PKCS #8 PEM.
    pub key: Sealed,
}

impl KubeSpec {
    /// The way in, without the probe's.
    pub fn access(&self) -> Access {
        Access {
            network: self.network.clone(),
            addresses: self.addresses.clone(),
            port: self.port,
            authority: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }
}

/// What the kube driver saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeState {
    /// The API answers through the balancer, knows the probe by its token, and has made the default service account.
    pub ready: bool,
    /// Why not, for people; the API server's version when it is.
    pub why: String,
    /// When `ready` last changed.
    pub since: Millis,
}

impl Object for KubeSpec {
    const KIND: &'static str = "eks/kube-spec";
}

impl Object for KubeState {
    const KIND: &'static str = "eks/kube-state";
}

/// The key of a cluster's API, `id` being the cluster's unique id.
pub fn key(id: &str) -> Key<KubeSpec> {
    Key::new(id)
}

/// The key of what was seen of it.
pub fn state_key(id: &str) -> Key<KubeState> {
    Key::new(id)
}

/// States how to reach a cluster's API.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, id: &str, spec: KubeSpec) {
    tx.set(&key(id), Some(owner.clone()), spec);
}

/// Forgets it.
pub fn remove(tx: &mut Tx, id: &str) {
    tx.remove(&key(id));
    tx.remove(&state_key(id));
}
