//! A client's reading of answers.

use crate::model;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ciborium::value::Value as C;
use http::{HeaderMap, Response};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use roadstead_types::Millis;
use roadstead_wire::schema::{AnyOperation, Kind, Location, Member, Protocol, Schema, Struct, TimestampFormat, Value};
use serde_json::Value as J;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Reads answers to an operation.
pub struct Client {
    pub operation: &'static AnyOperation,
    pub protocol: Protocol,
}

/// An error as a client sees it.
pub struct ClientError {
    pub code: String,
    pub message: Option<String>,
    pub members: Struct,
}

impl Client {
    /// What the operation gave.
    pub fn output(&self, answer: &Response<Bytes>) -> Result<Value, String> {
        let schema = self.operation.output;
        let members = schema.members();
        let values = match self.protocol {
            Protocol::RestJson1 | Protocol::RestXml => rest(self.protocol, schema, answer)?,
            Protocol::RpcV2Cbor => from_cbor(members, &cbor(answer)?)?,
            Protocol::AwsQuery => {
                let root = xml(answer.body())?;
                let result = root.child(&format!("{}Result", self.operation.name)).cloned();
                from_xml(members, &result.unwrap_or_default())?
            }
            Protocol::Ec2Query => from_xml(members, &xml(answer.body())?)?,
            _ => from_json(members, &json(answer.body())?)?,
        };
        Ok(Value::Struct(values))
    }

    /// What went wrong.
    pub fn error(&self, answer: &Response<Bytes>, schema: &Schema) -> Result<ClientError, String> {
        let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let members: Vec<Member> =
            schema.members().iter().filter(|m| !m.name.eq_ignore_ascii_case("message")).copied().collect();
        match self.protocol {
            Protocol::RpcV2Cbor => {
                let body = cbor(answer)?;
                let text = |name: &str| Some(field(&body, name)?.as_text()?.to_owned());
                let named = header("x-amzn-query-error").and_then(|code| Some(code.split(';').next()?.to_owned()));
                let code = named.or_else(|| text("__type")).ok_or("no code")?;
                let code = code.rsplit('#').next().unwrap_or_default().to_owned();
                let message = text("message").or_else(|| text("Message")).filter(|m| !m.is_empty());
                Ok(ClientError { code, message, members: from_cbor(&members, &body)? })
            }
            Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => {
                let root = xml(answer.body())?;
                let error = root.child("Errors").unwrap_or(&root).child("Error").ok_or("no Error")?.clone();
                let text = |name: &str| error.child(name).map(|e| e.text.clone());
                let mut values = from_xml(&in_body(&members), &error)?;
                headers(&members, answer.headers(), &mut values)?;
                let message = text("Message").filter(|m| !m.is_empty());
                Ok(ClientError { code: text("Code").ok_or("no Code")?, message, members: values })
            }
            _ => {
                let body = json(answer.body())?;
                let named = header("x-amzn-query-error").and_then(|code| Some(code.split(';').next()?.to_owned()));
                let code = named
                    .or_else(|| header("x-amzn-errortype"))
                    .or_else(|| Some(body.get("__type").or(body.get("code"))?.as_str()?.to_owned()))
                    .ok_or("no code")?;
                // What stands before a `#` is a namespace, after a `:` an address.
                let code = code.split(':').next().unwrap_or_default();
                let code = code.rsplit('#').next().unwrap_or_default().to_owned();
                let message = body.get("message").or(body.get("Message")).and_then(J::as_str).map(str::to_owned);
                let mut values = from_json(&members, &body)?;
                headers(&members, answer.headers(), &mut values)?;
                Ok(ClientError { code, message: message.filter(|m| !m.is_empty()), members: values })
            }
        }
    }
}

fn json(body: &[u8]) -> Result<J, String> {
    if body.is_empty() {
        Ok(J::Object(Default::default()))
    } else {
        serde_json::from_slice(body).map_err(|e| e.to_string())
    }
}

fn in_body(members: &[Member]) -> Vec<Member> {
    members.iter().filter(|m| m.location == Location::Body).copied().collect()
}

/// What belongs into a request's address has no other place in an answer (Smithy, "IgnoreQueryParamsInResponse").
fn in_xml(members: &[Member]) -> Vec<Member> {
    let inside = |m: &&Member| matches!(m.location, Location::Body | Location::Uri | Location::Query);
    members.iter().filter(inside).copied().collect()
}

