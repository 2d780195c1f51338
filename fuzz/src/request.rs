//! Requests as bytes, and what every answer must be.

use bytes::Bytes;
use ciborium::value::Value as Item;
use http::{Request, Response};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value as J;

/// The requests of real clients that the codec's tests have.
const RECORDED: &str = include_str!("../../crates/shapes/tests/recorded/requests.json");
/// More than any request has.
const FIELDS: usize = 64;
/// The id of every answer.
pub const ID: &str = "00000000-0000-4000-8000-000000000000";

/// What real clients send to these services, or to all, as bytes of HTTP.
pub fn recorded(services: &[&str]) -> Vec<Vec<u8>> {
    let recorded: J = serde_json::from_str(RECORDED).expect("the recording is JSON");
    let requests = recorded["requests"].as_array().expect("it has requests").iter();
    let wanted = |request: &&J| services.is_empty() || services.iter().any(|service| request["service"] == *service);
    requests.filter(wanted).map(bytes).collect()
}

fn bytes(recorded: &J) -> Vec<u8> {
    let text = |key: &str| recorded[key].as_str().unwrap_or_default();
    let target = recorded["target"].as_str().map(|target| format!("x-amz-target: {target}\r\n"));
    let head = format!(
        "{} {} HTTP/1.1\r\nhost: here\r\ncontent-type: {}\r\n",
        text("method"),
        text("url"),
        text("content_type")
    );
    format!("{head}{}\r\n{}", target.unwrap_or_default(), text("body")).into_bytes()
}

/// The request that bytes are, if a server's library would let them through.
pub fn read(bytes: &[u8]) -> Option<Request<Bytes>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = parsed.parse(bytes).ok()? else { return None };
    let mut request = Request::builder().method(parsed.method?).uri(parsed.path?);
    for field in parsed.headers {
        request = request.header(field.name, field.value);
    }
    request.body(Bytes::copy_from_slice(&bytes[head..])).ok()
}

/// A stranger's bytes are answered with a refusal that its client can read.
pub fn assert_refusal(answer: &Response<Bytes>) {
    assert!(answer.status().is_client_error(), "{answer:?}");
    assert_readable(answer);
}

/// An answer that clients can read: it has an id, and its body is what it says.
pub fn assert_readable(answer: &Response<Bytes>) {
    assert!(answer.headers().get("x-amzn-requestid").is_some_and(|id| id == ID), "{answer:?}");
    let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap_or_default());
    if kind.contains("json") {
        assert!(serde_json::from_slice::<J>(answer.body()).is_ok(), "{answer:?}");
    } else if kind.contains("cbor") {
        assert!(ciborium::from_reader::<Item, _>(&answer.body()[..]).is_ok(), "{answer:?}");
    } else if kind.contains("xml") {
        assert_xml(std::str::from_utf8(answer.body()).expect("XML is text"));
    }
}

fn assert_xml(text: &str) {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    assert!(text.chars().all(allowed), "{text:?}");
    let mut reader = Reader::from_str(text);
    let mut depth = 0_u32;
    loop {
        match reader.read_event().unwrap_or_else(|why| panic!("{why}: {text}")) {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{text}");
}
