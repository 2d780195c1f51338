use super::converge::{Managed, Site};
use super::diff::{Op, diff};
use super::layout::{Frontend, Layout, Plug, Plugged, Service, Socket, Transport, Way};
use super::linux::{Flow, Kernel};
use super::rules::{Rules, SETS};
use super::state::{FORM, Far, Route, Router, Uplink, Wire, link_name};
use anyhow::{Result, anyhow, ensure};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use roadstead_hostspec::{Border, Detour, Entry, Exit, Outside, Peer, Permission, Port, SecurityGroup, Traffic};
use roadstead_types::{Cidr, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn wire(port: u8, inode: u64) -> Wire {
    let (name, mac) = ("eth0".to_owned(), Mac([2, 0, 0, 0, 0, port]));
    let (port, address, far) = (format!("eni-{port}"), address(port), Far::default());
    Wire { port, inode, name, mac, address, prefix: 24, form: FORM, far }
}

fn port(n: u8) -> Port {
    let (id, network, mac) = (format!("eni-{n}"), "vpc".to_owned(), format!("02:00:00:00:00:{n:02x}"));
    Port {
        id,
        network,
        mac,
        subnet: cidr("10.0.0.0/24"),
        address: address(n),
        secondary: vec![address(n + 100)],
        groups: Vec::new(),
        forwards: n == 2,
    }
}

/// Does to a router what the kernel does, and refuses what it refuses.
fn apply(router: &mut Router, op: &Op) -> Result<()> {
    match op.clone() {
        Op::Tune => router.tuned = true,
        Op::SetRules(rules) => router.rules = Some(rules),
        Op::RemoveRoute(to, _) => ensure!(router.routes.remove(&to).is_some(), "no route to {to}"),
        Op::RemoveWire(link) => {
            ensure!(router.wires.remove(&link).is_some(), "no {link}");
            router.routes.retain(|_, route| route.link != link);
            router.detours.retain(|_, led| *led != link);
        }
        Op::RemovePublic(uplink, to) => {
            let public = router.uplinks.get_mut(&uplink).ok_or_else(|| anyhow!("no uplink"))?;
            ensure!(public.remove(&to), "{to} is not public");
        }
        Op::RemoveUplink(uplink) => ensure!(router.uplinks.remove(&uplink).is_some(), "no uplink"),
        Op::RemoveAddress(address) => {
            ensure!(router.addresses.remove(&address), "no {address}");
            router.routes.retain(|_, route| route.source != address);
        }
        Op::AddAddress(address) => ensure!(router.addresses.insert(address), "{address} is there"),
        Op::AddUplink(uplink) => {
            ensure!(router.uplinks.insert(uplink, BTreeSet::new()).is_none(), "there is an uplink");
        }
        Op::AddPublic(uplink, to) => {
            let public = router.uplinks.get_mut(&uplink).ok_or_else(|| anyhow!("no uplink"))?;
            ensure!(public.insert(to), "{to} is public");
        }
        Op::AddWire(link, wire) => ensure!(router.wires.insert(link, wire).is_none(), "the link is there"),
        Op::RemoveDetour(number) => ensure!(router.detours.remove(&number).is_some(), "no detour {number}"),
        Op::SetDetour(number, link) => {
            ensure!(router.wires.contains_key(&link), "no {link}");
            router.detours.insert(number, link);
        }
        Op::SetRoute(to, route) => {
            ensure!(router.wires.contains_key(&route.link), "no {}", route.link);
            ensure!(router.addresses.contains(&route.source), "no {}", route.source);
            router.routes.insert(to, route);
        }
    }
    Ok(())
}

fn routers() -> impl Strategy<Value = Router> {
    let wires = btree_map(0..4u8, (0..4u8, 1..3u64), 0..4);
    let routes = btree_map(1..20u8, (0..4usize, 0..4usize), 0..8);
    let which = prop_oneof![Just(Uplink::Host), Just(Uplink::Outside)];
    let uplinks = btree_map(which, btree_set((1..5u8).prop_map(address), 0..3), 0..3);
    let parts = (btree_set((30..36u8).prop_map(address), 0..5), wires, routes, uplinks, layouts(), 0..3usize);
    parts.prop_map(|(addresses, wires, routes, uplinks, layout, detours)| {
        let wires = wires.into_iter().map(|(n, (port, inode))| (format!("p{n}"), wire(port, inode))).collect();
        let mut router =
            Router { tuned: true, addresses, wires, uplinks, rules: Some(Rules::of(&layout)), ..Router::default() };
        router.detours = (0..).zip(router.wires.keys().take(detours).cloned()).collect();
        for (to, (link, source)) in routes {
            let (link, source) = (router.wires.keys().nth(link).cloned(), router.addresses.iter().nth(source).copied());
            if let (Some(link), Some(source)) = (link, source) {
                router.routes.insert(address(to), Route { link, source });
            }
        }
        router
    })
}

fn layouts() -> impl Strategy<Value = Layout> {
    let blocks = || prop_oneof![Just("10.0.0.0/16"), Just("10.0.0.0/8"), Just("10.0.0.0/16"), Just("192.168.0.0/24")];
    let targets = || vec((1..9u8, 80..82u16).prop_map(|(n, port)| (address(n), port)), 0..3);
    let frontend = (1..4u8, proptest::option::of(vec(blocks(), 0..3)), btree_map(443..445u16, targets(), 0..3));
    let nets = (vec(blocks(), 0..3), outsides(), borders(), detours());
    let parts = (nets, btree_map(0..4u8, frontend, 0..4), 0..3u8, groups(), vec(some_groups(), 0..4));
    parts.prop_map(|((cidrs, outside, borders, detours), frontends, services, groups, ports)| {
        let frontend = |(n, (addresses, public, listeners)): (u8, (u8, Option<Vec<&str>>, _))| {
            let public = public.map(|sources| (Ipv4Addr::new(127, 43, 0, n), sources.into_iter().map(cidr).collect()));
            let addresses = (0..addresses).map(|m| address(200 + 4 * n + m)).collect();
            (format!("nlb-{n}"), Frontend { addresses, public, listeners, groups: vec![format!("sg-{n}")] })
        };
        let service = |n| {
            let id = format!("svc-{n}");
            let clients = vec![cidr("10.0.0.0/24")];
            (
                id.clone(),
                Service {
                    id,
                    address: address(250 + n),
                    transport: Transport::Tcp,
                    port: 443,
                    clients,
                    groups: vec![format!("sg-{n}")],
                },
            )
        };
        let plug = |(n, groups): (u8, Vec<String>)| {
            (format!("eni-{n}"), Plug { port: Port { groups, ..port(n) }, socket: Socket::Unknown })
        };
        Layout {
            ports: (1..).zip(ports).map(plug).collect(),
            groups,
            cidrs: cidrs.into_iter().map(cidr).collect(),
            outside,
            borders,
            detours,
            frontends: frontends.into_iter().map(frontend).collect(),
            services: (0..services).map(service).collect(),
            ..Layout::default()
        }
    })
}

fn outsides() -> impl Strategy<Value = Outside> {
    let exit = |n: u8| Exit {
        from: Cidr::containing(address(n), 32),
        to: cidr("0.0.0.0/0"),
        seen_as: address(n + 100),
        through: (n > 1).then(|| subnet(n)),
    };
    let parts = (btree_set(0..4u8, 0..4), btree_map((1..4u8).prop_map(address), (1..4u8).prop_map(address), 0..3));
    parts.prop_map(move |(exits, reached)| Outside { exits: exits.into_iter().map(exit).collect(), reached })
}

/// 10.0.N.0/24.
fn subnet(n: u8) -> Cidr {
    Cidr::containing(Ipv4Addr::new(10, 0, n, 0), 24)
}

fn borders() -> impl Strategy<Value = Vec<Border>> {
    let traffic = prop_oneof![Just(Traffic::All), (0..3u16).prop_map(|n| Traffic::Tcp { first: n, last: n + 1 })];
    let peer = prop_oneof![Just("10.0.0.0/16"), Just("0.0.0.0/0")].prop_map(cidr);
    let entry = (traffic, peer, any::<bool>()).prop_map(|(traffic, peer, allows)| Entry { traffic, peer, allows });
    let side = move || proptest::option::of(vec(entry.clone(), 0..3));
    let border = |(n, (ingress, egress))| Border { subnet: subnet(n), ingress, egress };
    btree_map(0..4u8, (side.clone()(), side()), 0..3).prop_map(move |all| all.into_iter().map(border).collect())
}

fn detours() -> impl Strategy<Value = Vec<Detour>> {
    let detour = |(n, by): (u8, Option<u8>)| Detour {
        from: subnet(0),
        to: Cidr::containing(Ipv4Addr::new(192, 0, n, 0), 24),
        by: by.map(|port| format!("eni-{port}")),
    };
    btree_map(0..3u8, proptest::option::of(1..4u8), 0..3).prop_map(move |all| all.into_iter().map(detour).collect())
}

fn some_groups() -> impl Strategy<Value = Vec<String>> {
    vec((0..3u8).prop_map(|n| format!("sg-{n}")), 0..3)
}

fn groups() -> impl Strategy<Value = BTreeMap<String, SecurityGroup>> {
    let traffic = prop_oneof![
        Just(Traffic::All),
        (0..3u16, 3..5u16).prop_map(|(first, last)| Traffic::Tcp { first, last }),
        Just(Traffic::Udp { first: 0, last: u16::MAX }),
        Just(Traffic::Icmp { kind: Some(8), code: None }),
        Just(Traffic::Other { protocol: 50 }),
    ];
    let blocks = prop_oneof![Just("10.0.0.0/16"), Just("10.0.0.0/8"), Just("0.0.0.0/0")];
    let peer = prop_oneof![
        blocks.prop_map(|block| Peer::Block(cidr(block))),
        (0..3u8).prop_map(|n| Peer::Group(format!("sg-{n}"))),
    ];
    let permissions =
        move || vec((traffic.clone(), peer.clone()).prop_map(|(traffic, peer)| Permission { traffic, peer }), 0..4);
    let group = (permissions.clone()(), permissions());
    btree_map(0..3u8, group, 0..3).prop_map(|groups| {
        let group = |(n, (ingress, egress))| {
            let (id, network) = (format!("sg-{n}"), "vpc".to_owned());
            (id.clone(), SecurityGroup { id, network, ingress, egress })
        };
        groups.into_iter().map(group).collect()
    })
}

proptest! {
    #[test]
    fn applying_the_diff_gives_what_is_wanted(have in routers(), want in routers(), known in any::<bool>()) {
        let mut router = Router { tuned: known, rules: have.rules.clone().filter(|_| known), ..have };
        for op in diff(&router.clone(), &want) {
            apply(&mut router, &op).unwrap();
        }
        prop_assert_eq!(router, want);
    }

    #[test]
    fn what_is_as_wanted_is_left_alone(router in routers()) {
        prop_assert_eq!(diff(&router, &router), Vec::new());
    }

    #[test]
    fn a_script_makes_the_table_so(have in layouts(), want in layouts(), known in any::<bool>()) {
        let (have, want) = (Rules::of(&have), Rules::of(&want));
        let mut table = Table::default();
        table.run(&have.script("t", None));
        table.run(&want.script("t", known.then_some(&have)));
        let mut wanted = Table::default();
        wanted.run(&want.script("t", None));
        prop_assert_eq!(table, wanted);
        prop_assert_eq!(want.script("t", Some(&want)), "");
    }

    #[test]
    fn failures_are_made_good(layouts in vec(layouts(), 1..4), luck in vec(any::<bool>(), 0..40)) {
        let kernel = Arc::new(Flaky { luck: Mutex::new(luck), ..Flaky::default() });
        let site = Site { kernel: kernel.clone(), network: "vpc".to_owned() };
        let mut managed = Managed { generation: Some(1), ..Managed::default() };
        for (n, layout) in layouts.into_iter().enumerate() {
            let ports = managed.layout.ports.clone();
            managed.layout = Layout { ports, ..layout };
            let n = u8::try_from(n).unwrap() + 1;
            managed.layout.put_port(port(n));
            managed.layout.plug(&format!("eni-{n}"), plugged());
            while !matches!(managed.converge(&site), Ok(failures) if failures.of_network().is_ok() && managed.have.is_some()) {}
            let have = kernel.router.lock().unwrap().clone();
            prop_assert_eq!(&have, &managed.layout.router(&have));
        }
    }
}

fn plugged() -> Socket {
    Socket::Machine(Plugged {
        machine: "i-1".into(),
        netns: PathBuf::from("/run/netns/m"),
        inode: 7,
        name: "eth0".into(),
        way: Way::Everywhere,
    })
}

/// What `nft` would make of scripts, as far as they differ.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    sets: BTreeMap<String, BTreeSet<String>>,
    /// Sets that came with the content.
    own: BTreeSet<String>,
    chains: BTreeMap<String, String>,
}

