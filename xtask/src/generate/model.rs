//! An AWS model as botocore writes it, as far as we read it.

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A service's model.
#[derive(Debug, Deserialize)]
pub struct Model {
    /// Of the service.
    pub metadata: Metadata,
    /// By name.
    pub operations: BTreeMap<String, Operation>,
    /// By name.
    pub shapes: BTreeMap<String, Shape>,
    /// How operations are cut into pages; another file's.
    #[serde(skip)]
    pub pagination: BTreeMap<String, Paginator>,
    /// The operations that waiters poll; another file's.
    #[serde(skip)]
    pub polled: BTreeSet<String>,
}

/// What a model says of its service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// `2017-11-01`.
    pub api_version: String,
    /// First label of the host name, and the signing name if there is no other.
    pub endpoint_prefix: String,
    /// The SigV4 service.
    pub signing_name: Option<String>,
    /// `EKS`.
    pub service_id: String,
    /// The best first.
    pub protocols: Vec<String>,
    /// `1.0` or `1.1`.
    pub json_version: Option<String>,
    /// Of `x-amz-target`.
    pub target_prefix: Option<String>,
    /// Of responses.
    pub xml_namespace: Option<String>,
    /// Errors carry the codes of the query protocol too.
    pub aws_query_compatible: Option<Value>,
}

/// An operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Method, template, status.
    pub http: Http,
    /// What it takes.
    pub input: Option<Ref>,
    /// What it gives.
    pub output: Option<Ref>,
    /// What it may answer instead.
    #[serde(default)]
    pub errors: Vec<Ref>,
    /// `none` if it is called without a signature.
    pub authtype: Option<String>,
}

/// An operation over HTTP.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// `POST`.
    pub method: String,
    /// `/clusters/{name}`.
    pub request_uri: String,
    /// Of success; 200 if the model does not say.
    pub response_code: Option<u16>,
}

/// A shape.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// `structure`, `string`, ..
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a structure.
    #[serde(default, deserialize_with = "in_order")]
    pub members: Vec<(String, Ref)>,
    /// Of a structure: the members that must be given.
    #[serde(default)]
    pub required: Vec<String>,
    /// Of a structure: the member that is the body.
    pub payload: Option<String>,
    /// Of a list.
    pub member: Option<Ref>,
    /// Of a map.
    pub key: Option<Ref>,
    /// Of a map.
    pub value: Option<Ref>,
    /// Elements may be null.
    #[serde(default)]
    pub sparse: bool,
    /// Any JSON.
    #[serde(default)]
    pub document: bool,
    /// Not to be shown.
    #[serde(default)]
    pub sensitive: bool,
    /// Least value or length.
    pub min: Option<Number>,
    /// Greatest value or length.
    pub max: Option<Number>,
    /// Of a string.
    pub pattern: Option<String>,
    /// Of a string: its only values.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// Of an error.
    pub error: Option<ErrorTrait>,
    /// Of an error: the service is to blame.
    #[serde(default)]
    pub fault: bool,
    /// What a use of the shape may override.
    #[serde(flatten)]
    pub traits: Traits,
}

/// What makes a shape an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorTrait {
    /// Of the query protocols.
    pub code: Option<String>,
    /// 400 or 500 if the model does not say.
    pub http_status_code: Option<u16>,
    /// The caller is to blame.
    #[serde(default)]
    pub sender_fault: bool,
}

/// A use of a shape.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ref {
    /// Its name.
    pub shape: String,
    /// Part of the HTTP message.
    pub location: Option<String>,
    /// The client invents it.
    #[serde(default)]
    pub idempotency_token: bool,
    /// What it overrides.
    #[serde(flatten)]
    pub traits: Traits,
}

/// How something looks on the wire. Stands on a shape, on its use, or on both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traits {
    /// Its name there.
    pub location_name: Option<String>,
    /// Its name in an ec2Query form.
    pub query_name: Option<String>,
    /// Without an enclosing element.
    #[serde(default)]
    pub flattened: bool,
    /// `iso8601`, `rfc822`, `unixTimestamp`.
    pub timestamp_format: Option<String>,
    /// To declare.
    pub xml_namespace: Option<XmlNamespace>,
    /// An XML attribute.
    #[serde(default)]
    pub xml_attribute: bool,
    /// The body as it is.
    #[serde(default)]
    pub streaming: bool,
}

/// An XML namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum XmlNamespace {
    /// Its name alone.
    Uri(String),
    /// With its prefix.
    Full {
        /// Its name.
        uri: String,
        /// What stands for it.
        prefix: Option<String>,
    },
}

/// paginators-1.json.
#[derive(Debug, Deserialize)]
pub struct Pagination {
    /// By operation.
    pub pagination: BTreeMap<String, Paginator>,
}

/// How an operation's results are cut into pages.
#[derive(Debug, Deserialize)]
pub struct Paginator {
    /// Where to go on; several members on some services, none of ours.
    pub input_token: Value,
    /// Where the next page goes on.
    pub output_token: Value,
    /// How many at most.
    pub limit_key: Option<String>,
    /// The results; several members of one page on some operations.
    pub result_key: Value,
    /// Whether there are more.
    pub more_results: Option<String>,
}

/// waiters-2.json.
#[derive(Debug, Deserialize)]
pub struct Waiters {
    /// By name.
    pub waiters: BTreeMap<String, Waiter>,
}

/// A waiter.
#[derive(Debug, Deserialize)]
pub struct Waiter {
    /// What it polls.
    pub operation: String,
}

impl Traits {
    /// These, over those of the shape that is used.
    pub fn over(&self, shape: &Traits) -> Traits {
        Traits {
            location_name: self.location_name.clone().or_else(|| shape.location_name.clone()),
            query_name: self.query_name.clone().or_else(|| shape.query_name.clone()),
            flattened: self.flattened || shape.flattened,
            timestamp_format: self.timestamp_format.clone().or_else(|| shape.timestamp_format.clone()),
            xml_namespace: self.xml_namespace.clone().or_else(|| shape.xml_namespace.clone()),
            xml_attribute: self.xml_attribute || shape.xml_attribute,
            streaming: self.streaming || shape.streaming,
        }
    }
}

impl Model {
    /// The shape of that name.
    pub fn shape(&self, name: &str) -> Result<&Shape> {
        self.shapes.get(name).with_context(|| format!("the model lacks the shape {name}"))
    }
}

impl Metadata {
    /// Whether it answers in XML, where errors go by their codes and not by their shapes' names.
    pub fn is_xml(&self) -> bool {
        self.protocols.first().is_some_and(|first| ["query", "ec2", "rest-xml"].contains(&first.as_str()))
    }
}

impl Shape {
    /// The code of an error of that name in the query protocols.
    pub fn error_code<'a>(&'a self, name: &'a str) -> &'a str {
        self.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or(name)
    }

    /// The HTTP status of an error.
    pub fn error_status(&self) -> u16 {
        let said = self.error.as_ref().and_then(|error| error.http_status_code);
        said.unwrap_or(if self.fault { 500 } else { 400 })
    }

    /// Every shape that it uses.
    pub fn uses(&self) -> impl Iterator<Item = &Ref> {
        let members = self.members.iter().map(|(_, member)| member);
        members.chain(&self.member).chain(&self.key).chain(&self.value)
    }
}

/// An object's entries in the order of the text.
fn in_order<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Ref)>, D::Error> {
    let entries = serde_json::Map::deserialize(from)?;
    let read = |(name, value)| Ok((name, Ref::deserialize::<Value>(value)?));
    entries.into_iter().map(read).collect::<Result<_, serde_json::Error>>().map_err(serde::de::Error::custom)
}
