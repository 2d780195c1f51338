//! What a network's router is made of in the kernel, and how its parts are named. Pure.

use super::rules::Rules;
use roadstead_types::{Cidr, Mac};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// How wires are made. One that an agent of another version made otherwise is made anew.
pub(super) const FORM: u8 = 1;

/// A router in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Router {
    /// The kernel's settings of it are ours.
    pub tuned: bool,
    /// Held on the loopback as /32: gateways of subnets, balancers, services.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// By the name of the router's end.
    pub wires: BTreeMap<String, Wire>,
    /// Each a /32, by the machine's MAC address: the machine need not answer for it by ARP, and does not for addresses of
    /// its pods.
    pub routes: BTreeMap<Ipv4Addr, Route>,
    /// By number: the router's end of the wire that packets with that number's mark go by.
    pub detours: BTreeMap<u16, String>,
    /// Its wires to what is around it, and which public addresses are sent there.
    pub uplinks: BTreeMap<Uplink, BTreeSet<Ipv4Addr>>,
    /// The nftables table; none if somebody else may have changed it.
    pub rules: Option<Rules>,
}

/// A wire from a router to what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Uplink {
    /// To the host's own namespace, where clients of balancers are.
    Host,
    /// To the namespace that is the outside of VPCs.
    Outside,
}

impl Uplink {
    pub const ALL: [Uplink; 2] = [Uplink::Host, Uplink::Outside];

    /// Name of the router's end.
    pub fn near(self) -> &'static str {
        match self {
            Uplink::Host => "uplink",
            Uplink::Outside => "outside",
        }
    }

    /// Name of the other end of a network's wire.
    pub fn far(self, mark: &str, network: &str) -> String {
        let between = match self {
            Uplink::Host => '-',
            Uplink::Outside => 'o',
        };
        format!("{mark}{between}{:09x}", hash(network) >> 28)
    }
}

/// A pair of interfaces between a router and a machine: what stands at the machine's end. The router's end carries it
/// as its alias, written last, so a wire that was half made when an agent died is told from a finished one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wire {
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
    /// [`FORM`] when it was made.
    #[serde(default)]
    pub form: u8,
    /// File of the namespace, and what goes through the subnet's router. Not a part of the wire's identity.
    #[serde(skip)]
    pub far: Far,
}

/// How a machine's end is set up when it is made; from then on it is the machine's own to change.
#[derive(Clone, Debug, Default)]
pub(super) struct Far {
    pub netns: PathBuf,
    /// It comes up without an address or a route: who is inside sees to that.
    pub bare: bool,
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
pub(super) struct Route {
    /// The router's end of a wire.
    pub link: String,
    /// What the router itself speaks from to there: the subnet's gateway.
    pub source: Ipv4Addr,
}

impl Wire {
    /// The alias of the router's end. At most 256 bytes by the kernel's rule; ids are shorter than 64.
    pub fn alias(&self) -> String {
        serde_json::to_string(self).expect("a wire is plain data")
    }

    /// The wire of an alias, if it is one.
    pub fn from_alias(alias: &str) -> Option<Wire> {
        serde_json::from_str(alias).ok()
    }

    /// A wire like no wanted one: half made, or changed by somebody else.
    pub fn foreign() -> Wire {
        let (port, name, address) = (String::new(), String::new(), Ipv4Addr::UNSPECIFIED);
        Wire { port, inode: 0, name, mac: Mac::default(), address, prefix: 0, form: 0, far: Far::default() }
    }
}

/// Name of the router's end of a port's wire. Only names inside one router need to differ.
pub(super) fn link_name(port: &str) -> String {
    format!("p{:014x}", hash(port) >> 8)
}

/// FNV-1a: names must be the same in every version of the agent.
pub(super) fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