impl Table {
    fn run(&mut self, script: &str) {
        for line in script.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["delete", "table", ..] => *self = Table::default(),
                [verb @ ("add" | "delete"), "element", "ip", "t", set, ..] => self.change(verb, set, line),
                ["add", "set", "ip", "t", set, ..] => assert!(self.own.insert(set.to_owned()), "{line}"),
                ["delete", "set", "ip", "t", set] => {
                    assert!(self.own.remove(set), "{line}");
                    assert!(!self.chains.values().any(|rules| names(rules, set)), "{line}");
                    self.sets.remove(set);
                }
                ["add", "chain", "ip", "t", chain, ..] => {
                    assert_eq!(self.chains.insert(chain.to_owned(), String::new()), None, "{line}");
                }
                ["flush", "chain", "ip", "t", chain] => self.chains.get_mut(chain).expect(line).clear(),
                ["add", "rule", "ip", "t", chain, ..] => {
                    let named = line.split(' ').filter_map(|word| word.strip_prefix('@'));
                    named.for_each(|set| assert!(self.own.contains(set) || is_fixed(set), "{line}"));
                    assert!(led_to(line).is_none_or(|led| self.chains.contains_key(led)), "{line}");
                    *self.chains.get_mut(chain).expect(line) += &format!("{line}\n");
                }
                ["delete", "chain", "ip", "t", chain] => {
                    assert_eq!(self.chains.remove(chain).as_deref(), Some(""), "{line}");
                    let leads = |element: &String| led_to(element) == Some(chain);
                    assert!(!self.sets.values().flatten().any(leads), "{line}");
                    let mut rules = self.chains.values().flat_map(|rules| rules.lines());
                    assert!(!rules.any(|rule| led_to(rule) == Some(chain)), "{line}");
                }
                _ => {}
            }
        }
    }

    fn change(&mut self, verb: &str, set: &str, line: &str) {
        let (_, elements) = line.trim_end_matches(" }").split_once("{ ").unwrap();
        let known = self.sets.entry(set.to_owned()).or_default();
        for element in elements.split(", ") {
            let changed = if verb == "add" { known.insert(element.to_owned()) } else { known.remove(element) };
            assert!(changed, "{element}: {line}");
            if let Some(chain) = led_to(element).filter(|_| verb == "add") {
                assert!(self.chains.contains_key(chain), "{line}");
            }
        }
        self.sets.retain(|_, elements| !elements.is_empty());
    }
}

