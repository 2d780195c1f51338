//! rpcv2Cbor: CBOR documents in and out, the operation named by the path. SDKs choose it where a model lists it.
//!
//! Source: the Smithy specification "RPC v2 CBOR".

use super::answer;
use super::aws_json::query_error;
use crate::ReadError;
use crate::fault::Fault;
use crate::schema::{AnyOperation, Kind, Member, Protocol, Schema, Service, Struct, Value};
use crate::timestamp;
use bytes::Bytes;
use ciborium::value::Value as C;
use http::{HeaderValue, Response};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// The header that names the protocol, and its value.
pub(crate) const PROTOCOL: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");
const CBOR: &str = "application/cbor";
/// Items nest at most so deep.
const MAX_DEPTH: usize = 64;
/// The tag of seconds since 1970 (RFC 8949, section 3.4.2).
const INSTANT: u64 = 1;

/// An operation's input; an empty body is an empty structure.
pub(crate) fn decode(operation: &AnyOperation, body: &[u8]) -> Result<Value, ReadError> {
    if body.is_empty() { Ok(Value::Struct(Struct::new())) } else { document(operation.input, body) }
}

fn document(schema: &Schema, mut body: &[u8]) -> Result<Value, ReadError> {
    let item: C = ciborium::de::from_reader_with_recursion_limit(&mut body, MAX_DEPTH)
        .map_err(|why| ReadError::new(format!("The body is not CBOR: {why}")))?;
    if !body.is_empty() {
        return Err(ReadError::new("The body goes on after its CBOR"));
    }
    read(schema, &item)
}

fn read(schema: &Schema, item: &C) -> Result<Value, ReadError> {
    match (item, &schema.kind) {
        (C::Array(items), Kind::List(list)) => {
            let kept = items.iter().filter(|item| list.sparse || !item.is_null());
            kept.map(|item| read_element(&list.member, item)).collect::<Result<_, _>>().map(Value::List)
        }
        (C::Map(entries), Kind::Map(map)) => {
            let kept = entries.iter().filter(|(_, item)| map.sparse || !item.is_null());
            let entry = |(key, item): &(C, C)| Ok((text(key)?.to_owned(), read_element(&map.value, item)?));
            kept.map(entry).collect::<Result<BTreeMap<_, _>, _>>().map(Value::Map)
        }
        (C::Map(entries), Kind::Structure(structure)) => read_struct(structure.members, entries).map(Value::Struct),
        _ => read_plain(schema, item).ok_or_else(|| misfit(item, schema)),
    }
}

/// Null is absent, what is unknown is left aside.
fn read_struct(members: &[Member], entries: &[(C, C)]) -> Result<Struct, ReadError> {
    let mut values = Struct::new();
    for (key, item) in entries.iter().filter(|(_, item)| !item.is_null()) {
        let key = text(key)?;
        if let Some(member) = members.iter().find(|member| member.wire_name() == key) {
            values.put(member.name, read(member.schema, item)?);
        }
    }
    Ok(values)
}

fn read_element(member: &Member, item: &C) -> Result<Value, ReadError> {
    if item.is_null() { Ok(Value::Null) } else { read(member.schema, item) }
}

