//! The cases and the small models that come with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use roadstead_types::Millis;
use roadstead_wire::fault::{Code, Common, ErrorShape};
use roadstead_wire::schema::{
    AnyOperation, Kind, List, Location, Map, Member, Protocol, Schema, Scope, Service, Struct, Structure,
    TimestampFormat, Value,
};
use serde::Deserialize;
use serde_json::Value as J;
use std::collections::BTreeMap;
use std::path::Path;

/// Cases that share a model.
#[derive(Deserialize)]
pub struct Suite {
    metadata: J,
    shapes: BTreeMap<String, J>,
    pub cases: Vec<Case>,
    #[serde(skip, default = "unknown")]
    pub protocol: Protocol,
}

/// Until the metadata is read.
fn unknown() -> Protocol {
    Protocol::RestJson1
}

/// A case of either direction.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    pub id: String,
    given: J,
    #[serde(default)]
    pub params: J,
    #[serde(default)]
    pub serialized: Serialized,
    #[serde(default)]
    pub result: J,
    #[serde(default)]
    pub response: Answer,
    pub error: Option<J>,
    #[serde(default)]
    pub error_code: String,
    pub error_message: Option<String>,
}

/// What botocore sends.
#[derive(Default, Deserialize)]
pub struct Serialized {
    pub method: Option<String>,
    pub uri: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

/// What botocore receives.
#[derive(Default, Deserialize)]
pub struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

impl Answer {
    pub fn to_http(&self, suite: &Suite) -> Response<Bytes> {
        let mut response = Response::builder().status(self.status_code);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(suite.bytes(self.body.as_deref())).expect("the case's answer is one")
    }
}

pub fn suites(direction: &str, file: &str) -> Vec<Suite> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocols/botocore").join(direction).join(file);
    let text = std::fs::read_to_string(path).expect("the cases are in the repository");
    let mut suites: Vec<Suite> = serde_json::from_str(&text).expect("the cases have this form");
    for suite in &mut suites {
        suite.protocol = match (suite.metadata["protocol"].as_str(), suite.metadata["jsonVersion"].as_str()) {
            (Some("ec2"), _) => Protocol::Ec2Query,
            (Some("query"), _) => Protocol::AwsQuery,
            (Some("rest-json"), _) => Protocol::RestJson1,
            (Some("rest-xml"), _) => Protocol::RestXml,
            (Some("smithy-rpc-v2-cbor"), _) => Protocol::RpcV2Cbor,
            (Some("json"), Some("1.0")) => Protocol::AwsJson1_0,
            (Some("json"), _) => Protocol::AwsJson1_1,
            other => panic!("no protocol of ours: {other:?}"),
        };
    }
    suites
}

/// For the test's life.
fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn text(json: &J) -> &'static str {
    json.as_str().map_or("", |text| Box::leak(text.to_owned().into_boxed_str()))
}

fn optional(json: &J) -> Option<&'static str> {
    json.is_string().then(|| text(json))
}

impl Suite {
    /// A case's body. Those of CBOR are written in base64.
    pub fn bytes(&self, body: Option<&str>) -> Bytes {
        let body = body.unwrap_or_default().to_owned();
        match self.protocol {
            Protocol::RpcV2Cbor => STANDARD.decode(body).expect("CBOR is in base64").into(),
            _ => body.into(),
        }
    }

    /// What stands for the service where an operation is named by a target.
    pub fn target(&self) -> &str {
        self.metadata["targetPrefix"].as_str().unwrap_or("Target")
    }