/// Whether a set is there in every router.
fn is_fixed(set: &str) -> bool {
    SETS.iter().any(|(name, _)| *name == set)
}

/// The chain that a rule, or an element of a map of verdicts, leads to.
fn led_to(element: &str) -> Option<&str> {
    element.split_once("goto ").or_else(|| element.split_once("jump ")).map(|(_, chain)| chain)
}

/// Whether one of the rules names the set.
fn names(rules: &str, set: &str) -> bool {
    rules.split_whitespace().any(|word| word.strip_prefix('@') == Some(set))
}

/// A kernel that fails now and then, before or after it did what it was asked to.
#[derive(Default)]
struct Flaky {
    router: Mutex<Router>,
    luck: Mutex<Vec<bool>>,
}

impl Flaky {
    fn fails(&self) -> Result<()> {
        let fails = self.luck.lock().unwrap().pop().unwrap_or(false);
        ensure!(!fails, "bad luck");
        Ok(())
    }
}

impl Kernel for Flaky {
    fn observe(&self, _: &str) -> Result<Router> {
        self.fails()?;
        Ok(self.router.lock().unwrap().clone())
    }

    fn apply(&self, _: &str, op: &Op) -> Result<()> {
        self.fails()?;
        apply(&mut self.router.lock().unwrap(), op)?;
        self.fails()
    }

