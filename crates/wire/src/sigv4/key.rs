//! The key that a secret has for one day, region and service.

use super::claim::{Scope, TERMINATOR};
use aws_lc_rs::{digest, hmac};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Derives the key: four HMACs, each under the one before.
pub(super) fn signing_key(secret: &str, scope: &Scope) -> hmac::Key {
    let first = Zeroizing::new(["AWS4".as_bytes(), secret.as_bytes()].concat());
    let parts = [&scope.date, &scope.region, &scope.service].map(String::as_str);
    parts.into_iter().chain([TERMINATOR]).fold(hmac::Key::new(hmac::HMAC_SHA256, &first), |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

/// Lately used signing keys, under everything that they were derived from (the secret by its hash): a changed secret
/// finds nothing.
#[derive(Debug)]
pub(super) struct KeyCache {
    /// Half of the most that are kept.
    half: usize,
    halves: Mutex<Halves>,
}

/// When the young half is full, it becomes the old one and the old one is forgotten; what is asked for becomes young
/// again. So what is in use stays, and yesterday's keys go, at no cost per look-up.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Origin, hmac::Key>,
    old: HashMap<Origin, hmac::Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    access_key_id: String,
    secret: [u8; 32],
    scope: Scope,
}

impl KeyCache {
    pub fn new(keys: usize) -> KeyCache {
        KeyCache { half: (keys / 2).max(1), halves: Mutex::default() }
    }

    pub fn signing_key(&self, access_key_id: &str, secret: &str, scope: &Scope) -> hmac::Key {
        let secret_hash = sha256(secret.as_bytes());
        let origin = Origin { access_key_id: access_key_id.into(), secret: secret_hash, scope: scope.clone() };
        if let Some(key) = self.find(&origin) {
            return key;
        }
        let key = signing_key(secret, scope);
        self.keep(origin, key.clone());
        key
    }

    fn find(&self, origin: &Origin) -> Option<hmac::Key> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = halves.young.get(origin) {
            return Some(key.clone());
        }
        let (origin, key) = halves.old.remove_entry(origin)?;
        halves.keep(self.half, origin, key.clone());
        Some(key)
    }

    fn keep(&self, origin: Origin, key: hmac::Key) {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner).keep(self.half, origin, key);
    }
}

impl Halves {
    fn keep(&mut self, half: usize, origin: Origin, key: hmac::Key) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(origin, key);
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(DIGITS[usize::from(nibble)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(n: usize) -> Scope {
        Scope::new("20150830", &format!("region-{n}"), "s")
    }

    fn probe(key: &hmac::Key) -> Vec<u8> {
        hmac::sign(key, b"x").as_ref().to_vec()
    }

    fn kept(cache: &KeyCache) -> Vec<String> {
        let halves = cache.halves.lock().unwrap();
        let mut regions: Vec<_> =
            halves.young.keys().chain(halves.old.keys()).map(|it| it.scope.region.clone()).collect();
        regions.sort_unstable();
        regions
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = KeyCache::new(8);
        for n in 0..100 {
            assert_eq!(probe(&cache.signing_key("id", "secret", &scope(n))), probe(&signing_key("secret", &scope(n))));
            cache.signing_key("id", "secret", &scope(0));
            assert!(kept(&cache).len() <= 8);
        }
        let kept = kept(&cache);
        assert!(kept.contains(&"region-0".into()) && kept.contains(&"region-99".into()), "{kept:?}");
        assert!(!kept.contains(&"region-1".into()), "{kept:?}");
    }

    #[test]
    fn another_secret_finds_nothing() {
        let cache = KeyCache::new(8);
        let first = cache.signing_key("id", "secret", &scope(0));
        let second = cache.signing_key("id", "other", &scope(0));
        assert_ne!(probe(&first), probe(&second));
        assert_eq!(kept(&cache).len(), 2);
    }
}
