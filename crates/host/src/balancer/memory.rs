//! What is known of health, kept while the host has power: `run_dir/balancers/`, a file per balancer.

use super::state::{Health, Place, Pulse, carry_over};
use crate::{Config, now};
use roadstead_hostspec::Balancer;
use std::io;
use std::path::PathBuf;

/// The health of the balancer's targets as last remembered; those that are not are new.
pub(super) async fn recall(config: &Config, spec: &Balancer) -> Health {
    let known = match tokio::fs::read(path(config, &spec.id)).await {
        Ok(bytes) => serde_json::from_slice::<Vec<(Place, Pulse)>>(&bytes).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    carry_over(spec, &known.into_iter().collect(), now())
}

/// Remembers. To fail costs a restarted agent its first checks, no more.
pub(super) async fn remember(config: &Config, balancer: &str, health: &Health) {
    if let Err(error) = write(config, balancer, health).await {
        tracing::warn!(balancer, "cannot remember health: {error}");
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

async fn write(config: &Config, balancer: &str, health: &Health) -> io::Result<()> {
    let path = path(config, balancer);
    let new = path.with_extension("new");
    tokio::fs::create_dir_all(path.parent().unwrap_or(&path)).await?;
    tokio::fs::write(&new, serde_json::to_vec(&health.iter().collect::<Vec<_>>())?).await?;
    tokio::fs::rename(new, path).await
}

fn path(config: &Config, balancer: &str) -> PathBuf {
    config.run_dir.join("balancers").join(format!("{balancer}.json"))
}
