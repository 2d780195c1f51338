//! A service that speaks several protocols, as CloudWatch does, answers each client in its own.

use bytes::Bytes;
use ciborium::cbor;
use ciborium::value::Value as Item;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Request, Response};
use roadstead_wire::Router;
use roadstead_wire::fault::{Code, Common, ErrorShape};
use roadstead_wire::schema::{AnyOperation, Member, Protocol, Schema, Scope, Service, Structure};
use std::io::Write as _;

static SERVICE: Service = Service {
    name: "gauges",
    id: "Gauges",
    signing_name: "gauges",
    endpoint_prefix: "gauges",
    api_version: "2010-08-01",
    protocols: &[Protocol::RpcV2Cbor, Protocol::AwsJson1_0, Protocol::AwsQuery],
    target_prefix: Some("Gauges"),
    namespace: Some("https://example.com/doc/2010-08-01/"),
    scope: Scope::Regional,
    null_error_members: false,
    query_compatible: true,
};
static TEXT: Schema = Schema::string("Text");
static GAUGE: Schema = Schema::structure("Gauge", &Structure::new(&[Member::new("Name", &TEXT)]));
static MISSING: ErrorShape =
    ErrorShape { name: "GaugeNotFoundException", code: "GaugeNotFound", status: 404, sender: true, schema: &GAUGE };
static READ: AnyOperation = AnyOperation {
    service: &SERVICE,
    name: "ReadGauge",
    method: "POST",
    uri: "/",
    status: 200,
    input: &GAUGE,
    output: &GAUGE,
    action: "gauges:ReadGauge",
    open: false,
    resources: &[],
    pass_role: &[],
    errors: &[&MISSING],
    invalid: Code::Common(Common::Validation),
    readonly: true,
    idempotency_token: None,
    pagination: None,
    waiter: false,
    unsigned: false,
};

fn cbor_of(name: &str) -> Request<Bytes> {
    let mut body = vec![];
    ciborium::into_writer(&cbor!({ "Name" => "steam" }).expect("it is an item"), &mut body).expect("memory takes it");
    let request = Request::post(format!("/service/Gauges/operation/{name}"));
    request
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .body(body.into())
        .expect("it is a request")
}

fn json_of(name: &str) -> Request<Bytes> {
    let request = Request::post("/").header("x-amz-target", format!("Gauges.{name}"));
    request
        .header("content-type", "application/x-amz-json-1.0")
        .body(r#"{"Name": "steam"}"#.into())
        .expect("it is a request")
}

fn form_of(name: &str) -> Request<Bytes> {
    let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    request.body(format!("Action={name}&Version=2010-08-01&Name=steam").into()).expect("it is a request")
}

type Coding = (&'static str, &'static str, fn(&[u8]) -> Vec<u8>);

const CODINGS: [Coding; 3] = [
    ("content-encoding", "gzip", gzip),
    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunked),
    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunked),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Signatures are another matter's.
fn chunked(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0;chunk-signature=x\r\n\r\n"].concat()
}

fn field(answer: &Response<Bytes>, name: &str) -> String {
    let item: Item = ciborium::from_reader(&answer.body()[..]).expect("it is CBOR");
    let (_, value) = item
        .as_map()
        .expect("it is a map")
        .iter()
        .find(|(key, _)| key.as_text() == Some(name))
        .expect("it has the field");
    value.as_text().expect("it is a text").to_owned()
}

fn text(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).expect("it is a text")
}

/// The answers in CBOR, in JSON and in XML.
fn answers(ask: impl Fn(Request<Bytes>) -> Response<Bytes>, name: &str) -> [Response<Bytes>; 3] {
    [cbor_of(name), json_of(name), form_of(name)].map(ask)
}

