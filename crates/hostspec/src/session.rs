//! The conversation between region and host: JSON frames over a stream, each a big-endian u32 length and a body.

use crate::{
    Balancer, BalancerStatus, Credential, Disk, DiskStatus, Endpoint, EndpointStatus, Machine, MachineStatus, Metadata,
    Network, NetworkStatus, Port, PortStatus, Quorum, Reviewer, ReviewerStatus, SecurityGroup,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// A frame's body is at most this long, bytes.
pub const MAX_FRAME: u32 = 64 << 20;

/// One thing a host must look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the type it holds")]
pub enum Item {
    Network(Network),
    Port(Port),
    SecurityGroup(SecurityGroup),
    Disk(Disk),
    Machine(Machine),
    Metadata(Metadata),
    Balancer(Balancer),
    Endpoint(Endpoint),
    Quorum(Quorum),
    Credential(Credential),
    Reviewer(Reviewer),
}

/// The kinds of [`Item`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the type it names")]
pub enum ItemKind {
    Network,
    Port,
    SecurityGroup,
    Disk,
    Machine,
    Metadata,
    Balancer,
    Endpoint,
    Quorum,
    Credential,
    Reviewer,
}

/// Names an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemKey {
    /// Its kind.
    pub kind: ItemKind,
    /// Unique in its kind.
    pub id: String,
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.id)
    }
}

impl Item {
    /// Its name.
    pub fn key(&self) -> ItemKey {
        let (kind, id) = match self {
            Item::Network(x) => (ItemKind::Network, &x.id),
            Item::Port(x) => (ItemKind::Port, &x.id),
            Item::SecurityGroup(x) => (ItemKind::SecurityGroup, &x.id),
            Item::Disk(x) => (ItemKind::Disk, &x.id),
            Item::Machine(x) => (ItemKind::Machine, &x.id),
            Item::Metadata(x) => (ItemKind::Metadata, &x.id),
            Item::Balancer(x) => (ItemKind::Balancer, &x.id),
            Item::Endpoint(x) => (ItemKind::Endpoint, &x.id),
            Item::Quorum(x) => (ItemKind::Quorum, &x.id),
            Item::Credential(x) => (ItemKind::Credential, &x.access_key_id),
            Item::Reviewer(x) => (ItemKind::Reviewer, &x.id),
        };
        ItemKey { kind, id: id.clone() }
    }
}

/// An item and the generation of its body. A generation older than the one the host has is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// Grows with every change of the body.
    pub generation: u64,
    /// The body.
    pub item: Item,
}

/// What the host saw of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the type it holds")]
pub enum Status {
    Network(NetworkStatus),
    Port(PortStatus),
    Disk(DiskStatus),
    Machine(MachineStatus),
    Balancer(BalancerStatus),
    Endpoint(EndpointStatus),
    Reviewer(ReviewerStatus),
}

/// From region to host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// Opens the one session: everything there must be. What the host has and this does not name is removed.
    /// An epoch older than the newest one seen is refused (a region restored from an older state takes a new epoch).
    Session {
        /// Grows whenever the region's history may have been rewound.
        epoch: u64,
        /// All of it.
        items: Vec<Versioned>,
    },
    /// What changed since.
    Change {
        /// New bodies.
        put: Vec<Versioned>,
        /// Gone.
        remove: Vec<ItemKey>,
    },
    /// On a connection of its own: connect to an address inside a network and pass the socket back.
    Dial {
        /// Network id.
        network: String,
        /// Address inside it.
        address: Ipv4Addr,
        /// TCP port.
        port: u16,
    },
}

/// From host to region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHost {
    /// Answers `Session`.
    Welcome,
    /// An item's status, whenever it changes; every item's once after `Session`.
    Saw {
        /// Which.
        key: ItemKey,
        /// The generation of the body that it was seen under.
        generation: u64,
        /// What was seen.
        status: Status,
    },
    /// The item and all that belonged to it are gone from the host.
    Gone {
        /// Which.
        key: ItemKey,
    },
    /// Answers `Dial`; the connected socket rides on the frame's first byte (SCM_RIGHTS).
    Dialled,
    /// The request was refused; the connection closes.
    Refused {
        /// For people.
        why: String,
    },
}
