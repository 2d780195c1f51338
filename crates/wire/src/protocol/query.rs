//! awsQuery and ec2Query: forms in, XML out.
//!
//! Sources: the Smithy specifications of both protocols; envelopes and errors as IAM and EC2 send them.

use super::answer;
use super::form::{Form, Node};
use super::xml::Xml;
use crate::ReadError;
use crate::fault::{Common, Fault};
use crate::json::Json;
use crate::schema::canonical::Sensitive;
use crate::schema::{AnyOperation, Kind, Member, Protocol, Struct, TimestampFormat, Value};
use crate::text;
use bytes::Bytes;
use http::Response;
use serde_json::json;
use std::collections::BTreeMap;

const XML: &str = "text/xml";
const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// One of the two dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// All services but one.
    Aws,
    /// EC2.
    Ec2,
}

impl Dialect {
    fn protocol(self) -> Protocol {
        match self {
            Dialect::Aws => Protocol::AwsQuery,
            Dialect::Ec2 => Protocol::Ec2Query,
        }
    }

    /// An operation's input.
    pub fn decode(self, operation: &AnyOperation, form: &Form) -> Result<Value, Fault> {
        let read = || self.read_members(operation.input.members(), &form.tree()?);
        let wrong = match self {
            Dialect::Aws => Common::Serialization,
            Dialect::Ec2 => Common::InvalidParameterValue,
        };
        read().map_err(|e| wrong.fault(e.to_string()))
    }

    fn read_members(self, members: &[Member], node: &Node) -> Result<Value, ReadError> {
        let mut values = Struct::new();
        for member in members {
            if let Some(node) = self.names(member).iter().find_map(|name| node.inner.get(name)) {
                values.put(member.name, self.read(member, node)?);
            }
        }
        Ok(Value::Struct(values))
    }

    /// The names that a member goes by, the usual one first.
    fn names(self, member: &Member) -> Vec<String> {
        let own = member.wire_name();
        match (self, &member.schema.kind) {
            (Dialect::Ec2, _) => vec![member.wire.query_name.map_or_else(|| capital(own), str::to_owned)],
            // botocore puts the element's name in the place of the list's, Smithy's clients do not.
            (Dialect::Aws, Kind::List(list)) if member.wire.flattened => {
                list.member.wire.name.into_iter().chain([own]).map(str::to_owned).collect()
            }
            (Dialect::Aws, _) => vec![own.to_owned()],
        }
    }

    fn read(self, member: &Member, node: &Node) -> Result<Value, ReadError> {
        match &member.schema.kind {
            Kind::Structure(structure) => self.read_members(structure.members, node),
            Kind::List(list) => {
                let elements = self.inside(member, node, list.member.wire_name());
                elements.iter().map(|node| self.read(&list.member, node)).collect::<Result<_, _>>().map(Value::List)
            }
            Kind::Map(map) => {
                let entries = self.inside(member, node, "entry");
                let entry = |node: &&Node| {
                    let part = |of: &Member| {
                        let node = node.inner.get(of.wire_name());
                        node.ok_or_else(|| ReadError::new(format!("An entry of {} lacks its {}", member.name, of.name)))
                    };
                    let key = part(&map.key)?.text.clone().unwrap_or_default();
                    Ok((key, self.read(&map.value, part(&map.value)?)?))
                };
                entries.iter().map(entry).collect::<Result<BTreeMap<_, _>, _>>().map(Value::Map)
            }
            _ => match &node.text {
                Some(value) => text::read_member(member, TimestampFormat::Iso8601, value),
                None => Err(ReadError::new(format!("The parameter {} has no value", member.name))),
            },
        }
    }

