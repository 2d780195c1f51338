//! The node's own network: its interfaces (ENIs), their routing tables, the rules that the pods share.

use super::ipam::Interface;
use super::ruleset::{MARK, Ruleset};
use super::straight::Straight;
use crate::cni::daemon::{Lease, table};
use crate::cni::wire::{self, FROM_POD, TO_POD};
use crate::netlink::{MAIN, Netlink, Route, Rule, await_link};
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_types::Cidr;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Marked packets: the main table.
const MARKED: u32 = 1024;
/// From an interface's own address: its table. Just before main.
const FROM_OWN: u32 = 32765;
/// How long an interface that EC2 has attached may take to appear.
const APPEARANCE: Duration = Duration::from_secs(10);

/// What the daemon does to the node. All of it may be done again.
pub trait Node: Send + Sync {
    /// Makes an interface ready for its pods: it is up, has its own address and a table.
    fn prepare(&self, interface: &Interface) -> Result<()>;
    /// Removes what [`Node::prepare`] made, but for what goes with the interface.
    fn dismiss(&self, interface: &Interface) -> Result<()>;
    /// Removes the rules of leases that ended.
    fn forget(&self, leases: &[Lease]) -> Result<()>;
    /// Removes the rules of addresses that nobody has. `leases` are looked up after the rules: who has just come stays.
    fn clean(&self, leases: &dyn Fn() -> Vec<Lease>) -> Result<()>;
    /// The host ends that exist and whose they are, by name.
    fn owners(&self) -> Result<BTreeMap<String, String>>;
    /// Makes the tables of nftables that a script makes.
    fn apply(&self, script: &str) -> Result<()>;
    /// By what plugins let pods' wires take part in flows that go straight through the node, if there are such.
    fn flows(&self) -> Option<[u32; 2]>;
}

/// The network namespace that the daemon runs in.
pub struct Linux {
    /// Of interfaces, bytes.
    pub mtu: u32,
    /// What host ends' names begin with.
    pub prefix: String,
    /// What goes straight through it.
    pub straight: Straight,
}

impl Linux {
    /// The script of the rules that all pods share. Needs the primary interface to be there.
    pub fn ruleset(&self, primary: &Interface, ruleset: &Ruleset<'_>) -> Result<String> {
        let link = Netlink::open()?.links()?.into_iter().find(|link| link.mac == Some(primary.mac));
        let link =
            link.with_context(|| format!("no interface has the MAC address {} of {}", primary.mac, primary.id))?;
        Ok(Ruleset { primary: &link.name, ..ruleset.clone() }.script())
    }
}

impl Node for Linux {
    fn prepare(&self, interface: &Interface) -> Result<()> {
        let found = await_link(interface.mac, APPEARANCE)?;
        let link = found.with_context(|| {
            format!("{} is attached, but no interface with {} appeared in {APPEARANCE:?}", interface.id, interface.mac)
        })?;
        let mut netlink = Netlink::open()?;
        sysctl("net/ipv4/ip_forward", "1")?;
        // Pods' packets come back by another interface than the address they are for would tell: loose, as
        // amazon-vpc-cni-k8s has it.
        sysctl(&format!("net/ipv4/conf/{}/rp_filter", link.name), "2")?;
        // The VPC's router asks for the secondary addresses as for all others; the node answers for its pods, at once.
        sysctl(&format!("net/ipv4/conf/{}/proxy_arp", link.name), "1")?;
        sysctl(&format!("net/ipv4/neigh/{}/proxy_delay", link.name), "0")?;
        self.straight.join(&link.name, &self.prefix);
        let Some(own_table) = table(interface.device) else {
            let marked = Rule { priority: MARKED, from: None, to: None, mark: Some(MARK), table: MAIN };
            return Ok(netlink.add_rule(marked)?);
        };
        netlink.set_up_with(&link.name, self.mtu)?;
        netlink.add_address(link.index, interface.primary, interface.subnet.prefix())?;
        let router = interface.subnet.nth(1).context("a subnet has a router")?;
        let table = u8::try_from(own_table).context("an instance has at most 15 interfaces")?;
        let everywhere = Cidr::containing(Ipv4Addr::UNSPECIFIED, 0);
        let routes = [(Cidr::containing(router, 32), None), (everywhere, Some(router))];
        for (to, via) in routes {
            netlink.set_route(Route { to, link: link.index, via, table })?;
        }
        Ok(netlink.add_rule(own_rule(interface, own_table))?)
    }

    fn dismiss(&self, interface: &Interface) -> Result<()> {
        match table(interface.device) {
            Some(table) => Ok(Netlink::open()?.delete_rule(own_rule(interface, table))?),
            None => Ok(()),
        }
    }

    fn forget(&self, leases: &[Lease]) -> Result<()> {
        let mut netlink = Netlink::open()?;
        for lease in leases {
            wire::forget(&mut netlink, lease.address, lease.table())
                .with_context(|| format!("removing the rules of {}", lease.address))?;
        }
        Ok(())
    }

    fn clean(&self, leases: &dyn Fn() -> Vec<Lease>) -> Result<()> {
        let mut netlink = Netlink::open()?;
        let known = netlink.rules()?;
        let needed: Vec<Rule> = leases().iter().flat_map(|lease| wire::rules(lease.address, lease.table())).collect();
        let ours = |rule: &Rule| match rule.priority {
            TO_POD => rule.to.is_some(),
            FROM_POD => rule.from.is_some(),
            _ => false,
        };
        for rule in known.into_iter().filter(|rule| ours(rule) && !needed.contains(rule)) {
            netlink.delete_rule(rule)?;
        }
        Ok(())
    }

    fn owners(&self) -> Result<BTreeMap<String, String>> {
        let links = Netlink::open()?.links()?.into_iter().filter(|link| link.name.starts_with(&self.prefix));
        Ok(links.map(|link| (link.name, link.alias)).collect())
    }

    fn apply(&self, script: &str) -> Result<()> {
        let mut nft = Command::new("nft");
        nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut nft = nft.spawn().context("starting nft: it must be in the image of aws-node")?;
        let input = nft.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
        let output = nft.wait_with_output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        input.unwrap_or(Ok(())).context("writing to nft")?;
        self.straight.forget()
    }

    fn flows(&self) -> Option<[u32; 2]> {
        self.straight.ids()
    }
}

fn own_rule(interface: &Interface, table: u32) -> Rule {
    Rule { priority: FROM_OWN, from: Some(interface.primary), to: None, mark: None, table }
}

/// Writes a setting below `/proc/sys`, unless it is so already (then it may be read-only).
pub(super) fn sysctl(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{key}");
    if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    if let Err(why) = fs::write(&path, value) {
        bail!("{path} can't be set to {value}: {why}");
    }
    Ok(())
}
