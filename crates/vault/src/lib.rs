//! Seals and opens secrets under the region's root key (AES-256-GCM).
//!
//! The root key is 32 random bytes in a file of mode 0600 that stands outside the data directory, so that a copy of
//! the data alone opens nothing. Region and host each hold a [`Vault`]; nobody else reads the file.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_types::Sealed;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root key's file cannot be read or made.
    #[error("root key {path}: {source}")]
    RootKey {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file is not a root key, or others than its owner may read it.
    #[error("root key {path}: {why}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: &'static str,
    },
    /// The handle is damaged, or was sealed under another root key.
    #[error("secret '{0}' does not open under this root key: restore the root key that this region was made with")]
    DoesNotOpen(String),
    /// The system gave no randomness.
    #[error("no random bytes from the system")]
    NoRandomness,
}

/// Holds the root key.
pub struct Vault {
    key: RandomizedNonceKey,
    /// What keys for other purposes are made of.
    root: hkdf::Prk,
}

impl Vault {
    /// Opens the root key at `path`.
    pub fn open(path: &Path) -> Result<Vault, Error> {
        let failed = |source| Error::RootKey { path: path.to_owned(), source };
        let mut file = fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            let why = "others than its owner may read it: chmod 600 it, and rotate it if anybody could have";
            return Err(Error::Unusable { path: path.to_owned(), why });
        }
        let mut key = Zeroizing::new(Vec::new());
        file.read_to_end(&mut key).map_err(failed)?;
        let unusable = |_| Error::Unusable { path: path.to_owned(), why: "it is not 32 bytes long: restore it" };
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"roadstead").extract(&key);
        Ok(Vault { key: RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(unusable)?, root })
    }

    /// A key for authentication codes of one purpose, made of the root key (HKDF, RFC 5869): the same whenever it is asked
    /// for, and it tells nothing of another one.
    pub fn derive(&self, purpose: &str) -> hmac::Key {
        let purpose = [purpose.as_bytes()];
        let key = self.root.expand(&purpose, hmac::HMAC_SHA256);
        hmac::Key::from(key.expect("a key is no longer than HKDF gives"))
    }

    /// Opens the root key at `path`, made now if there is none.
    pub fn open_or_create(path: &Path) -> Result<Vault, Error> {
        let failed = |source| Error::RootKey { path: path.to_owned(), source };
        if !path.exists() {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            let mut key = Zeroizing::new([0u8; 32]);
            aws_lc_rs::rand::fill(&mut *key).map_err(|_| Error::NoRandomness)?;
            // Written aside and renamed, so that a crash leaves a whole key or none.
            let aside = path.with_extension("new");
            let write = || {
                let _ = fs::remove_file(&aside);
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
                file.write_all(&*key)?;
                file.sync_all()?;
                fs::rename(&aside, path)?;
                fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
            };
            write().map_err(failed)?;
        }
        Vault::open(path)
    }

    /// Seals `secret` for `context`.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Sealed, Error> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed)
            .map_err(|_| Error::NoRandomness)?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        Ok(Sealed { context: context.to_owned(), ciphertext: STANDARD.encode(bytes) })
    }

    /// Opens what [`Vault::seal`] made.
    pub fn unseal(&self, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let refused = || Error::DoesNotOpen(sealed.context.clone());
        let bytes = STANDARD.decode(&sealed.ciphertext).map_err(|_| refused())?;
        let (nonce, body) = bytes.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut body = Zeroizing::new(body.to_vec());
        let aad = Aad::from(sealed.context.as_bytes());
        let len = self.key.open_in_place(nonce, aad, &mut body).map_err(|_| refused())?.len();
        body.truncate(len);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(&dir.path().join("keys/root.key")).unwrap();
        (dir, vault)
    }

    #[test]
    fn a_secret_opens_only_where_it_was_sealed_for() {
        let (dir, vault) = vault();
        let sealed = vault.seal("a", b"secret").unwrap();
        assert!(!format!("{sealed:?}").contains(&sealed.ciphertext));
        assert_eq!(&**vault.unseal(&sealed).unwrap(), b"secret");
        let moved = Sealed { context: "b".into(), ..sealed.clone() };
        assert!(matches!(vault.unseal(&moved), Err(Error::DoesNotOpen(_))));
        let again = Vault::open(&dir.path().join("keys/root.key")).unwrap();
        assert_eq!(&**again.unseal(&sealed).unwrap(), b"secret");
        let short = Sealed { ciphertext: "AAAA".into(), ..sealed };
        assert!(matches!(vault.unseal(&short), Err(Error::DoesNotOpen(_))));
    }

    #[test]
    fn a_derived_key_is_its_purposes_and_the_same_again() {
        let (dir, vault) = vault();
        let again = Vault::open(&dir.path().join("keys/root.key")).unwrap();
        let code = hmac::sign(&vault.derive("a"), b"message");
        assert!(hmac::verify(&again.derive("a"), b"message", code.as_ref()).is_ok());
        assert!(hmac::verify(&again.derive("b"), b"message", code.as_ref()).is_err());
    }

    #[test]
    fn a_root_key_that_others_may_read_is_refused() {
        let (dir, _) = vault();
        let path = dir.path().join("keys/root.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Vault::open(&path), Err(Error::Unusable { .. })));
    }
}
