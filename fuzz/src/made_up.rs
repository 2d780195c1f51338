//! A service that nobody has, for the protocols that no service of ours speaks yet: a member of each kind, in each place.

use ciborium::cbor;
use ciborium::value::Value as Item;
use flate2::Compression;
use flate2::write::GzEncoder;
use roadstead_wire::fault::{Code, Common};
use roadstead_wire::schema::{
    AnyOperation, Kind, List, Location, Map, Member, Protocol, Schema, Scope, Service, Structure, TimestampFormat,
};
use std::io::Write as _;

static SERVICE: Service = Service {
    name: "made-up",
    id: "Made Up",
    signing_name: "made-up",
    endpoint_prefix: "made-up",
    api_version: "2026-01-01",
    protocols: &[Protocol::RestXml, Protocol::RpcV2Cbor],
    target_prefix: Some("MadeUp"),
    namespace: Some("https://example.com/doc/2026-01-01/"),
    scope: Scope::Regional,
    null_error_members: false,
    query_compatible: false,
};

static TEXT: Schema = Schema::string("Text").max(64);
static NUMBER: Schema = Schema::new("Number", Kind::Integer);
static RATIO: Schema = Schema::new("Ratio", Kind::Double);
static FLAG: Schema = Schema::new("Flag", Kind::Boolean);
static BYTES: Schema = Schema::new("Bytes", Kind::Blob);
static INSTANT: Schema = Schema::new("Instant", Kind::Timestamp);
static TEXTS: Schema = Schema::list("Texts", &List::of(Member::new("member", &TEXT)));
static SPARSE: Schema = Schema::list("Sparse", &List::of(Member::new("member", &TEXT)).sparse());
static TAGS: Schema = Schema::map("Tags", &Map::of(Member::new("key", &TEXT), Member::new("value", &TEXT)));
static OWNER: Schema = Schema::structure(
    "Owner",
    &Structure::new(&[
        Member::new("Kind", &TEXT).named("xsi:type").attribute(),
        Member::new("Name", &TEXT),
        Member::new("Since", &INSTANT).timestamp(TimestampFormat::HttpDate),
    ]),
);
static OWNERS: Schema = Schema::list("Owners", &List::of(Member::new("member", &OWNER).named("Owner")));
static THING: Schema = Schema::structure(
    "Thing",
    &Structure::new(&[
        Member::new("Bucket", &TEXT).at(Location::Uri),
        Member::new("Key", &TEXT).at(Location::Uri),
        Member::new("Marks", &TEXTS).at(Location::Query).named("mark"),
        Member::new("Until", &INSTANT).at(Location::Header).named("x-amz-until"),
        Member::new("Metadata", &TAGS).at(Location::Headers).named("x-amz-meta-"),
        Member::new("Text", &TEXT),
        Member::new("Number", &NUMBER),
        Member::new("Ratio", &RATIO),
        Member::new("Flag", &FLAG),
        Member::new("Bytes", &BYTES),
        Member::new("Instant", &INSTANT),
        Member::new("Texts", &TEXTS),
        Member::new("Sparse", &SPARSE),
        Member::new("Flat", &TEXTS).flattened(),
        Member::new("Tags", &TAGS),
        Member::new("FlatTags", &TAGS).flattened(),
        Member::new("Owners", &OWNERS),
        Member::new("Owner", &OWNER),
    ]),
);
static OBJECT: Schema = Schema::structure(
    "Object",
    &Structure::new(&[
        Member::new("Bucket", &TEXT).at(Location::Uri),
        Member::new("Owner", &OWNER).namespace("https://example.com/owner/", None),
    ])
    .payload("Owner"),
);

static PUT_THING: AnyOperation = operation("PutThing", "PUT", "/{Bucket}/{Key+}", &THING);
static PUT_OWNER: AnyOperation = operation("PutOwner", "PUT", "/{Bucket}?owner", &OBJECT);

/// Its operations, which give back what they take.
pub const OPERATIONS: &[&AnyOperation] = &[&PUT_THING, &PUT_OWNER];

const fn operation(
    name: &'static str,
    method: &'static str,
    uri: &'static str,
    shape: &'static Schema,
) -> AnyOperation {
    AnyOperation {
        service: &SERVICE,
        name,
        method,
        uri,
        status: 200,
        input: shape,
        output: shape,
        action: "made-up:Put",
        open: false,
        resources: &[],
        pass_role: &[],
        errors: &[],
        invalid: Code::Common(Common::Validation),
        readonly: false,
        idempotency_token: None,
        pagination: None,
        waiter: false,
        unsigned: false,
    }
}

