//! Ours: a region of its own, a cluster in it made and deleted through its API, and nothing left of either.

use crate::region::{Parts, Region};
use crate::running::{self, Running};
use crate::wait::Wait;
use anyhow::Result;
use std::time::Duration;

/// What one cluster's life measured.
pub struct Measured {
    /// From CreateCluster until boto3's waiter had seen ACTIVE.
    pub active: Duration,
    /// From DeleteCluster until boto3's waiter had seen ResourceNotFoundException.
    pub deleted: Duration,
    /// What ran, of the region too, when the cluster had come to rest.
    pub running: Vec<Running>,
    /// Parts of one processor that the region, its host agent and the first processes of machines took at rest.
    pub own: f64,
    /// Those that etcd and Kubernetes took.
    pub upstream: f64,
}

/// For so long the use of processors is looked at.
const QUIET: Duration = Duration::from_secs(20);

/// Starts a region, makes a cluster, lets it rest, deletes it, and removes the region.
///
/// # Errors
/// What went wrong, with the region's last words.
pub fn measure(parts: &Parts, wait: &Wait, rest: Duration) -> Result<Measured> {
    Region::used(parts, "the region", |region| live(region, wait, rest))
}

fn live(region: &mut Region<'_>, wait: &Wait, rest: Duration) -> Result<Measured> {
    region.up()?;
    let mut client = region.client()?;
    client.tell(wait, "prepare")?;
    let active = client.time(wait, "create")?;
    client.tell(wait, "answer")?;
    wait.rest(rest)?;
    let look = || running::of_region(&region.data(), &region.cgroup()?);
    let before = look()?;
    wait.rest(QUIET)?;
    let running = look()?;
    let is_upstream = |program: &str| program == "etcd" || program.starts_with("kube-");
    let own = running::used(&before, &running, QUIET, |program| !is_upstream(program));
    let upstream = running::used(&before, &running, QUIET, is_upstream);
    let deleted = client.time(wait, "delete")?;
    Ok(Measured { active, deleted, running, own, upstream })
}
