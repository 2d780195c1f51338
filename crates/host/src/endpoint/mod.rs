//! VPC endpoints: addresses in a network at which its router passes connections on to the region's API.
//!
//! ```text
//! machine ── 10.0.1.9:80 ──▶ router namespace: groups let it through? ──▶ the region's listener, on this host
//! ```
//!
//! The router holds the addresses itself, as it holds link-local ones. A name leads to an endpoint only while it is
//! answered at. Groups that change close no connection; an address that goes closes its own.

mod names;

pub use names::Names;

use crate::backoff::Backoff;
use crate::link_local::api;
use crate::net::{Life, Nets, Part, Service, Transport};
use crate::tended::{Tended, Told};
use crate::{Config, Saw};
use anyhow::{Context as _, Result};
use roadstead_hostspec::{Endpoint, EndpointStatus, ItemKey, ItemKind, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Between looks at whether the router is still the one in which it listens: one that was replaced stays for as long as
/// somebody listens in it.
const LOOK: Duration = Duration::from_secs(1);

/// The area of VPC endpoints. A handle: copies share everything.
#[derive(Clone)]
pub struct Endpoints(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    names: Names,
    tended: Tended<Endpoint>,
}

impl Endpoints {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets) -> Endpoints {
        Endpoints(Arc::new(Inner { config, saw, nets, names: Names::default(), tended: Tended::new() }))
    }

    /// What resolvers know of them.
    pub fn names(&self) -> Names {
        self.0.names.clone()
    }

    /// Has a task of its own answer at the endpoint's addresses.
    pub async fn put(&self, generation: u64, spec: Endpoint) {
        if self.0.tended.moves(&spec) {
            self.remove(&spec.id).await;
        }
        self.0.tended.tell(generation, spec, |told| self.start(told));
    }

    /// Nobody is answered any more, and the router gives the addresses back; tries until that is so.
    pub async fn remove(&self, id: &str) {
        self.0.names.remove(id);
        let Some(network) = self.0.tended.end(id).await else { return };
        // The task may have put them back before it ended.
        self.0.names.remove(id);
        let mut backoff = Backoff::new();
        while let Err(error) = self.0.nets.unlisten_others(&network, &begin(id), BTreeSet::new()).await {
            tracing::warn!(endpoint = id, "cannot give its addresses back: {error:#}");
            backoff.pause().await;
        }
    }

    /// Has the router keep the addresses that an earlier agent answered at, until the endpoint is put.
    pub async fn adopt(&self, spec: &Endpoint) {
        for address in &spec.addresses {
            self.0.nets.adopt(&spec.network, Part::Service(service(spec, *address))).await;
        }
    }

    fn start(&self, told: Told<Endpoint>) -> JoinHandle<()> {
        let Inner { config, saw, nets, names, .. } = &*self.0;
        let (config, saw, nets, names) = (config.clone(), saw.clone(), nets.clone(), names.clone());
        tokio::spawn(Actor { config, saw, nets, names, told }.run())
    }
}

/// What ids of the endpoint's services begin with.
fn begin(id: &str) -> String {
    format!("{id}.")
}

/// What the router must do at one of the endpoint's addresses.
fn service(spec: &Endpoint, address: Ipv4Addr) -> Service {
    let (id, groups) = (begin(&spec.id) + &address.to_string(), spec.groups.clone());
    Service { id, address, transport: Transport::Tcp, port: Endpoint::PORT, clients: Vec::new(), groups }
}

/// The task of one endpoint.
struct Actor {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    names: Names,
    told: Told<Endpoint>,
}

impl Actor {
    /// Until the area drops the other end of `told`, or aborts.
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.told.has_changed().is_ok() {
            let network = self.told.borrow_and_update().1.network.clone();
            self.nets.wait_for_network(&network).await;
            let Err(error) = self.serve(&network).await else {
                backoff = Backoff::new();
                continue;
            };
            let (generation, spec) = self.told.borrow().clone();
            self.names.remove(&spec.id);
            self.say(generation, &spec, Some(format!("{error:#}")));
            tracing::warn!(endpoint = spec.id, "it is not answered at: {error:#}");
            tokio::select! {
                () = backoff.pause() => {}
                _ = self.told.changed() => {}
            }
        }
    }

    /// Answers, wherever it is told to, until the router is another.
    async fn serve(&mut self, network: &str) -> Result<()> {
        let router = Life::of(&self.config, network)?;
        let mut doors = Doors::default();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (generation, spec) = self.told.borrow_and_update().clone();
            doors.fit(&self.config, &self.nets, &spec).await?;
            self.names.put(&spec);
            self.say(generation, &spec, None);
            loop {
                tokio::select! {
                    told = self.told.changed() => match told {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    Some(ended) = doors.tasks.join_next() => match ended {
                        // A door that was closed.
                        Err(error) if error.is_cancelled() => {}
                        ended => return ended.context("it panicked")?,
                    },
                    _ = looks.tick() => if Life::of(&self.config, network).ok().as_ref() != Some(&router) {
                        return Ok(());
                    },
                }
            }
        }
    }

    /// Reports: it is answered at, or why not.
    fn say(&self, generation: u64, spec: &Endpoint, why: Option<String>) {
        let key = ItemKey { kind: ItemKind::Endpoint, id: spec.id.clone() };
        (self.saw)(key, generation, Status::Endpoint(EndpointStatus { ready: why.is_none(), why }));
    }
}

/// A listener for each address. They close with this.
#[derive(Default)]
struct Doors {
    tasks: JoinSet<Result<()>>,
    open: BTreeMap<Ipv4Addr, AbortHandle>,
}

impl Doors {
    /// Opens and closes what is not as the endpoint says; its groups count at once at those that stay.
    async fn fit(&mut self, config: &Config, nets: &Nets, spec: &Endpoint) -> Result<()> {
        self.open.retain(|address, door| {
            let stays = spec.addresses.contains(address);
            if !stays {
                door.abort();
            }
            stays
        });
        // Also what was closed before, if the router could not be told.
        let stay = spec.addresses.iter().map(|address| service(spec, *address).id).collect();
        nets.unlisten_others(&spec.network, &begin(&spec.id), stay).await?;
        for address in &spec.addresses {
            let service = service(spec, *address);
            if self.open.contains_key(address) {
                nets.offer(&spec.network, service).await?;
                continue;
            }
            let listener = TcpListener::from_std(nets.listen(&spec.network, service).await?)?;
            let door = self.tasks.spawn(api::serve(listener, config.region_address.clone()));
            self.open.insert(*address, door);
        }
        Ok(())
    }
}
