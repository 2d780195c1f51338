//! Networks and ports: a router per network, a wire per attached port.
//!
//! ```text
//!            host's namespace                 router: namespace rs7-net-vpc-0abc            machine: rs7-i-0abc
//!   client ── rs7-1f3a… ═════ uplink ══ [ lo: 10.0.1.1/32 (gateway), 10.0.1.9/32 (balancer) ] ══ p5c2… ═══ eth0 10.0.1.5/24
//!            127.43.7.16/32 → uplink      10.0.1.5/32 → p5c2…;  one nftables table
//! ```
//!
//! A router exists while its [`Network`](roadstead_hostspec::Network) is put. Machines are another area's: it makes a machine's namespace with
//! [`netns::create`] and calls [`Nets::attach`], which draws the wires; until then a port exists only as the router's
//! knowledge of it, and packets to it are unreachable. Balancers say what the data path should be with
//! [`Nets::put_frontend`], security groups what ports that have them send and get ([`Nets::put_group`]); the router's own services (token review, the link-local ones) listen with [`Nets::listen`] and [`Nets::receive`].
//!
//! The kernel is the truth. Names are functions of ids, so an agent that starts finds what another one made; what it
//! has applied since it last looked it remembers, so that the hot path asks the kernel nothing; after any error and in
//! each audit it looks again.

mod borders;
mod converge;
mod detours;
mod diff;
mod layout;
mod linux;
mod netlink;
pub mod netns;
mod nets;
mod rules;
mod security;
mod state;
mod straight;
mod uplink;

#[cfg(test)]
mod tests;

pub use layout::{Frontend, Service, Transport};
pub use linux::Flow;
pub(crate) use linux::Life;
pub use nets::{Nets, Part, Setup};

use crate::Config;

/// Name of the network namespace that is the router of `network`.
pub fn router_namespace(config: &Config, network: &str) -> String {
    format!("{}-net-{network}", config.mark())
}

/// Removes every router, wire and uplink of the region from this machine, whoever made them.
pub fn purge(config: &Config) -> anyhow::Result<()> {
    linux::purge(config)
}
