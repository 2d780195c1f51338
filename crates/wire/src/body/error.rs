use crate::fault::{Common, Fault};
use crate::protocol::MAX_BODY;

/// Why a body is refused. The texts are S3's: no other service documents any.
///
/// Sources: "Error responses" and "Checking object integrity" (S3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends within a chunk, or goes on after the last one.
    #[error("The request body terminated unexpectedly")]
    Incomplete,
    /// It is not as long as it says.
    #[error("You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.")]
    Length,
    /// A chunk is too small, and not the last.
    #[error("Only the last chunk is allowed to have a size less than 8192 bytes")]
    ChunkSize,
    /// What follows the last chunk is not what was announced.
    #[error("The request contained trailing data that was not well-formed or did not conform to our published schema.")]
    Trailer,
    /// `Content-MD5` is not the base64 of 16 bytes.
    #[error("The Content-MD5 you specified was invalid.")]
    InvalidMd5,
    /// `Content-MD5` is another body's.
    #[error("The Content-MD5 you specified did not match what we received.")]
    Md5,
    /// The header, or the trailer, of that name is no base64 of as many bytes as the checksum has.
    #[error("Value for {0} header is invalid.")]
    InvalidChecksum(&'static str),
    /// The checksum of that name is another body's.
    #[error("The {0} you specified did not match the calculated checksum.")]
    Checksum(&'static str),
    /// More than one checksum.
    #[error("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")]
    Checksums,
    /// A coding that it says it has does not fit; the text says which.
    #[error("{0}")]
    Coding(String),
    /// Decompressed, it is longer than [`MAX_BODY`].
    #[error("A request has at most {MAX_BODY} bytes when it is decompressed.")]
    TooLong,
}

impl Error {
    /// The kind of error, which each protocol spells in its way.
    pub const fn common(&self) -> Common {
        match self {
            Error::Incomplete | Error::Length => Common::IncompleteBody,
            Error::ChunkSize => Common::InvalidChunkSize,
            Error::Trailer => Common::MalformedTrailer,
            Error::InvalidMd5 => Common::InvalidDigest,
            Error::Md5 | Error::Checksum(_) => Common::BadDigest,
            Error::InvalidChecksum(_) | Error::Checksums => Common::InvalidRequest,
            Error::Coding(_) => Common::Serialization,
            Error::TooLong => Common::RequestTooLarge,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        error.common().fault(error.to_string())
    }
}
