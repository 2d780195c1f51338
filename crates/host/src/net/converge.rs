//! One router's wanted and known state, and the step from one to the other.

use super::diff::{Op, diff};
use super::layout::{Layout, Socket};
use super::linux::Kernel;
use super::state::{Router, link_name};
use anyhow::{Error, Result, anyhow};
use std::sync::Arc;

/// Where a network is made.
pub(super) struct Site {
    pub kernel: Arc<dyn Kernel>,
    pub network: String,
}

/// A network as the agent knows it.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// Of the network's item; none while there is no such item.
    pub generation: Option<u64>,
    pub layout: Layout,
    /// What stands in the kernel; none if it must be looked at.
    pub have: Option<Router>,
}

impl Managed {
    /// Makes the router as the layout asks for. One part that fails keeps no other from being made.
    pub fn converge(&mut self, site: &Site) -> Result<Failures> {
        if self.generation.is_none() {
            return Err(not_there(&site.network));
        }
        let have = match self.have.take() {
            Some(have) => have,
            None => self.observe(site)?,
        };
        let want = self.layout.router(&have);
        let results = diff(&have, &want).into_iter().map(|op| (site.kernel.apply(&site.network, &op), op));
        let failures: Vec<(Op, Error)> = results.filter_map(|(result, op)| Some((op, result.err()?))).collect();
        for (_, error) in &failures {
            tracing::warn!("{error:#}");
        }
        self.have = failures.is_empty().then_some(want);
        Ok(Failures(failures))
    }

    /// Whether nothing is known of the network.
    pub fn is_empty(&self) -> bool {
        let Layout { cidrs: _, outside: _, borders: _, detours: _, ports, groups, frontends, refused, services } =
            &self.layout;
        let unwired = ports.is_empty() && groups.is_empty() && frontends.is_empty();
        self.generation.is_none() && unwired && refused.is_empty() && services.is_empty()
    }

    fn observe(&mut self, site: &Site) -> Result<Router> {
        for plug in self.layout.ports.values_mut() {
            // A machine that ended took its end of the wire along.
            if matches!(&plug.socket, Socket::Machine(m) if site.kernel.inode(&m.netns) != Some(m.inode)) {
                plug.socket = Socket::Free;
            }
        }
        site.kernel.observe(&site.network)
    }
}

/// What could not be made of a router.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(Op, Error)>);

impl Failures {
    /// What concerns the network as a whole.
    pub fn of_network(&self) -> Result<()> {
        self.first(|op| op.link().is_none())
    }

    /// What concerns a port: its own wire, or the network as a whole.
    pub fn of_port(&self, port: &str) -> Result<()> {
        let link = link_name(port);
        self.first(|op| op.link().is_none_or(|of| *of == link))
    }

    fn first(&self, concerns: impl Fn(&Op) -> bool) -> Result<()> {
        let first = self.0.iter().find(|(op, _)| concerns(op));
        first.map_or(Ok(()), |(_, error)| Err(anyhow!("{error:#}")))
    }
}

/// The error of what needs a network that is not there.
pub(super) fn not_there(network: &str) -> Error {
    anyhow!("network {network} is not there yet")
}