    pub fn operation(&self, case: &Case) -> &'static AnyOperation {
        let service = Service {
            name: "test",
            id: "Test",
            signing_name: "test",
            endpoint_prefix: "test",
            api_version: text(&self.metadata["apiVersion"]),
            protocols: keep([self.protocol]),
            target_prefix: Some(Box::leak(self.target().to_owned().into_boxed_str())),
            namespace: Some("https://example.com/"),
            scope: Scope::Regional,
            null_error_members: false,
            query_compatible: !self.metadata["awsQueryCompatible"].is_null(),
        };
        let given = &case.given;
        let shape = |json: &J| match json["shape"].as_str() {
            Some(name) => self.schema(name, &mut vec![]),
            None => keep(Schema::structure("Unit", keep(Structure::new(&[])))),
        };
        let errors = given["errors"].as_array().into_iter().flatten().map(|error| self.error(error));
        keep(AnyOperation {
            service: keep(service),
            name: text(&given["name"]),
            method: text(&given["http"]["method"]),
            uri: text(&given["http"]["requestUri"]),
            status: 200,
            input: shape(&given["input"]),
            output: shape(&given["output"]),
            action: "test:Test",
            open: false,
            resources: &[],
            pass_role: &[],
            errors: keep(errors.collect::<Vec<_>>()),
            invalid: Code::Common(Common::Validation),
            readonly: false,
            idempotency_token: None,
            pagination: None,
            waiter: false,
            unsigned: false,
        })
    }

    fn error(&self, error: &J) -> &'static ErrorShape {
        let name = text(&error["shape"]);
        let traits = &self.shapes[name]["error"];
        keep(ErrorShape {
            name,
            code: optional(&traits["code"]).unwrap_or(name),
            status: u16::try_from(traits["httpStatusCode"].as_u64().unwrap_or(400)).expect("a status is small"),
            sender: true,
            schema: self.schema(name, &mut vec![]),
        })
    }

    /// A shape; one that holds itself is unrolled a few times.
    fn schema(&self, name: &str, above: &mut Vec<String>) -> &'static Schema {
        let shape = &self.shapes[name];
        let name_of = text(&J::from(name));
        if above.iter().filter(|n| *n == name).count() > 4 {
            return keep(Schema::structure(name_of, keep(Structure::new(&[]))));
        }
        above.push(name.to_owned());
        let kind = self.kind(shape, above);
        above.pop();
        keep(Schema::new(name_of, kind))
    }

    fn kind(&self, shape: &J, above: &mut Vec<String>) -> Kind {
        let sparse = shape["sparse"].as_bool().unwrap_or(false);
        match shape["type"].as_str().expect("a shape has a type") {
            _ if shape["document"] == true => Kind::Document,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "string" | "character" => Kind::String,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            "list" => {
                let member = self.member("member", &shape["member"], above);
                Kind::List(keep(List { member, sparse }))
            }
            "map" => {
                let key = self.member("key", &shape["key"], above);
                let value = self.member("value", &shape["value"], above);
                Kind::Map(keep(Map { key, value, sparse }))
            }
            "structure" => {
                let members = shape["members"].as_object().expect("a structure has members");
                let members: Vec<Member> = members.iter().map(|(name, m)| self.member(name, m, above)).collect();
                Kind::Structure(keep(Structure { members: members.leak(), payload: optional(&shape["payload"]) }))
            }
            other => panic!("no type of ours: {other}"),
        }
    }

    fn member(&self, name: &str, used: &J, above: &mut Vec<String>) -> Member {
        let target = used["shape"].as_str().expect("a member has a shape");
        let shape = &self.shapes[target];
        let schema = self.schema(target, above);
        let of = |key: &str| if used[key].is_null() { &shape[key] } else { &used[key] };
        let mut member = Member::new(text(&J::from(name)), schema).at(match of("location").as_str() {
            None => Location::Body,
            Some("uri") => Location::Uri,
            Some("querystring") => Location::Query,
            Some("header") => Location::Header,
            Some("headers") => Location::Headers,
            Some("statusCode") => Location::StatusCode,
            Some(other) => panic!("no location of ours: {other}"),
        });
        member.wire.name = optional(of("locationName"));
        member.wire.query_name = optional(of("queryName"));
        member.wire.flattened = *of("flattened") == true;
        member.wire.streaming = *of("streaming") == true;
        member.wire.attribute = *of("xmlAttribute") == true;
        member.wire.timestamp = of("timestampFormat").as_str().map(|format| match format {
            "iso8601" => TimestampFormat::Iso8601,
            "rfc822" => TimestampFormat::HttpDate,
            "unixTimestamp" => TimestampFormat::Epoch,
            other => panic!("no form of ours: {other}"),
        });
        let namespace = of("xmlNamespace");
        if let Some(uri) = optional(&namespace["uri"]) {
            member = member.namespace(uri, optional(&namespace["prefix"]));
        }
        member
    }
}

/// The value that a case describes in botocore's own terms: bytes as text, instants as seconds.
pub fn described(schema: &Schema, json: &J) -> Value {
    match (&schema.kind, json) {
        (_, J::Null) if !matches!(schema.kind, Kind::Structure(_)) => Value::Null,
        (Kind::Structure(_), _) => {
            let present = schema.members().iter().filter_map(|m| Some((m, json.get(m.name)?)));
            Value::Struct(present.fold(Struct::new(), |all, (m, v)| all.with(m.name, described(m.schema, v))))
        }
        (Kind::List(list), J::Array(elements)) => {
            Value::List(elements.iter().map(|e| described(list.member.schema, e)).collect())
        }
        (Kind::Map(map), J::Object(entries)) => {
            Value::Map(entries.iter().map(|(k, v)| (k.clone(), described(map.value.schema, v))).collect())
        }
        (Kind::Blob, J::String(text)) => Value::Blob(text.as_bytes().to_vec()),
        (Kind::Timestamp, J::Number(n)) => Value::Timestamp(seconds(n.as_f64().expect("seconds are a number"))),
        (Kind::Float | Kind::Double, J::Number(n)) => Value::Double(n.as_f64().expect("it is a number")),
        (Kind::Float | Kind::Double, J::String(text)) => Value::Double(text.parse().expect("NaN, or an infinity")),
        _ => free(json),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cases lie after 1970")]
fn seconds(seconds: f64) -> Millis {
    Millis((seconds * 1000.0).round() as u64)
}

/// JSON that no schema describes.
pub fn free(json: &J) -> Value {
    match json {
        J::Null => Value::Null,
        J::Bool(v) => Value::Boolean(*v),
        J::Number(n) => n.as_i64().map_or_else(|| Value::Double(n.as_f64().expect("a number")), Value::Integer),
        J::String(v) => Value::from(v.as_str()),
        J::Array(elements) => Value::List(elements.iter().map(free).collect()),
        J::Object(entries) => Value::Map(entries.iter().map(|(k, v)| (k.clone(), free(v))).collect()),
    }
}

/// The same with the members of structures in the order of their names.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Struct(members) => {
            let members: BTreeMap<String, Value> = members.iter().map(|(k, v)| (k.to_owned(), sorted(v))).collect();
            Value::Map(members)
        }
        Value::List(elements) => Value::List(elements.iter().map(sorted).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(k, v)| (k.clone(), sorted(v))).collect()),
        other => other.clone(),
    }
}
