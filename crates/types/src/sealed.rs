use serde::{Deserialize, Serialize};
use std::fmt;

/// A secret as records may hold it: ciphertext under the region's root key, which stands outside the data
/// directory. It never prints. Only the server's vault makes one and only the agent that needs the secret opens it.
///
/// `context` is authenticated with the ciphertext (AES-256-GCM associated data), so a handle copied into another
/// record's place does not open there.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sealed {
    /// What the secret is for, e.g. `key/CLUSTER/ca`. Not secret.
    pub context: String,
    /// Base64 of nonce and ciphertext.
    pub ciphertext: String,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.context)
    }
}
