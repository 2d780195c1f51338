//! Security groups: what a network's router lets through to and from the ports that have them.

use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};

/// A security group. Who has groups gets and sends what one of them lets through, and the answers to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// E.g. `sg-0123456789abcdef0`.
    pub id: String,
    /// The [`Network`](crate::Network) whose ports may have it.
    pub network: String,
    /// What those that have it get.
    pub ingress: Vec<Permission>,
    /// What they send.
    pub egress: Vec<Permission>,
}

/// Traffic that is let through, and from or to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    /// What.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer,
}

/// Kinds of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Every one.
    All,
    /// TCP to these ports.
    Tcp {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// UDP to these ports.
    Udp {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// ICMP.
    Icmp {
        /// Of this type; none: of every one.
        kind: Option<u8>,
        /// With this code; none: with every one.
        code: Option<u8>,
    },
    /// Another protocol.
    Other {
        /// IANA's number of it.
        protocol: u8,
    },
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// Every address of a block.
    Block(Cidr),
    /// Every address of who has this group of the same network.
    Group(String),
}
