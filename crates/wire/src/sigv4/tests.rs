//! Requests that AWS and botocore signed, and what must not pass for them.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 20150830T123600Z.
const NOW: Millis = Millis(1_440_938_160_000);
const SERVICES: [&str; 6] = ["service", "eks", "sts", "iam", "ec2", "s3"];
const EXPECT: Expectation<'static> = Expectation::new("us-east-1", &SERVICES);

static SUITE: LazyLock<Vec<Recorded>> = LazyLock::new(|| read(include_str!("fixtures/suite.txt")));
static BOTOCORE: LazyLock<Vec<Recorded>> = LazyLock::new(|| read(include_str!("fixtures/botocore.txt")));

/// A request of a fixture.
#[derive(Clone, Debug)]
struct Recorded {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Recorded {
    fn request(&self) -> Request<'_> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        Request { method: &self.method, path: &self.path, query: &self.query, headers, body: &self.body }
    }

    fn expect(&self) -> Expectation<'static> {
        let paths = if self.name.starts_with("s3") { Paths::AsSent } else { Paths::Normal };
        // Of the suite's names, none has a space.
        let region = if self.name.contains(' ') { "us-west-2" } else { EXPECT.region };
        Expectation { region, paths, ..EXPECT }
    }

    fn verify(&self) -> Result<Verified, Error> {
        self.verify_at(NOW)
    }

    fn verify_at(&self, now: Millis) -> Result<Verified, Error> {
        verify(&self.request(), now, &self.expect(), secret_of)
    }

    fn presigned(&self) -> bool {
        self.query.contains("X-Amz-Signature")
    }

    fn value(&self, name: &str) -> &str {
        let (_, value) = self.headers.iter().find(|(own, _)| own == name).unwrap();
        std::str::from_utf8(value).unwrap()
    }

    fn with(&self, name: &str, value: &str) -> Recorded {
        let mut own = self.without(name);
        own.headers.push((name.into(), value.into()));
        own
    }

    fn without(&self, name: &str) -> Recorded {
        let mut own = self.clone();
        own.headers.retain(|(header, _)| header != name);
        own
    }

    /// With another text in the Authorization header.
    fn claiming(&self, from: &str, to: &str) -> Recorded {
        let text = self.value("authorization");
        assert!(text.contains(from), "{text}");
        self.with("authorization", &text.replace(from, to))
    }

    fn querying(&self, from: &str, to: &str) -> Recorded {
        assert!(self.query.contains(from), "{}", self.query);
        Recorded { query: self.query.replace(from, to), ..self.clone() }
    }
}

fn secret_of(id: &str) -> Option<&'static str> {
    (id == ID).then_some(SECRET)
}

fn read(file: &str) -> Vec<Recorded> {
    format!("\n{file}").split("\n--- ").skip(1).map(read_one).collect()
}

fn read_one(entry: &str) -> Recorded {
    let (name, rest) = entry.split_once('\n').unwrap();
    let (head, body) = rest.split_once("\n\n").unwrap();
    // A line that begins with a space continues the one before.
    let head = head.replace("\n ", " ");
    let (start, headers) = head.split_once('\n').unwrap();
    let (method, target) = start.strip_suffix(" HTTP/1.1").unwrap().split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = headers.lines().map(|line| line.split_once(':').unwrap());
    Recorded {
        name: name.into(),
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.into())).collect(),
        body: body.trim_end_matches('\n').into(),
    }
}

fn named(name: &str) -> Recorded {
    let all = SUITE.iter().chain(BOTOCORE.iter());
    all.rev().find(|recorded| recorded.name == name).unwrap_or_else(|| panic!("no '{name}'")).clone()
}

