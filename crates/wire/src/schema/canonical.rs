//! The canonical JSON of a document: one text per value, so that it can be hashed, stored and compared.
//!
//! Members stand in the schema's order under the model's names, map entries by key; absent members are left out;
//! instants are ISO 8601 in UTC, blobs base64, numbers that JSON lacks are texts (`"NaN"`).

use super::{Schema, Shape, Value};
use crate::json::{Json, ReadError, text};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// What becomes of sensitive members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitive {
    /// Written as they are: for hashes and sealed storage.
    Shown,
    /// Written as `HIDDEN_DUE_TO_SECURITY_REASONS`, as CloudTrail does: for audit and logs.
    Hidden,
}

/// The canonical JSON of `value`.
pub fn write(schema: &Schema, value: &Value, sensitive: Sensitive) -> String {
    text(&Json::canonical(sensitive).write(schema, value))
}

/// The value of a canonical JSON that was written with [`Sensitive::Shown`].
pub fn read(schema: &Schema, text: &str) -> Result<Value, ReadError> {
    let json = serde_json::from_str(text).map_err(|e| ReadError::new(e.to_string()))?;
    Json::canonical(Sensitive::Shown).read(schema, &json)
}

/// `Debug` of a generated structure: its name and canonical JSON, sensitive members hidden.
pub fn debug<T: Shape>(shape: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", T::SCHEMA.name, write(T::SCHEMA, &shape.clone().into_value(), Sensitive::Hidden))
}

/// serde's `Serialize` of a generated structure.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Shape, S: Serializer>(shape: &T, to: S) -> Result<S::Ok, S::Error> {
    Json::canonical(Sensitive::Shown).write(T::SCHEMA, &shape.clone().into_value()).serialize(to)
}

/// serde's `Deserialize` of a generated structure.
///
/// # Errors
/// Those of the deserializer, and what is not of the shape.
pub fn deserialize<'de, T: Shape, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let json = serde_json::Value::deserialize(from)?;
    let value = Json::canonical(Sensitive::Shown).read(T::SCHEMA, &json).map_err(de::Error::custom)?;
    T::from_value(value).map_err(de::Error::custom)
}
