//! Temporary edge: routes and translates the protocols that the first operations use.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::canonical;
use roadstead_wire::schema::{AnyOperation, Kind, Location, Member, Protocol, Schema, Struct, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub struct Router(Vec<&'static AnyOperation>);

pub struct Call {
    operation: &'static AnyOperation,
    labels: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
    json: bool,
}

pub struct Unrouted;

impl Unrouted {
    pub fn respond(&self, id: &str) -> http::Response<Bytes> {
        let body = r#"{"message":"Unknown operation"}"#;
        http::Response::builder().status(404).header("x-amzn-requestid", id).header("x-amzn-errortype", "UnknownOperationException").body(Bytes::from_static(body.as_bytes())).expect("valid")
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

impl Router {
    pub fn new(operations: impl Iterator<Item = &'static AnyOperation>) -> Router {
        Router(operations.collect())
    }

    pub fn route(&self, request: &http::Request<Bytes>) -> Result<Call, Unrouted> {
        let query = request.uri().query().unwrap_or_default();
        let mut form: BTreeMap<_, _> = pairs(query).into_iter().collect();
        let is_form = request.headers().get("content-type").is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if is_form {
            form.extend(pairs(std::str::from_utf8(request.body()).unwrap_or_default()));
        }
        let json = request.headers().get("accept").is_some_and(|a| a == "application/json");
        if let Some(action) = form.get("Action") {
            let version = form.get("Version");
            let found = self.0.iter().find(|o| o.name == action && version.is_none_or(|v| v == o.service.api_version));
            let operation = *found.ok_or(Unrouted)?;
            return Ok(Call { operation, labels: BTreeMap::new(), form, json });
        }
        for operation in &self.0 {
            if operation.service.protocols[0] == Protocol::RestJson1 && operation.method == request.method().as_str() {
                if let Some(labels) = labels(operation.uri, request.uri().path()) {
                    return Ok(Call { operation, labels, form, json });
                }
            }
        }
        Err(Unrouted)
    }
}

fn labels(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (mut labels, mut t, mut p) = (BTreeMap::new(), template.split('/'), path.split('/'));
    loop {
        match (t.next(), p.next()) {
            (None, None) => return Some(labels),
            (Some(t), Some(p)) => match t.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
                Some(name) if !p.is_empty() => {
                    labels.insert(name.to_owned(), percent_decode_str(p).decode_utf8_lossy().into_owned());
                }
                None if t == p => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

impl Call {
    pub fn operation(&self) -> &'static AnyOperation {
        self.operation
    }

    fn protocol(&self) -> Protocol {
        self.operation.service.protocols[0]
    }

    pub fn decode(&self, request: &http::Request<Bytes>) -> Result<Value, Fault> {
        if self.protocol() != Protocol::RestJson1 {
            return query_struct(self.operation.input, &self.form, "", self.protocol() == Protocol::Ec2Query).map(|s| Value::Struct(s.unwrap_or_default()));
        }
        let body = std::str::from_utf8(request.body()).unwrap_or_default();
        let body = if body.trim().is_empty() { "{}" } else { body };
        let value = canonical::read(self.operation.input, body).map_err(|e| Common::Serialization.fault(e.to_string()))?;
        let Value::Struct(mut members) = value else { return Ok(value) };
        for member in self.operation.input.members() {
            let text = match member.location {
                Location::Uri => self.labels.get(member.wire_name()).cloned(),
                Location::Query => {
                    if let Kind::List(_) = member.schema.kind {
                        let all = pairs(request.uri().query().unwrap_or_default());
                        let all: Vec<Value> = all.into_iter().filter(|(k, _)| k == member.wire_name()).map(|(_, v)| Value::String(v)).collect();
                        if !all.is_empty() {
                            members.put(member.name, Value::List(all));
                        }
                        continue;
                    }
                    self.form.get(member.wire_name()).cloned()
                }
                _ => continue,
            };
            if let Some(text) = text {
                members.put(member.name, scalar(member.schema, &text)?);
            }
        }
        Ok(Value::Struct(members))
    }

    pub fn respond(&self, output: &Value, id: &str) -> http::Response<Bytes> {
        let op = self.operation;
        let (kind, body) = match self.protocol() {
            Protocol::RestJson1 => ("application/json", json(op.output, output).to_string()),
            Protocol::AwsQuery if self.json => {
                let result = json(op.output, output);
                let name = op.name;
                ("application/json", serde_json::json!({format!("{name}Response"): {format!("{name}Result"): result, "ResponseMetadata": {"RequestId": id}}}).to_string())
            }
            Protocol::AwsQuery => {
                let mut x = String::new();
                let ns = op.service.namespace.unwrap_or_default();
                let _ = write!(x, "<{0}Response xmlns=\"{ns}\"><{0}Result>", op.name);
                xml_members(op.output, output, &mut x, false);
                let _ = write!(x, "</{0}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{0}Response>", op.name);
                ("text/xml", x)
            }
            _ => {
                let mut x = String::new();
                let ns = op.service.namespace.unwrap_or_default();
                let _ = write!(x, "<{0}Response xmlns=\"{ns}\"><requestId>{id}</requestId>", op.name);
                xml_members(op.output, output, &mut x, true);
                let _ = write!(x, "</{0}Response>", op.name);
                ("text/xml", x)
            }
        };
        http::Response::builder().status(200).header("x-amzn-requestid", id).header("content-type", kind).body(Bytes::from(body)).expect("valid")
    }

    pub fn refuse(&self, fault: &Fault, id: &str) -> http::Response<Bytes> {
        let protocol = self.protocol();
        let (code, status) = (fault.code.name(protocol), fault.code.status(protocol));
        let mut message = String::new();
        escape(&fault.message, &mut message);
        let builder = http::Response::builder().status(status).header("x-amzn-requestid", id);
        let body = match protocol {
            Protocol::RestJson1 => {
                let mut body = serde_json::Map::new();
                body.insert("message".into(), fault.message.clone().into());
                for (name, value) in fault.members.iter() {
                    body.insert(name.into(), json_free(value));
                }
                return builder.header("x-amzn-errortype", code).header("content-type", "application/json").body(Bytes::from(serde_json::Value::from(body).to_string())).expect("valid");
            }
            Protocol::AwsQuery => format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"),
            _ => format!("<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>"),
        };
        builder.header("content-type", "text/xml").body(Bytes::from(body)).expect("valid")
    }
}

fn scalar(schema: &Schema, text: &str) -> Result<Value, Fault> {
    let bad = || Common::Serialization.fault(format!("'{text}' is not a {}", schema.name));
    Ok(match schema.kind {
        Kind::Boolean => Value::Boolean(text.parse().map_err(|_| bad())?),
        Kind::Integer | Kind::Long => Value::Integer(text.parse().map_err(|_| bad())?),
        Kind::Double | Kind::Float => Value::Double(text.parse().map_err(|_| bad())?),
        _ => Value::String(text.to_owned()),
    })
}

fn query_name(member: &Member, ec2: bool) -> String {
    if !ec2 {
        return member.wire_name().to_owned();
    }
    if let Some(name) = member.wire.query_name {
        return name.to_owned();
    }
    let name = member.wire_name();
    name[..1].to_uppercase() + &name[1..]
}

fn query_struct(schema: &Schema, form: &BTreeMap<String, String>, prefix: &str, ec2: bool) -> Result<Option<Struct>, Fault> {
    let mut out = Struct::new();
    for member in schema.members() {
        let key = format!("{prefix}{}", query_name(member, ec2));
        if let Some(value) = query_value(member.schema, form, &key, ec2, member.wire.flattened)? {
            out.put(member.name, value);
        }
    }
    Ok((!out.is_empty()).then_some(out))
}

fn query_value(schema: &Schema, form: &BTreeMap<String, String>, key: &str, ec2: bool, flat: bool) -> Result<Option<Value>, Fault> {
    match schema.kind {
        Kind::Structure(_) => Ok(query_struct(schema, form, &format!("{key}."), ec2)?.map(Value::Struct)),
        Kind::List(list) => {
            let mut items = vec![];
            for n in 1.. {
                let item = if ec2 || flat { format!("{key}.{n}") } else { format!("{key}.{}.{n}", list.member.wire_name()) };
                match query_value(list.member.schema, form, &item, ec2, false)? {
                    Some(value) => items.push(value),
                    None => break,
                }
            }
            Ok((!items.is_empty()).then_some(Value::List(items)))
        }
        Kind::Map(_) => Ok(None),
        _ => form.get(key).map(|text| scalar(schema, text)).transpose(),
    }
}

fn json(schema: &Schema, value: &Value) -> serde_json::Value {
    match (value, &schema.kind) {
        (Value::Struct(s), Kind::Structure(_)) => schema.members().iter().filter_map(|m| Some((m.wire_name().to_owned(), json(m.schema, s.get(m.name)?)))).collect::<serde_json::Map<_, _>>().into(),
        (Value::List(l), Kind::List(list)) => l.iter().map(|v| json(list.member.schema, v)).collect(),
        (Value::Map(m), Kind::Map(map)) => m.iter().map(|(k, v)| (k.clone(), json(map.value.schema, v))).collect::<serde_json::Map<_, _>>().into(),
        (other, _) => json_free(other),
    }
}

fn json_free(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(b) => (*b).into(),
        Value::Integer(i) => (*i).into(),
        Value::Double(d) => (*d).into(),
        Value::String(s) => s.clone().into(),
        Value::Timestamp(t) => t.as_secs_f64().into(),
        _ => serde_json::Value::Null,
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
}

fn xml_members(schema: &Schema, value: &Value, out: &mut String, ec2: bool) {
    let Value::Struct(s) = value else { return };
    for member in schema.members() {
        if let Some(value) = s.get(member.name) {
            xml(member.wire_name(), member.schema, value, out, ec2);
        }
    }
}

fn xml(name: &str, schema: &Schema, value: &Value, out: &mut String, ec2: bool) {
    let _ = write!(out, "<{name}>");
    match (value, &schema.kind) {
        (Value::Struct(_), _) => xml_members(schema, value, out, ec2),
        (Value::List(items), Kind::List(list)) => {
            let item = if ec2 && list.member.wire.name.is_none() { "item" } else { list.member.wire_name() };
            items.iter().for_each(|v| xml(item, list.member.schema, v, out, ec2));
        }
        (Value::Boolean(b), _) => { let _ = write!(out, "{b}"); }
        (Value::Integer(i), _) => { let _ = write!(out, "{i}"); }
        (Value::String(s), _) => escape(s, out),
        (Value::Timestamp(t), _) => {
            let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(t.0 / 1000).unwrap_or(0)).expect("valid");
            out.push_str(&at.format(&time::format_description::well_known::Rfc3339).expect("valid"));
        }
        _ => {}
    }
    let _ = write!(out, "</{name}>");
}
