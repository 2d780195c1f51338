//! Secrets of the API: minted for access keys, opened to verify signatures.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_cloud::iam::access_key::AccessKey;
use roadstead_kernel::{Minted, Secrets};
use roadstead_store::{Read as _, View};
use roadstead_types::Sealed;
use roadstead_vault::Vault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Mints from the vault.
impl Secrets for VaultSecrets {
    fn mint(&self, context: &str) -> Result<Minted, String> {
        mint(&self.0, context)
    }
}

/// The kernel's source of secrets.
pub struct VaultSecrets(pub Arc<Vault>);

/// A secret of 40 characters: 30 random bytes in base64, as long as AWS's.
pub fn mint(vault: &Vault, context: &str) -> Result<Minted, String> {
    let mut bytes = Zeroizing::new([0; 30]);
    rand::fill(&mut *bytes).map_err(|_| "no random bytes from the system")?;
    let plain = STANDARD.encode(*bytes);
    let sealed = vault.seal(context, plain.as_bytes()).map_err(|e| e.to_string())?;
    Ok(Minted { plain, sealed })
}

/// Opens the secrets of access keys, each once.
pub struct Credentials {
    vault: Arc<Vault>,
    opened: Mutex<HashMap<String, Opened>>,
}

/// The handle that was opened, and what was in it.
type Opened = (Sealed, Arc<Zeroizing<String>>);

impl Credentials {
    /// Nothing opened yet.
    pub fn new(vault: Arc<Vault>) -> Credentials {
        Credentials { vault, opened: Mutex::default() }
    }

    /// The active access key of that id and its secret.
    pub fn find(&self, view: &View, id: &str) -> Option<(AccessKey, Arc<Zeroizing<String>>)> {
        let key = view.get(&AccessKey::key(id)).filter(|r| r.deleting.is_none() && r.body.active)?.body;
        let secret = self.open(&key)?;
        Some((key, secret))
    }

    fn open(&self, key: &AccessKey) -> Option<Arc<Zeroizing<String>>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sealed, secret)) = opened.get(&key.id)
            && *sealed == key.secret
        {
            return Some(secret.clone());
        }
        let secret = self.vault.unseal(&key.secret).ok()?;
        let secret = Arc::new(Zeroizing::new(std::str::from_utf8(&secret).ok()?.to_owned()));
        opened.insert(key.id.clone(), (key.secret.clone(), secret.clone()));
        Some(secret)
    }
}
