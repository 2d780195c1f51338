//! What an instance may learn about itself, and the link-local addresses at which a VPC answers its instances.

use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Link-local addresses of a [`Network`](crate::Network) that has them. The router answers for them itself; no packet to
/// one leaves the network.
pub mod link_local {
    use std::net::Ipv4Addr;

    /// The instance metadata service, TCP port 80 (EC2 user guide, "Access instance metadata").
    pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    /// The resolver, UDP and TCP port 53 (VPC user guide, "Amazon DNS server").
    pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
    /// The region's own API, TCP port 80: where AWS would have its public names, reached by `AWS_ENDPOINT_URL`. Not an
    /// address of AWS's; it lies beside those that EKS uses on a node (169.254.170.2, .23 and 169.254.172.0/22).
    pub const API: Ipv4Addr = Ipv4Addr::new(169, 254, 171, 1);
}

/// What the metadata service (IMDS) tells one instance. Who asks is known by the address that it asks from, which the
/// router lets nobody else send from. Only version 2: without a session token nothing is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The instance's id, which is the [`Machine`](crate::Machine)'s.
    pub id: String,
    /// The [`Network`](crate::Network) that it asks in.
    pub network: String,
    /// The primary address of its first port.
    pub address: Ipv4Addr,
    /// How many hops an answer may go: 1 keeps it from pods, which the instance forwards to
    /// (`HttpPutResponseHopLimit`). Used as the IP time-to-live of answers.
    pub hop_limit: u8,
    /// Answers by path below `/latest/`, e.g. `meta-data/instance-id`; a listing of a folder follows from them.
    pub categories: BTreeMap<String, String>,
    /// `user-data`, as given; none: 404.
    pub user_data: Option<String>,
    /// `meta-data/iam/security-credentials/ROLE`; none: the instance has no role.
    pub credentials: Option<RoleCredentials>,
}

/// Credentials of an instance's role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleCredentials {
    /// The role's name.
    pub role: String,
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Sealed,
    /// The session token.
    pub token: Sealed,
    /// When they were made.
    pub updated: Millis,
    /// When they end. Newer ones are there five minutes before.
    pub expires: Millis,
}
