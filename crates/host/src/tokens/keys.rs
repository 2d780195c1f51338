//! The access keys that tokens may be signed with.

use super::review::Refusal;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use roadstead_hostspec::{Credential, Principal, RoleSession};
use roadstead_types::{Millis, Sealed};
use roadstead_vault::{Error, Vault};
use roadstead_wire::sigv4::Verifier;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use zeroize::Zeroizing;

/// Signing keys that are remembered: one per access key and day, while it is used.
const SIGNING_KEYS: usize = 1024;

/// All access keys of the region, by id, and what it takes to verify with them.
pub(super) struct Keys {
    pub verifier: Verifier,
    root_key: PathBuf,
    vault: OnceLock<Vault>,
    held: RwLock<HashMap<String, Held>>,
}

/// A credential, and the key in it once somebody needed that.
struct Held {
    credential: Credential,
    key: OnceLock<Key>,
}

/// An access key whose secret is open. It is wiped when the last user drops it.
#[derive(Clone)]
pub(super) struct Key(Arc<Opened>);

struct Opened {
    principal: Principal,
    secret: Zeroizing<String>,
    session: Option<Session>,
}

/// A session, and its token.
struct Session {
    of: RoleSession,
    token: Zeroizing<String>,
}

impl Keys {
    pub fn new(root_key: &Path) -> Keys {
        let verifier = Verifier::new(SIGNING_KEYS);
        Keys { verifier, root_key: root_key.to_owned(), vault: OnceLock::new(), held: RwLock::default() }
    }

    pub fn put(&self, credential: Credential) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // The same again, as at the start of each session: what is open stays so.
        if held.get(&credential.access_key_id).is_none_or(|known| known.credential != credential) {
            let id = credential.access_key_id.clone();
            held.insert(id, Held { credential, key: OnceLock::new() });
        }
    }

    pub fn remove(&self, access_key_id: &str) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(access_key_id);
    }

    /// The enabled key of that id.
    ///
    /// # Errors
    /// There is none, it is disabled, or its secret does not open.
    pub fn find(&self, access_key_id: &str) -> Result<Key, Refusal> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let Held { credential, key } = held.get(access_key_id).ok_or(Refusal::UnknownKey)?;
        if !credential.enabled {
            return Err(Refusal::DisabledKey);
        }
        if let Some(key) = key.get() {
            return Ok(key.clone());
        }
        let secret = self.open_text(&credential.secret)?;
        let session = match &credential.session {
            Some(of) => Some(Session { of: of.clone(), token: self.open_text(&of.token)? }),
            None => None,
        };
        let principal = credential.principal.clone();
        Ok(key.get_or_init(|| Key(Arc::new(Opened { principal, secret, session }))).clone())
    }

    fn open_text(&self, sealed: &Sealed) -> Result<Zeroizing<String>, Error> {
        let opened = self.open(sealed)?;
        let unreadable = |_| Error::DoesNotOpen(sealed.context.clone());
        Ok(Zeroizing::new(std::str::from_utf8(&opened).map_err(unreadable)?.to_owned()))
    }

    /// Opens a secret under the region's root key.
    ///
    /// # Errors
    /// The root key is not there, or not the one that sealed it.
    pub fn open(&self, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(vault) = self.vault.get() {
            return vault.unseal(sealed);
        }
        let vault = Vault::open(&self.root_key)?;
        self.vault.get_or_init(|| vault).unseal(sealed)
    }
}

impl Key {
    /// Whose it is.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The session that it belongs to; none of a user's own key.
    ///
    /// # Errors
    /// The request has not exactly the session token that goes with the key, or the session is over.
    pub fn session(&self, token: Option<&str>, now: Millis) -> Result<Option<&RoleSession>, Refusal> {
        match (&self.0.session, token) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Refusal::NoSession),
            (Some(_), None) => Err(Refusal::WrongSession),
            (Some(session), Some(token)) => {
                let equal = verify_slices_are_equal(session.token.as_bytes(), token.as_bytes());
                equal.map_err(|_| Refusal::WrongSession)?;
                if now >= session.of.expires {
                    return Err(Refusal::Ended);
                }
                Ok(Some(&session.of))
            }
        }
    }
}

/// The secret.
impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0.secret
    }
}
