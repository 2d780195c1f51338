//! The keys of a control plane.
//!
//! Three authorities, none of which trusts another: the cluster's own (clients and API servers), etcd's (members and
//! the API servers as their clients), and the front proxy's (aggregated APIs). A shared one would let any client of the
//! cluster speak for others by request headers, or read etcd.

use super::model::{Placement, Spec};
use crate::keys::{self, KeySpec, KeyState};
use roadstead_hostspec::{Content, File};
use roadstead_store::{AnyKey, Read as _, Record, Tx};
use roadstead_types::Cidr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The address that the token reviewer answers under in the cluster's own network.
pub const REVIEWER: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 10);

/// The keys of a cluster by their short names.
pub struct Pki(BTreeMap<String, Arc<Record<KeyState>>>);

/// States all keys; returns them once all are made.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, spec: &Spec, placement: &Placement) -> Option<Pki> {
    let wanted = wanted(spec, placement);
    let total = wanted.len();
    let made: BTreeMap<_, _> = wanted
        .into_iter()
        .filter_map(|(name, key)| {
            let made = keys::ensure(tx, &stored(spec, placement, &name), owner, || key)?;
            Some((name, made))
        })
        .collect();
    (made.len() == total).then_some(Pki(made))
}

/// Forgets all keys.
pub fn remove(tx: &mut Tx, owner: &AnyKey, spec: &Spec, placement: &Placement) {
    forget_former(tx, owner, spec, placement);
    for (name, _) in wanted(spec, placement) {
        keys::remove(tx, &stored(spec, placement, &name));
    }
}

/// Forgets the certificates that API servers had for other addresses.
pub fn forget_former(tx: &mut Tx, owner: &AnyKey, spec: &Spec, placement: &Placement) {
    let (any, present) = (key_name(spec, API_SERVERS), stored(spec, placement, API_SERVERS));
    for key in tx.owned_by(owner).iter().filter_map(AnyKey::typed::<KeySpec>) {
        if key.name().starts_with(&any) && key.name() != present {
            keys::remove(tx, key.name());
        }
    }
}

/// The key that is of this short name now: a certificate for other addresses is another key.
fn stored(spec: &Spec, placement: &Placement, name: &str) -> String {
    match (name, placement.certificate) {
        (API_SERVERS, made @ 1..) => format!("{}-{made}", key_name(spec, name)),
        _ => key_name(spec, name),
    }
}

fn key_name(spec: &Spec, name: &str) -> String {
    format!("{}/{name}", spec.id)
}

fn wanted(spec: &Spec, placement: &Placement) -> Vec<(String, KeySpec)> {
    let authority = |cn: &str| KeySpec::Authority { common_name: cn.into() };
    let certificate =
        |authority: &str, cn: &str, organisation: Option<&str>, names: &[&str], addresses: Vec<Ipv4Addr>| {
            KeySpec::Certificate {
                authority: key_name(spec, authority),
                common_name: cn.into(),
                organisation: organisation.map(str::to_owned),
                names: names.iter().map(|n| (*n).to_owned()).collect(),
                addresses,
            }
        };
    let client = |cn: &str, group: Option<&str>| certificate("ca", cn, group, &[], vec![]);
    let mut keys = vec![
        ("ca", authority("kubernetes")),
        ("etcd-ca", authority("etcd-ca")),
        ("front-ca", authority("front-proxy-ca")),
        ("sa", KeySpec::Signing),
        ("encryption", KeySpec::Text { template: ENCRYPTION.into() }),
        ("probe", KeySpec::Text { template: "{{random:30}}".into() }),
        (API_SERVERS, certificate("ca", "kube-apiserver", None, API_NAMES, api_addresses(spec, placement))),
        ("reviewer", certificate("ca", "token-reviewer", None, &["token-reviewer"], vec![REVIEWER])),
        ("etcd-client", certificate("etcd-ca", "kube-apiserver", None, &[], vec![])),
        ("etcd-service", certificate("etcd-ca", "eks:etcd-membership", None, &[], vec![])),
        ("kubelet-client", client("kube-apiserver-kubelet-client", Some("system:masters"))),
        ("front-client", certificate("front-ca", "front-proxy-client", None, &[], vec![])),
        ("kcm", client("system:kube-controller-manager", None)),
        ("scheduler", client("system:kube-scheduler", None)),
        ("service", client("eks:cluster-bootstrap", Some("system:masters"))),
    ]
    .into_iter()
    .map(|(name, key)| (name.to_owned(), key))
    .collect::<Vec<_>>();
    for member in &placement.members {
        let addresses = vec![member.address, Ipv4Addr::LOCALHOST];
        keys.push((member.name.clone(), certificate("etcd-ca", &member.name, None, &["localhost"], addresses)));
    }
    keys
}

/// The short name of the API servers' certificate.
const API_SERVERS: &str = "apiserver";

const API_NAMES: &[&str] = &[
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
];

/// Wherever a client may name the API by address: the balancer inside and outside, the Service, the machine itself.
fn api_addresses(spec: &Spec, placement: &Placement) -> Vec<Ipv4Addr> {
    let mut all = placement.balancer_addresses.clone();
    all.extend(&placement.leaving.addresses);
    all.extend(placement.public_address);
    all.extend(placement.servers.iter().map(|s| s.front_address));
    all.extend([service_address(spec.service_cidr), Ipv4Addr::LOCALHOST]);
    all
}

/// The `kubernetes` Service: the first address of the service block.
pub fn service_address(services: Cidr) -> Ipv4Addr {
    services.nth(1).unwrap_or(services.base())
}

/// Secrets are written by XSalsa20-Poly1305 under a key of the cluster's own; `identity` reads what is not sealed.
/// (KMS takes this place with the identity of a customer's key.)
const ENCRYPTION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: {{random:32}}
  - identity: {}
";

impl Pki {
    /// PEM of a certificate or public key.
    pub fn public(&self, name: &str) -> &str {
        &self.get(name).public
    }

    /// The sealed private part.
    pub fn private(&self, name: &str) -> roadstead_types::Sealed {
        self.get(name).private.clone()
    }

    /// A certificate and its key as files `PREFIX.crt` and `PREFIX.key`.
    pub fn pair(&self, name: &str, prefix: &str) -> [File; 2] {
        [self.certificate(name, &format!("{prefix}.crt")), self.key(name, &format!("{prefix}.key"))]
    }

    /// The public part as a file.
    pub fn certificate(&self, name: &str, path: &str) -> File {
        File { path: path.into(), mode: 0o644, content: Content::Text(self.public(name).into()) }
    }

    /// The private part as a file.
    pub fn key(&self, name: &str, path: &str) -> File {
        File { path: path.into(), mode: 0o600, content: Content::Sealed(self.private(name)) }
    }

    fn get(&self, name: &str) -> &KeyState {
        &self.0.get(name).expect("every name used is one of `wanted`").body
    }
}
