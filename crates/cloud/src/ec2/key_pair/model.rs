use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Tags};
use serde::{Deserialize, Serialize};

/// A key pair, as far as it is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// `key-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its name: an account has one of a name.
    pub name: String,
    /// The public key.
    pub public: PublicKey,
    /// When it was made or imported.
    pub created: Millis,
    /// Its tags.
    pub tags: Tags,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// What it is of.
    pub algorithm: Algorithm,
    /// As OpenSSH writes it, without a comment.
    pub text: String,
    /// SHA-256 of its blob, in base64 without padding.
    pub fingerprint: String,
}

/// The algorithms of key pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    Ed25519,
    /// RSA, of 1024, 2048 or 4096 bits.
    Rsa,
}

impl Object for KeyPair {
    const KIND: &'static str = "ec2/key-pair";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("name", format!("{}/{}", self.account, self.name))]
    }
}

impl KeyPair {
    /// The key of an account's key pair.
    pub fn key(account: &str, id: &str) -> Key<KeyPair> {
        Key::new(format!("{account}/{id}"))
    }
}
