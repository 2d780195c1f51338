//! What the region's items make of one network, and the router that it takes. Pure.

use super::detours;
use super::rules::Rules;
use super::state::{FORM, Far, Route, Router, Uplink, Wire, link_name};
use roadstead_hostspec::{Border, Detour, Outside, Port, SecurityGroup};
use roadstead_types::Cidr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What the region's items make of one network.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Blocks that exist inside.
    pub cidrs: Vec<Cidr>,
    /// What goes out, and who is reached from there.
    pub outside: Outside,
    /// Where subnets let not everything through.
    pub borders: Vec<Border>,
    /// What goes to interfaces that it is not for.
    pub detours: Vec<Detour>,
    /// By port id.
    pub ports: BTreeMap<String, Plug>,
    /// By security group id.
    pub groups: BTreeMap<String, SecurityGroup>,
    /// By balancer id.
    pub frontends: BTreeMap<String, Frontend>,
    /// By quorum id: addresses and ports at which clients are refused.
    pub refused: BTreeMap<String, BTreeSet<(Ipv4Addr, u16)>>,
    /// By service id.
    pub services: BTreeMap<String, Service>,
}

/// A port and where it is plugged in.
#[derive(Clone, Debug)]
pub(super) struct Plug {
    pub port: Port,
    pub socket: Socket,
}

/// Where a port is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    /// Nobody said since the agent started: a wire that stands is kept.
    Unknown,
    /// In no machine.
    Free,
    Machine(Plugged),
}

/// A machine's end of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plugged {
    /// The machine's id.
    pub machine: String,
    /// File of the machine's network namespace, and its inode.
    pub netns: PathBuf,
    pub inode: u64,
    /// Name of the interface inside.
    pub name: String,
    pub way: Way,
}

/// What a machine sends through a port besides its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All for which it has no other route: its first port.
    Everywhere,
    /// What is in the port's network.
    Network,
    /// Nothing else.
    Subnet,
    /// Nothing: the machine's own programs give it addresses and routes.
    Bare,
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
    /// Security groups whose members its addresses in the network are.
    pub groups: Vec<String>,
}

/// A service of the router itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique among the network's services.
    pub id: String,
    /// Address that the router takes for it; inside the network, or link-local.
    pub address: Ipv4Addr,
    /// How it is spoken to.
    pub transport: Transport,
    /// Its port.
    pub port: u16,
    /// Who may speak to it.
    pub clients: Vec<Cidr>,
    /// Security groups whose members its address is. With some, they and those of who speaks to it decide instead.
    pub groups: Vec<String>,
}

/// How a [`Service`] is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the protocol it names")]
pub enum Transport {
    Tcp,
    Udp,
}

impl Layout {
    /// The router that the layout asks for. `have` is what stands: wires of ports whose machine is not known yet stay.
    pub fn router(&self, have: &Router) -> Router {
        let mut router = Router { tuned: true, rules: Some(Rules::of(self)), ..Router::default() };
        for plug in self.ports.values() {
            router.addresses.insert(plug.port.gateway());
            let link = link_name(&plug.port.id);
            let wire = match &plug.socket {
                Socket::Free => None,
                Socket::Unknown => have.wires.get(&link).filter(|wire| wire.port == plug.port.id).cloned(),
                Socket::Machine(plugged) => self.wire(plug, plugged),
            };
            let Some(wire) = wire else { continue };
            let route = Route { link: link.clone(), source: plug.port.gateway() };
            router.routes.extend(plug.addresses().map(|address| (address, route.clone())));
            router.wires.insert(link, wire);
        }
        let led = detours::numbers(self).into_iter().filter(|(link, _)| router.wires.contains_key(link));
        router.detours = led.map(|(link, number)| (number, link)).collect();
        router.addresses.extend(self.frontends.values().flat_map(|f| &f.addresses));
        router.addresses.extend(self.services.values().map(|s| s.address));
        let dialled: BTreeSet<_> = self.frontends.values().filter_map(|f| Some(f.public.as_ref()?.0)).collect();
        let uplinks = [(Uplink::Host, dialled), (Uplink::Outside, self.outside.addresses().collect())];
        router.uplinks.extend(uplinks.into_iter().filter(|(_, public)| !public.is_empty()));
        router
    }

    /// Adds the port, or changes it and leaves it plugged in where it is.
    pub fn put_port(&mut self, port: Port) {
        let socket = self.ports.get(&port.id).map_or(Socket::Unknown, |plug| plug.socket.clone());
        self.ports.insert(port.id.clone(), Plug { port, socket });
    }

    /// Says where a port is plugged in. One that is gone is in nothing.
    pub fn plug(&mut self, port: &str, socket: Socket) {
        if let Some(plug) = self.ports.get_mut(port) {
            plug.socket = socket;
        }
    }

    /// Takes a port out of the machine, if it is still in that one.
    pub fn unplug(&mut self, port: &str, machine: &str) {
        let plug = self.ports.get_mut(port);
        if let Some(plug) = plug.filter(|plug| matches!(&plug.socket, Socket::Machine(m) if m.machine == machine)) {
            plug.socket = Socket::Free;
        }
    }

    /// Addresses that are or may be in a machine.
    pub fn wired(&self) -> BTreeSet<Ipv4Addr> {
        self.ports.values().filter(|plug| plug.socket != Socket::Free).flat_map(Plug::addresses).collect()
    }

    fn wire(&self, Plug { port, .. }: &Plug, plugged: &Plugged) -> Option<Wire> {
        let routes = match plugged.way {
            Way::Everywhere => vec![Cidr::containing(Ipv4Addr::UNSPECIFIED, 0)],
            // The kernel made the subnet's own route with the address.
            Way::Network => self.cidrs.iter().copied().filter(|block| *block != port.subnet).collect(),
            Way::Subnet | Way::Bare => Vec::new(),
        };
        Some(Wire {
            port: port.id.clone(),
            inode: plugged.inode,
            name: plugged.name.clone(),
            mac: port.mac.parse().ok()?,
            address: port.address,
            prefix: port.subnet.prefix(),
            form: FORM,
            far: Far {
                netns: plugged.netns.clone(),
                bare: plugged.way == Way::Bare,
                gateway: Some(port.gateway()),
                routes,
            },
        })
    }
}

impl Frontend {
    /// Every address that clients dial.
    pub(super) fn dialled(&self) -> impl Iterator<Item = &Ipv4Addr> {
        self.addresses.iter().chain(self.public.as_ref().map(|(address, _)| address))
    }
}

impl Plug {
    /// Every address that the router sends to the port.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.port.address).chain(self.port.secondary.iter().copied())
    }
}
