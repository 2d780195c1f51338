//! Bodies: as they were before they were cut into chunks and compressed, and what is said of them to prove them whole.
//!
//! ```text
//! as sent ──aws-chunked──▶ the payload: what checksums are of ──gzip──▶ what was meant
//! ```
//! `Transfer-Encoding: chunked` is HTTP's own affair and is undone before a request comes here. None of our services'
//! operations asks for any of this by its model (`httpChecksum`, `requestCompression`, a streaming payload), and each takes
//! it: clients may be told to send it.
//!
//! Signatures are of what was sent. Verify them first, chunks included ([`crate::sigv4`]); nothing here does.

mod checksum;
mod chunked;
mod error;
#[cfg(test)]
mod tests;

pub(crate) use chunked::{Chunked, Streaming};
pub use error::Error;

use crate::protocol::MAX_BODY;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use std::io::Read as _;

const AWS_CHUNKED: &str = "aws-chunked";

/// What was meant: the payload, decompressed if the last coding that was applied is gzip. Other codings are left as they
/// are, for the operation to know.
pub(crate) fn plain(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Error> {
    let payload = payload(headers, body)?;
    if codings(headers).next_back().is_some_and(|last| last == "gzip") { inflate(&payload) } else { Ok(payload) }
}

/// What was sent, without the frames of its chunks.
pub(crate) fn payload(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Error> {
    Ok(match chunked(headers, body)? {
        Some(chunked) => chunked.payload().into(),
        None => body.clone(),
    })
}

/// Whether the payload is what its headers and its trailer say that it is.
pub(crate) fn check(headers: &HeaderMap, body: &Bytes) -> Result<(), Error> {
    match chunked(headers, body)? {
        Some(chunked) => {
            let payload = chunked.payload();
            chunked.check_length(text(headers, "x-amz-decoded-content-length"))?;
            chunked.check_trailer(text(headers, "x-amz-trailer").unwrap_or_default())?;
            checksum::check(headers, &chunked.trailer, &payload)
        }
        None => checksum::check(headers, &[], body),
    }
}

/// The chunks, if the body is in chunks.
fn chunked<'b>(headers: &HeaderMap, body: &'b Bytes) -> Result<Option<Chunked<'b>>, Error> {
    match text(headers, "x-amz-content-sha256").and_then(Streaming::of) {
        Some(streaming) => Chunked::read(streaming, body).map(Some),
        None if all_codings(headers).any(|coding| coding == AWS_CHUNKED) => Err(Error::Coding(
            "Content-Encoding aws-chunked needs an x-amz-content-sha256 that begins with STREAMING-".into(),
        )),
        None => Ok(None),
    }
}

/// The codings of the payload, in the order in which they were applied. `aws-chunked` is none of the payload's, wherever it
/// stands: S3's clients name it first and apply it last.
fn codings(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = String> {
    all_codings(headers).filter(|coding| coding != AWS_CHUNKED)
}

fn all_codings(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = String> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let codings: Vec<String> =
        lines.flat_map(|line| line.split(',')).map(|coding| coding.trim().to_ascii_lowercase()).collect();
    codings.into_iter()
}

/// One byte more than may be is read, so that what would be cut off shows.
fn inflate(payload: &[u8]) -> Result<Bytes, Error> {
    let mut plain = vec![];
    let read = MultiGzDecoder::new(payload).take(MAX_BODY as u64 + 1).read_to_end(&mut plain);
    read.map_err(|why| Error::Coding(format!("The body is not gzip: {why}")))?;
    if plain.len() > MAX_BODY { Err(Error::TooLong) } else { Ok(plain.into()) }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
