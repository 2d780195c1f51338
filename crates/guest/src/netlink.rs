//! A blocking netlink client with the verbs of a pod's wiring.
//!
//! A socket belongs to the network namespace of the thread that opened it, for good. Every verb names its object by name
//! or index; those that return a collection dump a kernel table, which a busy node may interrupt
//! (amazon-vpc-cni-k8s#3461), so the plugin uses none of them while it adds or removes a pod.

mod conversation;

pub use conversation::{Conversation, aligned, connect, gone_is_fine, local_address};

use crate::namespace;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roadstead_types::{Cidr, Mac};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteScope};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

/// The table that is looked up when no rule says otherwise.
pub const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;

/// A locally administered unicast address that nobody else has.
///
/// # Errors
/// There is no randomness.
pub fn random_mac() -> io::Result<Mac> {
    // From the kernel: the library's generator takes 80 ms to begin, which a pod would wait for.
    let mut bytes = [0; 6];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    bytes[0] = bytes[0] & 0xfc | 0x02;
    Ok(Mac(bytes))
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, if it has one.
    pub mac: Option<Mac>,
    /// Free text that it carries.
    pub alias: String,
}

/// A pair of virtual interfaces that is to be made.
pub struct Pair<'a> {
    /// This end's name.
    pub name: &'a str,
    /// This end's hardware address.
    pub mac: Mac,
    /// The far end's namespace.
    pub there: BorrowedFd<'a>,
    /// The far end's name.
    pub far_name: &'a str,
    /// The far end's hardware address.
    pub far_mac: Mac,
    /// Of both ends, bytes.
    pub mtu: u32,
}

/// An IPv4 route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations.
    pub to: Cidr,
    /// The interface's index.
    pub link: u32,
    /// The next hop; none: they are on the link.
    pub via: Option<Ipv4Addr>,
    /// The routing table, at most 255.
    pub table: u8,
}

/// A rule that says which routing table is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Rules are tried in this order.
    pub priority: u32,
    /// Only packets from there.
    pub from: Option<Ipv4Addr>,
    /// Only packets to there.
    pub to: Option<Ipv4Addr>,
    /// Only packets with these bits of their mark set.
    pub mark: Option<u32>,
    /// The table.
    pub table: u32,
}

/// The largest packet of TCP over IPv4, bytes, that is handed to a link whole, and that routers pass on whole.
///
/// Without this it is 65,536, all that a header's length can say. Since Linux 6.3 it may be more (BIG TCP), so that each
/// of the namespaces on a pod's way serves three times as many bytes at a time. Where a link takes less, the kernel cuts
/// packets as it does for any other; who captures them sees a length of 0 in their headers.
pub const LARGEST_PACKET: u32 = 185_000;

/// The link made for packets of [`LARGEST_PACKET`]. A kernel that does not know the bound leaves its own.
pub fn with_large_packets<T>(link: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    link.append_extra_attribute(LinkAttribute::GsoIpv4MaxSize(LARGEST_PACKET))
        .append_extra_attribute(LinkAttribute::GroIpv4MaxSize(LARGEST_PACKET))
}

/// A socket in one network namespace.
pub struct Netlink {
    conversation: Conversation,
}

