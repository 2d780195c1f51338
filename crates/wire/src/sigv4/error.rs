//! Why a signature is refused, in AWS's words.

use super::{MAX_EXPIRES, claim::basic};
use crate::body::Error as BodyError;
use crate::fault::{Common, Fault};
use roadstead_types::Millis;

/// Why a request's signature is refused. The texts are AWS's where AWS has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither form of a signature.
    #[error("Missing Authentication Token")]
    Missing,
    /// A part of the signature is missing, malformed or given twice; the text says which.
    #[error("{0}")]
    Incomplete(String),
    /// Nobody has that access key, or it is not active.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// Signed too long ago.
    #[error(
        "Signature expired: {} is now earlier than {} ({} - {})",
        basic(*date), basic(*now - *span), basic(*now), in_words(*span)
    )]
    Expired {
        /// When it was signed.
        date: Millis,
        /// When it came.
        now: Millis,
        /// How long it was valid.
        span: Millis,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {} is still later than {} ({} + {})",
        basic(*date), basic(*now + *span), basic(*now), in_words(*span)
    )]
    NotYetCurrent {
        /// When it says that it was signed.
        date: Millis,
        /// When it came.
        now: Millis,
        /// How far a clock may be off.
        span: Millis,
    },
    /// The scope names another region.
    #[error("Credential should be scoped to a valid region.")]
    Region,
    /// The scope names another service.
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Service(String),
    /// The scope does not end as it must.
    #[error("Credential should be scoped with a valid terminator: 'aws4_request', not '{0}'.")]
    Terminator(String),
    /// The scope is of another day than the request.
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope}' != '{}', \
         from '{timestamp}'.",
        timestamp.get(..8).unwrap_or(timestamp)
    )]
    ScopeDate {
        /// The day of the scope.
        scope: String,
        /// The date of the request.
        timestamp: String,
    },
    /// The signature does not cover `host`.
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    /// The signature does not cover an `x-amz-*` header of the request.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeaderNotSigned(String),
    /// The body is declared unsigned.
    #[error(
        "The request's payload must be signed: 'x-amz-content-sha256' must be the SHA-256 of the body, in lower-case \
         hexadecimal."
    )]
    PayloadNotSigned,
    /// The body is not the one that was signed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    PayloadMismatch,
    /// The body is not in the chunks that it says it is in.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Another secret, or another request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl Error {
    /// The kind of error, which each protocol spells in its way.
    pub const fn common(&self) -> Common {
        match self {
            Error::Missing => Common::MissingAuthenticationToken,
            Error::Incomplete(_) => Common::IncompleteSignature,
            Error::UnknownKey => Common::UnknownClient,
            Error::Expired { .. } | Error::NotYetCurrent { .. } => Common::RequestExpired,
            Error::Body(why) => why.common(),
            Error::Region
            | Error::Service(_)
            | Error::Terminator(_)
            | Error::ScopeDate { .. }
            | Error::HostNotSigned
            | Error::HeaderNotSigned(_)
            | Error::PayloadNotSigned
            | Error::PayloadMismatch
            | Error::Mismatch => Common::InvalidSignature,
        }
    }

    pub(super) fn incomplete(text: impl Into<String>) -> Error {
        Error::Incomplete(text.into())
    }

    pub(super) fn repeated(name: &str) -> Error {
        Error::Incomplete(format!("'{name}' must be given only once."))
    }

    pub(super) fn expires() -> Error {
        let most = MAX_EXPIRES.0 / 1000;
        Error::Incomplete(format!("X-Amz-Expires must be a number of seconds between 1 and {most}."))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        error.common().fault(error.to_string())
    }
}

fn in_words(span: Millis) -> String {
    let seconds = span.0 / 1000;
    if seconds.is_multiple_of(60) { format!("{} min.", seconds / 60) } else { format!("{seconds} sec.") }
}
