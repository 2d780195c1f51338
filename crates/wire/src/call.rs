//! One request's operation, and its answers.

use crate::fault::{Common, Fault};
use crate::protocol::form::Form;
use crate::protocol::query::{self, Dialect};
use crate::protocol::rest::{self, Parts};
use crate::protocol::{aws_json, cbor, rest_json, rest_xml};
use crate::schema::{AnyOperation, Protocol, Service, Value};
use crate::template::Labels;
use crate::{ReadError, body};
use bytes::Bytes;
use http::{Request, Response};

/// A request that was routed: which operation, over which protocol.
#[derive(Debug)]
pub struct Call {
    operation: &'static AnyOperation,
    protocol: Protocol,
    input: Input,
}

/// What routing has read already.
#[derive(Debug)]
pub(crate) enum Input {
    /// Nothing: all is in the body.
    Body,
    /// The form.
    Form {
        /// Its parameters.
        form: Form,
        /// The client wants JSON in return.
        json: bool,
    },
    /// The path and the query.
    Rest {
        /// Of the path.
        labels: Labels,
        /// Of the query string.
        query: Form,
    },
}

/// A request that could not be routed, and its answer.
#[derive(Debug)]
pub struct Unrouted {
    pub(crate) service: Option<&'static Service>,
    pub(crate) protocol: Protocol,
    pub(crate) json: bool,
    pub(crate) fault: Fault,
}

impl Call {
    pub(crate) fn new(operation: &'static AnyOperation, protocol: Protocol, input: Input) -> Call {
        Call { operation, protocol, input }
    }

    /// The operation.
    pub fn operation(&self) -> &'static AnyOperation {
        self.operation
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The operation's input, of the request that this call was routed from. It has the form of its schema; whether it
    /// keeps the model's constraints is for [`AnyOperation::validate`] to say.
    ///
    /// # Errors
    /// What the request holds is not of the schema, or its body is not what its checksums say.
    pub fn decode(&self, request: &Request<Bytes>) -> Result<Value, Fault> {
        body::check(request.headers(), request.body())?;
        let unreadable = |e: ReadError| Common::Serialization.fault(e.to_string());
        match &self.input {
            Input::Body if self.protocol == Protocol::RpcV2Cbor => {
                cbor::decode(self.operation, &self.body(request)?).map_err(unreadable)
            }
            Input::Body => aws_json::decode(self.operation, &self.body(request)?).map_err(unreadable),
            Input::Form { form, .. } => dialect(self.protocol).decode(self.operation, form),
            Input::Rest { labels, query } => {
                let parts = Parts { labels, query, headers: request.headers() };
                let decode = if self.protocol == Protocol::RestXml { rest_xml::decode } else { rest_json::decode };
                decode(self.operation, &parts, &self.body(request)?).map_err(unreadable)
            }
        }
    }

    /// The body that was meant. How an object is coded is for those to know who read it.
    fn body(&self, request: &Request<Bytes>) -> Result<Bytes, Fault> {
        let streams = rest::payload(self.operation.input).is_some_and(|member| member.wire.streaming);
        let read = if streams { body::payload } else { body::plain };
        Ok(read(request.headers(), request.body())?)
    }

    /// The answer that the operation succeeded. `output` is of its output's schema.
    pub fn respond(&self, output: &Value, request_id: &str) -> Response<Bytes> {
        match &self.input {
            Input::Body if self.protocol == Protocol::RpcV2Cbor => cbor::respond(self.operation, output, request_id),
            Input::Body => aws_json::respond(self.operation, self.protocol, output, request_id),
            Input::Form { json: true, .. } => query::respond_json(self.operation, output, request_id),
            Input::Form { .. } => dialect(self.protocol).respond(self.operation, output, request_id),
            Input::Rest { .. } if self.protocol == Protocol::RestXml => {
                rest_xml::respond(self.operation, output, request_id)
            }
            Input::Rest { .. } => rest_json::respond(self.operation, output, request_id),
        }
    }

    /// The answer that it did not.
    pub fn refuse(&self, fault: &Fault, request_id: &str) -> Response<Bytes> {
        let json = matches!(self.input, Input::Form { json: true, .. });
        refuse(Some(self.operation.service), self.protocol, json, fault, request_id)
    }
}

impl Unrouted {
    /// Why.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The answer.
    pub fn respond(&self, request_id: &str) -> Response<Bytes> {
        refuse(self.service, self.protocol, self.json, &self.fault, request_id)
    }
}

fn refuse(
    service: Option<&Service>,
    protocol: Protocol,
    json: bool,
    fault: &Fault,
    request_id: &str,
) -> Response<Bytes> {
    match protocol {
        Protocol::AwsQuery if json => query::refuse_json(fault, request_id),
        Protocol::AwsQuery | Protocol::Ec2Query => {
            dialect(protocol).refuse(service.and_then(|s| s.namespace), fault, request_id)
        }
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => aws_json::refuse(service, protocol, fault, request_id),
        Protocol::RpcV2Cbor => cbor::refuse(service, fault, request_id),
        Protocol::RestJson1 => rest_json::refuse(service, fault, request_id),
        Protocol::RestXml => rest_xml::refuse(service, fault, request_id),
    }
}

fn dialect(protocol: Protocol) -> Dialect {
    if protocol == Protocol::Ec2Query { Dialect::Ec2 } else { Dialect::Aws }
}
