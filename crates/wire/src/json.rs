//! JSON of a document and back, guided by its schema. One walk serves the JSON protocols and the canonical form;
//! they differ in names, in the form of instants and in what happens to secrets. Writing goes straight into serde's
//! serializer: no tree of JSON stands between a document and its text.

use crate::schema::canonical::Sensitive;
use crate::schema::{Kind, Location, Member, Schema, Struct, TimestampFormat, Value};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roadstead_types::Millis;
use serde::{Serialize, Serializer};
use serde_json::Value as J;
use std::collections::BTreeMap;

/// What stands in place of a secret.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// A dialect of JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json {
    /// Members go by their names on the wire, not by the model's.
    pub wire_names: bool,
    /// The form of an instant that has none of its own.
    pub timestamps: TimestampFormat,
    /// What becomes of secrets.
    pub sensitive: Sensitive,
}

/// A text is not a document of its schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    message: String,
}

impl ReadError {
    /// With a text that a caller understands.
    pub fn new(message: impl Into<String>) -> ReadError {
        ReadError { message: message.into() }
    }
}

impl Json {
    /// The dialect of [`crate::schema::canonical`].
    pub const fn canonical(sensitive: Sensitive) -> Json {
        Json { wire_names: false, timestamps: TimestampFormat::Iso8601, sensitive }
    }

    /// `value` as JSON.
    pub fn write<'a>(self, schema: &'a Schema, value: &'a Value) -> Written<'a> {
        Written { json: self, schema, format: self.timestamps, value }
    }

    /// A member's value as JSON.
    pub fn write_member<'a>(self, member: &'a Member, value: &'a Value) -> Written<'a> {
        Written { json: self, schema: member.schema, format: self.timestamp_of(member), value }
    }

    /// Those of `members` that are present in `values`, as a JSON object.
    pub fn write_struct<'a>(self, members: Members<'a>, values: &'a Struct) -> WrittenStruct<'a> {
        WrittenStruct { json: self, members, values }
    }

    /// The document that `json` is.
    pub fn read(&self, schema: &Schema, json: &J) -> Result<Value, ReadError> {
        self.read_as(schema, self.timestamps, json)
    }

    /// A member's value.
    pub fn read_member(&self, member: &Member, json: &J) -> Result<Value, ReadError> {
        self.read_as(member.schema, self.timestamp_of(member), json)
    }

    fn read_as(&self, schema: &Schema, format: TimestampFormat, json: &J) -> Result<Value, ReadError> {
        match (json, &schema.kind) {
            (_, Kind::Document) => read_free(json),
            (J::Array(elements), Kind::List(list)) => elements
                .iter()
                .filter(|e| list.sparse || !e.is_null())
                .map(|e| self.read_element(&list.member, e))
                .collect::<Result<_, _>>()
                .map(Value::List),
            (J::Object(entries), Kind::Map(map)) => entries
                .iter()
                .filter(|(_, v)| map.sparse || !v.is_null())
                .map(|(k, v)| Ok((k.clone(), self.read_element(&map.value, v)?)))
                .collect::<Result<BTreeMap<_, _>, _>>()
                .map(Value::Map),
            (J::Object(entries), Kind::Structure(structure)) => {
                self.read_struct(Members::All(structure.members), entries).map(Value::Struct)
            }
            _ => read_plain(schema, format, json).ok_or_else(|| misfit(json, schema)),
        }
    }

    /// Those of `members` that a JSON object has; null is absent, what is unknown is left aside.
    pub fn read_struct(&self, members: Members<'_>, entries: &serde_json::Map<String, J>) -> Result<Struct, ReadError> {
        let mut values = Struct::new();
        for member in members.iter() {
            if let Some(json) = entries.get(self.name_of(member)).filter(|json| !json.is_null()) {
                values.put(member.name, self.read_member(member, json)?);
            }
        }
        Ok(values)
    }

    fn read_element(&self, member: &Member, json: &J) -> Result<Value, ReadError> {
        if json.is_null() { Ok(Value::Null) } else { self.read_member(member, json) }
    }

    fn name_of(&self, member: &Member) -> &'static str {
        if self.wire_names { member.wire_name() } else { member.name }
    }

    fn timestamp_of(&self, member: &Member) -> TimestampFormat {
        member.wire.timestamp.filter(|_| self.wire_names).unwrap_or(self.timestamps)
    }
}

/// A document as JSON, for serde.
pub(crate) struct Written<'a> {
    json: Json,
    schema: &'a Schema,
    /// Of an instant.
    format: TimestampFormat,
    value: &'a Value,
}

/// Members of a structure as a JSON object, for serde.
pub(crate) struct WrittenStruct<'a> {
    json: Json,
    members: Members<'a>,
    values: &'a Struct,
}

/// Which members of a structure are meant.
#[derive(Clone, Copy)]
pub(crate) enum Members<'a> {
    /// All of these.
    All(&'a [Member]),
    /// Those that travel in the body.
    InBody(&'a [Member]),
}

/// A value as JSON where no schema tells more.
struct Free<'a>(&'a Value);

