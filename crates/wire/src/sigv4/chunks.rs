//! Signatures of bodies in chunks: each is of its chunk and of the signature before it, the first one of the request's.
//!
//! Source: "Signature calculations for the Authorization header: transferring payload in multiple chunks", and the same
//! "including trailing headers" (S3 API reference).

use super::Error;
use super::claim::{Claim, Scope};
use super::key::{hex, sha256};
use crate::body::{Chunked, Streaming};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// The SHA-256 of nothing, which stands where a chunk might have headers.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The chain of a body's signatures.
pub(super) struct Chain {
    key: hmac::Key,
    /// Timestamp and scope, as they stand in what is signed.
    origin: String,
    previous: String,
}

impl Chain {
    /// The chain that begins with a request's signature.
    pub fn new(key: hmac::Key, timestamp: &str, scope: &Scope, signature: &str) -> Chain {
        Chain { key, origin: format!("{timestamp}\n{scope}"), previous: signature.to_owned() }
    }

    /// The next chunk's.
    pub fn sign_chunk(&mut self, data: &[u8]) -> &str {
        self.sign("AWS4-HMAC-SHA256-PAYLOAD", &format!("{NOTHING}\n{}", hex(&sha256(data))))
    }

    /// That of the headers which follow the last chunk: names in lower case, values without the white space around them.
    pub fn sign_trailer(&mut self, trailer: &[(&str, &str)]) -> &str {
        let lines: String = trailer.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        self.sign("AWS4-HMAC-SHA256-TRAILER", &hex(&sha256(lines.as_bytes())))
    }

    fn sign(&mut self, kind: &str, hashes: &str) -> &str {
        let string = format!("{kind}\n{}\n{}\n{hashes}", self.origin, self.previous);
        self.previous = hex(hmac::sign(&self.key, string.as_bytes()).as_ref());
        &self.previous
    }
}

/// Verifies the chunks of a body whose request is verified.
pub(super) fn verify(streaming: Streaming, body: &[u8], key: &hmac::Key, claim: &Claim) -> Result<(), Error> {
    let chunked = Chunked::read(streaming, body)?;
    if !streaming.is_signed() {
        return Ok(());
    }
    let mut chain = Chain::new(key.clone(), &claim.timestamp, &claim.scope, &claim.signature);
    for chunk in &chunked.chunks {
        compare(chain.sign_chunk(chunk.data), chunk.signature)?;
    }
    if streaming.has_trailer() {
        let trailer: Vec<(&str, &str)> = chunked.trailer.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        compare(chain.sign_trailer(&trailer), chunked.trailer_signature)?;
    }
    Ok(())
}

fn compare(calculated: &str, stated: Option<&str>) -> Result<(), Error> {
    let stated = stated.ok_or(Error::Mismatch)?;
    verify_slices_are_equal(calculated.as_bytes(), stated.as_bytes()).map_err(|_| Error::Mismatch)
}