fn rest(protocol: Protocol, schema: &Schema, answer: &Response<Bytes>) -> Result<Struct, String> {
    let is_xml = protocol == Protocol::RestXml;
    let Kind::Structure(structure) = schema.kind else { return Err("an output is a structure".into()) };
    let body = answer.body();
    let mut values = match structure.payload.and_then(|name| schema.member(name)) {
        None => {
            let members = if is_xml { in_xml(structure.members) } else { in_body(structure.members) };
            match members.is_empty() {
                true => Struct::new(),
                false if is_xml => from_xml(&members, &xml(body)?)?,
                false => from_json(&members, &json(body)?)?,
            }
        }
        Some(_) if body.is_empty() => Struct::new(),
        Some(member) => Struct::new().with(
            member.name,
            match member.schema.kind {
                Kind::Blob => Value::Blob(body.to_vec()),
                Kind::String => Value::from(String::from_utf8_lossy(body).into_owned()),
                _ if is_xml => value_of_xml(member, &xml(body)?)?,
                _ => value_of_json(member, &json(body)?)?,
            },
        ),
    };
    headers(structure.members, answer.headers(), &mut values)?;
    for member in structure.members.iter().filter(|m| m.location == Location::StatusCode) {
        values.put(member.name, i64::from(answer.status().as_u16()));
    }
    Ok(values)
}

fn headers(members: &[Member], headers: &HeaderMap, values: &mut Struct) -> Result<(), String> {
    for member in members {
        match member.location {
            Location::Header => {
                if let Some(text) = headers.get(member.wire_name()) {
                    let text = text.to_str().map_err(|e| e.to_string())?;
                    values.put(member.name, header(member, text)?);
                }
            }
            Location::Headers => {
                let prefix = member.wire_name().to_lowercase();
                let prefix = if member.wire.name.is_none() { "" } else { &prefix };
                let found =
                    headers.iter().filter_map(|(k, v)| Some((k.as_str().strip_prefix(prefix)?, v.to_str().ok()?)));
                let found: BTreeMap<String, Value> = found.map(|(k, v)| (k.to_owned(), Value::from(v))).collect();
                if !found.is_empty() {
                    values.put(member.name, Value::Map(found));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn header(member: &Member, text: &str) -> Result<Value, String> {
    let Kind::List(list) = member.schema.kind else {
        return plain(member.schema, member.wire.timestamp.unwrap_or(TimestampFormat::HttpDate), text);
    };
    let format = list.member.wire.timestamp.unwrap_or(TimestampFormat::HttpDate);
    let dates = matches!(list.member.schema.kind, Kind::Timestamp) && format == TimestampFormat::HttpDate;
    let parts: Vec<String> = if dates {
        let commas: Vec<&str> = text.split(", ").collect();
        commas.chunks(2).map(|pair| pair.join(", ")).collect()
    } else {
        let mut parts = vec![];
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let end = (0..quoted.len())
                        .find(|i| quoted[*i..].starts_with('"') && !quoted[..*i].ends_with('\\'))
                        .ok_or("an open quote")?;
                    (quoted[..end].replace("\\\"", "\"").replace("\\\\", "\\"), &quoted[end + 1..])
                }
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    (rest[..end].trim().to_owned(), &rest[end..])
                }
            };
            parts.push(part);
            rest = after.trim_start().strip_prefix(',').unwrap_or_default().trim_start();
        }
        parts
    };
    parts.iter().map(|p| plain(list.member.schema, format, p)).collect::<Result<_, _>>().map(Value::List)
}

fn from_json(members: &[Member], body: &J) -> Result<Struct, String> {
    let mut values = Struct::new();
    for member in members {
        if let Some(json) = body.get(member.wire_name()).filter(|json| !json.is_null()) {
            values.put(member.name, value_of_json(member, json)?);
        }
    }
    Ok(values)
}

fn value_of_json(member: &Member, json: &J) -> Result<Value, String> {
    Ok(match (&member.schema.kind, json) {
        (Kind::Document, _) => model::free(json),
        (_, J::Null) => Value::Null,
        (Kind::Structure(structure), J::Object(_)) => Value::Struct(from_json(structure.members, json)?),
        (Kind::List(list), J::Array(elements)) => {
            let kept = elements.iter().filter(|e| list.sparse || !e.is_null());
            Value::List(kept.map(|e| value_of_json(&list.member, e)).collect::<Result<_, _>>()?)
        }
        (Kind::Map(map), J::Object(entries)) => {
            let kept = entries.iter().filter(|(_, v)| map.sparse || !v.is_null());
            Value::Map(
                kept.map(|(k, v)| Ok((k.clone(), value_of_json(&map.value, v)?))).collect::<Result<_, String>>()?,
            )
        }
        (Kind::Timestamp, J::Number(n)) => plain(member.schema, TimestampFormat::Epoch, &n.to_string())?,
        (Kind::Timestamp, J::String(text)) => {
            plain(member.schema, member.wire.timestamp.ok_or("an instant is a number here")?, text)?
        }
        (Kind::Float | Kind::Double, J::Number(n)) => Value::Double(n.as_f64().ok_or("out of range")?),
        (Kind::Boolean | Kind::Integer | Kind::Long, J::Bool(_) | J::Number(_)) => model::free(json),
        (Kind::String | Kind::Blob | Kind::Float | Kind::Double, J::String(text)) => {
            plain(member.schema, TimestampFormat::Epoch, text)?
        }
        (kind, json) => return Err(format!("{json} for {kind:?}")),
    })
}

fn cbor(answer: &Response<Bytes>) -> Result<C, String> {
    let body = &answer.body()[..];
    if body.is_empty() { Ok(C::Map(vec![])) } else { ciborium::from_reader(body).map_err(|e| e.to_string()) }
}

fn field<'c>(body: &'c C, name: &str) -> Option<&'c C> {
    let (_, value) = body.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name))?;
    Some(value).filter(|value| !value.is_null())
}