fn read_plain(schema: &Schema, item: &C) -> Option<Value> {
    match (item, &schema.kind) {
        (C::Bool(v), Kind::Boolean) => Some(Value::Boolean(*v)),
        (C::Integer(n), Kind::Integer) => Some(Value::Integer(i32::try_from(*n).ok()?.into())),
        (C::Integer(n), Kind::Long) => i64::try_from(*n).ok().map(Value::Integer),
        (_, Kind::Float | Kind::Double) => number(item).map(Value::Double),
        (C::Text(v), Kind::String) => Some(Value::from(v.as_str())),
        (C::Bytes(v), Kind::Blob) => Some(Value::Blob(v.clone())),
        (C::Tag(INSTANT, seconds), Kind::Timestamp) => timestamp::of_seconds(number(seconds)?).map(Value::Timestamp),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a whole number for a floating one is as near as that can be")]
fn number(item: &C) -> Option<f64> {
    match item {
        C::Float(v) => Some(*v),
        C::Integer(n) => Some(i128::from(*n) as f64),
        _ => None,
    }
}

fn text(key: &C) -> Result<&str, ReadError> {
    key.as_text().ok_or_else(|| ReadError::new("A key is not a text"))
}

fn misfit(item: &C, schema: &Schema) -> ReadError {
    let found = match item {
        C::Array(_) => "A list",
        C::Map(_) => "A map",
        C::Null => "Null",
        C::Bool(_) => "A boolean",
        C::Integer(_) => "A whole number",
        C::Float(_) => "A number",
        C::Text(_) => "A text",
        C::Bytes(_) => "Bytes",
        C::Tag(..) => "A tagged item",
        _ => "An item",
    };
    ReadError::new(format!("{found} can not be converted to a {}", schema.kind.name()))
}

/// An operation's output. One that has none is answered without a body.
pub(crate) fn respond(operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
    if !operation.has_output() {
        return named(answer(operation.status, "", request_id, Bytes::new()));
    }
    named(answer(operation.status, CBOR, request_id, bytes(&write(operation.output, output))))
}

/// A fault.
pub(crate) fn refuse(service: Option<&Service>, fault: &Fault, request_id: &str) -> Response<Bytes> {
    let members = fault.schema().members();
    let is_message = |member: &&Member| member.name.eq_ignore_ascii_case("message");
    let others = members.iter().filter(|member| !is_message(member));
    let mut body = vec![(C::from("__type"), C::from(fault.code.name(Protocol::RpcV2Cbor)))];
    body.extend(others.filter_map(|member| entry(member, &fault.members)));
    let message = members.iter().find(is_message).map_or("message", Member::wire_name);
    body.push((C::from(message), C::from(fault.message.as_str())));
    let status = fault.code.status(Protocol::RpcV2Cbor);
    let mut response = named(answer(status, CBOR, request_id, bytes(&C::Map(body))));
    query_error(service, Protocol::RpcV2Cbor, fault, &mut response);
    response
}

fn named(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(PROTOCOL.0, HeaderValue::from_static(PROTOCOL.1));
    response
}

fn bytes(item: &C) -> Bytes {
    let mut bytes = vec![];
    ciborium::into_writer(item, &mut bytes).expect("memory takes what is written");
    bytes.into()
}

fn write(schema: &Schema, value: &Value) -> C {
    match (value, &schema.kind) {
        (Value::List(elements), Kind::List(list)) => {
            C::Array(elements.iter().map(|element| write(list.member.schema, element)).collect())
        }
        (Value::Map(entries), Kind::Map(map)) => {
            let entry = |(key, value): (&String, &Value)| (C::from(key.as_str()), write(map.value.schema, value));
            C::Map(entries.iter().map(entry).collect())
        }
        (Value::Struct(values), Kind::Structure(structure)) => {
            C::Map(structure.members.iter().filter_map(|member| entry(member, values)).collect())
        }
        _ => write_plain(value),
    }
}

fn entry(member: &Member, values: &Struct) -> Option<(C, C)> {
    Some((C::from(member.wire_name()), write(member.schema, values.get(member.name)?)))
}

/// What has no parts, and what its schema says nothing of.
fn write_plain(value: &Value) -> C {
    match value {
        Value::Null => C::Null,
        Value::Boolean(v) => C::Bool(*v),
        Value::Integer(v) => C::from(*v),
        Value::Double(v) => C::Float(*v),
        Value::String(v) => C::from(v.as_str()),
        Value::Blob(v) => C::Bytes(v.clone()),
        Value::Timestamp(Millis(at)) if at.is_multiple_of(1000) => C::Tag(INSTANT, Box::new(C::from(at / 1000))),
        Value::Timestamp(at) => C::Tag(INSTANT, Box::new(C::Float(at.as_secs_f64()))),
        Value::List(elements) => C::Array(elements.iter().map(write_plain).collect()),
        Value::Map(entries) => C::Map(entries.iter().map(|(k, v)| (C::from(k.as_str()), write_plain(v))).collect()),
        Value::Struct(members) => C::Map(members.iter().map(|(k, v)| (C::from(k), write_plain(v))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{List, Structure};

    static NUMBER: Schema = Schema::new("Number", Kind::Integer);
    static LONG: Schema = Schema::new("Long", Kind::Long);
    static RATIO: Schema = Schema::new("Ratio", Kind::Double);
    static INSTANT: Schema = Schema::new("Instant", Kind::Timestamp);
    static NUMBERS: Schema = Schema::list("Numbers", &List::of(Member::new("member", &NUMBER)));
    static INPUT: Schema = Schema::structure(
        "Input",
        &Structure::new(&[
            Member::new("n", &NUMBER),
            Member::new("l", &LONG),
            Member::new("r", &RATIO),
            Member::new("t", &INSTANT),
            Member::new("s", &NUMBERS),
        ]),
    );

    /// The value of the member of that name, in a map of it alone.
    fn member(name: char, bytes: &[u8]) -> Result<Value, String> {
        let body = [b"\xa1\x61", [name as u8].as_slice(), bytes].concat();
        match document(&INPUT, &body).map_err(|e| e.to_string())? {
            Value::Struct(mut values) => Ok(values.take(&name.to_string())),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn numbers_and_instants_are_read_as_wide_as_they_are_written() {
        assert_eq!(member('n', b"\x1a\x7f\xff\xff\xff"), Ok(Value::Integer(i32::MAX.into())));
        assert_eq!(member('l', b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(Value::Integer(i64::MIN)));
        for half_single_double_or_whole in [&b"\xf9\x40\x00"[..], b"\xfa\x40\0\0\0", b"\xfb\x40\0\0\0\0\0\0\0", b"\x02"]
        {
            assert_eq!(member('r', half_single_double_or_whole), Ok(Value::Double(2.0)));
        }
        assert_eq!(member('t', b"\xc1\xf9\x3e\x00"), Ok(Value::Timestamp(Millis(1500))));
        assert_eq!(member('t', b"\xc1\x02"), Ok(Value::Timestamp(Millis(2000))));
        assert_eq!(
            member('s', b"\x9f\x01\xf6\x02\xff"),
            Ok(Value::List(vec![1.into(), 2.into()])),
            "of no stated length"
        );
        assert_eq!(member('n', b"\xf6"), Ok(Value::Null));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for (name, bytes) in [
            ('n', &b"\x1a\x80\0\0\0"[..]),
            ('n', b"\xf9\x40\x00"),
            ('l', b"\x1b\x80\0\0\0\0\0\0\0"),
            ('t', b"\x02"),
            ('t', b"\xc2\x02"),
            ('t', b"\xc1\x20"),
            ('t', b"\xc1\xf9\x7e\x00"),
            ('s', b"\xa0"),
            ('s', b"\x9a\xff\xff\xff\xff\x01"),
            ('s', b"\x81\x61a"),
            ('n', b"\x01\x01"),
            ('n', b""),
        ] {
            assert!(member(name, bytes).is_err(), "{name} {bytes:x?}");
        }
        for body in [&b"\x80"[..], b"\xa1\x01\x01", b"\xa1\x41n\x01", b"\xff", b"\xf6"] {
            assert!(document(&INPUT, body).is_err(), "{body:x?}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let unknown = |depth| [b"\xa1\x61x".to_vec(), b"\x81".repeat(depth), b"\x00".to_vec()].concat();
        assert!(document(&INPUT, &unknown(MAX_DEPTH / 2)).is_ok());
        for deep in [MAX_DEPTH + 1, 1 << 19] {
            assert!(document(&INPUT, &unknown(deep)).is_err());
        }
    }
}
