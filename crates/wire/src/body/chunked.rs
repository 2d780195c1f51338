//! aws-chunked: a body in pieces, each perhaps signed, and headers that follow it.
//!
//! ```text
//! 10000;chunk-signature=SIGNATURE\r\n    the size in hexadecimal
//! 65,536 bytes\r\n
//! 0;chunk-signature=SIGNATURE\r\n        the last chunk is empty
//! x-amz-checksum-crc32c:sOO8/Q==\r\n     the trailer
//! x-amz-trailer-signature:SIGNATURE\r\n
//! \r\n
//! ```
//! Source: "Signature calculations for the Authorization header: transferring payload in multiple chunks", and the same
//! "including trailing headers" (S3 API reference).

use super::Error;

/// Every chunk but the last two (the last with data, and the empty one) has at least so many bytes.
const MIN_CHUNK: usize = 8192;
/// A line of a frame is at most so long, bytes: a size and a signature, or a header.
const MAX_LINE: usize = 1024;
const SIGNATURE: &str = "x-amz-trailer-signature";

/// How a body in chunks is signed, as `x-amz-content-sha256` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// Each chunk is.
    Signed,
    /// Each chunk is, and the trailer.
    SignedTrailer,
    /// Nothing of it is: its transport vouches for it.
    UnsignedTrailer,
}

/// A body cut into its chunks.
#[derive(Debug)]
pub(crate) struct Chunked<'b> {
    /// The last one is empty.
    pub chunks: Vec<Chunk<'b>>,
    /// Names in lower case, values without the white space around them; in the order in which they were sent.
    pub trailer: Vec<(String, &'b str)>,
    /// The signature of the trailer.
    pub trailer_signature: Option<&'b str>,
}

/// A piece.
#[derive(Debug)]
pub(crate) struct Chunk<'b> {
    /// Its bytes.
    pub data: &'b [u8],
    /// The signature that it came with.
    pub signature: Option<&'b str>,
}

impl Streaming {
    /// What that value of `x-amz-content-sha256` means, if it means chunks.
    pub fn of(stated: &str) -> Option<Streaming> {
        match stated {
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Some(Streaming::Signed),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Some(Streaming::SignedTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Streaming::UnsignedTrailer),
            _ => None,
        }
    }

    /// The same value.
    pub const fn stated(self) -> &'static str {
        match self {
            Streaming::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Streaming::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Streaming::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// Whether the chunks are signed.
    pub const fn is_signed(self) -> bool {
        matches!(self, Streaming::Signed | Streaming::SignedTrailer)
    }

    /// Whether headers follow them.
    pub const fn has_trailer(self) -> bool {
        matches!(self, Streaming::SignedTrailer | Streaming::UnsignedTrailer)
    }
}

impl<'b> Chunked<'b> {
    /// Cuts a body. Signatures are only read.
    pub fn read(streaming: Streaming, body: &'b [u8]) -> Result<Chunked<'b>, Error> {
        let mut rest = body;
        let mut chunks: Vec<Chunk<'b>> = vec![];
        loop {
            let (size, signature) = head(line(&mut rest)?)?;
            let data = rest.split_off(..size).ok_or(Error::Incomplete)?;
            // Whatever is not the first of the last two has been followed by more.
            if let [.., before] = &chunks[..]
                && size > 0
                && before.data.len() < MIN_CHUNK
            {
                return Err(Error::ChunkSize);
            }
            chunks.push(Chunk { data, signature });
            if size == 0 {
                break;
            }
            if !line(&mut rest)?.is_empty() {
                return Err(Error::Incomplete);
            }
        }
        let mut chunked = Chunked { chunks, trailer: vec![], trailer_signature: None };
        chunked.read_trailer(streaming, rest)?;
        Ok(chunked)
    }

    /// Up to an empty line, without which AWS's own example ends.
    fn read_trailer(&mut self, streaming: Streaming, mut rest: &'b [u8]) -> Result<(), Error> {
        while !rest.is_empty() {
            let line = line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(Error::Trailer)?;
            match name.trim().to_ascii_lowercase() {
                name if name == SIGNATURE => self.trailer_signature = Some(value.trim()),
                name => self.trailer.push((name, value.trim())),
            }
        }
        let unexpected = !streaming.has_trailer() && !self.trailer.is_empty();
        if unexpected || !rest.is_empty() { Err(Error::Trailer) } else { Ok(()) }
    }

    /// The chunks' bytes.
    pub fn payload(&self) -> Vec<u8> {
        self.chunks.iter().map(|chunk| chunk.data).collect::<Vec<_>>().concat()
    }

    /// Whether the payload is as long as `x-amz-decoded-content-length` says.
    pub fn check_length(&self, stated: Option<&str>) -> Result<(), Error> {
        let length: usize = self.chunks.iter().map(|chunk| chunk.data.len()).sum();
        let stated = stated.and_then(|text| text.parse().ok());
        if stated == Some(length) { Ok(()) } else { Err(Error::Length) }
    }

    /// Whether the trailer has what `x-amz-trailer` announces, each once, and nothing else.
    pub fn check_trailer(&self, announced: &str) -> Result<(), Error> {
        let names = announced.split(',').map(|name| name.trim().to_ascii_lowercase());
        let mut announced: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        let mut sent: Vec<&str> = self.trailer.iter().map(|(name, _)| name.as_str()).collect();
        announced.sort_unstable();
        sent.sort_unstable();
        if announced == sent { Ok(()) } else { Err(Error::Trailer) }
    }
}

/// `10000;chunk-signature=SIGNATURE`.
fn head(line: &str) -> Result<(usize, Option<&str>), Error> {
    let (size, extension) = line.split_once(';').map_or((line, None), |(size, extension)| (size, Some(extension)));
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = digits.then(|| usize::from_str_radix(size, 16).ok()).flatten().ok_or(Error::Incomplete)?;
    Ok((size, extension.and_then(|text| text.strip_prefix("chunk-signature="))))
}

/// The text up to the next line break, which is taken away with it.
fn line<'b>(rest: &mut &'b [u8]) -> Result<&'b str, Error> {
    let end = rest.windows(2).take(MAX_LINE).position(|two| two == b"\r\n").ok_or(Error::Incomplete)?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    std::str::from_utf8(line).map_err(|_| Error::Incomplete)
}
