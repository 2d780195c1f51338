//! Routers in Linux. Everything here blocks; nothing dumps a kernel table but `observe`, `sweep` and `purge`.

use super::detours;
use super::diff::Op;
use super::netlink::{Far, Link, Netlink, Route as NetlinkRoute, TABLE_LOCAL, rules_generation};
use super::netns;
use super::rules::Rules;
use super::state::{Route, Router, Uplink, Wire};
use super::straight::Straight;
use super::uplink::{self, Uplinks};
use crate::Config;
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_bpf::flows;
use roadstead_guest::netlink::{Netlink as PolicyRules, Rule};
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::{fs, io};

/// The kernel as routers need it.
pub(super) trait Kernel: Send + Sync + 'static {
    /// The router as it stands. One that does not exist is made, empty.
    fn observe(&self, network: &str) -> Result<Router>;
    /// Changes the router. After an error it is unknown how far that went.
    fn apply(&self, network: &str, op: &Op) -> Result<()>;
    /// Removes the router and all that hangs on it.
    fn remove(&self, network: &str) -> Result<()>;
    /// Ends connections through a balancer whose flows match, so that both sides learn of it with their next packet.
    fn cut(&self, network: &str, flows: &[Flow]) -> Result<()>;
    /// Networks whose routers exist.
    fn networks(&self) -> Result<Vec<String>>;
    /// Inode of the network namespace whose file is `path`, if there is one. No two that live have the same.
    fn inode(&self, path: &Path) -> Option<u64>;
}

/// Connections through a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The address and port that was dialled; all if none.
    pub dialled: Option<(Ipv4Addr, u16)>,
    /// The target that it was led to.
    pub target: Ipv4Addr,
    /// The target's port; all if none.
    pub port: Option<u16>,
}

impl Flow {
    /// All connections that lead to the target.
    pub fn to(target: Ipv4Addr) -> Flow {
        Flow { dialled: None, target, port: None }
    }
}

/// The real one.
pub(super) struct Linux {
    config: Arc<Config>,
    uplinks: Uplinks,
    straight: Straight,
}

/// The next hop on a wire, as on an uplink nobody's address: the machine's end, whatever addresses are behind that.
const MACHINE_HOP: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 3);

/// Number of the first detour's routing table.
const DETOUR_TABLES: u32 = 1000;

