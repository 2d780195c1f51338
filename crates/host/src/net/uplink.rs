//! Wires from a router to what is around it: to the host, where clients of balancers are, and to the outside.

use super::linux::{nft, run, write_sysctl};
use super::netlink::{Far, Link, Netlink, Route, TABLE_LOCAL, rules_generation};
use super::rules::{WAY_OUT, guard};
use super::state::Uplink;
use super::{netns, router_namespace};
use crate::{Config, lock};
use anyhow::{Context as _, Result};
use roadstead_guest::netlink::{Netlink as Rules, Rule};
use roadstead_types::{Cidr, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Next hops on an uplink. They are nobody's address (RFC 3927 §2.1 reserves the block), only keys of the neighbour
/// table, so they cannot collide with a network's blocks.
const FAR_HOP: (Ipv4Addr, Mac) = (Ipv4Addr::new(169, 254, 0, 1), Mac([2, 0, 0, 0, 0, 1]));
const ROUTER_HOP: (Ipv4Addr, Mac) = (Ipv4Addr::new(169, 254, 0, 2), Mac([2, 0, 0, 0, 0, 2]));

/// The routing table of what has a way outside, and the rule that leads there. Before the main table's rule (32766).
const OUT: Rule = Rule { priority: 100, from: None, to: None, mark: Some(WAY_OUT), table: 111 };

/// The uplinks of a region's routers.
pub(super) struct Uplinks {
    config: Arc<Config>,
    /// Held while uplinks to the host come and go.
    guard: Mutex<Option<Guard>>,
}

impl Uplinks {
    pub fn new(config: Arc<Config>) -> Uplinks {
        Uplinks { config, guard: Mutex::default() }
    }

    /// Draws the wire, or what of it is not there.
    pub fn add(&self, network: &str, uplink: Uplink) -> Result<()> {
        let (namespace, name) = (router_namespace(&self.config, network), self.name(network, uplink));
        let mut guard = lock(&self.guard);
        if uplink == Uplink::Host && !guarded(&mut guard, &self.config.mark())? {
            *guard = Some(Guard::write(&self.config.mark())?);
        }
        let mut around = self.around(uplink, Netlink::open)??;
        let mut router = netns::run_in(&namespace, Netlink::open)??;
        if around.link(&name)?.is_none() || router.link(uplink.near())?.is_none() {
            around.delete_link(&name)?;
            router.delete_link(uplink.near())?;
            let namespace = netns::open(&netns::path(&namespace))?;
            let far = Far { namespace: namespace.as_fd(), name: uplink.near(), mac: ROUTER_HOP.1 };
            around.add_pair(&name, Some(FAR_HOP.1), &far)?;
        }
        self.around(uplink, || -> io::Result<()> {
            if uplink == Uplink::Host {
                write_sysctl(&format!("net/ipv4/conf/{name}/route_localnet"), "1")?;
            }
            write_sysctl(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1")
        })??;
        router.set_up(uplink.near())?;
        around.set_up(&name)?;
        let (here, there) = (around.index(&name)?, router.index(uplink.near())?);
        around.set_neighbour(here, ROUTER_HOP.0, ROUTER_HOP.1)?;
        router.set_neighbour(there, FAR_HOP.0, FAR_HOP.1)?;
        router.set_route(way_back(uplink, there))?;
        if uplink == Uplink::Outside {
            netns::run_in(&namespace, Rules::open)??.add_rule(OUT)?;
        }
        Ok(around.set_up_as(&name, network)?)
    }

    /// Removes the wire. Fine if it is gone.
    pub fn remove(&self, network: &str, uplink: Uplink) -> Result<()> {
        if uplink == Uplink::Outside {
            // By its end in the router: the outside may be gone.
            let mut router = netns::run_in(&router_namespace(&self.config, network), Netlink::open)??;
            return Ok(router.delete_link(uplink.near())?);
        }
        let mark = self.config.mark();
        let mut guard = lock(&self.guard);
        let mut host = Netlink::open()?;
        host.delete_link(&self.name(network, uplink))?;
        if !host.links()?.iter().any(|link| is_to_host(link, &mark)) {
            remove_guard(&mark)?;
            *guard = None;
        }
        Ok(())
    }

    /// Leads a public address to the network.
    pub fn add_public(&self, network: &str, uplink: Uplink, address: Ipv4Addr) -> Result<()> {
        self.change(network, uplink, |around, link| around.set_route(self.public_route(uplink, link, address)))
    }

    /// Leads it there no more.
    pub fn remove_public(&self, network: &str, uplink: Uplink, address: Ipv4Addr) -> Result<()> {
        self.change(network, uplink, |around, link| around.delete_route(self.public_route(uplink, link, address)))
    }

    /// The public addresses that lead to the network, by uplinks that are whole. `routes` are the router's.
    pub fn observe(&self, network: &str, routes: &[Route]) -> Result<BTreeMap<Uplink, BTreeSet<Ipv4Addr>>> {
        let seen = Uplink::ALL.into_iter().map(|uplink| Ok((uplink, self.observe_one(network, uplink, routes)?)));
        let seen: Vec<_> = seen.collect::<Result<_>>()?;
        Ok(seen.into_iter().filter_map(|(uplink, public)| Some((uplink, public?))).collect())
    }

    fn observe_one(&self, network: &str, uplink: Uplink, routes: &[Route]) -> Result<Option<BTreeSet<Ipv4Addr>>> {
        let mark = self.config.mark();
        let led = match uplink {
            Uplink::Host => guarded(&mut lock(&self.guard), &mark)?,
            Uplink::Outside => {
                netns::run_in(&router_namespace(&self.config, network), Rules::open)??.rules()?.contains(&OUT)
            }
        };
        // Without an outside there is no wire to it.
        let Ok(around) = self.around(uplink, Netlink::open) else { return Ok(None) };
        let mut around = around?;
        let Some(link) = around.link(&self.name(network, uplink))? else { return Ok(None) };
        let back = |route: &&Route| **route == Route { link: route.link, ..way_back(uplink, route.link) };
        if !(led && routes.iter().any(|route| back(&route)) && link.up && link.carrier && link.alias == network) {
            return Ok(None);
        }
        let expected = |route: &Route| *route == self.public_route(uplink, link.index, route.to.base());
        Ok(Some(around.routes()?.iter().filter(|route| expected(route)).map(|route| route.to.base()).collect()))
    }

    fn name(&self, network: &str, uplink: Uplink) -> String {
        uplink.far(&self.config.mark(), network)
    }

    /// Runs `f` in the namespace that is around.
    fn around<T: Send>(&self, uplink: Uplink, f: impl FnOnce() -> T + Send) -> Result<T> {
        match (uplink, &self.config.outside) {
            (Uplink::Host, _) => Ok(f()),
            (Uplink::Outside, Some(outside)) => {
                netns::run_in_path(outside, f).context("the outside of the region's VPCs (roadstead config: outside)")
            }
            (Uplink::Outside, None) => {
                anyhow::bail!("nothing is configured as the outside: start the region with --outside")
            }
        }
    }

    fn change(&self, network: &str, uplink: Uplink, f: impl FnOnce(&mut Netlink, u32) -> io::Result<()>) -> Result<()> {
        let mut around = self.around(uplink, Netlink::open)??;
        let link = around.index(&self.name(network, uplink))?;
        Ok(f(&mut around, link)?)
    }

    fn public_route(&self, uplink: Uplink, link: u32, address: Ipv4Addr) -> Route {
        let route = Route { via: Some(ROUTER_HOP.0), ..Route::new(Cidr::containing(address, 32), link) };
        match uplink {
            // In the table of local addresses, because 127.0.0.0/8 is one of those.
            Uplink::Host => {
                let source = Some(Ipv4Addr::new(127, 43, self.config.slot, 1));
                Route { source, table: TABLE_LOCAL, ..route }
            }
            Uplink::Outside => route,
        }
    }
}

/// What a router sends out of an uplink.
fn way_back(uplink: Uplink, link: u32) -> Route {
    let route = |to| Route { via: Some(FAR_HOP.0), ..Route::new(to, link) };
    match uplink {
        Uplink::Host => route(Cidr::containing(Ipv4Addr::LOCALHOST, 8)),
        Uplink::Outside => Route { table: OUT.table, ..route(Cidr::containing(Ipv4Addr::UNSPECIFIED, 0)) },
    }
}

/// Removes the region's uplinks to the host; others go with their routers.
pub(super) fn purge(mark: &str) -> Result<()> {
    let mut host = Netlink::open()?;
    for link in host.links()?.iter().filter(|link| is_to_host(link, mark)) {
        host.delete_link(&link.name)?;
    }
    Ok(())
}

/// Removes the table that guards the host.
pub(super) fn remove_guard(mark: &str) -> Result<()> {
    nft(&format!("table inet {mark}\ndelete table inet {mark}\n"))
}

/// The host's guard table as it was written.
struct Guard {
    /// As nft lists it.
    listing: String,
    /// The host's generation of rules under which it was last seen so: while that stays, nft need not be asked.
    generation: u32,
}

impl Guard {
    fn write(mark: &str) -> Result<Guard> {
        nft(&guard(mark))?;
        let generation = rules_generation()?;
        let listing = list_guard(mark)?.context("the guard table is gone as soon as it is written")?;
        Ok(Guard { listing, generation })
    }

    fn stands(&mut self, mark: &str) -> Result<bool> {
        let generation = rules_generation()?;
        if generation != self.generation {
            if list_guard(mark)?.as_ref() != Some(&self.listing) {
                return Ok(false);
            }
            self.generation = generation;
        }
        Ok(true)
    }
}

fn guarded(guard: &mut Option<Guard>, mark: &str) -> Result<bool> {
    guard.as_mut().map_or(Ok(false), |guard| guard.stands(mark))
}

fn list_guard(mark: &str) -> Result<Option<String>> {
    let output = run(Command::new("nft").args(["list", "table", "inet", mark]))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn is_to_host(link: &Link, mark: &str) -> bool {
    link.name.strip_prefix(mark).is_some_and(|rest| rest.starts_with('-'))
}