impl<'a> Members<'a> {
    fn iter(self) -> impl Iterator<Item = &'a Member> {
        let (members, all) = match self {
            Members::All(members) => (members, true),
            Members::InBody(members) => (members, false),
        };
        members.iter().filter(move |member| all || member.location == Location::Body)
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let json = self.json;
        if self.schema.sensitive && json.sensitive == Sensitive::Hidden {
            return to.serialize_str(HIDDEN);
        }
        match (self.value, &self.schema.kind) {
            (Value::List(elements), Kind::List(list)) => {
                to.collect_seq(elements.iter().map(|e| json.write_member(&list.member, e)))
            }
            (Value::Map(entries), Kind::Map(map)) => {
                to.collect_map(entries.iter().map(|(k, v)| (k, json.write_member(&map.value, v))))
            }
            (Value::Struct(values), Kind::Structure(structure)) => {
                json.write_struct(Members::All(structure.members), values).serialize(to)
            }
            (Value::Timestamp(at), _) => match self.format {
                TimestampFormat::Epoch => epoch(*at, to),
                format => to.serialize_str(&timestamp::format(*at, format)),
            },
            _ => Free(self.value).serialize(to),
        }
    }
}

impl Serialize for WrittenStruct<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let present = self.values.among(self.members.iter());
        to.collect_map(present.map(|(m, v)| (self.json.name_of(m), self.json.write_member(m, v))))
    }
}

impl Serialize for Free<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_unit(),
            Value::Boolean(v) => to.serialize_bool(*v),
            Value::Integer(v) => to.serialize_i64(*v),
            Value::Double(v) if v.is_finite() => to.serialize_f64(*v),
            Value::Double(v) => to.serialize_str(unusual(*v)),
            Value::String(v) => to.serialize_str(v),
            Value::Blob(v) => to.serialize_str(&STANDARD.encode(v)),
            Value::Timestamp(at) => epoch(*at, to),
            Value::List(elements) => to.collect_seq(elements.iter().map(Free)),
            Value::Map(entries) => to.collect_map(entries.iter().map(|(k, v)| (k, Free(v)))),
            Value::Struct(members) => to.collect_map(members.iter().map(|(k, v)| (k, Free(v)))),
        }
    }
}

/// The text of what is made of documents: their keys are texts, so nothing can go wrong.
pub(crate) fn text(json: &impl Serialize) -> String {
    serde_json::to_string(json).expect("a document is JSON")
}

/// Whole seconds are written without a fraction.
fn epoch<S: Serializer>(at: Millis, to: S) -> Result<S::Ok, S::Error> {
    if at.0.is_multiple_of(1000) { to.serialize_u64(at.0 / 1000) } else { to.serialize_f64(at.as_secs_f64()) }
}

fn read_plain(schema: &Schema, format: TimestampFormat, json: &J) -> Option<Value> {
    match (json, &schema.kind) {
        (J::Bool(v), Kind::Boolean) => Some(Value::Boolean(*v)),
        (J::Number(n), Kind::Integer) => Some(Value::Integer(i32::try_from(n.as_i64()?).ok()?.into())),
        (J::Number(n), Kind::Long) => n.as_i64().map(Value::Integer),
        (J::Number(n), Kind::Float | Kind::Double) => n.as_f64().map(Value::Double),
        (J::Number(n), Kind::Timestamp) => {
            timestamp::parse(&n.to_string(), TimestampFormat::Epoch).map(Value::Timestamp)
        }
        (J::String(text), Kind::Float | Kind::Double) => special(text),
        (J::String(text), Kind::String) => Some(Value::String(text.clone())),
        (J::String(text), Kind::Blob) => STANDARD.decode(text).ok().map(Value::Blob),
        (J::String(text), Kind::Timestamp) => timestamp::parse(text, format).map(Value::Timestamp),
        _ => None,
    }
}

fn read_free(json: &J) -> Result<Value, ReadError> {
    Ok(match json {
        J::Null => Value::Null,
        J::Bool(v) => Value::Boolean(*v),
        J::Number(n) => match n.as_i64() {
            Some(n) => Value::Integer(n),
            None => Value::Double(n.as_f64().ok_or_else(|| ReadError::new(format!("Number out of range: {n}")))?),
        },
        J::String(v) => Value::String(v.clone()),
        J::Array(elements) => Value::List(elements.iter().map(read_free).collect::<Result<_, _>>()?),
        J::Object(entries) => {
            Value::Map(entries.iter().map(|(k, v)| Ok((k.clone(), read_free(v)?))).collect::<Result<_, _>>()?)
        }
    })
}

/// The text of a number that JSON lacks.
pub(crate) fn unusual(number: f64) -> &'static str {
    match number {
        n if n.is_nan() => "NaN",
        n if n > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// The number that JSON lacks and that `text` names.
pub(crate) fn special(text: &str) -> Option<Value> {
    match text {
        "NaN" => Some(Value::Double(f64::NAN)),
        "Infinity" => Some(Value::Double(f64::INFINITY)),
        "-Infinity" => Some(Value::Double(f64::NEG_INFINITY)),
        _ => None,
    }
}

/// The words of AWS's own parsers.
fn misfit(json: &J, schema: &Schema) -> ReadError {
    let found = match json {
        J::Array(_) => return ReadError::new("Start of list found where not expected."),
        J::Object(_) => return ReadError::new("Start of structure or map found where not expected."),
        J::Null => "NULL_VALUE",
        J::Bool(true) => "TRUE_VALUE",
        J::Bool(false) => "FALSE_VALUE",
        J::Number(n) if n.is_f64() => "DECIMAL_VALUE",
        J::Number(_) => "NUMBER_VALUE",
        J::String(_) => "STRING_VALUE",
    };
    ReadError::new(format!("{found} can not be converted to a {}", schema.kind.name()))
}
