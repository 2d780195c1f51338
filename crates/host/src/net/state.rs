//! What a network's router is made of: as it is wanted ([`Layout`], from the region's items) and as Linux has it
//! ([`Router`]). Pure.

use super::rules;
use roadstead_hostspec::Port;
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// A MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Mac(pub [u8; 6]);

/// A router in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Router {
    /// Held on the loopback as /32: gateways of subnets, balancers, services.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// By the name of the router's end.
    pub wires: BTreeMap<String, Wire>,
    /// Each a /32.
    pub routes: BTreeMap<Ipv4Addr, Route>,
    /// Whether the host has a wire to the router, and which public addresses it sends there.
    pub uplink: Option<BTreeSet<Ipv4Addr>>,
    /// The whole nftables table; unknown if somebody else may have changed it.
    pub rules: Option<String>,
}

/// A pair of interfaces between a router and a machine: what stands at the machine's end. The router's end carries it
/// as its alias, written last, so a wire that was half made when an agent died is told from a finished one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wire {
    /// The port's id.
    pub port: String,
    /// Inode of the machine's network namespace.
    pub inode: u64,
    /// Name inside, e.g. `eth0`.
    pub name: String,
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// Of `address`: its subnet's.
    pub prefix: u8,
    /// File of the namespace, and what goes through the subnet's router. Not a part of the wire's identity.
    #[serde(skip)]
    pub far: Far,
}

/// How a machine's end is set up when it is made; from then on it is the machine's own to change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Far {
    pub netns: PathBuf,
    pub gateway: Option<Ipv4Addr>,
    pub routes: Vec<Cidr>,
}

/// All are equal: what a machine does with its end later is not the router's affair.
impl PartialEq for Far {
    fn eq(&self, _: &Far) -> bool {
        true
    }
}

impl Eq for Far {}

/// Where a /32 goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The router's end of a wire.
    pub link: String,
    /// What the router itself speaks from to there: the subnet's gateway.
    pub source: Ipv4Addr,
}

/// What the region's items make of one network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// Blocks that exist inside.
    pub cidrs: Vec<Cidr>,
    /// By port id.
    pub ports: BTreeMap<String, Plug>,
    /// By balancer id.
    pub frontends: BTreeMap<String, Frontend>,
    /// By service id.
    pub services: BTreeMap<String, Service>,
}

/// A port and where it is plugged in.
#[derive(Clone, Debug)]
pub(crate) struct Plug {
    pub generation: u64,
    pub port: Port,
    pub socket: Socket,
}

/// Where a port is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// Nobody said since the agent started: a wire that stands is kept.
    Unknown,
    /// In no machine.
    Free,
    /// In a machine.
    Machine {
        id: String,
        netns: PathBuf,
        inode: u64,
        /// Name of the interface inside.
        name: String,
        /// Destinations that the machine sends through this port.
        routes: Vec<Cidr>,
    },
}

/// A balancer's data path: who is dialled, and who gets the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// Addresses in the network. The first speaks to targets for clients from outside.
    pub addresses: Vec<Ipv4Addr>,
    /// Address outside, and who may dial it.
    pub public: Option<(Ipv4Addr, Vec<Cidr>)>,
    /// By port: where new connections go, spread evenly by flow. None: refused.
    pub listeners: BTreeMap<u16, Vec<(Ipv4Addr, u16)>>,
}

/// A TCP service of the router itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique among the network's services.
    pub id: String,
    /// Address that the router takes for it.
    pub address: Ipv4Addr,
    /// TCP port.
    pub port: u16,
    /// Who may connect.
    pub clients: Cidr,
}

impl Layout {
    /// The router that the layout asks for. `have` is what stands: wires of ports whose machine is not known yet stay.
    /// `table` is the name of its nftables table.
    pub fn router(&self, have: &Router, table: &str) -> Router {
        let mut router = Router { rules: Some(rules::render(table, self)), ..Router::default() };
        for plug in self.ports.values() {
            router.addresses.insert(plug.port.gateway());
            self.wire(plug, have, &mut router);
        }
        router.addresses.extend(self.frontends.values().flat_map(|f| &f.addresses));
        router.addresses.extend(self.services.values().map(|s| s.address));
        let public: BTreeSet<_> = self.frontends.values().filter_map(|f| Some(f.public.as_ref()?.0)).collect();
        router.uplink = (!public.is_empty()).then_some(public);
        router
    }

    fn wire(&self, plug: &Plug, have: &Router, router: &mut Router) {
        let link = link_name(&plug.port.id);
        let wire = match &plug.socket {
            Socket::Free => return,
            Socket::Unknown => have.wires.get(&link).filter(|wire| wire.port == plug.port.id).cloned(),
            Socket::Machine { .. } => plug.wire(),
        };
        let Some(wire) = wire else { return };
        for address in plug.addresses() {
            router.routes.insert(address, Route { link: link.clone(), source: plug.port.gateway() });
        }
        router.wires.insert(link, wire);
    }
}

impl Plug {
    /// Every address that the router sends to the port.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.port.address).chain(self.port.secondary.iter().copied())
    }

    fn wire(&self) -> Option<Wire> {
        let Socket::Machine { netns, inode, name, routes, .. } = &self.socket else { return None };
        Some(Wire {
            port: self.port.id.clone(),
            inode: *inode,
            name: name.clone(),
            mac: self.port.mac.parse().ok()?,
            address: self.port.address,
            prefix: self.port.subnet.prefix(),
            far: Far { netns: netns.clone(), gateway: Some(self.port.gateway()), routes: routes.clone() },
        })
    }
}

impl Wire {
    /// The alias of the router's end. At most 256 bytes by the kernel's rule; ids are shorter than 64.
    pub fn alias(&self) -> String {
        serde_json::to_string(self).expect("a wire is plain data")
    }

    /// The wire of an alias; a half-made or foreign one is a wire like no other.
    pub fn from_alias(alias: &str) -> Wire {
        serde_json::from_str(alias).unwrap_or_default()
    }
}

/// Name of the router's end of a port's wire. Only names inside one router need to differ.
pub(crate) fn link_name(port: &str) -> String {
    format!("p{:014x}", hash(port) >> 8)
}

/// Name of the host's end of a network's uplink.
pub(crate) fn uplink_name(mark: &str, network: &str) -> String {
    format!("{mark}-{:09x}", hash(network) >> 28)
}

/// FNV-1a: names must be the same in every version of the agent.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Mac, String> {
        let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        let mac: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
        mac.map(Mac).ok_or_else(|| format!("'{text}' is not a MAC address (aa:bb:cc:dd:ee:ff)"))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Mac, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}
