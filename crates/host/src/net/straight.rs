//! Flows that go straight through routers, from port to port ([`roadstead_bpf::flows`]).
//!
//! What was asked of a flow at its beginning (security groups) or is asked of each packet (borders of subnets) is asked
//! again when anything in the router has changed. Where the kernel has no such programs, every packet goes the long way.
//! What is done here is done in the router's namespace.

use roadstead_bpf::flows::{self, Flows, LEARN_LAST};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// The chain that marks what may be learned, after all that translates.
pub(super) fn chain() -> String {
    let hook = format!("type filter hook postrouting priority {LEARN_LAST}; policy accept;");
    format!("  chain learn {{\n    {hook}\n    {}\n  }}\n", flows::rule())
}

/// By network: its router's flows. None of any, where the kernel has none.
pub(super) struct Straight(Mutex<Option<BTreeMap<String, Arc<Flows>>>>);

impl Straight {
    pub fn new() -> Straight {
        Straight(Mutex::new(Some(BTreeMap::new())))
    }

    /// Whether every port takes part, by the names of the router's ends. An agent before this one may have seen to it.
    pub fn observe<'a>(&self, network: &str, ports: impl Iterator<Item = &'a str>) -> io::Result<bool> {
        let mut all = true;
        for port in ports {
            let Some(known) = &mut *self.lock() else { return Ok(true) };
            let there =
                Flows::of(port).inspect_err(|why| warn!("{network}: which flows {port} has: {why}")).ok().flatten();
            match (there, known.get(network)) {
                (Some(there), None) => drop(known.insert(network.to_owned(), Arc::new(there))),
                (Some(there), Some(known)) => all &= there.ids()? == known.ids()?,
                (None, _) => all = false,
            }
        }
        Ok(all)
    }

    /// Lets ports take part.
    pub fn join<'a>(&self, network: &str, ports: impl IntoIterator<Item = &'a str>) {
        let mut known = self.lock();
        let Some(networks) = &mut *known else { return };
        let joined = ports.into_iter().try_for_each(|port| match networks.get(network) {
            Some(flows) => flows.join(port),
            None => {
                let flows = Arc::new(Flows::new()?);
                flows.join(port)?;
                networks.insert(network.to_owned(), flows);
                Ok(())
            }
        });
        if let Err(why) = joined {
            warn!("every packet goes the long way: this kernel takes no programs for packets at interfaces: {why}");
            *known = None;
        }
    }

    /// Everything is asked anew.
    pub fn forget(&self, network: &str) -> io::Result<()> {
        let flows = self.lock().as_ref().and_then(|known| known.get(network).cloned());
        flows.map_or(Ok(()), |flows| flows.forget())
    }

    /// The router is gone.
    pub fn remove(&self, network: &str) {
        if let Some(known) = &mut *self.lock() {
            known.remove(network);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<String, Arc<Flows>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
