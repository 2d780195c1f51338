//! A router's nftables table: what is in it, as data, and the nft script from one content to another. Pure.
//!
//! Where an address lives is known by its /32 route, and the rules ask the routes; ports and their addresses are in it
//! only as far as security groups name them.
//!
//! ```text
//! machine ─port─▶ admit: is this address routed to this port? ─▶ spread: balancers ─▶ forward: groups ─▶ face ─▶ port
//! host ──uplink─▶ admit: may this address dial that one?      ─▶    "                    "             "
//! port ─────────▶ admit: has this address a way there? mark  ─▶ groups ─▶ face: the public address ─▶ outside
//! outside ──────▶ admit: is that address one of ours? ─▶ spread: whose? ─▶ forward: groups ─▶ port
//! ```
//!
//! What goes from port to port and is known goes past all this ([`super::straight`]). What is forwarded passes subnets'
//! borders before it, where there are any ([`super::borders`]); what routes lead to an interface that it is not for is
//! marked before all else ([`super::detours`]).
//!
//! Only marked packets find the route outside, so that nothing leaves without a way, and an address inside that nobody
//! has is unreachable at once.
//!
//! A script is one transaction, and a transaction is atomic for each chain and each set, but a packet passes several.
//! So content that is known is changed element by element, and what does not change is not touched. One packet in
//! many thousands still meets the seam between two versions and comes out untranslated: it must be dropped and not
//! refused, then TCP sends it again and nobody notices (`@dialled`). For the same reason every chain's policy is
//! accept and its last rule decides: while a chain is replaced the kernel consults an empty one.

use super::layout::{Frontend, Layout, Service, Transport};
use super::security;
use super::state::hash;
use super::{borders, detours, straight};
use roadstead_hostspec::{Exit, Outside};
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;

/// The mark of a packet that has a way outside; the routes go by it.
pub(super) const WAY_OUT: u32 = 0x6f;

/// What is in a router's table besides [`CHAINS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rules {
    /// Of which [`SETS`] and [`CHAINS`] it is the content: an agent of another version may have others.
    form: u64,
    /// By set: its elements. One that is not among [`SETS`] is of addresses, and comes and goes with the content.
    sets: BTreeMap<String, BTreeSet<String>>,
    /// By chain: its rules.
    chains: BTreeMap<String, Vec<String>>,
}

/// Every set and map: what it is called, what it is.
pub(super) const SETS: [(&str, &str); 20] = [
    // Blocks of the network, and the router's own addresses.
    ("inside", "set inside { type ipv4_addr; flags interval; }"),
    // Public address . who may dial it.
    ("callers", "set callers { type ipv4_addr . ipv4_addr; flags interval; }"),
    // Client . the router's own address . transport . port.
    ("services", "set services { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags interval; }"),
    // The router's own address that has security groups.
    ("guarded", "map guarded { type ipv4_addr : verdict; }"),
    // Dialled address: who the balancer is to a target that dials itself.
    ("faces", "map faces { type ipv4_addr : ipv4_addr; }"),
    // Public address: who its balancer is to targets.
    ("publics", "map publics { type ipv4_addr : ipv4_addr; }"),
    // Address . port of listeners.
    ("dialled", "set dialled { type ipv4_addr . inet_service; }"),
    // Address . port of members of a quorum that clients must do without.
    ("refused", "set refused { type ipv4_addr . inet_service; }"),
    ("listeners", "map listeners { type ipv4_addr . inet_service : verdict; }"),
    // Who . where to, of ways outside.
    ("ways", "set ways { type ipv4_addr . ipv4_addr; flags interval; }"),
    // The same: who that is outside.
    ("exits", "map exits { type ipv4_addr . ipv4_addr : ipv4_addr; flags interval; }"),
    // Public addresses that the outside answers to.
    ("ours", "set ours { type ipv4_addr; }"),
    // Public address: the private one that is reached by it.
    ("reached", "map reached { type ipv4_addr : ipv4_addr; }"),
    // The router's end of a wire whose port has security groups.
    ("senders", "map senders { type ifname : verdict; }"),
    ("receivers", "map receivers { type ifname : verdict; }"),
    // Subnet with a border.
    ("leaving", "map leaving { type ipv4_addr : verdict; flags interval; }"),
    ("entering", "map entering { type ipv4_addr : verdict; flags interval; }"),
    // Who . where to, of ways outside by a NAT gateway whose subnet has a border.
    ("through", "map through { type ipv4_addr . ipv4_addr : verdict; flags interval; }"),
    // The router's end of a wire whose subnet's routes lead to interfaces; of one whose port forwards.
    ("detoured", "map detoured { type ifname : verdict; }"),
    ("forwarders", "set forwarders { type ifname; }"),
];

