//! What a host must know to verify cluster tokens while the region is away.

use roadstead_types::{Cidr, Millis, Sealed};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An access key, as hosts verify signatures with: a user's, or that of a role's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// `AKIA…`, or `ASIA…` of a session.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Sealed,
    /// Whose it is.
    pub principal: Principal,
    /// A disabled key is refused.
    pub enabled: bool,
    /// The session of a role that it belongs to; none: it is a user's.
    #[serde(default)]
    pub session: Option<RoleSession>,
}

/// A session of a role: temporary credentials, which count only with their session token and until they expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSession {
    /// The session token; a request without exactly this one is refused.
    pub token: Sealed,
    /// From then on it is refused.
    pub expires: Millis,
    /// Canonical ARN of the role, path included: what a [`Mapping`] names.
    pub role: String,
    /// The session's name; an instance's id where EC2 made the session for one.
    pub name: String,
    /// Private DNS name of the instance that EC2 made the session for, and nobody else: `{{EC2PrivateDNSName}}`.
    pub instance_name: Option<String>,
}

/// Who signs with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// ARN: `arn:aws:iam::111122223333:user/admin`, `arn:aws:sts::111122223333:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// Unique id: `AIDA…`, `AROA…:SESSION`.
    pub unique_id: String,
    /// Its account.
    pub account: String,
}

/// A token review webhook for one cluster's API servers (`authentication.k8s.io` TokenReview), listening in a network
/// that only they are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    /// Unique in the region.
    pub id: String,
    /// The [`Network`](crate::Network) it listens in.
    pub network: String,
    /// Address that the router answers for.
    pub address: Ipv4Addr,
    /// The subnet whose members may ask.
    pub clients: Cidr,
    /// TCP port.
    pub port: u16,
    /// PEM chain of its certificate, and its key.
    pub certificate: String,
    /// PKCS #8 PEM.
    pub key: Sealed,
    /// Cluster name: the signed `x-k8s-aws-id` must equal it.
    pub cluster: String,
    /// Region that the token's signature must be scoped to.
    pub region: String,
    /// Host names of our own STS that a token may name, port included where it is not 443. The real ones
    /// (`sts.amazonaws.com`, `sts.REGION.amazonaws.com`, fips) are always accepted. Nothing is ever dialled.
    pub sts_hosts: Vec<String>,
    /// Who is who in the cluster; anybody else is refused.
    pub mappings: Vec<Mapping>,
}

/// Maps an AWS principal to a Kubernetes user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// [`Principal::arn`] of a user, [`RoleSession::role`] of a session.
    pub arn: String,
    /// Kubernetes user name. `{{EC2PrivateDNSName}}`, `{{SessionName}}` and `{{AccountID}}` stand for what the session
    /// says (aws-iam-authenticator, "Full configuration format"); who has no such thing is refused.
    pub username: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
}

/// What the host saw of a [`Reviewer`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewerStatus {
    /// It listens.
    pub ready: bool,
    /// Why not, for people.
    pub why: Option<String>,
}
