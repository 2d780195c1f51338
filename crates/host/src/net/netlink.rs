//! A blocking netlink client with the few verbs that a router needs.
//!
//! A socket belongs to the network namespace of the thread that opened it, for good: `netns::run_in(name,
//! Netlink::open)` gives one that works inside `name` from anywhere. Requests go by interface name or index; only the
//! verbs that return a collection dump a kernel table, and only observation uses those.

use roadstead_guest::netlink::{Conversation, aligned, connect, gone_is_fine, local_address, with_large_packets};
use roadstead_types::{Cidr, Mac};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// As the VPC's: jumbo frames.
const MTU: u32 = 9001;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    /// It is up, and what is at its other end, too.
    pub carrier: bool,
    /// Free text that the interface carries.
    pub alias: String,
}

/// An IPv4 route as far as routers use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub to: Cidr,
    pub link: u32,
    pub via: Option<Ipv4Addr>,
    pub source: Option<Ipv4Addr>,
    pub table: u32,
}

impl Route {
    /// Straight out of the interface, in the main table.
    pub fn new(to: Cidr, link: u32) -> Route {
        Route { to, link, via: None, source: None, table: RouteHeader::RT_TABLE_MAIN.into() }
    }
}

/// The table that the kernel keeps its own addresses in; looked up before all others.
pub(super) const TABLE_LOCAL: u32 = 255;

pub(super) struct Netlink {
    conversation: Conversation,
}

impl Netlink {
    /// A client for the calling thread's network namespace.
    pub fn open() -> io::Result<Netlink> {
        Ok(Netlink { conversation: Conversation::open()? })
    }

    /// The interface called `name`, if there is one.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let ask = LinkUnspec::new_with_name(name).build();
        let answer = match self.conversation.request(RouteNetlinkMessage::GetLink(ask), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            other => other?,
        };
        Ok(answer.into_iter().find_map(into_link))
    }

    /// The index of the interface called `name`.
    pub fn index(&mut self, name: &str) -> io::Result<u32> {
        let link = self.link(name)?;
        Ok(link.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no interface {name}")))?.index)
    }

    /// Every interface.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answer = self.conversation.dump(|| RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answer.into_iter().filter_map(into_link).collect())
    }

    /// Makes a pair of interfaces: `name` here, `far` in the namespace `there`. Both are down.
    pub fn add_pair(&mut self, name: &str, mac: Option<Mac>, far: &Far<'_>) -> io::Result<()> {
        let mut peer = with_large_packets(LinkUnspec::new_with_name(far.name)).mtu(MTU);
        peer = peer.setns_by_fd(far.namespace.as_raw_fd()).address(far.mac.0.to_vec());
        let mut pair = with_large_packets(LinkVeth::new(name, far.name)).mtu(MTU);
        if let Some(mac) = mac {
            pair = pair.address(mac.0.to_vec());
        }
        let pair = pair.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build()))).build();
        self.conversation.change(RouteNetlinkMessage::NewLink(pair), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Brings the interface up.
    pub fn set_up(&mut self, name: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_name(name).up().build();
        self.conversation.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Brings the interface up and writes `alias` on it.
    pub fn set_up_as(&mut self, name: &str, alias: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_name(name).up().alias(alias).build();
        self.conversation.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes the interface, and with it the other end of its pair. One that is gone is fine.
    pub fn delete_link(&mut self, name: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_name(name).build();
        gone_is_fine(self.conversation.change(RouteNetlinkMessage::DelLink(message), 0))
    }

    /// IPv4 addresses of the interface.
    pub fn addresses(&mut self, link: u32) -> io::Result<Vec<Ipv4Addr>> {
        let answer = self.conversation.dump(|| {
            let mut ask = AddressMessage::default();
            ask.header.family = AddressFamily::Inet;
            RouteNetlinkMessage::GetAddress(ask)
        })?;
        let of_link = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(m) if m.header.index == link => local_address(&m),
            _ => None,
        });
        Ok(of_link.collect())
    }

    /// Gives the interface an address. One that is there already is fine.
    pub fn add_address(&mut self, link: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = address_message(link, address);
        message.header.prefix_len = prefix;
        message.attributes.push(AddressAttribute::Address(address.into()));
        match self.conversation.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Takes an address off the interface, whatever its prefix. One that is gone is fine.
    pub fn delete_address(&mut self, link: u32, address: Ipv4Addr) -> io::Result<()> {
        let message = address_message(link, address);
        match self.conversation.change(RouteNetlinkMessage::DelAddress(message), 0) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other,
        }
    }

    /// Unicast IPv4 routes of every table.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let answer =
            self.conversation.dump(|| RouteNetlinkMessage::GetRoute(RouteMessageBuilder::<Ipv4Addr>::new().build()))?;
        let routes = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route) => into_route(&route),
            _ => None,
        });
        Ok(routes.collect())
    }

    /// Adds the route, in the place of one to the same block.
    pub fn set_route(&mut self, route: Route) -> io::Result<()> {
        self.conversation.change(RouteNetlinkMessage::NewRoute(route_message(route)), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes the route. One that is gone is fine.
    pub fn delete_route(&mut self, route: Route) -> io::Result<()> {
        gone_is_fine(self.conversation.change(RouteNetlinkMessage::DelRoute(route_message(route)), 0))
    }

    /// Says for good which MAC address has `address` on the interface: nobody is asked.
    pub fn set_neighbour(&mut self, link: u32, address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = link;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
        ];
        self.conversation.change(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }
}

/// The end of a pair that stands in another namespace.
pub(super) struct Far<'a> {
    pub namespace: BorrowedFd<'a>,
    pub name: &'a str,
    pub mac: Mac,
}

