use super::converge::{Failures, Managed, Site, not_there};
use super::layout::{Frontend, Layout, Plugged, Service, Socket, Way};
use super::linux::{Flow, Kernel, Linux};
use super::{netns, router_namespace};
use crate::backoff::Backoff;
use crate::{Config, Saw, blocking, lock};
use anyhow::{Context as _, Result, anyhow};
use roadstead_hostspec::{
    ItemKey, ItemKind, MachinePort, Network, NetworkStatus, Port, PortStatus, SecurityGroup, Status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The area of networks and ports. A handle: copies share everything.
///
/// All changes of one network happen one after the other, on blocking threads that finish what they began even when
/// the caller's future is dropped; different networks don't wait for each other.
#[derive(Clone)]
pub struct Nets(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    kernel: Arc<dyn Kernel>,
    networks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Managed>>>>,
    directory: watch::Sender<Directory>,
}

/// What is there, for those who wait for it.
#[derive(Debug, Default)]
struct Directory {
    networks: BTreeSet<String>,
    ports: BTreeMap<String, Place>,
    /// By security group id: its network.
    groups: BTreeMap<String, String>,
    /// By machine id: the ports plugged into it.
    machines: BTreeMap<String, BTreeSet<String>>,
}

/// Where a port is.
#[derive(Debug)]
struct Place {
    network: String,
    /// Whether the network's router knows it.
    ready: bool,
}

/// What a machine's interfaces get when they are plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Each its address; the first carries the default route, another one the routes to its own network's blocks if that
    /// is not the first one's network.
    All,
    /// The first one its address and the default route; the others come up bare, and the machine's own programs see to
    /// them.
    First,
}

/// Something of a network that an earlier agent made.
#[derive(Clone, Debug)]
pub enum Part {
    /// A port.
    Port(Port),
    /// A security group.
    Group(SecurityGroup),
    /// A balancer's id and data path.
    Frontend(String, Frontend),
    /// A service of the router itself.
    Service(Service),
}

impl Nets {
    /// Starts without touching the kernel.
    pub fn new(config: Arc<Config>, saw: Saw) -> Nets {
        let kernel = Arc::new(Linux::new(config.clone()));
        Nets::with_kernel(config, saw, kernel)
    }

    pub(super) fn with_kernel(config: Arc<Config>, saw: Saw, kernel: Arc<dyn Kernel>) -> Nets {
        let (networks, directory) = (Mutex::default(), watch::Sender::default());
        Nets(Arc::new(Inner { config, saw, kernel, networks, directory }))
    }

    /// Makes the network's router and reports; tries until it stands.
    pub async fn put_network(&self, generation: u64, spec: Network) {
        let mut backoff = Backoff::new();
        loop {
            let Network { cidrs, outside, borders, detours, .. } = spec.clone();
            let make = move |managed: &mut Managed, site: &Site| {
                managed.generation = Some(generation);
                let layout = &mut managed.layout;
                (layout.cidrs, layout.outside) = (cidrs, outside);
                (layout.borders, layout.detours) = (borders, detours);
                managed.converge(site)?.of_network()
            };
            let result = self.with(&spec.id, make).await;
            self.saw_network(&spec.id, generation, &result);
            if result.is_ok() {
                return self.know(&spec.id, true);
            }
            backoff.pause().await;
        }
    }

    /// Removes the router with all that hangs on it; tries until it is gone.
    pub async fn remove_network(&self, id: &str) {
        self.know(id, false);
        let mut backoff = Backoff::new();
        while let Err(error) = self.with(id, remove_router).await {
            tracing::warn!(network = id, "cannot remove the router: {error:#}");
            backoff.pause().await;
        }
        self.forget_if_empty(id);
    }

    /// Makes the port known to its network's router, which is waited for, and reports; tries until it is so.
    pub async fn put_port(&self, generation: u64, spec: Port) {
        if let Err(why) = spec.mac.parse::<roadstead_types::Mac>() {
            return self.saw_port(&spec.id, generation, &Err(anyhow!(why)));
        }
        match self.network_of(&spec.id) {
            Ok(network) if network == spec.network => {}
            known => {
                if known.is_ok() {
                    self.remove_port(&spec.id).await;
                }
                self.place(&spec, false);
            }
        }
        let mut backoff = Backoff::new();
        loop {
            if !self.has_network(&spec.network) {
                self.saw_port(&spec.id, generation, &Err(not_there(&spec.network)));
                self.wait_for_network(&spec.network).await;
            }
            let port = spec.clone();
            let result = self.change(&spec.network, move |layout| layout.put_port(port)).await;
            let result = result.and_then(|failures| failures.of_port(&spec.id));
            self.saw_port(&spec.id, generation, &result);
            if result.is_ok() {
                return self.place(&spec, true);
            }
            backoff.pause().await;
        }
    }

