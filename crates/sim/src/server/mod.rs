//! The region's process: the region itself and its drivers, which all end with it.

mod addons;
mod etcd;
mod keys;
mod kube;
mod link;

pub use keys::PRIVATE;
pub use link::{is_saw, is_want, saw_of};

use crate::disk::Disk;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::nodes::Nodes;
use crate::rng::Rng;
use addons::Addons;
use etcd::Etcd;
use keys::Keys;
use kube::Kube;
use link::Link;
use roadstead_cloud::eks::node::{self, NodesState};
use roadstead_kernel::region::{Limits, Region, WriteError};
use roadstead_store::{Core, Options, Read as _, Tx};
use roadstead_types::Millis;
use std::convert::Infallible;

/// A region that runs, and its drivers.
pub struct Server {
    pub region: Region,
    /// When the region has something to do.
    pub wakes: Option<Millis>,
    link: Link,
    pub keys: Keys,
    kube: Kube,
    etcd: Etcd,
    addons: Addons,
}

/// Queues what a driver saw. That it may be lost with the region is no harm: a driver looks again.
fn observe(region: &mut Region, work: impl FnOnce(&mut Tx) + Send + 'static) {
    let done = |result: Result<(), WriteError<Infallible>>| {
        if let Err(WriteError::Panicked(text)) = result {
            panic!("a driver's observation can't be written: {text}");
        }
    };
    let work = move |tx: &mut Tx| {
        work(tx);
        Ok(())
    };
    region.submit(work, done);
}

/// What the nodes driver saw, beside what is wanted, unless that is gone.
fn write_nodes(region: &mut Region, cluster: &str, state: NodesState) {
    let (spec, key) = (node::key(cluster), node::state_key(cluster));
    observe(region, move |tx| {
        if tx.get(&spec).is_some() {
            tx.set(&key, Some(spec.any()), state);
        }
    });
}

/// Who in the server does something next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Operations, observations and plans.
    Region,
    /// What the host says is taken in.
    Receive,
    /// The host is told something.
    Link,
    Keys,
    Kube,
    Etcd,
    Nodes,
    Addons,
}

impl Server {
    /// Opens what is on the disk.
    pub fn start(disk: &Disk, rng: &mut Rng, limits: Limits, now: Millis, ledger: &Ledger) -> Server {
        let options = Options { compact_bytes_min: 1 << 20, ..Options::seeded(1) };
        let core = Core::open(disk.clone(), roadstead_cloud::registry(), options).expect("the disk is whole");
        let mut region = Region::new(core, roadstead_cloud::planners());
        let mut order = rng.fork();
        region.choose_with(Box::new(move |due| order.below(due)));
        region.limit(limits);
        let kube = Kube::new(rng.fork(), &region, ledger);
        let etcd = Etcd::new(rng.fork(), &region, ledger);
        let link = Link::new(rng.fork(), now, ledger);
        let keys = Keys::new(rng.fork(), ledger);
        let addons = Addons::new(rng.fork(), now, &region, ledger);
        Server { region, wakes: Some(now), link, keys, kube, etcd, addons }
    }

    /// Who has something to do, and when.
    pub fn wakes(&mut self, now: Millis, host: &mut Host, nodes: &mut Nodes) -> [(Part, Option<Millis>); 8] {
        let view = self.region.view().clone();
        [
            (Part::Region, self.wakes),
            (Part::Receive, host.arrives()),
            (Part::Link, self.link.wakes(host)),
            (Part::Keys, self.keys.wakes(now, &self.region)),
            (Part::Kube, self.kube.wakes(now, host)),
            (Part::Etcd, self.etcd.wakes(now, host)),
            (Part::Nodes, nodes.wakes(now, &view, host)),
            (Part::Addons, self.addons.wakes()),
        ]
    }

    /// A driver does something; says which cluster was found to serve, if that was it.
    pub fn drive(
        &mut self,
        part: Part,
        now: Millis,
        host: &mut Host,
        nodes: &mut Nodes,
        ledger: &Ledger,
    ) -> Option<String> {
        let mut served = None;
        match part {
            Part::Region => {}
            Part::Receive => {
                if let Some(frame) = host.receive() {
                    self.link.receive(frame, &mut self.region);
                }
            }
            Part::Link => self.link.act(now, &mut self.region, host, ledger),
            Part::Keys => self.keys.act(now, &mut self.region),
            Part::Kube => served = self.kube.act(now, &mut self.region, host),
            Part::Etcd => self.etcd.act(now, &mut self.region, host),
            Part::Nodes => {
                if let Some((cluster, state)) = nodes.report(now, &self.region.view().clone()) {
                    write_nodes(&mut self.region, &cluster, state);
                }
            }
            Part::Addons => self.addons.act(now, &mut self.region, host),
        }
        self.wakes = Some(now);
        served
    }

    /// These records are durable.
    pub fn notice(&mut self, changes: &[Changed], now: Millis) {
        self.link.notice(changes, now);
        self.keys.notice(changes);
        self.kube.notice(changes, &self.region);
        self.etcd.notice(changes, &self.region);
        self.addons.notice(changes, now, &self.region);
    }
}