fn incomplete(result: Result<Verified, Error>) -> String {
    match result {
        Err(Error::Incomplete(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_requests_of_the_suite_verify() {
    assert_eq!(SUITE.len(), 34);
    for recorded in SUITE.iter() {
        // Of this one AWS wants the token left unsigned; we want every x-amz-* header signed.
        let recorded = if recorded.name == "post-sts-header-after" {
            recorded.without("x-amz-security-token")
        } else {
            recorded.clone()
        };
        let verified = recorded.verify().unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        assert_eq!((verified.access_key_id.as_str(), verified.service.as_str()), (ID, "service"));
        assert_eq!((verified.region.as_str(), verified.date, verified.presigned), ("us-east-1", NOW, false));
    }
}

#[test]
fn what_botocore_signs_verifies() {
    assert_eq!(BOTOCORE.len(), 22);
    for recorded in BOTOCORE.iter() {
        let verified = recorded.verify().unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        assert!(recorded.name.starts_with(&verified.service));
        assert_eq!((verified.region.as_str(), verified.presigned), ("us-west-2", recorded.presigned()));
        let token = recorded.query.contains("Security-Token")
            || recorded.headers.iter().any(|(name, _)| name.ends_with("-token"));
        assert_eq!(verified.security_token.as_deref(), token.then_some("SESSION/+=token"));
    }
}

#[test]
fn our_signatures_are_those_of_the_suite_and_of_botocore() {
    for recorded in SUITE.iter().chain(BOTOCORE.iter()).filter(|it| !it.presigned() && !it.name.starts_with("s3")) {
        let token = recorded.headers.iter().any(|(name, _)| name == "x-amz-security-token" && !it_is_late(recorded));
        let scope: Vec<_> = recorded.value("authorization").split(['/', ',']).collect();
        let signer = Signer {
            access_key_id: ID,
            secret: SECRET,
            security_token: token.then(|| recorded.value("x-amz-security-token")),
            region: scope[2],
            service: scope[3],
        };
        let mut bare = recorded.clone();
        let made = ["authorization", "x-amz-date", "x-amz-security-token", "content-length"];
        bare.headers.retain(|(name, _)| !made.contains(&name.as_str()));
        let added = signer.sign(&bare.request(), NOW).unwrap();
        let (_, authorization) = added.iter().find(|(name, _)| *name == "authorization").unwrap();
        assert_eq!(authorization, recorded.value("authorization"), "{}", recorded.name);
    }
}

/// The suite's case of a token that is added after signing.
fn it_is_late(recorded: &Recorded) -> bool {
    recorded.name == "post-sts-header-after"
}

#[test]
fn the_url_of_get_token_is_the_one_that_the_cli_makes() {
    let recorded = BOTOCORE.iter().find(|it| it.presigned() && it.value("host").starts_with("sts.us-west-2")).unwrap();
    let url = presign_get_caller_identity(ID, SECRET, "us-west-2", &[("x-k8s-aws-id", "dev")], NOW);
    assert_eq!(url, format!("https://sts.us-west-2.amazonaws.com/?{}", recorded.query));
}

#[test]
fn a_presigned_query_of_ours_is_botocores() {
    for recorded in BOTOCORE.iter().filter(|it| it.presigned()) {
        let (query, _) = recorded.query.split_once("&X-Amz-Algorithm").unwrap();
        let token = recorded.query.contains("Security-Token").then_some("SESSION/+=token");
        let service = recorded.name.split(' ').next().unwrap();
        let signer = Signer { access_key_id: ID, secret: SECRET, security_token: token, region: "us-west-2", service };
        let bare = Recorded { query: query.into(), ..recorded.clone() };
        assert_eq!(signer.presign(&bare.request(), Millis::secs(60), NOW).unwrap(), recorded.query);
    }
}

#[test]
fn a_request_without_a_signature_is_told_so() {
    let vanilla = named("get-vanilla");
    assert_eq!(vanilla.without("authorization").verify(), Err(Error::Missing));
    assert_eq!(vanilla.with("authorization", "Bearer abc").verify(), Err(Error::Missing));
    assert_eq!(Error::Missing.to_string(), "Missing Authentication Token");
}

#[test]
fn a_missing_part_is_named() {
    let vanilla = named("get-vanilla");
    let text =
        incomplete(vanilla.with("authorization", "AWS4-HMAC-SHA256 Credential=a").without("x-amz-date").verify());
    assert_eq!(
        text,
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
         Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
    );
    let presigned = named("ec2 describe_instances presigned");
    let text = incomplete(presigned.querying("X-Amz-Expires=60&", "").verify());
    assert_eq!(
        text,
        "AWS query-string parameters must include 'X-Amz-Expires'. Re-examine the query-string parameters."
    );
}

#[test]
fn a_malformed_part_is_incomplete() {
    let vanilla = named("get-vanilla");
    for (from, to, word) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256x", "Unsupported"),
        ("AWS4-HMAC-SHA256", "AWS", "Unsupported"),
        ("/aws4_request", "", "exactly 5"),
        ("/aws4_request", "/aws4_request/x", "exactly 5"),
        ("Signature=", "Signature", "equal-sign"),
        ("Signature=", "Other=", "unknown parameter"),
        ("Credential=", "Credential=x, Credential=", "only once"),
        ("Signature=", "Signature=x, Signature=", "only once"),
        ("host;x-amz-date", "x-amz-date;host", "ascending"),
        ("host;x-amz-date", "host;host;x-amz-date", "ascending"),
        ("host;x-amz-date", "Host;x-amz-date", "lower-case"),
        ("host;x-amz-date", "host;;x-amz-date", "lower-case"),
    ] {
        let text = incomplete(vanilla.claiming(from, to).verify());
        assert!(text.contains(word), "{text}");
    }
    for date in ["20150830T123600", "2015-08-30T12:36:00Z", "+150830T1236000Z", "20151330T123600Z", ""] {
        assert!(incomplete(vanilla.with("x-amz-date", date).verify()).contains("basic format"), "{date}");
    }
}

#[test]
fn what_must_be_there_once_is_refused_twice() {
    let vanilla = named("get-vanilla");
    for name in ["authorization", "x-amz-date"] {
        let mut twice = vanilla.clone();
        twice.headers.push((name.into(), vanilla.value(name).into()));
        assert!(incomplete(twice.verify()).contains("only once"));
    }
    let presigned = named("ec2 describe_instances presigned");
    for parameter in ["X-Amz-Expires=60", "x-amz-expires=60", "X%2dAmz-Expires=60", "X-Amz-Signature=0"] {
        let twice = Recorded { query: format!("{}&{parameter}", presigned.query), ..presigned.clone() };
        assert!(incomplete(twice.verify()).contains("only once"), "{parameter}");
    }
    let both = presigned.with("authorization", vanilla.value("authorization"));
    assert!(incomplete(both.verify()).starts_with("Only one auth mechanism allowed"));
    // A header that is nothing of ours is the application's.
    assert!(presigned.with("authorization", "Bearer abc").verify().is_ok());
}

#[test]
fn a_scope_must_be_ours() {
    let vanilla = named("get-vanilla");
    assert_eq!(vanilla.claiming("us-east-1", "eu-west-1").verify(), Err(Error::Region));
    assert_eq!(vanilla.claiming("/service/", "/other/").verify(), Err(Error::Service("service".into())));
    let terminator = vanilla.claiming("aws4_request", "aws5_request").verify();
    assert_eq!(
        terminator.unwrap_err().to_string(),
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
    );
    assert_eq!(
        vanilla.claiming("/20150830/", "/20150831/").verify().unwrap_err().to_string(),
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != \
         '20150830', from '20150830T123600Z'."
    );
}

#[test]
fn a_signature_is_valid_for_as_long_as_clocks_differ() {
    let vanilla = named("get-vanilla");
    let ms = Millis(1);
    assert!(vanilla.verify_at(NOW + SKEW).is_ok() && vanilla.verify_at(NOW - SKEW).is_ok());
    assert_eq!(
        vanilla.verify_at(NOW + Millis::mins(9)).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T124000Z (20150830T124500Z - 5 min.)"
    );
    assert_eq!(
        vanilla.verify_at(NOW - Millis::mins(9)).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123200Z (20150830T122700Z + 5 min.)"
    );
    assert!(vanilla.verify_at(NOW + SKEW + ms).is_err() && vanilla.verify_at(NOW - SKEW - ms).is_err());
    let lenient = Expectation { skew: Millis::mins(60), ..EXPECT };
    assert!(verify(&vanilla.request(), NOW + MAX_SKEW, &lenient, secret_of).is_ok());
    assert!(verify(&vanilla.request(), NOW + MAX_SKEW + ms, &lenient, secret_of).is_err());
}

#[test]
fn a_presigned_request_lives_as_long_as_it_says_unless_the_service_says_so() {
    let presigned = named("ec2 describe_instances presigned");
    let ms = Millis(1);
    assert!(presigned.verify_at(NOW + Millis::secs(60)).is_ok());
    assert!(matches!(presigned.verify_at(NOW + Millis::secs(60) + ms), Err(Error::Expired { .. })));
    assert!(matches!(presigned.verify_at(NOW - SKEW - ms), Err(Error::NotYetCurrent { .. })));
    for expires in ["0", "604801", "-1", "", "1e3", "99999999999999999999", "+60"] {
        let other = presigned.querying("Expires=60", &format!("Expires={expires}"));
        assert!(incomplete(other.verify()).contains("between 1 and 604800"), "{expires}");
    }
    let fixed = Expectation { lifetime: Lifetime::Fixed(Millis::mins(15)), ..presigned.expect() };
    assert!(verify(&presigned.request(), NOW + Millis::mins(15), &fixed, secret_of).is_ok());
    let late = verify(&presigned.request(), NOW + Millis::mins(16), &fixed, secret_of);
    assert_eq!(
        late.unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z (20150830T125200Z - 15 min.)"
    );
}

#[test]
fn a_date_header_serves_where_the_other_is_not() {
    let key = key::signing_key(SECRET, &claim::Scope::new("20150830", "us-east-1", "service"));
    let date = "Sun, 30 Aug 2015 12:36:00 GMT";
    let canonical = format!("GET\n/\n\ndate:{date}\nhost:h\n\ndate;host\n{}", key::hex(&key::sha256(b"")));
    let digest = key::hex(&key::sha256(canonical.as_bytes()));
    let string = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n{digest}");
    let signature = key::hex(hmac::sign(&key, string.as_bytes()).as_ref());
    let dated = named("get-vanilla").without("x-amz-date").with("date", date).with("host", "h");
    let dated = dated.with(
        "authorization",
        &format!(
            "AWS4-HMAC-SHA256 Credential={ID}/20150830/us-east-1/service/aws4_request,SignedHeaders=date;host,\
             Signature={signature}"
        ),
    );
    assert_eq!(dated.verify().unwrap().date, NOW);
}

#[test]
fn every_header_that_matters_must_be_signed() {
    let vanilla = named("get-vanilla");
    assert_eq!(vanilla.claiming("host;x-amz-date", "x-amz-date").verify(), Err(Error::HostNotSigned));
    let late = named("post-sts-header-after");
    assert_eq!(late.verify(), Err(Error::HeaderNotSigned("x-amz-security-token".into())));
    assert_eq!(vanilla.with("x-amz-target", "Other").verify(), Err(Error::HeaderNotSigned("x-amz-target".into())));
    let presigned = named("ec2 describe_instances presigned");
    assert!(matches!(presigned.with("x-amz-target", "Other").verify(), Err(Error::HeaderNotSigned(_))));
    assert_eq!(named("post-header-key-sort").without("my-header1").verify(), Err(Error::Mismatch));
    assert!(vanilla.with("user-agent", "any").verify().is_ok());
}

#[test]
fn the_body_must_be_the_signed_one() {
    let signed = named("s3 get_object");
    assert_eq!(Recorded { body: b"x".into(), ..signed.clone() }.verify(), Err(Error::PayloadMismatch));
    for stated in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", ""] {
        assert_eq!(signed.with("x-amz-content-sha256", stated).verify(), Err(Error::PayloadNotSigned), "{stated}");
    }
    let presigned = named("ec2 describe_instances presigned");
    assert_eq!(Recorded { body: b"x".into(), ..presigned }.verify(), Err(Error::Mismatch));
}

/// AWS's own examples of bodies in chunks: "Signature calculations for the Authorization header: transferring payload in
/// multiple chunks", and the same "including trailing headers" (S3 API reference).
mod in_chunks {
    use super::*;

    const SIGNER: Signer<'static> = Signer {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        security_token: None,
        region: "us-east-1",
        service: "s3",
    };
    /// 20130524T000000Z.
    const THEN: Millis = Millis(1_369_353_600_000);
    const PLAIN: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    const TRAILED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    const TRAILER: [(&str, &str); 1] = [("x-amz-checksum-crc32c", "sOO8/Q==")];

    fn example(stated: &str) -> Recorded {
        let mut headers = vec![
            ("host", "s3.amazonaws.com"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-content-sha256", stated),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        headers.push(if stated == PLAIN { ("content-length", "66824") } else { ("x-amz-trailer", TRAILER[0].0) });
        Recorded {
            name: "s3".into(),
            method: "PUT".into(),
            path: "/examplebucket/chunkObject.txt".into(),
            query: String::new(),
            headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            body: vec![],
        }
    }

    /// Signed, and its own signature.
    fn signed(stated: &str) -> (Recorded, String) {
        let mut own = example(stated);
        for (name, value) in SIGNER.sign(&own.request(), THEN).unwrap() {
            own = own.with(name, &value);
        }
        let seed = own.value("authorization").rsplit('=').next().unwrap().to_owned();
        let trailer = if stated == PLAIN { &[][..] } else { &TRAILER };
        own.body = SIGNER.sign_chunks(&seed, &[&[b'a'; 65536], &[b'a'; 1024]], trailer, THEN);
        (own, seed)
    }

    fn verified(recorded: &Recorded, payloads: Payloads) -> Result<Verified, Error> {
        let expect = Expectation { paths: Paths::AsSent, payloads, ..EXPECT };
        verify(&recorded.request(), THEN, &expect, |id| (id == SIGNER.access_key_id).then_some(SIGNER.secret))
    }

    #[test]
    fn our_signatures_are_those_of_aws() {
        for (stated, seed, others) in [
            (
                PLAIN,
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
                [
                    "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                    "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                    "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
                ],
            ),
            (
                TRAILED,
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
                [
                    "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                    "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
                    "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
                ],
            ),
        ] {
            let (own, found) = signed(stated);
            assert_eq!(found, seed);
            let text = std::str::from_utf8(&own.body).unwrap();
            for other in others {
                assert!(text.contains(&format!("{other}\r\n")), "{other}");
            }
            verified(&own, Payloads::Signed).unwrap();
        }
        assert_eq!(signed(PLAIN).0.body.len(), 66824, "as its content-length says");
    }

    #[test]
    fn no_chunk_can_be_changed_left_out_or_moved() {
        for stated in [PLAIN, TRAILED] {
            let (own, _) = signed(stated);
            let places = (0..100).chain(65_600..65_720).chain(own.body.len() - 300..own.body.len() - 4);
            for at in places {
                let mut changed = own.clone();
                changed.body[at] ^= 1;
                assert!(verified(&changed, Payloads::Signed).is_err(), "{stated} {at}");
            }
            let text = String::from_utf8(own.body.clone()).unwrap();
            let second = &text[text.find("400;").unwrap()..text.find("\r\n0;").unwrap() + 2];
            let without = Recorded { body: text.replace(second, "").into(), ..own.clone() };
            assert_eq!(verified(&without, Payloads::Signed), Err(Error::Mismatch));
            let bare = Recorded { body: text.replacen(";chunk-signature=", ";x=", 1).into(), ..own.clone() };
            assert_eq!(verified(&bare, Payloads::Signed), Err(Error::Mismatch));
        }
        let (own, _) = signed(TRAILED);
        let text = String::from_utf8(own.body.clone()).unwrap();
        let cut = &text[text.find("x-amz-trailer-signature").unwrap()..];
        let unsigned = Recorded { body: text.replace(cut, "\r\n").into(), ..own };
        assert_eq!(verified(&unsigned, Payloads::Signed), Err(Error::Mismatch));
    }

    #[test]
    fn chunks_of_one_request_are_none_of_another() {
        let (own, _) = signed(PLAIN);
        let other = Recorded { body: signed(TRAILED).0.body, ..own };
        assert!(verified(&other, Payloads::Signed).is_err());
    }

    #[test]
    fn what_is_not_signed_passes_only_where_it_may() {
        // botocore 1.44.5, for an object `hello`; the date is the suite's.
        let botocore = read_one(
            "s3 put_object\nPUT /bucket/key HTTP/1.1\nHost:127.0.0.1:4566\nContent-Encoding:gzip,aws-chunked\n\
             X-Amz-Trailer:x-amz-checksum-crc32\nX-Amz-Decoded-Content-Length:5\nx-amz-sdk-checksum-algorithm:CRC32\n\
             X-Amz-Date:20150830T123600Z\nX-Amz-Content-SHA256:STREAMING-UNSIGNED-PAYLOAD-TRAILER\n\
             Authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request, SignedHeaders=\
             content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-sdk-checksum-algorithm;x-amz-trailer, \
             Signature=bc832de73c373ef3cac0a987c3593351178eb9468d8e0fa52a73032e216f280b\n\n",
        );
        let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n".into();
        let botocore = Recorded { body, ..botocore };
        let at = |payloads| Expectation { paths: Paths::AsSent, payloads, ..EXPECT };
        let verdict = |own: &Recorded, payloads| verify(&own.request(), NOW, &at(payloads), secret_of);
        assert!(verdict(&botocore, Payloads::MayBeUnsigned).is_ok());
        assert_eq!(verdict(&botocore, Payloads::Signed), Err(Error::PayloadNotSigned));
        let stated = botocore.with("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        assert_eq!(verdict(&stated, Payloads::Signed), Err(Error::PayloadNotSigned));
        assert_eq!(verdict(&stated, Payloads::MayBeUnsigned), Err(Error::Mismatch), "that was not signed");
    }
}

#[test]
fn a_key_that_nobody_has_and_a_wrong_secret_are_refused() {
    let vanilla = named("get-vanilla");
    let unknown = vanilla.claiming(ID, "AKIDOTHER").verify().unwrap_err();
    assert_eq!(unknown.to_string(), "The security token included in the request is invalid.");
    let wrong = verify(&vanilla.request(), NOW, &EXPECT, |_| Some("other")).unwrap_err();
    assert_eq!(wrong, Error::Mismatch);
    assert!(wrong.to_string().starts_with("The request signature we calculated does not match"));
}

#[test]
fn nobody_is_asked_for_a_secret_before_the_rest_is_in_order() {
    let vanilla = named("get-vanilla");
    let never = |_: &str| -> Option<&str> { panic!("asked") };
    assert!(verify(&vanilla.request(), NOW + MAX_SKEW, &EXPECT, never).is_err());
    assert!(verify(&vanilla.with("x-amz-a", "b").request(), NOW, &EXPECT, never).is_err());
}

#[test]
fn faults_have_the_codes_of_aws() {
    use crate::schema::Protocol;
    let spelled = |error: Error, protocol| {
        let fault = crate::fault::Fault::from(error);
        (fault.code.name(protocol), fault.code.status(protocol))
    };
    assert_eq!(spelled(Error::Mismatch, Protocol::RestJson1), ("InvalidSignatureException", 403));
    assert_eq!(spelled(Error::Mismatch, Protocol::AwsQuery), ("SignatureDoesNotMatch", 403));
    assert_eq!(spelled(Error::UnknownKey, Protocol::AwsQuery), ("InvalidClientTokenId", 403));
    assert_eq!(spelled(Error::UnknownKey, Protocol::Ec2Query), ("AuthFailure", 401));
    assert_eq!(spelled(Error::Missing, Protocol::AwsQuery), ("MissingAuthenticationToken", 403));
}

#[test]
fn a_verifier_remembers_keys_and_no_verdicts() {
    let verifier = Verifier::new(64);
    for _ in 0..3 {
        for recorded in BOTOCORE.iter() {
            assert_eq!(verifier.verify(&recorded.request(), NOW, &recorded.expect(), secret_of), recorded.verify());
        }
    }
    let vanilla = named("get-vanilla");
    let ask = |secret: Option<&'static str>| verifier.verify(&vanilla.request(), NOW, &EXPECT, |_| secret);
    assert!(ask(Some(SECRET)).is_ok());
    assert_eq!(ask(Some("rotated")), Err(Error::Mismatch));
    assert_eq!(ask(None), Err(Error::UnknownKey));
    assert!(ask(Some(SECRET)).is_ok());
    let forged = vanilla.claiming("Signature=", "Signature=0");
    assert_eq!(verifier.verify(&forged.request(), NOW, &EXPECT, secret_of), Err(Error::Mismatch));
}

#[test]
fn a_path_has_one_normal_form() {
    for (path, normal) in [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("//a//b//", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/../../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a"),
        ("/..a/.b/c..", "/..a/.b/c.."),
        ("/a/%2E%2E/b", "/a/%2E%2E/b"),
    ] {
        assert_eq!(normal_path(path), normal, "{path}");
        assert_eq!(normal_path(normal), normal);
    }
    assert!(matches!(normal_path("/clusters/one/"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_request_of_a_server_has_what_was_sent() {
    let recorded = named("ec2 describe_instances presigned");
    let uri = format!("{}?{}", recorded.path, recorded.query);
    let request = http::Request::get(&uri).header("Host", recorded.value("host")).body("").unwrap();
    assert!(verify(&Request::new(&request), NOW, &recorded.expect(), secret_of).is_ok());
    let absolute = format!("http://{}{uri}", recorded.value("host"));
    let request = http::Request::get(absolute).body("").unwrap();
    assert!(verify(&Request::new(&request), NOW, &recorded.expect(), secret_of).is_ok());
}

/// Where a byte of a request may be changed.
#[derive(Clone, Copy, Debug)]
enum Place {
    Method,
    Path,
    Query,
    Header(usize),
    Body,
}

fn places(recorded: &Recorded) -> Vec<Place> {
    let headers = recorded.headers.iter().enumerate();
    // The length frames the body, which is signed itself.
    let headers = headers.filter(|(_, (name, value))| name != "content-length" && !value.is_empty());
    let texts = [(Place::Path, &recorded.path), (Place::Query, &recorded.query), (Place::Method, &recorded.method)];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(place, _)| place);
    let body = (!recorded.body.is_empty()).then_some(Place::Body);
    headers.map(|(n, _)| Place::Header(n)).chain(texts).chain(body).collect()
}

/// The request with a byte changed, unless that leaves the meaning as it was.
fn changed(recorded: &Recorded, place: Place, at: prop::sample::Index, to: u8) -> Option<Recorded> {
    let mut own = recorded.clone();
    let change = |bytes: &mut Vec<u8>| {
        let at = at.index(bytes.len());
        let before = std::mem::replace(&mut bytes[at], to);
        before != to
    };
    let change_text = |text: &mut String| {
        let mut bytes = text.clone().into_bytes();
        let changed = change(&mut bytes);
        String::from_utf8(bytes).is_ok_and(|new| {
            *text = new;
            changed
        })
    };
    let real = match place {
        Place::Method => change_text(&mut own.method),
        Place::Path => change_text(&mut own.path) && normal_path(&own.path) != normal_path(&recorded.path),
        Place::Query => change_text(&mut own.query) && meaning(&own.query) != meaning(&recorded.query),
        Place::Header(n) => {
            let fold = |value: &[u8]| String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ");
            change(&mut own.headers[n].1) && fold(&own.headers[n].1) != fold(&recorded.headers[n].1)
        }
        Place::Body => change(&mut own.body),
    };
    real.then_some(own)
}

/// A query, decoded and in order.
fn meaning(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (decode(name), decode(value))).collect();
    pairs.sort_unstable();
    pairs
}

fn recorded() -> impl Strategy<Value = Recorded> {
    let all = SUITE.iter().chain(BOTOCORE.iter()).filter(|recorded| !it_is_late(recorded));
    select(all.cloned().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_changed_byte_is_refused(
        (recorded, place) in recorded().prop_flat_map(|it| { let places = places(&it); (Just(it), select(places)) }),
        at: prop::sample::Index,
        to in 0x20u8..0x7f,
    ) {
        if let Some(changed) = changed(&recorded, place, at, to) {
            prop_assert!(changed.verify().is_err(), "{:?} of {} accepted: {:?}", place, recorded.name, changed);
        }
    }

    #[test]
    fn what_is_signed_verifies_and_is_bound_to_its_instant(
        path in "(/[ -~&&[^?#]]{0,6}){0,4}/?",
        pairs in prop::collection::vec(("[a-zA-Z0-9.%+é-]{1,5}", "[ -~&&[^&#]]{0,8}"), 0..4),
        header in "[ -~]{0,12}",
        body: Vec<u8>,
        expires in 1u64..604_800,
    ) {
        let query = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let headers = vec![("host", &b"h:1"[..]), ("x-own", header.as_bytes())];
        let request = Request { method: "POST", path: &path, query: &query, headers, body: &body };
        let (access_key_id, region) = (ID, EXPECT.region);
        let signer = Signer { access_key_id, secret: SECRET, security_token: None, region, service: "eks" };
        let added = signer.sign(&request, NOW).unwrap();
        let mut signed = request.clone();
        signed.headers.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
        prop_assert!(verify(&signed, NOW, &EXPECT, secret_of).is_ok());

        let span = Millis::secs(expires);
        let query = signer.presign(&request, span, NOW).unwrap();
        let presigned = Request { query: &query, ..request };
        prop_assert!(verify(&presigned, NOW + span, &EXPECT, secret_of).is_ok());
        prop_assert!(verify(&presigned, NOW + span + Millis(1), &EXPECT, secret_of).is_err());
    }

    #[test]
    fn no_claim_makes_it_panic(
        authorization in "AWS4-HMAC-SHA256 [ -~é]{0,60}|[ -~é]{0,20}",
        date in "[0-9TZé+-]{0,18}",
        query in "[ -~é]{0,40}",
    ) {
        let own = Recorded { query, ..named("get-vanilla") };
        let own = own.with("authorization", &authorization).with("x-amz-date", &date);
        prop_assert!(own.verify().is_err());
        let claimed = named("get-vanilla").with("x-amz-date", &date);
        prop_assert!(claimed.verify().is_err());
    }
}