    /// Removes the port; a machine that has it loses the interface.
    pub async fn remove_port(&self, id: &str) {
        let Ok(network) = self.network_of(id) else { return };
        self.0.directory.send_modify(|d| drop(d.ports.remove(id)));
        let mut backoff = Backoff::new();
        while let Err(error) = self.release(&network, id, |layout, id| drop(layout.ports.remove(id))).await {
            tracing::warn!(port = id, "cannot remove the port: {error:#}");
            backoff.pause().await;
        }
        self.forget_if_empty(&network);
    }

    /// Lets through what the security group lets through, to and from the ports that have it; waits for its network, and
    /// tries until it is so.
    pub async fn put_group(&self, spec: SecurityGroup) {
        let before = self.0.directory.borrow().groups.get(&spec.id).cloned();
        if before.is_some_and(|network| network != spec.network) {
            self.remove_group(&spec.id).await;
        }
        self.register(&spec);
        let mut backoff = Backoff::new();
        loop {
            self.wait_for_network(&spec.network).await;
            let group = spec.clone();
            let edit = move |layout: &mut Layout| drop(layout.groups.insert(group.id.clone(), group));
            match self.change(&spec.network, edit).await.and_then(|failures| failures.of_network()) {
                Ok(()) => return,
                Err(error) => tracing::warn!(group = spec.id, "cannot enforce the security group: {error:#}"),
            }
            backoff.pause().await;
        }
    }

    /// Forgets the security group: a port that has it gets and sends nothing by it any more.
    pub async fn remove_group(&self, id: &str) {
        let mut network = None;
        self.0.directory.send_modify(|directory| network = directory.groups.remove(id));
        let Some(network) = network else { return };
        let mut backoff = Backoff::new();
        while let Err(error) = self.release(&network, id, |layout, id| drop(layout.groups.remove(id))).await {
            tracing::warn!(group = id, "cannot remove the security group: {error:#}");
            backoff.pause().await;
        }
    }

    /// Draws the wires of a machine's ports into its network namespace, in order. What is drawn already stays, a port that
    /// was in another machine or another life of this one moves, and a port that the machine had and is not named is
    /// unplugged.
    ///
    /// Fails if a port is not there (see [`Nets::wait_for_ports`]); may then be called again. Once it succeeded, the
    /// wires are kept and repaired until [`Nets::detach`] or the end of the namespace.
    pub async fn attach(&self, machine: &str, netns: &Path, ports: &[MachinePort], setup: Setup) -> Result<()> {
        let inode = self.0.kernel.inode(netns);
        let inode =
            inode.with_context(|| format!("no network namespace stands at {}: make it first", netns.display()))?;
        let named: BTreeSet<String> = ports.iter().map(|port| port.port.clone()).collect();
        self.unplug(machine, |port| !named.contains(port)).await?;
        self.0.directory.send_modify(|d| drop(d.machines.insert(machine.to_owned(), named)));
        let mut first = None;
        for MachinePort { port, name } in ports {
            let network = self.network_of(port)?;
            let first = first.get_or_insert_with(|| port.clone());
            let way = match first == port {
                true => Way::Everywhere,
                false if setup == Setup::First => Way::Bare,
                false if self.network_of(first)? == network => Way::Subnet,
                false => Way::Network,
            };
            let plug = Plugged { machine: machine.to_owned(), netns: netns.to_owned(), inode, name: name.clone(), way };
            let id = port.clone();
            let edit = move |layout: &mut Layout| layout.plug(&id, Socket::Machine(plug));
            self.change(&network, edit).await?.of_port(port)?;
        }
        Ok(())
    }

    /// Takes the wires of all ports out of the machine. The ports stay, free for another machine.
    pub async fn detach(&self, machine: &str) -> Result<()> {
        self.unplug(machine, |_| true).await?;
        self.0.directory.send_modify(|d| drop(d.machines.remove(machine)));
        Ok(())
    }

    /// The first of the ports that is not there yet.
    pub fn missing_port(&self, ports: &[MachinePort]) -> Option<String> {
        let directory = self.0.directory.borrow();
        ports.iter().map(|port| &port.port).find(|port| !directory.has_port(port)).cloned()
    }

    /// Waits until all of the ports are there.
    pub async fn wait_for_ports(&self, ports: &[MachinePort]) {
        self.wait(|d| ports.iter().all(|port| d.has_port(&port.port))).await;
    }

    /// Whether the network's router stands.
    pub fn has_network(&self, id: &str) -> bool {
        self.0.directory.borrow().networks.contains(id)
    }

    /// Waits until the network's router stands.
    pub async fn wait_for_network(&self, id: &str) {
        self.wait(|d| d.networks.contains(id)).await;
    }

