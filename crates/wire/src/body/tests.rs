use super::*;
use crate::fault::Fault;
use crate::schema::Protocol;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderName;
use std::io::Write as _;

const UNSIGNED: (&str, &str) = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
const SIGNED: (&str, &str) = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
const LENGTH: (&str, &str) = ("x-amz-decoded-content-length", "5");
/// What botocore 1.44.5 sends of `hello`.
const HELLO: &str = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    pairs.iter().map(pair).collect()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn checked(pairs: &[(&str, &str)], body: impl Into<Bytes>) -> Result<(), Error> {
    check(&headers(pairs), &body.into())
}

/// A body in chunks, whose trailer is that checksum.
fn trailed(body: &str) -> Result<(), Error> {
    checked(&[UNSIGNED, LENGTH, ("x-amz-trailer", "x-amz-checksum-crc32")], body.to_owned())
}

#[test]
fn what_is_compressed_last_is_decompressed() {
    let sent = gzip(b"hello");
    for coding in ["gzip", "GZIP", "custom, gzip", "gzip,aws-chunked", "aws-chunked, gzip"] {
        let pairs = [("content-encoding", coding), UNSIGNED];
        let framed = [format!("{:x}\r\n", sent.len()).as_bytes(), &sent, b"\r\n0\r\n\r\n"].concat().into();
        let (pairs, body) = if coding.contains("chunked") { (&pairs[..], framed) } else { (&pairs[..1], sent.clone()) };
        assert_eq!(plain(&headers(pairs), &body).unwrap(), "hello", "{coding}");
    }
    for coding in ["identity", "gzip, br", ""] {
        assert_eq!(plain(&headers(&[("content-encoding", coding)]), &sent).unwrap(), sent, "{coding}");
    }
    let twice = [gzip(b"hel"), gzip(b"lo")].concat().into();
    assert_eq!(plain(&headers(&[("content-encoding", "gzip")]), &twice).unwrap(), "hello");
}

#[test]
fn a_bomb_is_too_long_and_what_is_no_gzip_is_said_to_be_none() {
    let inflated = |body: Bytes| plain(&headers(&[("content-encoding", "gzip")]), &body);
    let bomb = gzip(&vec![0; 100 * MAX_BODY]);
    assert!(bomb.len() < MAX_BODY / 5);
    assert_eq!(inflated(bomb), Err(Error::TooLong));
    assert_eq!(inflated(gzip(&vec![0; MAX_BODY])).unwrap().len(), MAX_BODY);
    let cut = gzip(b"hello").slice(..20);
    for body in [Bytes::from_static(b"hello"), Bytes::new(), cut] {
        assert!(matches!(inflated(body), Err(Error::Coding(_))));
    }
}

#[test]
fn what_botocore_sends_in_chunks_is_whole() {
    trailed(HELLO).unwrap();
    let read = payload(&headers(&[UNSIGNED]), &HELLO.into()).unwrap();
    assert_eq!(read, "hello");
    // As AWS's example ends: without the empty line.
    trailed(HELLO.strip_suffix("\r\n").unwrap()).unwrap();
}

#[test]
fn frames_that_do_not_fit_are_refused() {
    for cut in 0..HELLO.len() - 4 {
        assert!(trailed(&HELLO[..cut]).is_err(), "{cut}");
    }
    for (from, to, why) in [
        ("5\r\n", "6\r\n", Error::Incomplete),
        ("5\r\n", "4\r\n", Error::Incomplete),
        ("5\r\n", "\r\n", Error::Incomplete),
        ("5\r\n", "+5\r\n", Error::Incomplete),
        ("5\r\n", "fffffffffffffffff\r\n", Error::Incomplete),
        ("5\r\nhello\r\n", "1\r\nh\r\n4\r\nello\r\n", Error::ChunkSize),
        ("crc32:N", "crc32 N", Error::Trailer),
        ("x-amz-checksum-crc32:", "x-amz-checksum-crc32c:", Error::Trailer),
        ("x-amz-checksum-crc32:NhCmhg==\r\n", "", Error::Trailer),
        ("==\r\n", "==\r\nx-amz-more:1\r\n", Error::Trailer),
        ("\r\n\r\n", "\r\n\r\nmore", Error::Trailer),
        ("hello", "jello", Error::Checksum("CRC32")),
    ] {
        assert_eq!(trailed(&HELLO.replacen(from, to, 1)), Err(why), "{from:?} {to:?}");
    }
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    assert_eq!(checked(&[UNSIGNED, trailer], HELLO), Err(Error::Length));
    let longer = ("x-amz-decoded-content-length", "6");
    assert_eq!(checked(&[UNSIGNED, longer, trailer], HELLO), Err(Error::Length));
    assert_eq!(checked(&[UNSIGNED, LENGTH], HELLO), Err(Error::Trailer), "not announced");
    assert_eq!(checked(&[SIGNED, LENGTH, trailer], HELLO), Err(Error::Trailer), "signed without a trailer");
    assert!(matches!(checked(&[("content-encoding", "aws-chunked")], HELLO), Err(Error::Coding(_))));
}

/// The check values of the catalogue of CRCs, and of RFC 1321 and FIPS 180.
#[test]
fn each_checksum_is_that_of_the_payload() {
    for (name, sum) in [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
        ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("sha512", "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ=="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ] {
        let header = format!("x-amz-checksum-{name}");
        assert_eq!(checked(&[(&header, sum)], "123456789"), Ok(()), "{name}");
        let upper = name.to_ascii_uppercase();
        let Err(Error::Checksum(named)) = checked(&[(&header, sum)], "123456780") else { panic!("{name}") };
        assert_eq!(named, upper);
        for wrong in ["", "AAA=", "no base64"] {
            let Err(Error::InvalidChecksum(named)) = checked(&[(&header, wrong)], "123456789") else {
                panic!("{name}")
            };
            assert_eq!(named, header);
        }
    }
    let two = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")];
    assert_eq!(checked(&two, "123456789"), Err(Error::Checksums));
}

#[test]
fn an_md5_is_that_of_the_payload_too() {
    assert_eq!(checked(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], "123456789"), Ok(()));
    assert_eq!(checked(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], "12345678"), Err(Error::Md5));
    for wrong in ["", "25f9e794323b453885f5181f1b624d0b", "AAAA"] {
        assert_eq!(checked(&[("content-md5", wrong)], "123456789"), Err(Error::InvalidMd5), "{wrong}");
    }
}

#[test]
fn refusals_have_the_codes_and_texts_of_s3() {
    let spelled = |error: Error, protocol| {
        let fault = Fault::from(error);
        (fault.code.name(protocol), fault.code.status(protocol), fault.message)
    };
    let text = "The CRC32C you specified did not match the calculated checksum.".to_owned();
    assert_eq!(spelled(Error::Checksum("CRC32C"), Protocol::RestXml), ("BadDigest", 400, text.clone()));
    assert_eq!(spelled(Error::Checksum("CRC32C"), Protocol::RestJson1), ("BadDigestException", 400, text));
    assert_eq!(spelled(Error::InvalidMd5, Protocol::RestXml).0, "InvalidDigest");
    assert_eq!(spelled(Error::Checksums, Protocol::AwsQuery).0, "InvalidRequest");
    assert_eq!(spelled(Error::TooLong, Protocol::AwsJson1_1).1, 413);
}
