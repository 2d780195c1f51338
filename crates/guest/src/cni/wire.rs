//! A pod's wire: a pair of interfaces, and the routes and rules that lead to it.

use crate::netlink::{MAIN, Netlink, Pair, Route, Rule, random_mac};
use roadstead_bpf::flows;
use roadstead_types::{Cidr, Mac};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

/// Every pod's next hop. Nobody has the address: its MAC address is written down in the pod.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// To a pod: the main table, which knows its interface, whoever sends.
pub const TO_POD: u32 = 512;
/// From a pod: the table of the ENI that has its address.
pub const FROM_POD: u32 = 1536;

/// How a pod is to be wired.
pub struct Wiring<'a> {
    /// The host end's name.
    pub link: &'a str,
    /// The pod end's name.
    pub interface: &'a str,
    /// Whose it is: written on the host end.
    pub owner: String,
    /// The pod's.
    pub address: Ipv4Addr,
    /// The table of the ENI that has the address; none: it is the primary's, and main will do.
    pub table: Option<u32>,
    /// Of both ends, bytes.
    pub mtu: u32,
    /// Ports of the node lead to the pod: what the node sends to its own loopback may leave by the wire.
    pub from_loopback: bool,
}

/// The hardware addresses of a pair.
pub struct Ends {
    /// On the host.
    pub node: Mac,
    /// In the pod.
    pub pod: Mac,
}

impl Wiring<'_> {
    /// Makes it all, or nothing.
    ///
    /// The node's end takes part in these flows; where it can't, packets go the long way.
    pub fn connect(&self, namespace: &File, flows: Option<[u32; 2]>) -> io::Result<Ends> {
        let mut node = Netlink::open()?;
        let mut pod = Netlink::open_in(namespace)?;
        let ends = Ends { node: random_mac()?, pod: random_mac()? };
        self.make_pair(&mut node, namespace, &ends)?;
        let joined = flows.map_or(Ok(()), |flows| flows::join(flows, self.link));
        joined.unwrap_or_else(|why| eprintln!("aws-cni: packets of {} go the long way: {why}", self.link));
        let made = self.set_up(&mut node, &mut pod, &ends);
        if made.is_err() {
            let undone = node.index(self.link).and_then(|link| node.delete_link(link));
            undone.unwrap_or_else(|why| eprintln!("aws-cni: {} stays, half made: {why}", self.link));
            forget(&mut node, self.address, self.table).ok();
        }
        made.map(|()| ends)
    }

    fn make_pair(&self, node: &mut Netlink, namespace: &File, ends: &Ends) -> io::Result<()> {
        let pair = Pair {
            name: self.link,
            mac: ends.node,
            there: namespace.as_fd(),
            far_name: self.interface,
            far_mac: ends.pod,
            mtu: self.mtu,
        };
        match node.add_pair(&pair) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Of an earlier sandbox of this pod, which nobody took down.
                let Some(old) = node.link(self.link)? else {
                    let why = format!("the pod's namespace has an interface {} already", self.interface);
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
                };
                node.delete_link(old.index)?;
                node.add_pair(&pair)
            }
            other => other,
        }
    }

    fn set_up(&self, node: &mut Netlink, pod: &mut Netlink, ends: &Ends) -> io::Result<()> {
        node.set_up_as(self.link, &self.owner)?;
        if self.from_loopback {
            // Documentation/networking/ip-sysctl.rst: else a source in 127.0.0.0/8 is none.
            fs::write(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.link), "1")?;
        }
        pod.set_up(self.interface)?;
        let (here, there) = (node.index(self.link)?, pod.index(self.interface)?);
        let main = u8::try_from(MAIN).unwrap_or_default();
        let host = |address| Cidr::containing(address, 32);
        let route = |to, link, via| Route { to, link, via, table: main };
        pod.add_address(there, self.address, 32)?;
        pod.set_neighbour(there, ROUTER, ends.node)?;
        pod.set_route(route(host(ROUTER), there, None))?;
        pod.set_route(route(Cidr::containing(Ipv4Addr::UNSPECIFIED, 0), there, Some(ROUTER)))?;
        // The first packet waits for no ARP.
        node.set_neighbour(here, self.address, ends.pod)?;
        for rule in rules(self.address, self.table) {
            node.add_rule(rule)?;
        }
        // Last: from now on others reach it.
        node.set_route(route(host(self.address), here, None))
    }

    /// Fails unless it is all there.
    pub fn check(&self, namespace: &File) -> io::Result<()> {
        let mut node = Netlink::open()?;
        let mut pod = Netlink::open_in(namespace)?;
        let here = node.index(self.link)?;
        let there = pod.index(self.interface)?;
        let missing = |what: String| Err(io::Error::new(io::ErrorKind::NotFound, what));
        if !pod.addresses(there)?.contains(&self.address) {
            return missing(format!("{} has not the address {}", self.interface, self.address));
        }
        if !pod.leads_to(ROUTER, there)? {
            return missing(format!("the pod has no route to {ROUTER}"));
        }
        if !node.leads_to(self.address, here)? {
            return missing(format!("no route leads to {} by {}", self.address, self.link));
        }
        let known = node.rules()?;
        match rules(self.address, self.table).find(|rule| !known.contains(rule)) {
            Some(rule) => missing(format!("the rule {} of {} is missing", rule.priority, self.address)),
            None => Ok(()),
        }
    }
}

/// Removes a pod's pair, if it is still this owner's: a pod that came back under its name has a new one of that name.
pub fn disconnect(link: &str, owner: &str) -> io::Result<()> {
    let mut node = Netlink::open()?;
    match node.link(link)? {
        // Without an owner: an ADD did not get so far.
        Some(found) if found.alias == owner || found.alias.is_empty() => node.delete_link(found.index),
        _ => Ok(()),
    }
}

/// Removes the rules of an address.
pub fn forget(node: &mut Netlink, address: Ipv4Addr, table: Option<u32>) -> io::Result<()> {
    rules(address, table).try_for_each(|rule| node.delete_rule(rule))
}

/// The rules of an address.
pub fn rules(address: Ipv4Addr, table: Option<u32>) -> impl Iterator<Item = Rule> {
    let to = Rule { priority: TO_POD, from: None, to: Some(address), mark: None, table: MAIN };
    let from = table.map(|table| Rule { priority: FROM_POD, from: Some(address), to: None, mark: None, table });
    std::iter::once(to).chain(from)
}
