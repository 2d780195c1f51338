//! Network load balancers. [`crate::fabric`] makes them real and writes what was seen of them.

use crate::ec2::address;
use crate::settings::Settings;
use crate::vacancy;
use roadstead_hostspec::{Listener, PublicAddress};
use roadstead_store::{AnyKey, Index, Key, Object, Read, Record, Tx};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A network load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// What it is.
    pub spec: Spec,
    /// The data path is in place.
    pub ready: bool,
    /// Ids of the targets that are healthy, in order.
    pub healthy: Vec<String>,
}

/// What a load balancer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Unique in the region.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its addresses there.
    pub addresses: Vec<Ipv4Addr>,
    /// Its address outside, while it is open.
    pub public: Option<PublicAddress>,
    /// The address outside that is its own even while it is closed.
    #[serde(default)]
    pub reserved: Option<Ipv4Addr>,
    /// Its ports.
    pub listeners: Vec<Listener>,
    /// The security groups of its interfaces.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Object for LoadBalancer {
    const KIND: &'static str = "elb/load-balancer";
    fn index(&self) -> Vec<(&'static str, String)> {
        let open = self.spec.public.as_ref().map(|public| public.address);
        self.spec.reserved.or(open).map(|address| ("public", address.to_string())).into_iter().collect()
    }
}

impl LoadBalancer {
    /// The key of a load balancer.
    pub fn key(name: &str) -> Key<LoadBalancer> {
        Key::new(name)
    }
}

/// A free public address of the region's pool, one of the lowest unless those are taken; None when it is used up.
pub fn free_public_address(tx: &Tx, who: &str) -> Option<Ipv4Addr> {
    let pool = Settings::of(tx).public_pool;
    let free = |a: &Ipv4Addr| !tx.any(Index::<LoadBalancer>::by("public", a.to_string()));
    let others = OUTSIDE + address::RESERVED + 1;
    let all = vacancy::order(pool.size().saturating_sub(others), who).filter_map(|n| pool.nth(OUTSIDE + n));
    all.into_iter().find(free)
}

/// So many addresses at the pool's beginning stand for the outside itself: a host's own processes dial from there.
const OUTSIDE: u64 = 16;

/// States what the load balancer must be.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, spec: Spec) {
    let key = LoadBalancer::key(&spec.name);
    match tx.shared(&key) {
        None => {
            tx.create(key, Some(owner.clone()), LoadBalancer { spec, ready: false, healthy: vec![] });
        }
        Some(record) if record.body.spec == spec => {}
        Some(record) => {
            let mut record = Record::clone(&record);
            record.body.spec = spec;
            tx.put(record);
        }
    }
}
