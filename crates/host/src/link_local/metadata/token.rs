//! Session tokens of instances: an expiry and its authentication code under a key of the region. Nothing is remembered, so
//! a restarted agent takes what another one gave.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use roadstead_types::Millis;

/// Gives and takes tokens.
pub(in crate::link_local) struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    pub fn new(key: hmac::Key) -> Tokens {
        Tokens { key }
    }

    /// A token of the instance until `expires`.
    pub fn give(&self, instance: &str, expires: Millis) -> String {
        let code = hmac::sign(&self.key, &message(instance, expires));
        URL_SAFE.encode([&expires.0.to_be_bytes()[..], code.as_ref()].concat())
    }

    /// What is left of a token's time; none if it is not the instance's, or its time is over.
    pub fn left(&self, instance: &str, token: &str, now: Millis) -> Option<Millis> {
        let bytes = URL_SAFE.decode(token).ok()?;
        let (expires, code) = bytes.split_first_chunk()?;
        let expires = Millis(u64::from_be_bytes(*expires));
        hmac::verify(&self.key, &message(instance, expires), code).ok()?;
        (now < expires).then(|| expires.since(now))
    }
}

fn message(instance: &str, expires: Millis) -> Vec<u8> {
    [&expires.0.to_be_bytes()[..], instance.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_instances_for_a_time() {
        let tokens = |byte| Tokens::new(hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]));
        let token = tokens(1).give("i-1", Millis(1000));
        assert_eq!(tokens(1).left("i-1", &token, Millis(400)), Some(Millis(600)), "another agent takes it");
        assert_eq!(tokens(1).left("i-1", &token, Millis(1000)), None);
        assert_eq!(tokens(1).left("i-2", &token, Millis(0)), None);
        assert_eq!(tokens(2).left("i-1", &token, Millis(0)), None);
        for wrong in ["", "x", "AAAA", &token[1..], &token.replace(|c: char| c.is_ascii_lowercase(), "A")] {
            assert_eq!(tokens(1).left("i-1", wrong, Millis(0)), None, "{wrong}");
        }
    }
}