/// How often the nftables rules of the calling thread's network namespace were changed, by anybody.
pub(super) fn rules_generation() -> io::Result<u32> {
    // linux/netfilter/nfnetlink.h and nf_tables.h: a header, four bytes of nfgenmsg; the answer's attributes follow.
    const GET_GENERATION: u16 = 10 << 8 | 16;
    const ID: u16 = 1;
    let mut ask = [0; 20];
    ask[..4].copy_from_slice(&20u32.to_ne_bytes());
    ask[4..6].copy_from_slice(&GET_GENERATION.to_ne_bytes());
    ask[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    let socket = connect(NETLINK_NETFILTER)?;
    socket.send(&ask, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let mut attributes = answer.get(20..).unwrap_or_default();
    while let [l0, l1, t0, t1, value @ ..] = attributes {
        if u16::from_ne_bytes([*t0, *t1]) == ID {
            let id = value.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
            return Ok(u32::from_be_bytes(*id));
        }
        let length = u32::from(u16::from_ne_bytes([*l0, *l1])).max(4);
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Err(io::Error::other("the kernel does not tell the generation of its nftables rules: is nf_tables loaded?"))
}

fn into_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let (mut name, mut alias) = (None, String::new());
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::IfAlias(text) => alias = text,
            _ => {}
        }
    }
    let is = |flag| message.header.flags.contains(flag);
    let (up, carrier) = (is(LinkFlags::Up), is(LinkFlags::LowerUp));
    Some(Link { index: message.header.index, name: name?, up, carrier, alias })
}

fn address_message(link: u32, address: Ipv4Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = link;
    message.attributes = vec![AddressAttribute::Local(address.into())];
    message
}

fn route_message(route: Route) -> RouteMessage {
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.to.base(), route.to.prefix())
        .output_interface(route.link);
    builder = match route.via {
        // The next hop is on the other end of the wire, whatever addresses this end has.
        Some(via) => builder.gateway(via).onlink(),
        None => builder.scope(RouteScope::Link),
    };
    if let Some(source) = route.source {
        builder = builder.pref_source(source);
    }
    builder.table_id(route.table).build()
}

fn into_route(message: &RouteMessage) -> Option<Route> {
    if message.header.kind != RouteType::Unicast || message.header.address_family != AddressFamily::Inet {
        return None;
    }
    let (mut base, mut link) = (Ipv4Addr::UNSPECIFIED, None);
    // The header has no room for the number of every table.
    let mut route = Route { table: message.header.table.into(), ..Route::new(Cidr::containing(base, 0), 0) };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => base = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => route.via = Some(*address),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => route.source = Some(*address),
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Table(table) => route.table = *table,
            _ => {}
        }
    }
    route.to = Cidr::containing(base, message.header.destination_prefix_length);
    Some(Route { link: link?, ..route })
}