    /// The numbered nodes of a list or map.
    fn inside<'n>(self, member: &Member, node: &'n Node, between: &str) -> Vec<&'n Node> {
        let flat = self == Dialect::Ec2 || member.wire.flattened;
        let container = if flat { Some(node) } else { node.inner.get(between) };
        container.map(Node::numbered).unwrap_or_default()
    }

    /// An operation's output.
    pub fn respond(self, operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
        let empty = Struct::new();
        let values = if let Value::Struct(values) = output { values } else { &empty };
        let mut xml = Xml::default();
        let outer = format!("{}Response", operation.name);
        xml.open(&outer, &[("xmlns", &self.namespace(operation))]);
        match self {
            Dialect::Aws => {
                if operation.has_output() {
                    let inner = format!("{}Result", operation.name);
                    xml.open(&inner, &[]);
                    xml.members(operation.output, values);
                    xml.close(&inner);
                }
                xml.open("ResponseMetadata", &[]);
                xml.leaf("RequestId", request_id);
                xml.close("ResponseMetadata");
            }
            Dialect::Ec2 => {
                xml.leaf("requestId", request_id);
                if operation.output.members().is_empty() {
                    // What EC2 says where it has nothing to say, and its model does not mention.
                    xml.leaf("return", "true");
                }
                xml.members(operation.output, values);
            }
        }
        xml.close(&outer);
        self.wrap(200, xml, request_id)
    }

    /// A fault.
    pub fn refuse(self, namespace: Option<&str>, fault: &Fault, request_id: &str) -> Response<Bytes> {
        let code = fault.code.name(self.protocol());
        let mut xml = Xml::default();
        match self {
            Dialect::Aws => {
                let namespace: Vec<(&str, &str)> = namespace.map(|ns| ("xmlns", ns)).into_iter().collect();
                xml.open("ErrorResponse", &namespace);
                xml.open("Error", &[]);
                xml.leaf("Type", self.blame(fault));
                xml.leaf("Code", code);
                xml.leaf("Message", &fault.message);
                xml.members(fault.schema(), &fault.members);
                xml.close("Error");
                xml.leaf("RequestId", request_id);
                xml.close("ErrorResponse");
            }
            Dialect::Ec2 => {
                xml.open("Response", &[]);
                xml.open("Errors", &[]);
                xml.open("Error", &[]);
                xml.leaf("Code", code);
                xml.leaf("Message", &fault.message);
                xml.members(fault.schema(), &fault.members);
                xml.close("Error");
                xml.close("Errors");
                xml.leaf("RequestID", request_id);
                xml.close("Response");
            }
        }
        self.wrap(fault.code.status(self.protocol()), xml, request_id)
    }

    fn blame(self, fault: &Fault) -> &'static str {
        if fault.code.is_senders(self.protocol()) { "Sender" } else { "Receiver" }
    }

    fn wrap(self, status: u16, xml: Xml, request_id: &str) -> Response<Bytes> {
        match self {
            Dialect::Aws => answer(status, XML, request_id, xml.finish()),
            Dialect::Ec2 => answer(status, "text/xml;charset=UTF-8", request_id, format!("{PROLOG}{}", xml.finish())),
        }
    }

    fn namespace(self, operation: &AnyOperation) -> String {
        let namespace = operation.service.namespace.unwrap_or_default();
        // EC2's model lacks the slash at the end that its answers have.
        let slash = if self == Dialect::Ec2 && !namespace.ends_with('/') { "/" } else { "" };
        format!("{namespace}{slash}")
    }
}

/// An operation's output in JSON, as query services answer who asks for it: the aws-iam-authenticator does so of STS.
pub(crate) fn respond_json(operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
    let mut parts = serde_json::Map::new();
    if operation.has_output() {
        let json = Json { wire_names: true, timestamps: TimestampFormat::Epoch, sensitive: Sensitive::Shown };
        parts.insert(format!("{}Result", operation.name), json!(json.write(operation.output, output)));
    }
    parts.insert("ResponseMetadata".into(), json!({ "RequestId": request_id }));
    let body = json!({ format!("{}Response", operation.name): parts });
    answer(200, "application/json", request_id, body.to_string())
}

/// A fault in JSON, in the same case.
pub(crate) fn refuse_json(fault: &Fault, request_id: &str) -> Response<Bytes> {
    let code = fault.code.name(Protocol::AwsQuery);
    let body = json!({
        "Error": { "Code": code, "Message": fault.message, "Type": Dialect::Aws.blame(fault) },
        "RequestId": request_id,
    });
    answer(fault.code.status(Protocol::AwsQuery), "application/json", request_id, body.to_string())
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str()))
}
