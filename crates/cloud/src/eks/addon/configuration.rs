//! An add-on's configuration as its user writes it.

use super::schema;
use serde_json::Value;

/// Reads and checks a configuration: JSON or YAML, which JSON is a part of. Null if nothing is in it.
///
/// # Errors
/// Why it can't be one, in EKS's words.
pub fn read(addon: &str, text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|e| format!("ConfigurationValue provided in request is neither JSON nor YAML: {e}"))?;
    if value.is_null() {
        return Ok(value);
    }
    schema::check(&schema::of(addon), &value, "$").map_err(|why| {
        format!(
            "ConfigurationValue provided in request is not supported: Json schema validation failed with error: [{why}]"
        )
    })?;
    Ok(value)
}