fn from_cbor(members: &[Member], body: &C) -> Result<Struct, String> {
    let mut values = Struct::new();
    for member in members {
        if let Some(item) = field(body, member.wire_name()) {
            values.put(member.name, value_of_cbor(member, item)?);
        }
    }
    Ok(values)
}

fn value_of_cbor(member: &Member, item: &C) -> Result<Value, String> {
    Ok(match (&member.schema.kind, item) {
        (_, C::Null) => Value::Null,
        (Kind::Structure(structure), C::Map(_)) => Value::Struct(from_cbor(structure.members, item)?),
        (Kind::List(list), C::Array(items)) => {
            let kept = items.iter().filter(|item| list.sparse || !item.is_null());
            Value::List(kept.map(|item| value_of_cbor(&list.member, item)).collect::<Result<_, _>>()?)
        }
        (Kind::Map(map), C::Map(entries)) => {
            let kept = entries.iter().filter(|(_, item)| map.sparse || !item.is_null());
            let entry = |(key, item): &(C, C)| {
                Ok((key.as_text().ok_or("a key is a text")?.to_owned(), value_of_cbor(&map.value, item)?))
            };
            Value::Map(kept.map(entry).collect::<Result<_, String>>()?)
        }
        (Kind::Boolean, C::Bool(v)) => Value::Boolean(*v),
        (Kind::Integer | Kind::Long, C::Integer(n)) => Value::Integer(i64::try_from(*n).map_err(|e| e.to_string())?),
        (Kind::Float | Kind::Double, item) => Value::Double(number(item)?),
        (Kind::String, C::Text(text)) => Value::from(text.as_str()),
        (Kind::Blob, C::Bytes(bytes)) => Value::Blob(bytes.clone()),
        (Kind::Timestamp, C::Tag(1, at)) => plain(member.schema, TimestampFormat::Epoch, &number(at)?.to_string())?,
        (kind, item) => return Err(format!("{item:?} for {kind:?}")),
    })
}

fn number(item: &C) -> Result<f64, String> {
    match item {
        C::Float(v) => Ok(*v),
        C::Integer(n) => i128::from(*n).to_string().parse().map_err(|e| format!("{e}")),
        other => Err(format!("{other:?} is no number")),
    }
}

