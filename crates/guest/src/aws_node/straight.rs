//! Flows that go straight through the node, from pod to pod and between pods and ENIs ([`roadstead_bpf::flows`]); those to
//! services, too, once kube-proxy's rules have said which pod they go to.
//!
//! The daemon lets ENIs take part, and tells plugins how their pods' wires do. Where that cannot be, every packet goes
//! the long way.

use super::node::sysctl;
use crate::netlink::Netlink;
use anyhow::{Context as _, Result};
use roadstead_bpf::flows::{self, Flows};
use std::sync::OnceLock;

/// The flows of the node.
#[derive(Default)]
pub struct Straight(OnceLock<Option<Flows>>);

impl Straight {
    /// Lets an ENI take part. `prefix` is what pods' wires' names begin with.
    pub fn join(&self, eni: &str, prefix: &str) {
        let flows = self.0.get_or_init(|| {
            let flows =
                found_or_made(prefix).inspect_err(|why| tracing::warn!("every packet goes the long way: {why:#}"));
            flows.ok()
        });
        let joined = flows.as_ref().map_or(Ok(()), |flows| flows.join(eni));
        joined.unwrap_or_else(|why| tracing::warn!("packets of {eni} go the long way: {why}"));
    }

    /// By what plugins let pods' wires take part.
    pub fn ids(&self) -> Option<[u32; 2]> {
        self.0.get()?.as_ref()?.ids().ok()
    }

    /// Rules have changed: everything is asked anew.
    pub fn forget(&self) -> Result<()> {
        let flows = self.0.get().and_then(Option::as_ref);
        flows.map_or(Ok(()), Flows::forget).context("taking back what flows were allowed before")
    }
}

/// Those that a daemon before this one made, or new ones, which pods that are there already take part in.
fn found_or_made(prefix: &str) -> Result<Flows> {
    flows::SETTINGS.iter().try_for_each(|(key, value)| sysctl(key, value))?;
    let links: Vec<String> = Netlink::open()?.links()?.into_iter().map(|link| link.name).collect();
    for link in &links {
        if let Some(flows) = Flows::of(link).with_context(|| format!("which flows {link} has"))? {
            return Ok(flows);
        }
    }
    let flows = Flows::new().context("the kernel takes no programs for packets at interfaces")?;
    links.iter().filter(|link| link.starts_with(prefix)).try_for_each(|link| flows.join(link))?;
    Ok(flows)
}
