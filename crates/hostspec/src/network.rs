//! Networks and ports: VPCs and ENIs as a host sees them.

use crate::border::Border;
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A layer-3 network with a router of its own: a VPC, or the private network of a control plane's etcd.
/// Networks are isolated from each other, so their CIDRs may overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// E.g. `vpc-0123456789abcdef0`; unique in the region.
    pub id: String,
    /// The blocks that exist inside. The router refuses what is in none of them, is not a
    /// balancer's public traffic, and has no way [outside](Outside).
    pub cidrs: Vec<Cidr>,
    /// The router answers at the link-local addresses that every VPC has for its instances: [`link_local`](crate::link_local).
    #[serde(default)]
    pub link_local: bool,
    /// How it is connected with the outside.
    #[serde(default)]
    pub outside: Outside,
    /// Where subnets let not everything through.
    #[serde(default)]
    pub borders: Vec<Border>,
    /// What goes to a port that it is not for. Those of a subnet lead to different blocks.
    #[serde(default)]
    pub detours: Vec<Detour>,
}

/// A network's connections with the outside, which no private address is known in: who is inside speaks from a public
/// one there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// What may go out. Ways of the same addresses lead to different blocks.
    pub exits: Vec<Exit>,
    /// By public address: the private one that is reached by it.
    pub reached: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exit {
    /// Who takes it.
    pub from: Cidr,
    /// Where it leads; what of that is inside is not meant.
    pub to: Cidr,
    /// Who that is outside.
    pub seen_as: Ipv4Addr,
    /// The subnet of the NAT gateway that leads there: what goes this way crosses its border, in and out.
    #[serde(default)]
    pub through: Option<Cidr>,
}

/// What ports of a subnet send to a block goes to another port, whose machine is to see to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Detour {
    /// The subnet.
    pub from: Cidr,
    /// Where its ports send it.
    pub to: Cidr,
    /// The port that gets it. None: nobody does.
    pub by: Option<String>,
}

impl Outside {
    /// The public addresses; some may come more than once.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.exits.iter().map(|exit| exit.seen_as).chain(self.reached.keys().copied())
    }
}

/// What the host saw of a [`Network`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// The router exists and forwards.
    pub ready: bool,
    /// Why not, for people.
    pub why: Option<String>,
}

/// A network interface (ENI): a place in a network, kept whether or not a machine uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// E.g. `eni-0123456789abcdef0`.
    pub id: String,
    /// The [`Network`] it is in.
    pub network: String,
    /// Locally administered unicast, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// The subnet; its first host address (`.1`) is the gateway, answered by the router.
    pub subnet: Cidr,
    /// Primary private address, in `subnet`.
    pub address: Ipv4Addr,
    /// Secondary private addresses that the router also sends here.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Its [`SecurityGroup`](crate::SecurityGroup)s. With some it gets and sends nothing that none of them lets through,
    /// whether or not the host knows them yet; with none, everything.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its machine may send what is from other addresses than the port's.
    #[serde(default)]
    pub forwards: bool,
}

impl Port {
    /// The subnet's router: base + 1, as in every VPC subnet.
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.nth(1).unwrap_or(self.subnet.base())
    }
}

/// What the host saw of a [`Port`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// The router routes the addresses to it; the machine end exists when a machine uses it.
    pub ready: bool,
    /// Why not, for people.
    pub why: Option<String>,
}