/// Settings of a router's namespace. A new namespace copies some of the host's, so all that matter are written.
/// - `proxy_arp`: a machine asks for its subnet's other addresses by ARP, and the router answers for them.
/// - `route_localnet`: clients on the host dial from 127.0.0.0/8, and the answers come in by the ports.
/// - `rp_filter`: the rules do it, with an exception for the uplink.
/// - `icmp_ratelimit`: one machine's second refused connection should not wait; `icmp_msgs_per_sec` still bounds all.
const SYSCTLS: [(&str, &str); 15] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/conf/default/proxy_arp", "1"),
    ("net/ipv4/conf/all/route_localnet", "1"),
    ("net/ipv4/conf/default/route_localnet", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/default/arp_ignore", "0"),
    ("net/ipv4/conf/all/arp_ignore", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
];

/// Settings that exist once the rules use connection tracking. A packet of a connection that is not known (its target
/// was cut off) must not count as a new one: the router answers it with a reset. Packets out of the window stay in
/// their connection, or they would pass untranslated: among [`flows::SETTINGS`].
const CONNTRACK_SYSCTLS: [(&str, &str); 1] = [("net/netfilter/nf_conntrack_tcp_loose", "0")];

impl Linux {
    pub fn new(config: Arc<Config>) -> Linux {
        Linux { uplinks: Uplinks::new(config.clone()), straight: Straight::new(), config }
    }

    fn namespace(&self, network: &str) -> String {
        super::router_namespace(&self.config, network)
    }

    fn tune(&self, network: &str) -> Result<()> {
        let links = netns::run_in(&self.namespace(network), Netlink::open)??.links()?;
        let ports = links.iter().map(|link| link.name.as_str()).filter(|name| name.starts_with('p'));
        Ok(netns::run_in(&self.namespace(network), || {
            self.straight.join(network, ports);
            write_sysctls(&SYSCTLS)
        })??)
    }

    fn set_rules(&self, network: &str, want: &Rules) -> Result<()> {
        let namespace = self.namespace(network);
        let generation = netns::run_in(&namespace, rules_generation)?.ok();
        let script = want.script(&self.config.mark(), self.rules(network, generation)?.as_ref());
        let written = netns::run_in(&namespace, || -> Result<u32> {
            nft(&script)?;
            write_sysctls(&CONNTRACK_SYSCTLS)?;
            write_sysctls(&flows::SETTINGS)?;
            Ok(rules_generation()?)
        })?;
        if written.is_err() {
            // An agent of another version may have made the table, without a set that this one has: all anew next time.
            self.memory(network).forget()?;
        }
        let generation = written?;
        let place = Place { router: Life::of(&self.config, network)?, generation };
        self.memory(network).write(&Written { place, rules: want.clone() })
    }

    /// The rules as they were last written, if nobody wrote since.
    fn rules(&self, network: &str, generation: Option<u32>) -> Result<Option<Rules>> {
        let Some(generation) = generation else { return Ok(None) };
        let place = Place { router: Life::of(&self.config, network)?, generation };
        Ok(self.memory(network).read().filter(|written| written.place == place).map(|written| written.rules))
    }

    fn memory(&self, network: &str) -> Memory {
        Memory(self.config.run_dir.join("routers").join(format!("{network}.json")))
    }

    fn with_router(&self, network: &str, f: impl FnOnce(&mut Netlink) -> io::Result<()>) -> Result<()> {
        let mut router = netns::run_in(&self.namespace(network), Netlink::open)??;
        Ok(f(&mut router)?)
    }

    /// The rule comes last: without its route it would lead on to where packets are for.
    fn set_detour(&self, network: &str, number: u16, link: &str) -> Result<()> {
        self.with_router(network, |n| {
            let index = n.index(link)?;
            n.set_route(NetlinkRoute {
                table: detour_rule(number).table,
                via: Some(MACHINE_HOP),
                ..NetlinkRoute::new(Cidr::containing(Ipv4Addr::UNSPECIFIED, 0), index)
            })
        })?;
        Ok(netns::run_in(&self.namespace(network), || PolicyRules::open()?.add_rule(detour_rule(number)))??)
    }

    fn add_wire(&self, network: &str, link: &str, wire: &Wire) -> Result<()> {
        let namespace = self.namespace(network);
        let netns = netns::open(&wire.far.netns)?;
        ensure!(netns.metadata()?.ino() == wire.inode, "the machine's namespace was replaced: attach it again");
        let mut router = netns::run_in(&namespace, Netlink::open)??;
        router.add_pair(link, None, &Far { namespace: netns.as_fd(), name: &wire.name, mac: wire.mac })?;
        // By default the router would answer a machine's first ARP question up to 0.8 s late.
        let delay = format!("net/ipv4/neigh/{link}/proxy_delay");
        netns::run_in(&namespace, || {
            self.straight.join(network, [link]);
            write_sysctl(&delay, "0")
        })??;
        router.set_up(link)?;
        let index = router.index(link)?;
        router.set_neighbour(index, MACHINE_HOP, wire.mac)?;
        let mut machine = netns::run_in_path(&wire.far.netns, Netlink::open)??;
        machine.set_up(&wire.name)?;
        if !wire.far.bare {
            let index = machine.index(&wire.name)?;
            machine.add_address(index, wire.address, wire.prefix)?;
            for to in &wire.far.routes {
                machine.set_route(NetlinkRoute { via: wire.far.gateway, ..NetlinkRoute::new(*to, index) })?;
            }
        }
        Ok(router.set_up_as(link, &wire.alias())?)
    }
}

impl Kernel for Linux {
    fn observe(&self, network: &str) -> Result<Router> {
        let namespace = self.namespace(network);
        netns::create(&namespace).with_context(|| format!("make network namespace {namespace}"))?;
        let (mut netlink, policy, generation, tuned) = netns::run_in(&namespace, || -> Result<_> {
            let tuned = SYSCTLS.iter().all(|(key, value)| has_sysctl(key, value));
            Ok((Netlink::open()?, PolicyRules::open()?.rules()?, rules_generation().ok(), tuned))
        })??;
        let links = netlink.links()?;
        let all = netlink.routes()?;
        let loopback = links.iter().find(|link| link.name == "lo").context("the router has no loopback")?;
        let ports = links.iter().filter(|link| link.name.starts_with('p'));
        let names = ports.clone().map(|link| link.name.as_str());
        let straight = netns::run_in(&namespace, || self.straight.observe(network, names))??;
        Ok(Router {
            tuned: tuned && straight,
            addresses: netlink.addresses(loopback.index)?.into_iter().collect(),
            wires: ports.map(into_wire).collect(),
            routes: all.iter().filter_map(|route| into_port_route(route, &links)).collect(),
            detours: all.iter().filter_map(|route| into_detour(route, &links, &policy)).collect(),
            uplinks: self.uplinks.observe(network, &all)?,
            rules: self.rules(network, generation)?,
        })
    }

    fn apply(&self, network: &str, op: &Op) -> Result<()> {
        match op {
            Op::Tune => self.tune(network),
            Op::SetRules(want) => self.set_rules(network, want),
            Op::AddUplink(uplink) => self.uplinks.add(network, *uplink),
            Op::RemoveUplink(uplink) => self.uplinks.remove(network, *uplink),
            Op::AddPublic(uplink, to) => self.uplinks.add_public(network, *uplink, *to),
            Op::RemovePublic(uplink, to) => self.uplinks.remove_public(network, *uplink, *to),
            Op::AddWire(link, wire) => self.add_wire(network, link, wire),
            Op::RemoveWire(link) => self.with_router(network, |n| n.delete_link(link)),
            Op::AddAddress(address) => self.with_router(network, |n| {
                let lo = n.index("lo")?;
                n.add_address(lo, *address, 32)
            }),
            Op::RemoveAddress(address) => self.with_router(network, |n| {
                let lo = n.index("lo")?;
                n.delete_address(lo, *address)
            }),
            Op::SetRoute(to, route) => self.with_router(network, |n| {
                let route = from_port_route(n, *to, route)?;
                n.set_route(route)
            }),
            Op::SetDetour(number, link) => self.set_detour(network, *number, link),
            Op::RemoveDetour(number) => {
                netns::run_in(&self.namespace(network), || PolicyRules::open()?.delete_rule(detour_rule(*number)))?
                    .map_err(Into::into)
            }
            Op::RemoveRoute(to, route) => self.with_router(network, |n| match from_port_route(n, *to, route) {
                // It went with its link.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                found => n.delete_route(found?),
            }),
        }
        .and_then(|()| Ok(self.straight.forget(network)?))
        .with_context(|| format!("network {network}: {op:?}"))
    }

    fn remove(&self, network: &str) -> Result<()> {
        self.uplinks.remove(network, Uplink::Host)?;
        self.memory(network).forget()?;
        self.straight.remove(network);
        remove_router(&self.namespace(network))
    }

    fn cut(&self, network: &str, flows: &[Flow]) -> Result<()> {
        netns::run_in(&self.namespace(network), || flows.iter().try_for_each(conntrack_delete))??;
        Ok(self.straight.forget(network)?)
    }

    fn networks(&self) -> Result<Vec<String>> {
        let prefix = self.namespace("");
        Ok(netns::list(&prefix)?.iter().map(|name| name[prefix.len()..].to_owned()).collect())
    }

    fn inode(&self, path: &Path) -> Option<u64> {
        netns::open(path).and_then(|file| file.metadata()).ok().map(|metadata| metadata.ino())
    }
}

/// Removes every router and uplink of the region from this machine.
pub(super) fn purge(config: &Config) -> Result<()> {
    let mark = config.mark();
    uplink::purge(&mark)?;
    for namespace in netns::list(&super::router_namespace(config, ""))? {
        remove_router(&namespace)?;
    }
    uplink::remove_guard(&mark)
}

/// Removes a router. Its links go first: a namespace that ends takes them along only some time later.
fn remove_router(namespace: &str) -> Result<()> {
    let opened = match netns::run_in(namespace, Netlink::open) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(netns::delete(namespace)?),
        other => other?,
    };
    let mut netlink = opened?;
    for link in netlink.links()?.iter().filter(|link| link.name != "lo") {
        netlink.delete_link(&link.name)?;
    }
    Ok(netns::delete(namespace)?)
}