#[test]
fn each_client_reads_what_it_asked_for_and_why_not() {
    let router = Router::new([&READ]);
    let echo = |request| {
        let call = router.route(&request).unwrap();
        call.respond(&call.decode(&request).unwrap(), "id")
    };
    let [cbor, json, xml] = answers(echo, "ReadGauge");
    assert_eq!(field(&cbor, "Name"), "steam");
    assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
    assert_eq!(cbor.headers()["content-type"], "application/cbor");
    assert_eq!(text(&json), r#"{"Name":"steam"}"#);
    assert!(text(&xml).contains("<ReadGaugeResult><Name>steam</Name></ReadGaugeResult>"), "{xml:?}");

    let missing = |request| router.route(&request).unwrap().refuse(&MISSING.fault("No such gauge."), "id");
    let [cbor, json, xml] = answers(missing, "ReadGauge");
    assert_eq!((field(&cbor, "__type"), cbor.status().as_u16()), ("GaugeNotFoundException".to_owned(), 404));
    assert_eq!(cbor.headers()["x-amzn-query-error"], "GaugeNotFound;Sender");
    assert_eq!(json.headers()["x-amzn-query-error"], "GaugeNotFound;Sender");
    assert!(text(&xml).contains("<Code>GaugeNotFound</Code>"), "{xml:?}");
}

#[test]
fn bodies_are_read_as_they_were_meant() {
    let router = Router::new([&READ]);
    for (name, value, sent) in CODINGS {
        let read = |request: Request<Bytes>| {
            let (mut parts, body) = request.into_parts();
            let length = body.len().to_string();
            let body: Bytes = sent(&body).into();
            parts.headers.insert(name, value.parse().unwrap());
            parts.headers.insert("x-amz-decoded-content-length", length.parse().unwrap());
            let request = Request::from_parts(parts, body);
            router.route(&request).unwrap().decode(&request).unwrap().at("Name").cloned()
        };
        for request in [cbor_of("ReadGauge"), json_of("ReadGauge"), form_of("ReadGauge")] {
            assert_eq!(read(request), Some("steam".into()), "{value}");
        }
    }
}

#[test]
fn a_body_of_another_checksum_is_refused_in_the_protocol_that_asked() {
    let router = Router::new([&READ]);
    let checked = |mut request: Request<Bytes>| {
        request.headers_mut().insert("x-amz-checksum-crc32", "AAAAAA==".parse().unwrap());
        let call = router.route(&request).unwrap();
        call.refuse(&call.decode(&request).unwrap_err(), "id")
    };
    let [cbor, json, xml] = answers(checked, "ReadGauge");
    assert_eq!((field(&cbor, "__type"), cbor.status().as_u16()), ("BadDigestException".to_owned(), 400));
    assert!(text(&json).contains("The CRC32 you specified did not match the calculated checksum."), "{json:?}");
    assert!(text(&xml).contains("<Code>BadDigest</Code>"), "{xml:?}");
}

#[test]
fn what_there_is_not_is_refused_in_the_protocol_that_asked() {
    let router = Router::new([&READ]);
    let unrouted = |mut request: Request<Bytes>| {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/gauges/aws4_request, SignedHeaders=host";
        request.headers_mut().insert("authorization", signed.parse().unwrap());
        router.route(&request).unwrap_err().respond("id")
    };
    let [cbor, json, xml] = answers(unrouted, "WriteGauge");
    assert_eq!((field(&cbor, "__type"), cbor.status().as_u16()), ("UnknownOperationException".to_owned(), 400));
    assert!(text(&json).contains("UnknownOperationException"), "{json:?}");
    assert!(text(&xml).contains("<Code>InvalidAction</Code>"), "{xml:?}");
    let (mut parts, body) = cbor_of("ReadGauge").into_parts();
    parts.method = Method::GET;
    assert_eq!(field(&unrouted(Request::from_parts(parts, body)), "__type"), "UnknownOperationException");
    // Where nothing tells the protocol, it is the first that is no form's.
    assert_eq!(
        field(&unrouted(Request::get("/gauges").body(Bytes::new()).unwrap()), "__type"),
        "UnknownOperationException"
    );
    // A path alone is none of RPC v2.
    let (mut parts, body) = cbor_of("ReadGauge").into_parts();
    parts.headers.remove("smithy-protocol");
    assert!(router.route(&Request::from_parts(parts, body)).is_err());
}
