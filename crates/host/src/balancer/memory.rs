//! What is known of health, kept while the router lives whose connections it decides about: `run_dir/balancers/`, a
//! file per balancer.

use super::state::{Health, Place, Pulse, carry_over};
use crate::net::Life;
use crate::{Config, now};
use roadstead_hostspec::Balancer;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

#[derive(Serialize, Deserialize)]
struct Kept {
    router: Life,
    health: Vec<(Place, Pulse)>,
}

/// The health of the balancer's targets as last remembered; those that are not are new.
pub(super) async fn recall(config: &Config, spec: &Balancer) -> Health {
    let kept = tokio::fs::read(path(config, &spec.id)).await.ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    let router = Life::of(config, &spec.network).ok();
    let known = kept.filter(|kept| router.as_ref() == Some(&kept.router)).map(|kept| kept.health).unwrap_or_default();
    carry_over(spec, &known.into_iter().collect(), now())
}

/// Remembers. To fail costs a restarted agent its first checks, no more.
pub(super) async fn remember(config: &Config, spec: &Balancer, health: &Health) {
    if let Err(error) = write(config, spec, health).await {
        tracing::warn!(balancer = spec.id, "cannot remember health: {error}");
    }
}

pub(super) async fn forget(config: &Config, balancer: &str) {
    match tokio::fs::remove_file(path(config, balancer)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(balancer, "cannot forget health: {error}");
        }
        _ => {}
    }
}

async fn write(config: &Config, spec: &Balancer, health: &Health) -> io::Result<()> {
    let health = health.iter().map(|(place, pulse)| (place.clone(), pulse.clone())).collect();
    let kept = Kept { router: Life::of(config, &spec.network)?, health };
    let path = path(config, &spec.id);
    let new = path.with_extension("new");
    tokio::fs::create_dir_all(path.parent().unwrap_or(&path)).await?;
    tokio::fs::write(&new, serde_json::to_vec(&kept)?).await?;
    tokio::fs::rename(new, path).await
}

fn path(config: &Config, balancer: &str) -> PathBuf {
    config.run_dir.join("balancers").join(format!("{balancer}.json"))
}
