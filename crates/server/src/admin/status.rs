//! The region at a glance.

use super::Question;
use super::cli::ask;
use crate::config::Config;
use anyhow::Result;
use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::settings::Settings;
use roadstead_kernel::region::Handle;
use roadstead_store::{Index, Read, View};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::sync::watch;

/// The region at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    region: String,
    account: String,
    endpoint: String,
    clusters: Vec<ClusterReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClusterReport {
    name: String,
    version: String,
    state: String,
    since: Millis,
    issues: Vec<String>,
}

/// The report as it is, and whenever it changes.
pub fn reports(handle: &Handle, address: SocketAddr) -> watch::Receiver<Report> {
    let (sender, receiver) = watch::channel(report(&handle.view(), address));
    handle.subscribe(Box::new(move |commit| {
        let now = report(&commit.view, address);
        sender.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }));
    receiver
}

fn report(view: &View, address: SocketAddr) -> Report {
    let settings = Settings::of(view);
    let clusters = view.list(Index::<Cluster>::all()).into_iter().map(|r| ClusterReport {
        name: r.body.spec.name,
        version: r.body.spec.version,
        state: format!("{:?}", r.body.status.state).to_uppercase(),
        since: r.body.status.since,
        issues: r.body.status.issues.into_iter().map(|i| i.message).collect(),
    });
    Report {
        region: settings.region,
        account: settings.account,
        endpoint: format!("http://{address}"),
        clusters: clusters.collect(),
    }
}

/// Prints the region as it is; with `watch`, every change until interrupted.
pub async fn status(config: &Config, watch: bool) -> Result<()> {
    ask(config, &Question::Status { watch }, |report: Report| {
        print(&report);
        Ok(())
    })
    .await
}

fn print(report: &Report) {
    println!("region {} of account {} at {}", report.region, report.account, report.endpoint);
    for cluster in &report.clusters {
        println!("  {:<24} {:<6} {}", cluster.name, cluster.version, cluster.state);
        for issue in &cluster.issues {
            println!("    {issue}");
        }
    }
    if report.clusters.is_empty() {
        println!("  no clusters");
    }
}
