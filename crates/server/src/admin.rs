//! The region's own socket, for the operator at this machine: `status` asks here.
//!
//! A client connects and gets one line of JSON for the region as it is, and another whenever it changes.

use crate::config::Config;
use crate::local::Local;
use anyhow::{Context as _, Result};
use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::settings::Settings;
use roadstead_kernel::region::Handle;
use roadstead_store::{Index, Read, View};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tracing::debug;

/// The region at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
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

/// Answers on the region's own socket.
pub async fn serve(listener: UnixListener, handle: Handle, address: SocketAddr) -> Result<()> {
    let (sender, receiver) = watch::channel(report(&handle.view(), address));
    handle.subscribe(Box::new(move |commit| {
        let now = report(&commit.view, address);
        sender.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }));
    loop {
        let (stream, _) = listener.accept().await?;
        let receiver = receiver.clone();
        tokio::spawn(async move {
            if let Err(error) = follow(stream, receiver).await {
                debug!("a status client left: {error:#}");
            }
        });
    }
}

async fn follow(mut stream: UnixStream, mut reports: watch::Receiver<Report>) -> Result<()> {
    loop {
        let mut line = serde_json::to_vec(&*reports.borrow_and_update())?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        reports.changed().await?;
    }
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
    let down = || format!("no region runs on {}: start it with `roadstead up`", config.data_dir.display());
    let socket = Local::read(config).with_context(down)?.paths().admin_socket();
    let stream = UnixStream::connect(socket).await.with_context(down)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        print(&serde_json::from_str(&line)?);
        if !watch {
            break;
        }
    }
    Ok(())
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
