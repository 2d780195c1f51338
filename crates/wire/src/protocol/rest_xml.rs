//! restXml: REST with XML bodies.
//!
//! Source: the Smithy specification of the protocol.

use super::element::Element;
use super::rest::{self, Parts, payload};
use super::xml::{Xml, is_element};
use super::{answer, query};
use crate::ReadError;
use crate::fault::Fault;
use crate::schema::{AnyOperation, Kind, Member, Namespace, Service, Struct, Value};
use bytes::Bytes;
use http::Response;

const XML: &str = "application/xml";

/// An operation's input.
pub(crate) fn decode(operation: &AnyOperation, parts: &Parts<'_>, body: &Bytes) -> Result<Value, ReadError> {
    let members = operation.input.members();
    let mut values = match payload(operation.input) {
        Some(member) => Struct::new().with(member.name, read_payload(member, body)?),
        None if body.is_empty() => Struct::new(),
        None => Element::read(body)?.members(members)?,
    };
    parts.read(members, &mut values)?;
    Ok(Value::Struct(values))
}

fn read_payload(member: &Member, body: &Bytes) -> Result<Value, ReadError> {
    match &member.schema.kind {
        _ if body.is_empty() => Ok(Value::Null),
        Kind::Blob => Ok(Value::Blob(body.to_vec())),
        Kind::String => rest::text(body).map(Value::from),
        _ => Element::read(body)?.value(member),
    }
}

/// An operation's output.
pub(crate) fn respond(operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
    let empty = Struct::new();
    let values = if let Value::Struct(values) = output { values } else { &empty };
    let members = operation.output.members();
    let (content_type, body) = match payload(operation.output) {
        Some(member) => write_payload(member, values.get(member.name)),
        None if !members.iter().any(is_element) => ("", Bytes::new()),
        None => (XML, write_whole(operation, output)),
    };
    rest::answer(operation, values, answer(operation.status, content_type, request_id, body))
}

fn write_payload(member: &Member, value: Option<&Value>) -> (&'static str, Bytes) {
    match rest::plain_payload(member, value) {
        Some(plain) => plain,
        None => (XML, write(member.wire.name.unwrap_or(member.schema.name), member, value.unwrap_or(&Value::Null))),
    }
}

/// The root goes by the structure's name.
fn write_whole(operation: &AnyOperation, output: &Value) -> Bytes {
    let mut root = Member::new(operation.output.name, operation.output);
    root.wire.namespace = operation.service.namespace.map(|uri| Namespace { uri, prefix: None });
    write(operation.output.name, &root, output)
}

fn write(name: &str, member: &Member, value: &Value) -> Bytes {
    let mut xml = Xml::default();
    xml.element(name, member, value);
    xml.finish().into()
}

/// A fault, as query services write it; members may stand in headers.
pub(crate) fn refuse(service: Option<&Service>, fault: &Fault, request_id: &str) -> Response<Bytes> {
    let namespace = service.and_then(|service| service.namespace);
    let mut response = query::Dialect::Aws.refuse(namespace, fault, request_id);
    rest::write(fault.schema().members(), &fault.members, response.headers_mut());
    response
}