impl Netlink {
    /// For the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Netlink> {
        Ok(Netlink { conversation: Conversation::open()? })
    }

    /// For that namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open_in(namespace: &File) -> io::Result<Netlink> {
        namespace::run_in(namespace, Netlink::open)
    }

    /// The interface called `name`, if there is one.
    ///
    /// # Errors
    /// The kernel's; so for all of these.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let ask = LinkUnspec::new_with_name(name).build();
        let answer = match self.conversation.request(RouteNetlinkMessage::GetLink(ask), 0) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => return Ok(None),
            other => other?,
        };
        Ok(answer.into_iter().find_map(into_link))
    }

    /// The index of the interface called `name`.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn index(&mut self, name: &str) -> io::Result<u32> {
        let link = self.link(name)?;
        Ok(link.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no interface {name}")))?.index)
    }

    /// Every interface.
    ///
    /// # Errors
    /// As above.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answer = self.conversation.dump(|| RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answer.into_iter().filter_map(into_link).collect())
    }

    /// Makes the pair, the far end straight in its namespace; both are down. To make it here and move it costs the
    /// kernel a grace period for each (amazon-vpc-cni-k8s#3764).
    ///
    /// # Errors
    /// One of the names is taken: [`io::ErrorKind::AlreadyExists`].
    pub fn add_pair(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let peer = LinkUnspec::new_with_name(pair.far_name).mtu(pair.mtu).address(pair.far_mac.0.to_vec());
        let peer = with_large_packets(peer).setns_by_fd(pair.there.as_raw_fd()).build();
        let near = LinkVeth::new(pair.name, pair.far_name).mtu(pair.mtu).address(pair.mac.0.to_vec());
        let near = with_large_packets(near).set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
        self.conversation.change(RouteNetlinkMessage::NewLink(near), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Brings the interface up.
    ///
    /// # Errors
    /// As above.
    pub fn set_up(&mut self, name: &str) -> io::Result<()> {
        self.conversation.change(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_name(name).up().build()), 0)
    }

    /// Brings the interface up and writes `alias` on it.
    ///
    /// # Errors
    /// As above.
    pub fn set_up_as(&mut self, name: &str, alias: &str) -> io::Result<()> {
        self.conversation
            .change(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_name(name).up().alias(alias).build()), 0)
    }

    /// Brings the interface up with that MTU, bytes.
    ///
    /// # Errors
    /// As above.
    pub fn set_up_with(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        self.conversation.change(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_name(name).up().mtu(mtu).build()), 0)
    }

    /// Removes the interface, and with it the other end of its pair. One that is gone is fine.
    ///
    /// # Errors
    /// As above.
    pub fn delete_link(&mut self, index: u32) -> io::Result<()> {
        gone_is_fine(
            self.conversation.change(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(index).build()), 0),
        )
    }

    /// IPv4 addresses of the interface.
    ///
    /// # Errors
    /// As above.
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

    /// Gives the interface an address alone: no route to a subnet comes with it. One that is there already is fine.
    ///
    /// # Errors
    /// As above.
    pub fn add_address(&mut self, link: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.index = link;
        message.header.prefix_len = prefix;
        message.attributes = vec![
            AddressAttribute::Local(address.into()),
            AddressAttribute::Address(address.into()),
            AddressAttribute::Flags(AddressFlags::Noprefixroute),
        ];
        match self.conversation.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Adds the route, in the place of one to the same block.
    ///
    /// # Errors
    /// As above.
    pub fn set_route(&mut self, route: Route) -> io::Result<()> {
        self.conversation.change(RouteNetlinkMessage::NewRoute(route_message(route)), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Whether the kernel would send a packet for `address` out of the interface.
    ///
    /// # Errors
    /// As above.
    pub fn leads_to(&mut self, address: Ipv4Addr, link: u32) -> io::Result<bool> {
        let ask = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        let answer = self.conversation.request(RouteNetlinkMessage::GetRoute(ask), 0)?;
        let leads = |message: &RouteMessage| message.attributes.contains(&RouteAttribute::Oif(link));
        Ok(answer.iter().any(|message| matches!(message, RouteNetlinkMessage::NewRoute(route) if leads(route))))
    }

    /// Says for good which MAC address has `address` on the interface: nobody is asked.
    ///
    /// # Errors
    /// As above.
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

    /// Adds the rule. One that is there already is fine.
    ///
    /// # Errors
    /// As above.
    pub fn add_rule(&mut self, rule: Rule) -> io::Result<()> {
        match self.conversation.change(RouteNetlinkMessage::NewRule(rule_message(rule)), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Removes the rule. One that is gone is fine.
    ///
    /// # Errors
    /// As above.
    pub fn delete_rule(&mut self, rule: Rule) -> io::Result<()> {
        match self.conversation.change(RouteNetlinkMessage::DelRule(rule_message(rule)), 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Every IPv4 rule of the forms that [`Rule`] can say.
    ///
    /// # Errors
    /// As above.
    pub fn rules(&mut self) -> io::Result<Vec<Rule>> {
        let answer = self.conversation.dump(|| {
            let mut ask = RuleMessage::default();
            ask.header.family = AddressFamily::Inet;
            RouteNetlinkMessage::GetRule(ask)
        })?;
        let rules = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(rule) => Some(into_rule(&rule)),
            _ => None,
        });
        Ok(rules.collect())
    }
}

/// Waits until an interface has that MAC address; `None` if none has in time.
///
/// # Errors
/// The kernel's.
pub fn await_link(mac: Mac, patience: Duration) -> io::Result<Option<Link>> {
    /// `RTMGRP_LINK` of `linux/rtnetlink.h`: interfaces come and go.
    const LINKS: u32 = 1;
    let deadline = Instant::now() + patience;
    let mut news = Socket::new(NETLINK_ROUTE)?;
    // Listens before it looks, so that nothing falls in between.
    news.bind(&SocketAddr::new(0, LINKS))?;
    news.set_non_blocking(true)?;
    let mut netlink = Netlink::open()?;
    loop {
        let found = netlink.links()?.into_iter().find(|link| link.mac == Some(mac));
        let left = deadline.saturating_duration_since(Instant::now());
        if found.is_some() || left.is_zero() {
            return Ok(found);
        }
        let mut watched = [PollFd::new(std::os::fd::AsFd::as_fd(&news), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))?;
        // What they say is looked at anew; an overrun says no more than that there was much.
        while news.recv_from_full().is_ok() {}
    }
}

fn into_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let (mut name, mut mac, mut alias) = (None, None, String::new());
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Address(bytes) => mac = bytes.try_into().ok().map(Mac),
            LinkAttribute::IfAlias(text) => alias = text,
            _ => {}
        }
    }
    Some(Link { index: message.header.index, name: name?, mac, alias })
}

fn route_message(route: Route) -> RouteMessage {
    let builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.to.base(), route.to.prefix())
        .output_interface(route.link);
    let builder = match route.via {
        Some(via) => builder.gateway(via),
        None => builder.scope(RouteScope::Link),
    };
    let mut message = builder.build();
    message.header.table = route.table;
    message
}

fn rule_message(rule: Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![RuleAttribute::Priority(rule.priority), RuleAttribute::Table(rule.table)];
    if let Some(from) = rule.from {
        message.header.src_len = 32;
        message.attributes.push(RuleAttribute::Source(from.into()));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = 32;
        message.attributes.push(RuleAttribute::Destination(to.into()));
    }
    if let Some(mark) = rule.mark {
        message.attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mark)]);
    }
    message
}

fn into_rule(message: &RuleMessage) -> Rule {
    let table = u32::from(message.header.table);
    let mut rule = Rule { priority: 0, from: None, to: None, mark: None, table };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(IpAddr::V4(from)) => rule.from = Some(*from),
            RuleAttribute::Destination(IpAddr::V4(to)) => rule.to = Some(*to),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            _ => {}
        }
    }
    rule
}