fn plain(schema: &Schema, format: TimestampFormat, text: &str) -> Result<Value, String> {
    let wrong = || format!("'{text}' for {:?}", schema.kind);
    match schema.kind {
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::Integer | Kind::Long => text.parse().ok().map(Value::Integer),
        Kind::Float | Kind::Double => text.parse().ok().map(Value::Double),
        Kind::String => Some(Value::from(text)),
        Kind::Blob => STANDARD.decode(text).ok().map(Value::Blob),
        Kind::Timestamp => instant(format, text).map(Value::Timestamp),
        _ => None,
    }
    .ok_or_else(wrong)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cases lie after 1970")]
fn instant(format: TimestampFormat, text: &str) -> Option<Millis> {
    let at = match format {
        TimestampFormat::Epoch => return Some(Millis((text.parse::<f64>().ok()? * 1000.0).round() as u64)),
        TimestampFormat::Iso8601 => OffsetDateTime::parse(text, &Rfc3339).ok()?,
        TimestampFormat::HttpDate => OffsetDateTime::parse(text, &Rfc2822).ok()?,
    };
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Millis)
}

/// An XML element.
#[derive(Clone, Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|e| e.name == name)
    }

    fn children<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |e| e.name == name)
    }
}

fn xml(body: &[u8]) -> Result<Element, String> {
    if body.is_empty() {
        return Ok(Element::default());
    }
    let body = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let mut reader = Reader::from_str(body);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => open.last_mut().ok_or("no root")?.children.push(element(&start)),
            Event::End(_) => {
                let done = open.pop().ok_or("an end without a start")?;
                open.last_mut().ok_or("no root")?.children.push(done);
            }
            Event::Text(text) => open.last_mut().ok_or("no root")?.text += &text.xml10_content(),
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().map_err(|e| e.to_string())? {
                    Some(c) => c,
                    None => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => return Err(format!("the entity {other}")),
                    },
                };
                open.last_mut().ok_or("no root")?.text.push(c);
            }
            Event::CData(text) => open.last_mut().ok_or("no root")?.text += &text,
            Event::Eof => {
                return open.pop().and_then(|root| root.children.into_iter().next()).ok_or("no element".into());
            }
            _ => {}
        }
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    let attributes = start.attributes().flatten().map(|a| {
        let value = a.normalized_value(XmlVersion::Explicit1_0).unwrap_or_default().into_owned();
        (a.key.as_ref().to_owned(), value)
    });
    Element { name: start.local_name().as_ref().to_owned(), attributes: attributes.collect(), ..Element::default() }
}

fn from_xml(members: &[Member], parent: &Element) -> Result<Struct, String> {
    let mut values = Struct::new();
    for member in members {
        let name = member.wire_name();
        let found = match &member.schema.kind {
            _ if member.wire.attribute => {
                let attribute = parent.attributes.iter().find(|(own, _)| own == name);
                attribute.map(|(_, text)| plain(member.schema, TimestampFormat::Iso8601, text)).transpose()?
            }
            Kind::List(list) if member.wire.flattened => {
                let name = list.member.wire.name.unwrap_or(name);
                let elements: Vec<Value> =
                    parent.children(name).map(|e| value_of_xml(&list.member, e)).collect::<Result<_, _>>()?;
                (!elements.is_empty()).then_some(Value::List(elements))
            }
            Kind::Map(_) if member.wire.flattened => {
                let entries = entries(member, parent.children(name))?;
                (!entries.is_empty()).then_some(Value::Map(entries))
            }
            _ => parent.child(name).map(|e| value_of_xml(member, e)).transpose()?,
        };
        values.put(member.name, found);
    }
    Ok(values)
}

fn entries<'e>(member: &Member, nodes: impl Iterator<Item = &'e Element>) -> Result<BTreeMap<String, Value>, String> {
    let Kind::Map(map) = member.schema.kind else { return Err("no map".into()) };
    nodes
        .map(|node| {
            let key = node.child(map.key.wire_name()).ok_or("no key")?.text.clone();
            Ok((key, value_of_xml(&map.value, node.child(map.value.wire_name()).ok_or("no value")?)?))
        })
        .collect()
}

fn value_of_xml(member: &Member, node: &Element) -> Result<Value, String> {
    Ok(match &member.schema.kind {
        Kind::Structure(structure) => Value::Struct(from_xml(structure.members, node)?),
        Kind::List(list) => {
            let elements = node.children(list.member.wire_name()).map(|e| value_of_xml(&list.member, e));
            Value::List(elements.collect::<Result<_, _>>()?)
        }
        Kind::Map(_) => Value::Map(entries(member, node.children("entry"))?),
        _ => plain(member.schema, member.wire.timestamp.unwrap_or(TimestampFormat::Iso8601), &node.text)?,
    })
}
