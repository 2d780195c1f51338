//! Endpoints: addresses of a network at which its router answers for the region's API.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A VPC endpoint: addresses of its network at which the region's API is spoken to, TCP port [`Endpoint::PORT`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// E.g. `vpce-0123456789abcdef0`; unique in the region.
    pub id: String,
    /// The [`Network`](crate::Network) whose router answers.
    pub network: String,
    /// Addresses that the router takes for it, each in a subnet of the network.
    pub addresses: Vec<Ipv4Addr>,
    /// Its [`SecurityGroup`](crate::SecurityGroup)s: nobody gets to it whom none of them lets through.
    pub groups: Vec<String>,
    /// What the network's resolver says of these names while it is answered at them. `*.` before a name stands for any one
    /// label.
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
}

impl Endpoint {
    /// Where the API is spoken to.
    pub const PORT: u16 = 80;
}

/// What the host saw of an [`Endpoint`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// It is answered at every address, and at no other.
    pub ready: bool,
    /// Why not, for people.
    pub why: Option<String>,
}
