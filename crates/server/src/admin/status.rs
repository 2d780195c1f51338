//! `roadstead status`: the region at a glance.

use super::cli::{ask, say};
use crate::config::Config;
use crate::revisions::revisions;
use anyhow::Result;
use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::settings::Settings;
use roadstead_inspect::{Question, Report};
use roadstead_kernel::region::Handle;
use roadstead_store::Object as _;
use tokio::sync::watch;

/// Changes when something may have that a report shows.
pub fn changes(handle: &Handle) -> watch::Receiver<u64> {
    let shown = |kind: &str| [Cluster::KIND, Settings::KIND].contains(&kind);
    revisions(handle, move |commit| commit.changes.iter().any(|change| shown(change.key.kind())))
}

/// Prints the region as it is; with `watch`, every change until interrupted.
pub async fn status(config: &Config, watch: bool) -> Result<()> {
    ask(config, &Question::Status { watch }, |report: Report| say(&report.text())).await
}
