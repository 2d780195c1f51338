//! The one text that a request is for its signature.

use super::claim::{ALGORITHM, Claim};
use super::key::{hex, sha256};
use super::{Error, Paths, Payloads};
use crate::body::Streaming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use std::borrow::Cow;

/// A request as it came over the wire, or will go.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// As on the wire: encoded, before the `?`.
    pub path: &'a str,
    /// As on the wire: encoded, after the `?`; empty if there is none.
    pub query: &'a str,
    /// Lower-case names and the values, in the order of the wire; a repeated header is repeated.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request that a server received.
    pub fn new(request: &'a http::Request<impl AsRef<[u8]>>) -> Request<'a> {
        let (uri, fields) = (request.uri(), request.headers());
        let mut headers: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // HTTP/2, and the absolute form of HTTP/1.1, have the host in the target.
        if let (Some(authority), false) = (uri.authority(), fields.contains_key(http::header::HOST)) {
            headers.push(("host", authority.as_str().as_bytes()));
        }
        let (query, body) = (uri.query().unwrap_or_default(), request.body().as_ref());
        Request { method: request.method().as_str(), path: uri.path(), query, headers, body }
    }

    /// The value of a header that may be there once.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let mut values = self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Error::repeated(name));
        }
        let text = std::str::from_utf8(value);
        text.map(Some).map_err(|_| Error::Incomplete(format!("The header '{name}' is not UTF-8.")))
    }
}

/// What [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3) never escapes.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What stands for a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The parameters of a query, decoded, in the order of the wire.
pub(super) struct Pairs(Vec<(Vec<u8>, Vec<u8>)>);

impl Pairs {
    /// Reads a query. `X-Amz-*` parameters of it may be there only once, whatever their case.
    pub fn of(query: &str) -> Result<Pairs, Error> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        let pairs = Pairs(pairs.collect());
        let mut ours: Vec<String> = pairs.0.iter().filter_map(|(name, _)| amz(name)).collect();
        ours.sort_unstable();
        match ours.windows(2).find(|two| two[0] == two[1]) {
            Some(two) => Err(Error::repeated(&two[0])),
            None => Ok(pairs),
        }
    }

    /// The value of an `X-Amz-*` parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(own, _)| own == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// Whether there is a parameter of that name, whatever its case.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// All but the signature itself, encoded and sorted.
    fn canonical(&self) -> String {
        let signed = self.0.iter().filter(|(name, _)| name != b"X-Amz-Signature");
        let mut encoded: Vec<_> = signed.map(|(name, value)| (encode(name), encode(value))).collect();
        encoded.sort_unstable();
        encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

fn amz(name: &[u8]) -> Option<String> {
    let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
    name.starts_with("x-amz-").then_some(name)
}

fn decode(text: &str) -> Vec<u8> {
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).collect()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// A path without its empty and dot segments, as its signature sees it: what a router must route by. A slash at the end
/// stays.
pub fn normal_path(path: &str) -> Cow<'_, str> {
    let mut inner = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    let mut normal = path.starts_with('/');
    while let Some(segment) = inner.next() {
        normal &= !matches!(segment, "." | "..") && (!segment.is_empty() || inner.peek().is_none());
    }
    if normal { Cow::Borrowed(path) } else { Cow::Owned(normalized(path)) }
}

/// As [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4), and empty segments go too.
fn normalized(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// What is signed of the body.
pub(super) enum Payload {
    /// All of it: its SHA-256 in hexadecimal.
    Whole(String),
    /// How it is cut. Its chunks have signatures of their own, if it is signed at all.
    Chunks(Streaming),
    /// Nothing.
    Unsigned,
}

impl Payload {
    /// What a request says, which must be the truth.
    pub fn of(request: &Request<'_>, payloads: Payloads) -> Result<Payload, Error> {
        let stated = request.header("x-amz-content-sha256")?;
        if let Some(streaming) = stated.and_then(Streaming::of) {
            let enough = streaming.is_signed() || payloads == Payloads::MayBeUnsigned;
            return if enough { Ok(Payload::Chunks(streaming)) } else { Err(Error::PayloadNotSigned) };
        }
        if stated == Some(UNSIGNED) && payloads == Payloads::MayBeUnsigned {
            return Ok(Payload::Unsigned);
        }
        let hash = hex(&sha256(request.body));
        match stated {
            Some(stated) if stated != hash && stated.len() == hash.len() => Err(Error::PayloadMismatch),
            Some(stated) if stated != hash => Err(Error::PayloadNotSigned),
            _ => Ok(Payload::Whole(hash)),
        }
    }

    /// The text that stands for it in what is signed.
    fn text(&self) -> &str {
        match self {
            Payload::Whole(hash) => hash,
            Payload::Chunks(streaming) => streaming.stated(),
            Payload::Unsigned => UNSIGNED,
        }
    }
}

/// What is signed of the whole.
pub(super) fn string_to_sign(
    request: &Request<'_>,
    pairs: &Pairs,
    claim: &Claim,
    payload: &Payload,
    paths: Paths,
) -> String {
    let canonical = canonical_request(request, pairs, &claim.signed_headers, payload.text(), paths);
    let digest = hex(&sha256(&canonical));
    format!("{ALGORITHM}\n{}\n{}\n{digest}", claim.timestamp, claim.scope)
}

fn canonical_request(request: &Request<'_>, pairs: &Pairs, signed: &[String], payload: &str, paths: Paths) -> Vec<u8> {
    let path = match paths {
        Paths::Normal => percent_encode(normal_path(request.path).as_bytes(), RESERVED_IN_PATH).to_string(),
        Paths::AsSent => request.path.to_owned(),
    };
    let mut text = format!("{}\n{path}\n{}\n", request.method, pairs.canonical()).into_bytes();
    for name in signed {
        write_header(&mut text, request, name);
    }
    text.extend_from_slice(format!("\n{}\n{payload}", signed.join(";")).as_bytes());
    text
}

/// `name:value,value`, the values trimmed and their inner white space folded.
fn write_header(text: &mut Vec<u8>, request: &Request<'_>, name: &str) {
    text.extend_from_slice(name.as_bytes());
    let values = request.headers.iter().filter(|(own, _)| *own == name);
    for (n, (_, value)) in values.enumerate() {
        text.push(if n == 0 { b':' } else { b',' });
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (n, word) in words.enumerate() {
            if n > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
    text.push(b'\n');
}