/// Requests in restXml.
pub fn rest_xml() -> Vec<Vec<u8>> {
    let thing = "<?xml version=\"1.0\"?><Thing xmlns=\"https://example.com/doc/2026-01-01/\"><Text>a &lt; b &#x41;</Text>\
        <Number>7</Number><Ratio>1.5</Ratio><Flag>true</Flag><Bytes>AAEC</Bytes><Instant>2026-01-01T00:00:00Z</Instant>\
        <Texts><member>a</member><member/></Texts><Flat>x</Flat><Flat>y</Flat><Tags><entry><key>k</key><value>v</value>\
        </entry></Tags><FlatTags><key>k</key><value>v</value></FlatTags><Owners><Owner xsi:type=\"User\"><Name>ada</Name>\
        <Since>Thu, 01 Jan 2026 00:00:00 GMT</Since></Owner></Owners><Owner><!-- nobody --><Name><![CDATA[<>]]></Name>\
        </Owner></Thing>";
    let owner =
        "<Owner xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type='User'><Name>ada</Name></Owner>";
    [
        put("/b/k/1%2F2?mark=1&mark=2", "x-amz-until: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-amz-meta-a: b\r\n", thing),
        put("/b?owner", "", owner),
        put("/b/k", "", ""),
    ]
    .into()
}

/// Requests in RPC v2 CBOR.
pub fn cbor() -> Vec<Vec<u8>> {
    let thing = cbor!({
        "Bucket" => "b", "Key" => "k", "Marks" => ["1", "2"], "Until" => Item::Tag(1, Box::new(1.5.into())),
        "Metadata" => { "a" => "b" }, "Text" => "a", "Number" => 7, "Ratio" => 1.5, "Flag" => true,
        "Bytes" => Item::Bytes(vec![0, 1, 2]), "Instant" => Item::Tag(1, Box::new(1_767_225_600.into())),
        "Texts" => ["a", null], "Sparse" => ["a", null], "Flat" => [], "Tags" => { "k" => "v", "n" => null },
        "Owners" => [{ "xsi:type" => "User", "Name" => "ada" }], "Owner" => {}, "Unknown" => [{ "x" => [1, 2] }],
    });
    // Of unknown length, as some SDKs write: {_ "Text": (_ "a", "b"), "Texts": [_ "c"]}
    let streamed = b"\xbf\x64Text\x7f\x61a\x61b\xff\x65Texts\x9f\x61c\xff\xff".to_vec();
    let mut bytes = vec![];
    ciborium::into_writer(&thing.expect("it is an item"), &mut bytes).expect("memory takes what is written");
    let plain = [&bytes, &streamed, &b"\xa0".to_vec(), &vec![]].map(|body| post("", body));
    plain.into_iter().chain([compressed(&bytes), in_chunks(&streamed), signed_in_chunks(&bytes)]).collect()
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::none());
    encoder.write_all(body).expect("memory takes what is written");
    post("content-encoding: gzip\r\n", &encoder.finish().expect("memory takes what is written"))
}

/// Of `streamed`, with its checksum behind it.
fn in_chunks(body: &[u8]) -> Vec<u8> {
    let headers = format!(
        "content-encoding: aws-chunked\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\
         x-amz-decoded-content-length: {}\r\nx-amz-trailer: x-amz-checksum-crc32\r\n",
        body.len()
    );
    let (frame, trailer) = (format!("{:x}\r\n", body.len()), "\r\n0\r\nx-amz-checksum-crc32:xmdwQQ==\r\n\r\n");
    post(&headers, &[frame.as_bytes(), body, trailer.as_bytes()].concat())
}

/// With signatures that nobody here looks at.
fn signed_in_chunks(body: &[u8]) -> Vec<u8> {
    let headers = format!(
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nx-amz-decoded-content-length: {}\r\n",
        body.len()
    );
    let frame = format!("{:x};chunk-signature=00\r\n", body.len());
    post(&headers, &[frame.as_bytes(), body, b"\r\n0;chunk-signature=00\r\n\r\n"].concat())
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /service/MadeUp/operation/PutThing HTTP/1.1\r\nhost: here\r\nsmithy-protocol: rpc-v2-cbor\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn put(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("PUT {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/xml\r\n{headers}\r\n{body}").into_bytes()
}
