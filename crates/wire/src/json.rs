//! JSON of a document and back, guided by its schema. One walk serves the JSON protocols and the canonical form;
//! they differ in names, in the form of instants and in what happens to secrets.

use crate::schema::canonical::Sensitive;
use crate::schema::{Kind, Member, Schema, Struct, TimestampFormat, Value};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value as J};
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
    pub fn write(&self, schema: &Schema, value: &Value) -> J {
        self.write_as(schema, self.timestamps, value)
    }

    /// A member's value as JSON.
    pub fn write_member(&self, member: &Member, value: &Value) -> J {
        self.write_as(member.schema, self.timestamp_of(member), value)
    }

    fn write_as(&self, schema: &Schema, format: TimestampFormat, value: &Value) -> J {
        if schema.sensitive && self.sensitive == Sensitive::Hidden {
            return J::from(HIDDEN);
        }
        match (value, &schema.kind) {
            (Value::List(elements), Kind::List(list)) => {
                elements.iter().map(|e| self.write_member(&list.member, e)).collect()
            }
            (Value::Map(entries), Kind::Map(map)) => {
                J::Object(entries.iter().map(|(k, v)| (k.clone(), self.write_member(&map.value, v))).collect())
            }
            (Value::Struct(members), Kind::Structure(_)) => self.write_struct(schema.members(), members),
            (Value::Timestamp(at), _) => match format {
                TimestampFormat::Epoch => epoch(at.0),
                format => J::from(timestamp::format(*at, format)),
            },
            _ => write_free(value),
        }
    }

    /// Those of `members` that are present in `values`, as a JSON object.
    pub fn write_struct(&self, members: &[Member], values: &Struct) -> J {
        let present = members.iter().filter_map(|m| Some((m, values.get(m.name)?)));
        J::Object(present.map(|(m, v)| (self.name_of(m).to_owned(), self.write_member(m, v))).collect())
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
            (J::Object(entries), Kind::Structure(_)) => self.read_struct(schema.members(), entries).map(Value::Struct),
            _ => read_plain(schema, format, json).ok_or_else(|| misfit(json, schema)),
        }
    }

    /// Those of `members` that a JSON object has; null is absent, what is unknown is left aside.
    pub fn read_struct(&self, members: &[Member], entries: &serde_json::Map<String, J>) -> Result<Struct, ReadError> {
        let mut values = Struct::new();
        for member in members {
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

/// Whole seconds are written without a fraction.
fn epoch(millis: u64) -> J {
    if millis.is_multiple_of(1000) {
        J::from(millis / 1000)
    } else {
        J::from(roadstead_types::Millis(millis).as_secs_f64())
    }
}

/// A value as JSON where no schema tells more.
fn write_free(value: &Value) -> J {
    match value {
        Value::Null => J::Null,
        Value::Boolean(v) => J::from(*v),
        Value::Integer(v) => J::from(*v),
        Value::Double(v) => Number::from_f64(*v).map_or_else(|| J::from(unusual(*v)), J::Number),
        Value::String(v) => J::from(v.as_str()),
        Value::Blob(v) => J::from(STANDARD.encode(v)),
        Value::Timestamp(at) => epoch(at.0),
        Value::List(elements) => elements.iter().map(write_free).collect(),
        Value::Map(entries) => J::Object(entries.iter().map(|(k, v)| (k.clone(), write_free(v))).collect()),
        Value::Struct(members) => J::Object(members.iter().map(|(k, v)| (k.to_owned(), write_free(v))).collect()),
    }
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
