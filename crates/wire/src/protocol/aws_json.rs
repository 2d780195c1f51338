//! awsJson 1.0 and 1.1: JSON documents in and out, the operation named by a header.

use super::{answer, parse_json};
use crate::ReadError;
use crate::fault::Fault;
use crate::json::{Json, text};
use crate::schema::canonical::Sensitive;
use crate::schema::{AnyOperation, Protocol, Service, TimestampFormat, Value};
use bytes::Bytes;
use http::{HeaderValue, Response};
use serde_json::Value as J;

/// Instants are numbers unless the model says otherwise.
pub(super) const DIALECT: Json =
    Json { wire_names: true, timestamps: TimestampFormat::Epoch, sensitive: Sensitive::Shown };

/// An operation's input.
pub(crate) fn decode(operation: &AnyOperation, body: &[u8]) -> Result<Value, ReadError> {
    DIALECT.read(operation.input, &parse_json(body)?)
}

/// An operation's output.
pub(crate) fn respond(
    operation: &AnyOperation,
    protocol: Protocol,
    output: &Value,
    request_id: &str,
) -> Response<Bytes> {
    let body = text(&DIALECT.write(operation.output, output));
    answer(operation.status, content_type(protocol), request_id, body)
}

/// A fault. Services that once spoke awsQuery say its old code too, which old clients look for.
pub(crate) fn refuse(
    service: Option<&Service>,
    protocol: Protocol,
    fault: &Fault,
    request_id: &str,
) -> Response<Bytes> {
    let mut body = super::rest_json::error_body(service, fault);
    body.insert("__type".into(), J::from(fault.code.name(protocol)));
    let status = fault.code.status(protocol);
    let mut response = answer(status, content_type(protocol), request_id, J::Object(body).to_string());
    query_error(service, protocol, fault, &mut response);
    response
}

/// The code that a service once had in awsQuery, for its old clients.
pub(super) fn query_error(
    service: Option<&Service>,
    protocol: Protocol,
    fault: &Fault,
    response: &mut Response<Bytes>,
) {
    if service.is_some_and(|s| s.query_compatible) {
        let blame = if fault.code.is_senders(protocol) { "Sender" } else { "Receiver" };
        let code = format!("{};{blame}", fault.code.name(Protocol::AwsQuery));
        if let Ok(code) = HeaderValue::from_str(&code) {
            response.headers_mut().insert("x-amzn-query-error", code);
        }
    }
}

fn content_type(protocol: Protocol) -> &'static str {
    if protocol == Protocol::AwsJson1_0 { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" }
}
