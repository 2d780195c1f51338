//! `roadstead status`: the region at a glance.

use super::cli::{ask, say};
use crate::config::Config;
use anyhow::Result;
use roadstead_inspect::{Question, Report};
use roadstead_kernel::region::Handle;
use std::net::SocketAddr;
use tokio::sync::watch;

/// The report as it is, and whenever it changes.
pub fn reports(handle: &Handle, address: SocketAddr) -> watch::Receiver<Report> {
    let (sender, receiver) = watch::channel(Report::of(&handle.view(), address));
    handle.subscribe(Box::new(move |commit| {
        let now = Report::of(&commit.view, address);
        sender.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }));
    receiver
}

/// Prints the region as it is; with `watch`, every change until interrupted.
pub async fn status(config: &Config, watch: bool) -> Result<()> {
    ask(config, &Question::Status { watch }, |report: Report| say(&report.text())).await
}