    fn remove(&self, _: &str) -> Result<()> {
        *self.router.lock().unwrap() = Router::default();
        Ok(())
    }

    fn cut(&self, _: &str, _: &[Flow]) -> Result<()> {
        Ok(())
    }

    fn networks(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn inode(&self, _: &Path) -> Option<u64> {
        Some(7)
    }
}

#[test]
fn a_router_without_borders_asks_nobody_at_any() {
    let chains = |borders| {
        let rules = Rules::of(&Layout { borders, ..Layout::default() });
        let mut table = Table::default();
        table.run(&rules.script("t", None));
        table.chains.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(chains(vec![]), Vec::<String>::new());
    let border = Border { subnet: subnet(1), ingress: Some(vec![]), egress: None };
    assert_eq!(chains(vec![border]), ["borders", "enter.10.0.1.0/24"]);
}

#[test]
fn a_wire_stays_while_its_machine_is_not_known() {
    let mut layout = Layout::default();
    layout.put_port(port(1));
    let link = link_name("eni-1");
    let mut have = Router::default();
    have.wires.insert(link.clone(), wire(1, 7));
    assert_eq!(layout.router(&have).wires[&link], wire(1, 7));
    assert_eq!(layout.router(&have).routes.len(), 2, "primary and secondary address");
    layout.plug("eni-1", Socket::Free);
    assert_eq!(layout.router(&have).wires, BTreeMap::new());
    assert_eq!(layout.router(&have).routes, BTreeMap::new());
    layout.plug("eni-1", plugged());
    assert_eq!(layout.router(&Router::default()).wires[&link].inode, 7);
}

#[test]
fn a_wires_alias_tells_it_again() {
    let wire = wire(1, u64::MAX);
    assert_eq!(Wire::from_alias(&wire.alias()), Some(wire.clone()));
    assert!(wire.alias().len() < 256);
    assert_eq!(Wire::from_alias("eth0 of somebody"), None);
}

#[test]
fn names_fit_interfaces() {
    let id = "vpc-0123456789abcdef0";
    assert!(Uplink::ALL.iter().all(|uplink| uplink.far("rs255", id).len() == 15));
    assert_eq!(link_name(id).len(), 15);
    assert_ne!(link_name(id), link_name("vpc-0123456789abcdef1"));
}