    /// Makes the data path of the balancer `id` as `frontend` says, at once for new connections.
    pub async fn put_frontend(&self, network: &str, id: &str, frontend: Frontend) -> Result<()> {
        let id = id.to_owned();
        let edit = move |layout: &mut Layout| drop(layout.frontends.insert(id, frontend));
        self.change(network, edit).await?.of_network()
    }

    /// Removes the data path of a balancer. Fine if the network is gone.
    pub async fn remove_frontend(&self, network: &str, id: &str) -> Result<()> {
        self.release(network, id, |layout, id| drop(layout.frontends.remove(id))).await
    }

    /// Refuses clients of these addresses and ports by resets, those that are connected with their next packet, instead
    /// of those that the quorum `id` named before.
    pub async fn refuse(&self, network: &str, id: &str, places: BTreeSet<(Ipv4Addr, u16)>) -> Result<()> {
        let id = id.to_owned();
        let edit = move |layout: &mut Layout| drop(layout.refused.insert(id, places));
        self.change(network, edit).await?.of_network()
    }

    /// Refuses nobody any more in the name of the quorum `id`. Fine if the network is gone.
    pub async fn admit_all(&self, network: &str, id: &str) -> Result<()> {
        self.release(network, id, |layout, id| drop(layout.refused.remove(id))).await
    }

    /// Ends connections through balancers, so that both sides are told with their next packet.
    pub async fn cut(&self, network: &str, flows: Vec<Flow>) -> Result<()> {
        self.with(network, move |_, site| site.kernel.cut(&site.network, &flows)).await
    }

    /// A listening socket of the router itself. Its address is the router's and open to the clients until
    /// [`Nets::unlisten`].
    pub async fn listen(&self, network: &str, service: Service) -> Result<TcpListener> {
        let listener = self.open(network, service, TcpListener::bind).await?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// [`Nets::listen`] for datagrams.
    pub async fn receive(&self, network: &str, service: Service) -> Result<UdpSocket> {
        let socket = self.open(network, service, UdpSocket::bind).await?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Opens the service's address to who may speak to it, and gives it its groups, without listening there.
    pub async fn offer(&self, network: &str, service: Service) -> Result<()> {
        let edit = move |layout: &mut Layout| drop(layout.services.insert(service.id.clone(), service));
        self.change(network, edit).await?.of_network()
    }

    async fn open<S: Send + 'static>(
        &self,
        network: &str,
        service: Service,
        bind: fn((Ipv4Addr, u16)) -> io::Result<S>,
    ) -> Result<S> {
        let at = (service.address, service.port);
        self.offer(network, service).await?;
        let namespace = router_namespace(&self.0.config, network);
        let bound = blocking(move || netns::run_in(&namespace, || bind(at)).flatten()).await;
        bound.with_context(|| format!("listen on {}:{} in network {network}", at.0, at.1))
    }

    /// Closes the service's address. Fine if the network is gone.
    pub async fn unlisten(&self, network: &str, id: &str) -> Result<()> {
        self.release(network, id, |layout, id| drop(layout.services.remove(id))).await
    }

    /// Closes the addresses of the services whose ids begin so, but for those to keep. Fine if the network is gone.
    pub async fn unlisten_others(&self, network: &str, begin: &str, keep: BTreeSet<String>) -> Result<()> {
        let goes = move |layout: &mut Layout, begin: &str| {
            layout.services.retain(|id, _| !id.starts_with(begin) || keep.contains(id));
        };
        self.release(network, begin, goes).await
    }

    /// Remembers what an earlier agent made, without touching the kernel. Everything that was there must be adopted
    /// before its network is put, or the router would lose it until its own item is put.
    pub async fn adopt(&self, network: &str, part: Part) {
        match &part {
            Part::Port(port) => self.place(port, false),
            Part::Group(group) => self.register(group),
            Part::Frontend(..) | Part::Service(_) => {}
        }
        self.with(network, |managed, _| match part {
            Part::Port(port) => managed.layout.put_port(port),
            Part::Group(group) => drop(managed.layout.groups.insert(group.id.clone(), group)),
            Part::Frontend(id, frontend) => drop(managed.layout.frontends.insert(id, frontend)),
            Part::Service(service) => drop(managed.layout.services.insert(service.id.clone(), service)),
        })
        .await;
    }

    /// Ids of the networks whose routers stand, whoever made them.
    pub async fn found(&self) -> Result<Vec<String>> {
        let kernel = self.0.kernel.clone();
        blocking(move || kernel.networks()).await
    }

    /// Looks at every router and repairs what is not as it should be.
    pub async fn audit(&self) {
        let all = self.0.directory.borrow().networks.clone();
        for network in &all {
            let look = |managed: &mut Managed, site: &Site| {
                managed.have = None;
                (managed.generation, managed.converge(site).and_then(|failures| failures.of_network()))
            };
            if let (Some(generation), result) = self.with(network, look).await {
                self.saw_network(network, generation, &result);
            }
        }
    }

    /// Edits the network's layout and makes its router so.
    async fn change(&self, network: &str, edit: impl FnOnce(&mut Layout) + Send + 'static) -> Result<Failures> {
        let change = |managed: &mut Managed, site: &Site| {
            edit(&mut managed.layout);
            managed.converge(site)
        };
        self.with(network, change).await
    }

    /// Takes the part `id` from the network's layout and, if there is a router, from that; connections to the
    /// addresses that lead nowhere since are ended.
    async fn release(
        &self,
        network: &str,
        id: &str,
        edit: impl FnOnce(&mut Layout, &str) + Send + 'static,
    ) -> Result<()> {
        let id = id.to_owned();
        let release = move |managed: &mut Managed, site: &Site| {
            let before = managed.layout.wired();
            edit(&mut managed.layout, &id);
            if managed.generation.is_none() {
                return Ok(());
            }
            managed.converge(site)?.of_network()?;
            let after = managed.layout.wired();
            let flows: Vec<Flow> = before.difference(&after).map(|address| Flow::to(*address)).collect();
            site.kernel.cut(&site.network, &flows)
        };
        let result = self.with(network, release).await;
        self.forget_if_empty(network);
        result
    }

    async fn unplug(&self, machine: &str, which: impl Fn(&str) -> bool) -> Result<()> {
        let plugged = self.0.directory.borrow().machines.get(machine).cloned().unwrap_or_default();
        for port in plugged.iter().filter(|port| which(port)) {
            // A port that was removed meanwhile has no wire.
            if let Ok(network) = self.network_of(port) {
                let machine = machine.to_owned();
                self.release(&network, port, move |layout, id| layout.unplug(id, &machine)).await?;
            }
        }
        Ok(())
    }

    /// Runs `f` on the network's state, alone, on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        network: &str,
        f: impl FnOnce(&mut Managed, &Site) -> T + Send + 'static,
    ) -> T {
        let managed = lock(&self.0.networks).entry(network.to_owned()).or_default().clone();
        let site = Site { kernel: self.0.kernel.clone(), network: network.to_owned() };
        let mut managed = managed.lock_owned().await;
        blocking(move || f(&mut managed, &site)).await
    }

