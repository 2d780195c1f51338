//! Security groups, as a router enforces them. Pure.
//!
//! ```text
//! forward: known connections ─▶ accept
//!          iifname vmap @senders   ─jump─▶ out.GROUPS: may it send this there?  return │ drop
//!          oifname vmap @receivers ─goto─▶ in.GROUPS:  may it get this?         accept │ drop
//! input:   ip daddr vmap @guarded  ─goto─▶ at.GROUPS:  both, for an address of the router that has groups
//! ```
//!
//! A pair of chains for each combination of groups that ports have, so a port is one element of each map, and a pod's
//! address one of each group's that rules name (`@of.GROUP`). Rules of the same traffic share one set of blocks. Only a
//! connection's first packet comes here: as in EC2 a tracked connection outlives the rule that let it through.
//!
//! What a machine sends through a balancer is judged by the address that it dialled, what a machine gets by who dialled.
//! What comes from outside through a balancer has been judged by that one's sources, and what the router itself sends
//! (checks of health, answers of its services) is nobody's. What is sent to an address of the router's that has groups is
//! judged as what is sent to a port that has them.

use super::layout::{Layout, Plug};
use super::rules::{Rules, outermost};
use super::state::link_name;
use roadstead_hostspec::{Peer, Permission, Traffic};
use roadstead_types::Cidr;
use std::collections::{BTreeMap, BTreeSet};

/// What names of the sets of groups' addresses begin with.
const MEMBERS: &str = "of.";

/// Adds what enforces the layout's groups.
pub(super) fn add(rules: &mut Rules, layout: &Layout) {
    let (mut combinations, mut named) = (BTreeMap::new(), BTreeSet::new());
    for port in layout.ports.values().map(|plug| &plug.port).filter(|port| !port.groups.is_empty()) {
        let (link, groups) = (link_name(&port.id), combination(&port.groups));
        let name = chain_name(&groups);
        rules.add("senders", [format!("\"{link}\" : jump out.{name}")]);
        rules.add("receivers", [format!("\"{link}\" : goto in.{name}")]);
        combinations.insert(name, groups);
    }
    for service in layout.services.values().filter(|service| !service.groups.is_empty()) {
        let groups = combination(&service.groups);
        let name = chain_name(&groups);
        rules.add("guarded", [format!("{} : goto at.{name}", service.address)]);
        rules.add_chain(format!("at.{name}"), vec!["iifname vmap @senders".to_owned(), format!("goto in.{name}")]);
        combinations.insert(name, groups);
    }
    for (name, groups) in combinations {
        // One that the host does not know lets nothing through.
        let known: Vec<_> = groups.iter().filter_map(|id| layout.groups.get(*id)).collect();
        for (chain, side, permissions) in [
            (format!("in.{name}"), &INGRESS, known.iter().flat_map(|group| &group.ingress).collect::<Vec<_>>()),
            (format!("out.{name}"), &EGRESS, known.iter().flat_map(|group| &group.egress).collect()),
        ] {
            named.extend(permissions.iter().filter_map(|permission| match &permission.peer {
                Peer::Group(id) => Some(id.as_str()),
                Peer::Block(_) => None,
            }));
            rules.add_chain(chain, side.rules(&permissions));
        }
    }
    for group in named {
        rules.add_set(&format!("{MEMBERS}{group}"), members(layout, group));
    }
}

/// Groups in the order in which chains are named after them.
fn combination(groups: &[String]) -> BTreeSet<&str> {
    groups.iter().map(String::as_str).collect()
}

/// What the chains of a combination have in common.
fn chain_name(groups: &BTreeSet<&str>) -> String {
    groups.iter().copied().collect::<Vec<_>>().join(".")
}

/// The addresses of those that have the group.
fn members<'a>(layout: &'a Layout, group: &'a str) -> impl Iterator<Item = std::net::Ipv4Addr> + 'a {
    let has = move |groups: &[String]| groups.iter().any(|id| id == group);
    let ports = layout.ports.values().filter(move |plug| has(&plug.port.groups)).flat_map(Plug::addresses);
    let balancers = layout.frontends.values().filter(move |frontend| has(&frontend.groups));
    let services = layout.services.values().filter(move |service| has(&service.groups)).map(|service| service.address);
    ports.chain(balancers.flat_map(|frontend| frontend.addresses.iter().copied())).chain(services)
}

/// How rules of a direction are written.
struct Side {
    /// The peer's address.
    peer: &'static str,
    /// The port that is dialled, after its protocol was named.
    port: &'static str,
    /// What becomes of a packet that a rule lets through.
    passes: &'static str,
}

const INGRESS: Side = Side { peer: "ip saddr", port: "th dport", passes: "accept" };
const EGRESS: Side = Side { peer: "ct original ip daddr", port: "ct original proto-dst", passes: "return" };

impl Side {
    /// The rules of a chain.
    fn rules(&self, permissions: &[&Permission]) -> Vec<String> {
        let mut by_traffic: BTreeMap<Traffic, (Vec<Cidr>, BTreeSet<&str>)> = BTreeMap::new();
        for Permission { traffic, peer } in permissions {
            let (blocks, groups) = by_traffic.entry(*traffic).or_default();
            match peer {
                Peer::Block(block) => blocks.push(*block),
                Peer::Group(id) => drop(groups.insert(id)),
            }
        }
        let mut rules = vec![];
        for (kind, (blocks, groups)) in &by_traffic {
            let of_groups = groups.iter().map(|id| format!("{} @{MEMBERS}{id}", self.peer));
            let peers = self.blocks(blocks).into_iter().chain(of_groups);
            let rule = |peer: String| [peer, traffic(*kind, self.port), self.passes.to_owned()];
            rules.extend(
                peers.map(|peer| rule(peer).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")),
            );
        }
        rules.push("drop".to_owned());
        rules
    }

    /// Who is in one of the blocks. Nothing if there are none, an empty match if that is everybody.
    fn blocks(&self, blocks: &[Cidr]) -> Option<String> {
        let blocks = outermost(blocks);
        match blocks.as_slice() {
            [] => None,
            [all] if all.prefix() == 0 => Some(String::new()),
            _ => {
                let blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
                Some(format!("{} {{ {} }}", self.peer, blocks.join(", ")))
            }
        }
    }
}

/// What matches a kind of packets, empty for all. `port` is what is compared with ports, after their protocol was named.
pub(super) fn traffic(kind: Traffic, port: &str) -> String {
    match kind {
        Traffic::All => String::new(),
        Traffic::Tcp { first, last } => ports("tcp", port, first, last),
        Traffic::Udp { first, last } => ports("udp", port, first, last),
        Traffic::Icmp { kind, code } => {
            let kind = kind.map(|kind| format!("icmp type {kind}"));
            let code = code.map(|code| format!("icmp code {code}"));
            let parts: Vec<String> = kind.into_iter().chain(code).collect();
            if parts.is_empty() { "meta l4proto icmp".into() } else { parts.join(" ") }
        }
        Traffic::Other { protocol } => format!("meta l4proto {protocol}"),
    }
}

fn ports(protocol: &str, port: &str, first: u16, last: u16) -> String {
    let ports = match (first, last) {
        (0, u16::MAX) => return format!("meta l4proto {protocol}"),
        (one, other) if one == other => one.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    format!("meta l4proto {protocol} {port} {ports}")
}
