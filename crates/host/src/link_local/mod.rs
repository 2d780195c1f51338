//! The link-local addresses at which a VPC answers its instances, also while the region is away.
//!
//! ```text
//! machine ── 169.254.169.254:80 ──▶ router namespace: metadata   who asks is known by the address that it asks from
//!         ── 169.254.169.253:53 ──▶                   resolver   names of the VPC's own addresses
//!         ── 169.254.171.1:80 ────▶                   api ─────▶ the region's listener, on this host
//! ```
//!
//! The router holds the addresses itself, so no packet to one is forwarded, and lets in only who asks from an address of
//! the network that is routed to where it came from. An agent that starts keeps what an earlier one opened, and opens the
//! same doors again; the data path of everything else knows nothing of them.

mod actor;
pub(crate) mod api;
mod attend;
mod metadata;
mod resolver;

use crate::Config;
use crate::backoff::Backoff;
use crate::endpoint::Names;
use crate::net::{Nets, Part, Service, Transport};
use crate::tended::{Tended, Told};
use actor::Actor;
use metadata::Instances;
use roadstead_hostspec::link_local::{API, METADATA, RESOLVER};
use roadstead_hostspec::{Metadata, Network};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The area of link-local addresses, and of what instances are told there. A handle: copies share everything.
#[derive(Clone)]
pub struct LinkLocal(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    nets: Nets,
    instances: Arc<Instances>,
    names: Names,
    tended: Tended<Network>,
}

/// What is answered at a link-local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Metadata,
    Names,
    NamesByTcp,
    Api,
}

impl Door {
    const ALL: [Door; 4] = [Door::Metadata, Door::Names, Door::NamesByTcp, Door::Api];

    /// What the router must do for it.
    fn service(self, network: &Network) -> Service {
        let (id, address, transport, port) = match self {
            Door::Metadata => ("link-local.metadata", METADATA, Transport::Tcp, 80),
            Door::Names => ("link-local.names", RESOLVER, Transport::Udp, 53),
            Door::NamesByTcp => ("link-local.names-tcp", RESOLVER, Transport::Tcp, 53),
            Door::Api => ("link-local.api", API, Transport::Tcp, 80),
        };
        Service { id: id.to_owned(), address, transport, port, clients: network.cidrs.clone(), groups: Vec::new() }
    }
}

impl LinkLocal {
    /// Starts without touching anything. The root key is read when a secret is first needed. `names` are known besides those
    /// of addresses.
    pub fn new(config: Arc<Config>, nets: Nets, names: Names) -> LinkLocal {
        let instances = Arc::new(Instances::new(&config.root_key));
        LinkLocal(Arc::new(Inner { config, nets, instances, names, tended: Tended::new() }))
    }

    /// Has a task of its own answer in the network, if it has link-local addresses.
    pub async fn put_network(&self, generation: u64, network: &Network) {
        match network.link_local {
            true => self.0.tended.tell(generation, network.clone(), |told| self.start(told)),
            false => self.remove_network(&network.id).await,
        }
    }

    /// Nobody is answered in the network any more, and its router gives the addresses back; tries until that is so.
    pub async fn remove_network(&self, id: &str) {
        let Some(network) = self.0.tended.end(id).await else { return };
        let service =
            |door: Door| door.service(&Network { id: network.clone(), link_local: true, ..Network::default() });
        for door in Door::ALL {
            let mut backoff = Backoff::new();
            while let Err(error) = self.0.nets.unlisten(&network, &service(door).id).await {
                tracing::warn!(network, ?door, "cannot give the address back: {error:#}");
                backoff.pause().await;
            }
        }
    }

    /// Has the router keep the addresses that an earlier agent answered at, until the network is put.
    pub async fn adopt(&self, network: &Network) {
        for door in Door::ALL.into_iter().filter(|_| network.link_local) {
            self.0.nets.adopt(&network.id, Part::Service(door.service(network))).await;
        }
    }

    /// An instance is told this from its next request on.
    pub fn put_instance(&self, metadata: Metadata) {
        self.0.instances.put(metadata);
    }

    /// The instance is told nothing any more.
    pub fn remove_instance(&self, id: &str) {
        self.0.instances.remove(id);
    }

    fn start(&self, told: Told<Network>) -> JoinHandle<()> {
        let Inner { config, nets, instances, names, .. } = &*self.0;
        tokio::spawn(Actor::new(config.clone(), nets.clone(), instances.clone(), names.clone(), told).run())
    }
}
