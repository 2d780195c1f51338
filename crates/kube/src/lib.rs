//! The drivers that keep a cluster's own API as records say, and the small client that they speak it with.
//!
//! A driver here follows the objects that it is about by a watch, and does what is due whenever something changed: all it
//! decides by is in `cloud::eks` (which certificate is signed, which node is a stranger, what an add-on consists of). It
//! dials through the cluster's balancer, inside its VPC, as the service.
//!
//! The client is our own: JSON over one HTTP/1.1 connection, with server-side apply and watches. The `kube` and
//! `k8s-openapi` crates would be types for every object there is, for the seven that we look at (ADR 9).

mod addons;
mod api;
mod cluster;
mod follow;
pub mod https;
mod nodes;

pub use addons::Addons;
pub use api::Api;
pub use cluster::Clusters;
pub use nodes::Nodes;

use anyhow::Result;
use std::future::Future;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// The way into networks.
pub trait Dial: Clone + Send + Sync + 'static {
    /// A connection inside a network.
    fn dial(&self, network: &str, address: Ipv4Addr, port: u16) -> impl Future<Output = Result<TcpStream>> + Send;
}
