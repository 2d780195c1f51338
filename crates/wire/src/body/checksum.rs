//! Checksums of payloads: `Content-MD5` and `x-amz-checksum-*`.
//!
//! S3's newest (`xxhash64`, `xxhash3`, `xxhash128`) are not looked at.

use super::{Error, text};
use aws_lc_rs::digest::{self, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};
use http::HeaderMap;
use md5::{Digest as _, Md5};

/// A checksum that clients may send.
struct Algorithm {
    /// The header, or the trailer, that has it in base64.
    header: &'static str,
    /// Its name in errors.
    name: &'static str,
    /// The checksum of a payload, the most significant byte first.
    of: fn(&[u8]) -> Vec<u8>,
}

const ALGORITHMS: [Algorithm; 7] = [
    Algorithm { header: "x-amz-checksum-crc32", name: "CRC32", of: |payload| crc32(&CRC32, payload) },
    Algorithm { header: "x-amz-checksum-crc32c", name: "CRC32C", of: |payload| crc32(&CRC32C, payload) },
    Algorithm { header: "x-amz-checksum-crc64nvme", name: "CRC64NVME", of: crc64nvme },
    Algorithm { header: "x-amz-checksum-md5", name: "MD5", of: md5 },
    Algorithm {
        header: "x-amz-checksum-sha1",
        name: "SHA1",
        of: |payload| sha(&digest::SHA1_FOR_LEGACY_USE_ONLY, payload),
    },
    Algorithm { header: "x-amz-checksum-sha256", name: "SHA256", of: |payload| sha(&digest::SHA256, payload) },
    Algorithm { header: "x-amz-checksum-sha512", name: "SHA512", of: |payload| sha(&digest::SHA512, payload) },
];

static CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// Whether a payload has the checksums that its headers or its trailer name: of `x-amz-checksum-*` one at most.
pub(super) fn check(headers: &HeaderMap, trailer: &[(String, &str)], payload: &[u8]) -> Result<(), Error> {
    check_md5(headers, payload)?;
    let in_trailer = |name: &str| trailer.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
    let in_headers = ALGORITHMS.iter().filter_map(|it| Some((it, text(headers, it.header)?)));
    let stated: Vec<_> =
        in_headers.chain(ALGORITHMS.iter().filter_map(|it| Some((it, in_trailer(it.header)?)))).collect();
    match stated[..] {
        [] => Ok(()),
        [(algorithm, stated)] => algorithm.check(stated, payload),
        _ => Err(Error::Checksums),
    }
}

fn check_md5(headers: &HeaderMap, payload: &[u8]) -> Result<(), Error> {
    let Some(stated) = headers.get("content-md5") else { return Ok(()) };
    let stated = STANDARD.decode(stated).ok().filter(|md5| md5.len() == 16).ok_or(Error::InvalidMd5)?;
    if stated == md5(payload) { Ok(()) } else { Err(Error::Md5) }
}

impl Algorithm {
    fn check(&self, stated: &str, payload: &[u8]) -> Result<(), Error> {
        let calculated = (self.of)(payload);
        match STANDARD.decode(stated) {
            Ok(stated) if stated == calculated => Ok(()),
            Ok(stated) if stated.len() == calculated.len() => Err(Error::Checksum(self.name)),
            _ => Err(Error::InvalidChecksum(self.header)),
        }
    }
}

fn crc32(algorithm: &Crc<u32>, payload: &[u8]) -> Vec<u8> {
    algorithm.checksum(payload).to_be_bytes().into()
}

fn crc64nvme(payload: &[u8]) -> Vec<u8> {
    CRC64NVME.checksum(payload).to_be_bytes().into()
}

fn md5(payload: &[u8]) -> Vec<u8> {
    Md5::digest(payload).to_vec()
}

fn sha(algorithm: &'static digest::Algorithm, payload: &[u8]) -> Vec<u8> {
    digest(algorithm, payload).as_ref().into()
}
