//! The protocols: how an operation's input and output, and a fault, are HTTP messages.
//!
//! | protocol | of our services, these speak it |
//! |---|---|
//! | restJson1 | EKS |
//! | awsJson1.0, awsJson1.1 | ECR, SSM, CloudWatch Logs, KMS |
//! | awsQuery | IAM, STS, Auto Scaling |
//! | ec2Query | EC2 |
//! | restXml | none yet: it is for S3, Route 53 and their like. botocore's cases and a service made up for `fuzz/` use it |
//! | rpcv2Cbor | none yet: it is for CloudWatch and others whose models list it, which SDKs then choose. The same use it |
//!
//! A service's model says which it speaks, and a request which of them is meant.

pub(crate) mod aws_json;
pub(crate) mod cbor;
mod element;
pub(crate) mod form;
pub(crate) mod query;
pub(crate) mod rest;
pub(crate) mod rest_json;
pub(crate) mod rest_xml;
mod xml;

use crate::ReadError;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// A body is at most so long, bytes: more than any operation needs that has no streaming body.
pub const MAX_BODY: usize = 1 << 20;

/// The request's id, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An answer with a body.
fn answer(status: u16, content_type: &'static str, request_id: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if !content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// A body as JSON; an empty one is an empty object. serde_json stops at a nesting of 128.
fn parse_json(body: &[u8]) -> Result<serde_json::Value, ReadError> {
    if body.is_empty() {
        return Ok(serde_json::Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|e| ReadError::new(format!("The body is not JSON: {e}")))
}
