//! Layer-4 balancers.

use roadstead_types::{Cidr, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A network load balancer: addresses whose TCP ports are spread over healthy targets by the kernel.
/// The data path lives in the network's router, so it works while the agent is away; health is the agent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    /// Unique in the region.
    pub id: String,
    /// The [`Network`](crate::Network) of its addresses and targets.
    pub network: String,
    /// Its addresses in the network (one per zone), held by nobody else.
    pub addresses: Vec<Ipv4Addr>,
    /// Its address outside, if it has one.
    pub public: Option<PublicAddress>,
    /// Its ports.
    pub listeners: Vec<Listener>,
    /// [`SecurityGroup`](crate::SecurityGroup)s whose members its addresses in the network are: rules that name one of
    /// them let their members be dialled there. Its targets' own groups say who may.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An address of the outside that leads into a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAddress {
    /// E.g. 127.43.7.16 on the embedded default.
    pub address: Ipv4Addr,
    /// Who may connect from outside; checked before any address translation. Empty = nobody.
    pub sources: Vec<Cidr>,
}

/// A port of a balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The TCP port clients dial.
    pub port: u16,
    /// Where connections go; flow-hashed over the healthy ones. When none is, over those that may yet serve, or over all
    /// (fail open, as NLB does).
    pub targets: Vec<Target>,
    /// When a target counts as healthy.
    pub health: HealthCheck,
}

/// A target of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Unique in the listener, e.g. the instance's id.
    pub id: String,
    /// In the balancer's network.
    pub address: Ipv4Addr,
    /// TCP port.
    pub port: u16,
    /// Who serves there, if it is a machine's process: a host that has the machine knows before any check when the
    /// process is gone or not ready, and gives it no connections then.
    #[serde(default)]
    pub server: Option<Server>,
}

/// A process of a [`Machine`](crate::Machine).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The machine's id.
    pub machine: String,
    /// [`Process::name`](crate::Process::name).
    pub process: String,
}

/// How a target's health is told. A new target is unhealthy until it passed `healthy` checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    pub protocol: HealthProtocol,
    /// Between checks of one target.
    pub interval: Millis,
    /// An answer later than this is none.
    pub timeout: Millis,
    /// Successes in a row that make it healthy.
    pub healthy: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthProtocol {
    /// A connection is accepted.
    Tcp,
    /// `GET path` answers 200, by TLS whose certificate is not checked, as NLB does.
    Https {
        /// E.g. `/readyz`.
        path: String,
    },
}

/// What the host saw of a [`Balancer`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// The data path is in place.
    pub ready: bool,
    /// Why not, for people.
    pub why: Option<String>,
    /// Health by target id.
    pub targets: BTreeMap<String, TargetHealth>,
}

/// Health of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// It gets new connections.
    pub healthy: bool,
    /// When that began.
    pub since: Millis,
    /// What the last failed check saw.
    pub why: Option<String>,
}
