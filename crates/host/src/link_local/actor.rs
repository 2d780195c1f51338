//! The task of one network's link-local addresses.

use super::metadata::Instances;
use super::resolver::Zone;
use super::{Door, api, metadata, resolver};
use crate::Config;
use crate::backoff::Backoff;
use crate::endpoint::Names;
use crate::net::{Life, Nets};
use crate::tended::Told;
use anyhow::{Context as _, Result};
use roadstead_hostspec::Network;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Between looks at whether the router is still the one in which it listens. A router that was replaced stays, with its
/// wires, in the way of its successor for as long as somebody listens in it.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Actor {
    config: Arc<Config>,
    nets: Nets,
    instances: Arc<Instances>,
    names: Names,
    told: Told<Network>,
}

impl Actor {
    pub fn new(config: Arc<Config>, nets: Nets, instances: Arc<Instances>, names: Names, told: Told<Network>) -> Actor {
        Actor { config, nets, instances, names, told }
    }

    /// Until the area drops the other end of `told`, or aborts.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.told.has_changed().is_ok() {
            let network = self.told.borrow_and_update().1.clone();
            self.nets.wait_for_network(&network.id).await;
            let Err(error) = self.serve(&network).await else {
                backoff = Backoff::new();
                continue;
            };
            tracing::warn!(network = network.id, "link-local addresses are not answered at: {error:#}");
            tokio::select! {
                () = backoff.pause() => {}
                _ = self.told.changed() => {}
            }
        }
    }

    /// Answers until the network has other blocks or another router. Connections end with it.
    async fn serve(&mut self, network: &Network) -> Result<()> {
        let router = Life::of(&self.config, &network.id)?;
        let mut doors = self.open(network).await?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = self.told.changed() => if told.is_err() || self.told.borrow().1 != *network {
                    return Ok(());
                },
                Some(ended) = doors.join_next() => return ended.context("it panicked")?,
                _ = looks.tick() => if Life::of(&self.config, &network.id).ok().as_ref() != Some(&router) {
                    return Ok(());
                },
            }
        }
    }

    /// A task per door, which ends only when it cannot go on.
    async fn open(&self, network: &Network) -> Result<JoinSet<Result<()>>> {
        let (id, instances) = (network.id.clone(), self.instances.clone());
        let zone = Arc::new(Zone::new(&self.config.region, network, self.names.clone()));
        let mut doors = JoinSet::new();
        doors.spawn(metadata::serve(self.listen(Door::Metadata, network).await?, id, instances));
        let datagrams = self.nets.receive(&network.id, Door::Names.service(network)).await?;
        doors.spawn(resolver::serve_datagrams(UdpSocket::from_std(datagrams)?, zone.clone()));
        doors.spawn(resolver::serve_streams(self.listen(Door::NamesByTcp, network).await?, zone));
        doors.spawn(api::serve(self.listen(Door::Api, network).await?, self.config.region_address.clone()));
        Ok(doors)
    }

    async fn listen(&self, door: Door, network: &Network) -> Result<TcpListener> {
        Ok(TcpListener::from_std(self.nets.listen(&network.id, door.service(network)).await?)?)
    }
}