/// The content of a router's table as an agent wrote it, so that the next agent need not write it again.
#[derive(Serialize, Deserialize)]
struct Written {
    place: Place,
    rules: Rules,
}

/// A state of a router's tables that nobody has changed since: there is no other like it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    router: Life,
    generation: u32,
}

/// One life of a router: another one under the same name, or after the host had no power, is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    boot: String,
    inode: u64,
}

impl Life {
    /// That of the router of `network`.
    ///
    /// # Errors
    /// There is no such router.
    pub fn of(config: &Config, network: &str) -> io::Result<Life> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let path = netns::path(&super::router_namespace(config, network));
        Ok(Life { boot, inode: netns::open(&path)?.metadata()?.ino() })
    }
}

/// The file of what was written.
struct Memory(PathBuf);

impl Memory {
    fn read(&self) -> Option<Written> {
        serde_json::from_slice(&fs::read(&self.0).ok()?).ok()
    }

    fn write(&self, written: &Written) -> Result<()> {
        let new = self.0.with_extension("new");
        fs::create_dir_all(self.0.parent().unwrap_or(&self.0))?;
        fs::write(&new, serde_json::to_vec(written)?)?;
        fs::rename(&new, &self.0).with_context(|| format!("write {}", self.0.display()))
    }

    fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn into_wire(link: &Link) -> (String, Wire) {
    // One whose machine end was set down carries nothing: it is made anew.
    let whole = Wire::from_alias(&link.alias).filter(|_| link.carrier);
    (link.name.clone(), whole.unwrap_or_else(Wire::foreign))
}

/// The rule that leads packets with a detour's mark to its table. Before the main table's.
fn detour_rule(number: u16) -> Rule {
    let table = DETOUR_TABLES + u32::from(number);
    Rule { priority: 90, from: None, to: None, mark: Some(detours::mark(number)), table }
}

fn into_detour(route: &NetlinkRoute, links: &[Link], policy: &[Rule]) -> Option<(u16, String)> {
    let number = u16::try_from(route.table.checked_sub(DETOUR_TABLES)?).ok()?;
    let link = links.iter().find(|link| link.index == route.link && link.name.starts_with('p'))?;
    let whole = route.to.prefix() == 0 && route.via == Some(MACHINE_HOP) && policy.contains(&detour_rule(number));
    whole.then(|| (number, link.name.clone()))
}

fn into_port_route(route: &NetlinkRoute, links: &[Link]) -> Option<(Ipv4Addr, Route)> {
    let link = links.iter().find(|link| link.index == route.link && link.name.starts_with('p'))?;
    let whole = route.to.prefix() == 32 && route.table != TABLE_LOCAL && route.via == Some(MACHINE_HOP);
    whole.then_some((route.to.base(), Route { link: link.name.clone(), source: route.source? }))
}

fn from_port_route(netlink: &mut Netlink, to: Ipv4Addr, route: &Route) -> io::Result<NetlinkRoute> {
    let link = netlink.index(&route.link)?;
    let (via, source) = (Some(MACHINE_HOP), Some(route.source));
    Ok(NetlinkRoute { via, source, ..NetlinkRoute::new(Cidr::containing(to, 32), link) })
}

fn write_sysctls(all: &[(&str, &str)]) -> io::Result<()> {
    all.iter().try_for_each(|(key, value)| write_sysctl(key, value))
}

/// Whether a setting of the calling thread's namespace is so. A host without IPv6 has none of its settings.
fn has_sysctl(key: &str, value: &str) -> bool {
    match fs::read_to_string(Path::new("/proc/sys").join(key)) {
        Ok(text) => text.trim() == value,
        Err(error) => error.kind() == io::ErrorKind::NotFound && key.starts_with("net/ipv6/"),
    }
}

/// Writes a setting of the calling thread's namespace. A host without IPv6 has none of its settings.
pub(super) fn write_sysctl(key: &str, value: &str) -> io::Result<()> {
    match fs::write(Path::new("/proc/sys").join(key), value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && key.starts_with("net/ipv6/") => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("write {value} to /proc/sys/{key}: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// One transaction of nftables, in the calling thread's namespace.
pub(super) fn nft(script: &str) -> Result<()> {
    let mut nft = start(Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()))?;
    let written = nft.stdin.take().expect("stdin is piped").write_all(script.as_bytes());
    let output = nft.wait_with_output()?;
    if !output.status.success() {
        bail!("nft refused the rules: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(written?)
}

fn conntrack_delete(flow: &Flow) -> Result<()> {
    let mut command = Command::new("conntrack");
    command.args(["-D", "-p", "tcp", "--dst-nat", "--reply-src", &flow.target.to_string()]);
    if let Some((address, port)) = flow.dialled {
        command.args(["--orig-dst", &address.to_string(), "--orig-port-dst", &port.to_string()]);
    }
    if let Some(port) = flow.port {
        command.args(["--reply-port-src", &port.to_string()]);
    }
    let output = run(&mut command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It exits with 1 when there was nothing to delete, and says how many it deleted either way.
    ensure!(said.contains("flow entries have been deleted"), "conntrack: {}", said.trim());
    Ok(())
}

/// What the program said, once it has ended.
pub(super) fn run(command: &mut Command) -> Result<Output> {
    Ok(start(command)?.wait_with_output()?)
}

fn start(command: &mut Command) -> Result<std::process::Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    spawned.with_context(|| format!("start {program}: install it (roadstead doctor lists what the host must have)"))
}