    /// Drops the state of a network that has none left, unless somebody is about to use it.
    fn forget_if_empty(&self, network: &str) {
        let mut networks = lock(&self.0.networks);
        let unused = networks.get_mut(network).and_then(Arc::get_mut).is_some_and(|m| m.get_mut().is_empty());
        if unused {
            networks.remove(network);
        }
    }

    fn network_of(&self, port: &str) -> Result<String> {
        let directory = self.0.directory.borrow();
        let place = directory.ports.get(port).with_context(|| format!("port {port} is not there yet"))?;
        Ok(place.network.clone())
    }

    fn know(&self, network: &str, there: bool) {
        self.0.directory.send_modify(|directory| {
            let _changed = match there {
                true => directory.networks.insert(network.to_owned()),
                false => directory.networks.remove(network),
            };
        });
    }

    fn place(&self, port: &Port, ready: bool) {
        let place = Place { network: port.network.clone(), ready };
        self.0.directory.send_modify(|d| drop(d.ports.insert(port.id.clone(), place)));
    }

    fn register(&self, group: &SecurityGroup) {
        self.0.directory.send_modify(|d| drop(d.groups.insert(group.id.clone(), group.network.clone())));
    }

    async fn wait(&self, until: impl Fn(&Directory) -> bool) {
        let mut directory = self.0.directory.subscribe();
        // The sender lives as long as `self`.
        let _ = directory.wait_for(until).await;
    }

    fn saw_network(&self, id: &str, generation: u64, result: &Result<()>) {
        let status = NetworkStatus { ready: result.is_ok(), why: why(result) };
        let key = ItemKey { kind: ItemKind::Network, id: id.to_owned() };
        (self.0.saw)(key, generation, Status::Network(status));
    }

    fn saw_port(&self, id: &str, generation: u64, result: &Result<()>) {
        let status = PortStatus { ready: result.is_ok(), why: why(result) };
        let key = ItemKey { kind: ItemKind::Port, id: id.to_owned() };
        (self.0.saw)(key, generation, Status::Port(status));
    }
}

impl Directory {
    fn has_port(&self, id: &str) -> bool {
        self.ports.get(id).is_some_and(|place| place.ready)
    }
}

fn remove_router(managed: &mut Managed, site: &Site) -> Result<()> {
    managed.generation = None;
    managed.have = None;
    site.kernel.remove(&site.network)
}

fn why(result: &Result<()>) -> Option<String> {
    result.as_ref().err().map(|error| format!("{error:#}"))
}
