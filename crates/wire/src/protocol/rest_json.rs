//! restJson1: REST with JSON bodies.

use super::aws_json::DIALECT;
use super::rest::{self, Parts, payload};
use super::{answer, parse_json};
use crate::ReadError;
use crate::fault::Fault;
use crate::json::{Members, text};
use crate::schema::{AnyOperation, Kind, Location, Member, Protocol, Service, Struct, Value};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::{Map, Value as J, json};

const JSON: &str = "application/json";

/// An operation's input.
pub(crate) fn decode(operation: &AnyOperation, parts: &Parts<'_>, body: &Bytes) -> Result<Value, ReadError> {
    let members = operation.input.members();
    let mut values = match payload(operation.input) {
        Some(member) => read_payload(member, body)?,
        None => read_body(members, body)?,
    };
    parts.read(members, &mut values)?;
    Ok(Value::Struct(values))
}

fn read_payload(member: &Member, body: &Bytes) -> Result<Struct, ReadError> {
    let value = match &member.schema.kind {
        _ if body.is_empty() => Value::Null,
        Kind::Blob => Value::Blob(body.to_vec()),
        Kind::String => Value::from(rest::text(body)?),
        _ => DIALECT.read_member(member, &parse_json(body)?)?,
    };
    Ok(Struct::new().with(member.name, value))
}

fn read_body(members: &[Member], body: &Bytes) -> Result<Struct, ReadError> {
    if members.iter().all(|member| member.location != Location::Body) {
        return Ok(Struct::new());
    }
    match parse_json(body)? {
        J::Object(entries) => DIALECT.read_struct(Members::InBody(members), &entries),
        _ => Err(ReadError::new("Expected a JSON object.")),
    }
}

/// An operation's output.
pub(crate) fn respond(operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
    let empty = Struct::new();
    let values = if let Value::Struct(values) = output { values } else { &empty };
    let members = operation.output.members();
    let (content_type, body) = match payload(operation.output) {
        Some(member) => write_payload(member, values.get(member.name)),
        None => (JSON, text(&DIALECT.write_struct(Members::InBody(members), values)).into()),
    };
    rest::answer(operation, values, answer(operation.status, content_type, request_id, body))
}

fn write_payload(member: &Member, value: Option<&Value>) -> (&'static str, Bytes) {
    match rest::plain_payload(member, value) {
        Some(plain) => plain,
        None => (JSON, text(&DIALECT.write_member(member, value.unwrap_or(&Value::Null))).into()),
    }
}

/// A fault: its code in a header, its members in the body.
pub(crate) fn refuse(service: Option<&Service>, fault: &Fault, request_id: &str) -> Response<Bytes> {
    let body = J::Object(error_body(service, fault)).to_string();
    let mut response = answer(fault.code.status(Protocol::RestJson1), JSON, request_id, body);
    rest::write(fault.schema().members(), &fault.members, response.headers_mut());
    let headers = response.headers_mut();
    headers.insert("x-amzn-errortype", HeaderValue::from_static(fault.code.name(Protocol::RestJson1)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Every member of the error, null where it is unused if the service does so, and the message.
pub(super) fn error_body(service: Option<&Service>, fault: &Fault) -> Map<String, J> {
    let mut body = Map::new();
    let nulls = service.is_some_and(|s| s.null_error_members);
    for member in fault.schema().members().iter().filter(|m| m.location == Location::Body && !is_message(m)) {
        match fault.members.get(member.name) {
            Some(value) => drop(body.insert(member.wire_name().into(), json!(DIALECT.write_member(member, value)))),
            None if nulls => drop(body.insert(member.wire_name().into(), J::Null)),
            None => {}
        }
    }
    let message = fault.schema().members().iter().find(|m| is_message(m)).map_or("message", Member::wire_name);
    body.insert(message.into(), J::from(fault.message.as_str()));
    body
}

fn is_message(member: &Member) -> bool {
    member.name.eq_ignore_ascii_case("message")
}
