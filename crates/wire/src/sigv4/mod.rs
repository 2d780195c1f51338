//! AWS Signature Version 4: who sent a request, and that nobody changed it on the way.
//!
//! ```text
//! Request ──Claim::of──▶ key id, scope, signed headers, signature ──in time, for us, all signed?──▶ secret_of(key id)
//!    └─canonical─▶ string to sign ──HMAC under the secret's key of that day──▶ equal in constant time? ──▶ Verified
//! ```
//!
//! Both forms are read: the `Authorization` header and the presigned query. No clock, no I/O, no key store: the
//! instant and the secret come from the caller. What AWS leaves open to a careless client is refused: an unsigned
//! `x-amz-*` header, an unsigned payload, a parameter given twice, both forms at once.
//!
//! A body may come in chunks that are signed one by one, each with the signature before it, and so may the headers that
//! follow them. They are verified here; [`Call::decode`](crate::Call::decode) puts them together.
//!
//! One rule is for routers. The path is signed in its normal form (dot segments and empty segments removed), as every
//! AWS client does, so `/a/b` and `/a/x/../b` have one signature: route by [`normal_path`], never by the path as sent.
//! For the same reason a `+` in the query reads as a space here, as it does in a form.
//!
//! Sources: "Create a signed AWS API request" and "Troubleshoot Signature Version 4" (IAM user guide), AWS's signature
//! test suite, and what botocore signs (recorded in `fixtures/`).

mod canonical;
mod chunks;
mod claim;
mod error;
mod key;
mod sign;
#[cfg(test)]
mod tests;

pub use canonical::{Request, normal_path};
pub use error::Error;
pub(crate) use key::hex;
pub use sign::{Signer, presign_get_caller_identity};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use canonical::{Pairs, Payload, string_to_sign};
use claim::{Claim, Form};
use key::{KeyCache, signing_key};
use roadstead_types::Millis;

/// How far a client's clock may be off, if a service does not say otherwise.
pub const SKEW: Millis = Millis::mins(5);
/// How far a client's clock may ever be off.
pub const MAX_SKEW: Millis = Millis::mins(15);
/// How long a presigned request may ask to be valid: seven days.
pub const MAX_EXPIRES: Millis = Millis::mins(7 * 24 * 60);

/// What a signature must be for.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// The region of its scope. A global service has clients that sign for its one region (Go's sign IAM for
    /// `us-east-1`) and clients that sign for theirs (botocore, when it was given an endpoint): ask once for each.
    pub region: &'a str,
    /// The signing names of which its scope must have one. The first is the one that errors name.
    pub services: &'a [&'a str],
    /// How far the client's clock may be off. More than [`MAX_SKEW`] counts as that.
    pub skew: Millis,
    /// How long a presigned request lives.
    pub lifetime: Lifetime,
    /// How the path was signed.
    pub paths: Paths,
    /// Whether the body must be signed.
    pub payloads: Payloads,
}

/// How long a presigned request lives after its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its `X-Amz-Expires` says: 1 second to [`MAX_EXPIRES`].
    AsSigned,
    /// So long, whatever a well-formed `X-Amz-Expires` says: STS gives each URL 15 minutes, also one of 60 seconds,
    /// and `aws eks get-token` counts on it.
    Fixed(Millis),
}

/// How a path is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// In normal form, each byte encoded once more: all services but one.
    Normal,
    /// As sent: object stores, whose keys may hold `//` and `..`.
    AsSent,
}

/// Whether a body must be signed: as a whole, or in chunks of which each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payloads {
    /// It must: all services of ours.
    Signed,
    /// It need not be if it says so: object stores, behind a transport that vouches for it.
    MayBeUnsigned,
}

impl<'a> Expectation<'a> {
    /// A signature for this region and one of these services, with the usual skew.
    pub const fn new(region: &'a str, services: &'a [&'a str]) -> Expectation<'a> {
        Expectation {
            region,
            services,
            skew: SKEW,
            lifetime: Lifetime::AsSigned,
            paths: Paths::Normal,
            payloads: Payloads::Signed,
        }
    }
}

/// What a valid signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed.
    pub access_key_id: String,
    /// The service of the scope: one of [`Expectation::services`].
    pub service: String,
    /// The region of the scope.
    pub region: String,
    /// When it was signed, by the client's clock.
    pub date: Millis,
    /// Signed in the query, not in a header.
    pub presigned: bool,
    /// Names of the headers that are signed, in lower case, ascending.
    pub signed_headers: Vec<String>,
    /// The session token, signed like everything else but not looked into.
    pub security_token: Option<String>,
}

/// Verifies a request as it was received at `now`. `secret_of` gives the secret of an active key; it is asked only once
/// the rest of the claim is in order.
///
/// # Errors
/// As AWS answers; see [`Error`].
pub fn verify<S: AsRef<str>>(
    request: &Request<'_>,
    now: Millis,
    expect: &Expectation<'_>,
    secret_of: impl FnOnce(&str) -> Option<S>,
) -> Result<Verified, Error> {
    check(request, now, expect, secret_of, |secret, claim| signing_key(secret, &claim.scope))
}

/// [`verify`] for a busy server: it remembers the day's signing keys, so that a request costs one HMAC and not five.
/// It remembers no verdicts. May be shared between threads.
#[derive(Debug)]
pub struct Verifier {
    keys: KeyCache,
}

impl Verifier {
    /// A verifier that remembers at most `keys` signing keys, the lately used ones.
    pub fn new(keys: usize) -> Verifier {
        Verifier { keys: KeyCache::new(keys) }
    }

    /// As the function [`verify`].
    ///
    /// # Errors
    /// As AWS answers; see [`Error`].
    pub fn verify<S: AsRef<str>>(
        &self,
        request: &Request<'_>,
        now: Millis,
        expect: &Expectation<'_>,
        secret_of: impl FnOnce(&str) -> Option<S>,
    ) -> Result<Verified, Error> {
        check(request, now, expect, secret_of, |secret, claim| {
            self.keys.signing_key(&claim.access_key_id, secret, &claim.scope)
        })
    }
}

fn check<S: AsRef<str>>(
    request: &Request<'_>,
    now: Millis,
    expect: &Expectation<'_>,
    secret_of: impl FnOnce(&str) -> Option<S>,
    key_of: impl FnOnce(&str, &Claim) -> hmac::Key,
) -> Result<Verified, Error> {
    let pairs = Pairs::of(request.query)?;
    let claim = Claim::of(request, &pairs)?;
    claim.check_headers(request)?;
    claim.check_scope(expect)?;
    claim.check_time(now, expect)?;
    let payload = Payload::of(request, expect.payloads)?;
    let secret = secret_of(&claim.access_key_id).ok_or(Error::UnknownKey)?;
    let key = key_of(secret.as_ref(), &claim);
    let string = string_to_sign(request, &pairs, &claim, &payload, expect.paths);
    let signature = hex(hmac::sign(&key, string.as_bytes()).as_ref());
    verify_slices_are_equal(signature.as_bytes(), claim.signature.as_bytes()).map_err(|_| Error::Mismatch)?;
    if let Payload::Chunks(streaming) = payload {
        chunks::verify(streaming, request.body, &key, &claim)?;
    }
    Ok(Verified {
        access_key_id: claim.access_key_id,
        service: claim.scope.service,
        region: claim.scope.region,
        date: claim.date,
        presigned: matches!(claim.form, Form::Query { .. }),
        signed_headers: claim.signed_headers,
        security_token: claim.security_token,
    })
}
