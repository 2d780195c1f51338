//! Plain values as text: labels, query strings, headers, forms, XML.

use crate::ReadError;
use crate::json::{special, unusual};
use crate::schema::{Kind, Member, Schema, TimestampFormat, Value};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The value that a text is of a plain schema.
pub(crate) fn read(schema: &Schema, format: TimestampFormat, text: &str) -> Result<Value, ReadError> {
    let value = match schema.kind {
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::Integer => text.parse::<i32>().ok().map(|n| Value::Integer(n.into())),
        Kind::Long => text.parse().ok().map(Value::Integer),
        Kind::Float | Kind::Double => number(text),
        Kind::String => Some(Value::String(text.to_owned())),
        Kind::Blob => STANDARD.decode(text).ok().map(Value::Blob),
        Kind::Timestamp => timestamp::parse(text, format).map(Value::Timestamp),
        Kind::Document | Kind::List(_) | Kind::Map(_) | Kind::Structure(_) => None,
    };
    value.ok_or_else(|| ReadError::new(format!("'{text}' can not be converted to a {}", schema.kind.name())))
}

/// The same for a member that may have a form of instants of its own.
pub(crate) fn read_member(member: &Member, usual: TimestampFormat, text: &str) -> Result<Value, ReadError> {
    read(member.schema, member.wire.timestamp.unwrap_or(usual), text)
}

/// A plain value's text; empty for what is none.
pub(crate) fn write(value: &Value, format: TimestampFormat) -> String {
    match value {
        Value::Boolean(v) => v.to_string(),
        Value::Integer(v) => v.to_string(),
        Value::Double(v) if v.is_finite() => v.to_string(),
        Value::Double(v) => unusual(*v).to_owned(),
        Value::String(v) => v.clone(),
        Value::Blob(v) => STANDARD.encode(v),
        Value::Timestamp(at) => timestamp::format(*at, format),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Struct(_) => String::new(),
    }
}

/// The same for a member that may have a form of instants of its own.
pub(crate) fn write_member(member: &Member, usual: TimestampFormat, value: &Value) -> String {
    write(value, member.wire.timestamp.unwrap_or(usual))
}

/// Rust reads `inf` and `nan`, AWS does not.
fn number(text: &str) -> Option<Value> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if plain { text.parse().ok().map(Value::Double) } else { special(text) }
}