/// Every chain of the content that the kernel calls: its name, where.
const HOOKED: [(&str, &str); 3] = [
    (borders::CHAIN, " { type filter hook forward priority -1; policy accept; }"),
    (detours::CHAIN, " { type filter hook prerouting priority -301; policy accept; }"),
    (detours::LED, " { type filter hook forward priority -2; policy accept; }"),
];

/// The chains that are the same in every router. What comes from or goes to somewhere else than a port is told apart by
/// one lookup, since all that ports say to each other passes here, too.
const CHAINS: &str = r#"
  chain from-callers {
    ip daddr . ip saddr @callers accept
    drop
  }
  chain from-beyond {
    ip saddr != @inside ip daddr @ours accept
    drop
  }
  chain admit {
    type filter hook prerouting priority raw; policy accept;
    iifname vmap { "lo" : accept, "uplink" : goto from-callers, "outside" : goto from-beyond }
    ip daddr 127.0.0.0/8 drop
    fib saddr . iif oif missing iifname != @forwarders drop
    ip daddr @inside accept
    ip saddr . ip daddr @ways meta mark set 0x6f accept
    meta mark > 0xff accept
    reject with icmp net-unreachable
  }
  chain spread {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "outside" dnat ip to ip daddr map @reached
    ip daddr . tcp dport vmap @listeners
  }
  chain spread-own {
    type nat hook output priority -100; policy accept;
    ip daddr . tcp dport vmap @listeners
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ct state established,related accept
    ip daddr vmap @guarded
    ip saddr . ip daddr . meta l4proto . th dport @services accept
    icmp type echo-request accept
    ct state new ip daddr . tcp dport @dialled drop
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }
  chain to-callers {
    ct direction reply ct status dnat ct state established,related accept
    drop
  }
  chain by-callers {
    oifname != "uplink" ct status dnat accept
    ct state new ip daddr . tcp dport @dialled drop
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain by-beyond {
    oifname "uplink" goto to-callers
    ct state established,related accept
    ct status dnat oifname vmap @receivers
    ct status dnat accept
    drop
  }
  chain to-beyond {
    ct state invalid drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname vmap { "uplink" : goto by-callers, "outside" : goto by-beyond }
    oifname vmap { "uplink" : goto to-callers, "outside" : jump to-beyond }
    ip daddr . tcp dport @refused reject with tcp reset
    ct state new ct status dnat fib daddr . iif oif exists ct mark set 1
    ip daddr != @inside meta mark < 0x100 oifname != "outside" reject with icmp admin-prohibited
    ct state established,related accept
    iifname vmap @senders
    oifname vmap @receivers
    accept
  }
  chain face {
    type nat hook postrouting priority srcnat; policy accept;
    ct mark 1 snat ip to ct original ip daddr map @faces
    oifname "outside" snat ip to ip saddr . ip daddr map @exits
    snat ip to ct original ip daddr map @publics
  }
"#;

impl Rules {
    /// The content of the table of a router with this layout.
    pub fn of(layout: &Layout) -> Rules {
        let mut rules = Rules { form: form(), ..Rules::default() };
        let own = layout.services.values().map(|service| Cidr::containing(service.address, 32));
        let inside: Vec<Cidr> = layout.cidrs.iter().copied().chain(own).collect();
        rules.add("inside", outermost(&inside));
        layout.services.values().for_each(|service| rules.add_service(service));
        let place = |(address, port): &(Ipv4Addr, u16)| format!("{address} . {port}");
        rules.add("refused", layout.refused.values().flatten().map(place));
        for (id, frontend) in &layout.frontends {
            rules.add_frontend(id, frontend);
        }
        rules.add_outside(&layout.outside);
        security::add(&mut rules, layout);
        borders::add(&mut rules, layout);
        detours::add(&mut rules, layout);
        rules
    }

    /// The script that makes the table `table` have this content, given what it has; all anew if that is not known.
    pub fn script(&self, table: &str, have: Option<&Rules>) -> String {
        let Some(have) = have.filter(|have| have.form == self.form) else {
            let sets: String = SETS.iter().map(|(_, declaration)| format!("  {declaration}\n")).collect();
            let constant = sets + CHAINS + &straight::chain();
            let table_anew = format!("table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n{constant}}}\n");
            return table_anew + &self.script(table, Some(&Rules { form: self.form, ..Rules::default() }));
        };
        let mut script = String::new();
        let mut line = |text: String| script += &format!("{text}\n");
        let comes = |set: &&str| !have.sets.contains_key(*set);
        for set in self.own_sets().filter(comes) {
            line(format!("add set ip {table} {set} {{ type ipv4_addr; }}"));
        }
        // Chains may lead to each other: all are there before the first rule, and empty before the first goes.
        for chain in self.chains.keys().filter(|chain| !have.chains.contains_key(*chain)) {
            let hook = HOOKED.iter().find(|(name, _)| name == chain).map_or("", |(_, hook)| *hook);
            line(format!("add chain ip {table} {chain}{hook}"));
        }
        for (chain, rules) in self.chains.iter().filter(|(chain, rules)| have.chains.get(*chain) != Some(*rules)) {
            line(format!("flush chain ip {table} {chain}"));
            rules.iter().for_each(|rule| line(format!("add rule ip {table} {chain} {rule}")));
        }
        for set in SETS.iter().map(|(set, _)| *set).chain(self.own_sets()) {
            let (old, new) = (have.elements(set), self.elements(set));
            for (verb, elements) in [("delete", old.difference(new)), ("add", new.difference(old))] {
                let elements: Vec<&str> = elements.map(String::as_str).collect();
                if !elements.is_empty() {
                    line(format!("{verb} element ip {table} {set} {{ {} }}", elements.join(", ")));
                }
            }
        }
        let goes = |chain: &&String| !self.chains.contains_key(*chain);
        for verb in ["flush", "delete"] {
            have.chains.keys().filter(goes).for_each(|chain| line(format!("{verb} chain ip {table} {chain}")));
        }
        for set in have.own_sets().filter(|set| !self.sets.contains_key(*set)) {
            line(format!("delete set ip {table} {set}"));
        }
        script
    }

    /// Adds elements to one of [`SETS`].
    pub(super) fn add(&mut self, set: &str, elements: impl IntoIterator<Item = impl Display>) {
        let elements = elements.into_iter().map(|element| element.to_string());
        self.sets.entry(set.to_owned()).or_default().extend(elements);
    }

    /// Adds a set of addresses, which may be empty.
    pub(super) fn add_set(&mut self, set: &str, addresses: impl Iterator<Item = Ipv4Addr>) {
        self.add(set, addresses);
    }

    /// Adds a chain.
    pub(super) fn add_chain(&mut self, chain: String, rules: Vec<String>) {
        self.chains.insert(chain, rules);
    }

    fn add_outside(&mut self, outside: &Outside) {
        self.add("ways", outside.exits.iter().map(|Exit { from, to, .. }| format!("{from} . {to}")));
        self.add(
            "exits",
            outside.exits.iter().map(|Exit { from, to, seen_as, .. }| format!("{from} . {to} : {seen_as}")),
        );
        self.add("ours", outside.addresses());
        self.add("reached", outside.reached.iter().map(|(public, private)| format!("{public} : {private}")));
    }

    /// Who may speak to a service. [`security`] says so of one that has groups.
    fn add_service(&mut self, Service { address, transport, port, clients, groups, .. }: &Service) {
        if !groups.is_empty() {
            return;
        }
        let transport = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        self.add(
            "services",
            outermost(clients).iter().map(|from| format!("{from} . {address} . {transport} . {port}")),
        );
    }

    /// Who dials `frontend` is led to the chain of the listener. A listener without targets has none, so connections
    /// to it arrive at the router itself and are refused.
    fn add_frontend(&mut self, id: &str, frontend: &Frontend) {
        let Some(face) = frontend.addresses.first() else { return };
        self.add("faces", frontend.addresses.iter().map(|address| format!("{address} : {address}")));
        if let Some((public, sources)) = &frontend.public {
            self.add("faces", [format!("{public} : {face}")]);
            self.add("publics", [format!("{public} : {face}")]);
            self.add("callers", outermost(sources).iter().map(|from| format!("{public} . {from}")));
        }
        let dialled: Vec<&Ipv4Addr> = frontend.dialled().collect();
        for (port, targets) in frontend.listeners.iter().filter(|(_, targets)| !targets.is_empty()) {
            let chain = format!("to.{id}.{port}");
            self.add("dialled", dialled.iter().map(|address| format!("{address} . {port}")));
            self.add("listeners", dialled.iter().map(|address| format!("{address} . {port} : goto {chain}")));
            self.add_chain(chain, vec![spread(targets)]);
        }
    }

    /// Names of the sets that are not among [`SETS`].
    fn own_sets(&self) -> impl Iterator<Item = &str> {
        let fixed = |set: &str| SETS.iter().any(|(name, _)| *name == set);
        self.sets.keys().map(String::as_str).filter(move |set| !fixed(set))
    }

    fn elements(&self, set: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.sets.get(set).unwrap_or(&NONE)
    }
}

/// The rule that leads each new connection to one of the targets, all packets of a flow to the same.
fn spread(targets: &[(Ipv4Addr, u16)]) -> String {
    let places = targets.iter().enumerate().map(|(n, (address, port))| format!("{n} : {address} . {port}"));
    let (count, places) = (targets.len(), places.collect::<Vec<_>>().join(", "));
    format!("dnat ip to jhash ip saddr . tcp sport mod {count} map {{ {places} }}")
}

/// What stands for the constant part of the tables that this version writes.
fn form() -> u64 {
    let sets: String = SETS.iter().map(|(_, declaration)| *declaration).collect();
    let hooks: String = HOOKED.iter().map(|(_, hook)| *hook).collect();
    hash(&(sets + CHAINS + &straight::chain() + &hooks))
}

/// The blocks without those that lie in another, in order: nftables refuses overlapping intervals.
pub(super) fn outermost(blocks: &[Cidr]) -> Vec<Cidr> {
    let mut sorted = blocks.to_vec();
    // Of blocks with the same base the widest comes first, and blocks meet only if one lies in the other.
    sorted.sort();
    let mut outer: Vec<Cidr> = vec![];
    for block in sorted {
        if outer.last().is_none_or(|last| !last.contains_cidr(block)) {
            outer.push(block);
        }
    }
    outer
}

/// The table of the host's own namespace: nothing that comes from a router passes but answers to what the host said.
pub(super) fn guard(mark: &str) -> String {
    format!(
        "table inet {mark}\ndelete table inet {mark}\ntable inet {mark} {{
  chain guard {{
    type filter hook prerouting priority mangle; policy accept;
    iifname \"{mark}-*\" ct state established,related accept
    iifname \"{mark}-*\" drop
  }}
}}
"
    )
}
