//! Secrets of the API: minted for access keys, opened to verify signatures.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roadstead_cloud::iam::access_key::AccessKey;
use roadstead_cloud::sts::session::Session;
use roadstead_hostspec::Principal;
use roadstead_kernel::{Identity, Minted, Secrets};
use roadstead_store::{Read as _, View};
use roadstead_types::{Arn, Millis, Sealed};
use roadstead_vault::Vault;
use roadstead_wire::fault::{Common, Fault};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Mints from the vault.
impl Secrets for VaultSecrets {
    fn mint(&self, context: &str) -> Result<Minted, String> {
        mint(&self.0, context)
    }

    fn sign(&self, context: &str, text: &str) -> Result<String, String> {
        Ok(URL_SAFE_NO_PAD.encode(hmac::sign(&self.0.derive(context), text.as_bytes())))
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

/// Opened secrets that are remembered; when there are more, all are forgotten and those in use are opened again.
const OPENED: usize = 4096;

/// Opens the secrets of access keys and sessions, each once.
pub struct Credentials {
    vault: Arc<Vault>,
    opened: Mutex<HashMap<Sealed, Secret>>,
}

/// An opened secret, wiped when the last user drops it.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// Somebody who signs.
pub struct Signer {
    /// Whose the key is.
    pub principal: Principal,
    /// The secret access key.
    pub secret: Secret,
    session: Option<Temporary>,
}

/// What a session's key counts with, and how long.
struct Temporary {
    token: Secret,
    expires: Millis,
    role: String,
}

impl Credentials {
    /// Nothing opened yet.
    pub fn new(vault: Arc<Vault>) -> Credentials {
        Credentials { vault, opened: Mutex::default() }
    }

    /// Whose the access key of that id is: an active one of a user, or that of a session, also one that is over.
    pub fn find(&self, view: &View, id: &str) -> Option<Signer> {
        if let Some(record) = view.shared(&AccessKey::key(id)) {
            let key = Some(&record).filter(|r| r.deleting.is_none() && r.body.active).map(|r| &r.body)?;
            return Some(Signer { principal: key.principal.clone(), secret: self.open(&key.secret)?, session: None });
        }
        let session = view.get(&Session::key_of(id)).filter(|r| r.deleting.is_none())?.body;
        let issued = session.issued?;
        let token = self.open(&issued.token)?;
        let temporary = Temporary { token, expires: issued.expires, role: session.role };
        Some(Signer { principal: session.principal, secret: self.open(&issued.secret)?, session: Some(temporary) })
    }

    fn open(&self, sealed: &Sealed) -> Option<Secret> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = opened.get(sealed) {
            return Some(secret.clone());
        }
        let secret = self.vault.unseal(sealed).ok()?;
        let secret = Secret(Arc::new(Zeroizing::new(std::str::from_utf8(&secret).ok()?.to_owned())));
        if opened.len() >= OPENED {
            opened.clear();
        }
        opened.insert(sealed.clone(), secret.clone());
        Some(secret)
    }
}

impl Signer {
    /// Who that is, if the request has the session token that belongs to the key and the session is not over.
    ///
    /// # Errors
    /// As AWS answers.
    pub fn identity(self, token: Option<&str>, now: Millis) -> Result<Identity, Fault> {
        let invalid = || Common::UnknownClient.fault("The security token included in the request is invalid.");
        let Principal { arn, unique_id, account } = self.principal;
        let arn: Arn = arn.parse().map_err(Fault::internal)?;
        let role = match (self.session, token) {
            (None, None) => None,
            // A long-term key has no session, and a session's key is nothing without its token.
            (None, Some(_)) | (Some(_), None) => return Err(invalid()),
            (Some(session), Some(token)) => {
                let own = session.token.as_ref().as_bytes();
                verify_slices_are_equal(own, token.as_bytes()).map_err(|_| invalid())?;
                if now >= session.expires {
                    return Err(Common::ExpiredToken.fault("The security token included in the request is expired"));
                }
                let role: Arn = session.role.parse().map_err(Fault::internal)?;
                // A user's own session is the user.
                Some(role).filter(|role| *role != arn)
            }
        };
        Ok(Identity { arn, role, unique_id, account })
    }
}

impl AsRef<str> for Secret {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/team/dev";

    fn secret(text: &str) -> Secret {
        Secret(Arc::new(Zeroizing::new(text.to_owned())))
    }

    fn signer(arn: &str, session: Option<Temporary>) -> Signer {
        let principal = Principal { arn: arn.into(), unique_id: "ID".into(), account: "111122223333".into() };
        Signer { principal, secret: secret("s"), session }
    }

    fn session(arn: &str, role: &str) -> Signer {
        signer(arn, Some(Temporary { token: secret("token"), expires: Millis(1000), role: role.into() }))
    }

    fn refusal(signer: Signer, token: Option<&str>, now: u64) -> String {
        signer.identity(token, Millis(now)).unwrap_err().to_string()
    }

    #[test]
    fn a_session_is_its_role_with_its_token_until_its_end() {
        let arn = "arn:aws:sts::111122223333:assumed-role/dev/ada";
        let identity = session(arn, ROLE).identity(Some("token"), Millis(999)).unwrap();
        assert_eq!((identity.arn.to_string(), identity.role.unwrap().to_string()), (arn.to_owned(), ROLE.to_owned()));
        assert!(refusal(session(arn, ROLE), Some("token"), 1000).starts_with("ExpiredTokenException"));
        for token in [None, Some(""), Some("toke"), Some("token2"), Some("TOKEN")] {
            assert!(refusal(session(arn, ROLE), token, 0).starts_with("UnrecognizedClientException"), "{token:?}");
        }
    }

    #[test]
    fn a_user_has_no_role_and_a_long_term_key_no_token() {
        let arn = "arn:aws:iam::111122223333:user/ada";
        assert_eq!(signer(arn, None).identity(None, Millis(0)).unwrap().role, None);
        assert_eq!(session(arn, arn).identity(Some("token"), Millis(0)).unwrap().role, None);
        assert!(refusal(signer(arn, None), Some("token"), 0).starts_with("UnrecognizedClientException"));
    }
}
