//! Keys and certificates: a planner states which must exist, the key driver makes them.
//!
//! A [`KeySpec`] says what; the driver answers once with a [`KeyState`]: the public part, and the private part sealed
//! for the agent that needs it. Private bytes never pass through here. A key is made once and never changes: rotation
//! is another key.

use roadstead_store::{AnyKey, Key, Object, Read, Record, Tx};
use roadstead_types::Sealed;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A key that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySpec {
    /// A self-signed certificate authority, ECDSA P-256, valid ten years (as EKS's first CA).
    Authority {
        /// Subject common name.
        common_name: String,
    },
    /// A certificate by an authority, ECDSA P-256, valid for both ends of TLS.
    Certificate {
        /// Name of the [`KeySpec::Authority`].
        authority: String,
        /// Subject common name.
        common_name: String,
        /// Subject organisation: the Kubernetes group.
        organisation: Option<String>,
        /// Subject alternative DNS names.
        names: Vec<String>,
        /// Subject alternative addresses.
        addresses: Vec<Ipv4Addr>,
    },
    /// RSA 2048 for service account tokens (RS256, as EKS's issuer).
    Signing,
    /// A text with random bytes in it: each `{{random:N}}` becomes N random bytes in base64.
    Text {
        /// The text.
        template: String,
    },
}

/// What the key driver made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// PEM: the certificate, or the public key of a signing key; empty for a text.
    pub public: String,
    /// PKCS #8 PEM of the private key, or the text.
    pub private: Sealed,
}

impl Object for KeySpec {
    const KIND: &'static str = "keys/spec";
}

impl Object for KeyState {
    const KIND: &'static str = "keys/state";
}

/// States that the key must exist; says what the driver made of it, once it did.
pub fn ensure(
    tx: &mut Tx,
    name: &str,
    owner: &AnyKey,
    spec: impl FnOnce() -> KeySpec,
) -> Option<Arc<Record<KeyState>>> {
    let key = Key::<KeySpec>::new(name);
    if tx.shared(&key).is_none() {
        tx.create(key, Some(owner.clone()), spec());
        return None;
    }
    tx.shared(&Key::<KeyState>::new(name))
}

/// Forgets the key: its private part is gone with the record.
pub fn remove(tx: &mut Tx, name: &str) {
    tx.remove(&Key::<KeySpec>::new(name));
    tx.remove(&Key::<KeyState>::new(name));
}
