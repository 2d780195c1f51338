//! What may be configured of an add-on: a JSON schema, which is shown to users and checked against. The part of JSON Schema
//! that it is written in is small enough to be checked here.

use super::catalogue::{COREDNS, KUBE_PROXY, METRICS_SERVER, VPC_CNI};
use serde_json::{Value, json};

/// The schema of an add-on's configuration.
pub fn of(name: &str) -> Value {
    let any = json!({"type": "object"});
    let text_map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let list = json!({"type": "array", "items": {"type": "object"}});
    let resources = json!({"type": "object", "additionalProperties": false, "properties": {
        "limits": {"type": "object"}, "requests": {"type": "object"}, "claims": {"type": "array"},
    }});
    let budget = json!({"type": "object", "additionalProperties": false, "properties": {
        "enabled": {"type": "boolean"},
        "maxUnavailable": {"type": ["string", "integer"]},
        "minAvailable": {"type": ["string", "integer"]},
    }});
    let replicas = json!({"type": "integer", "minimum": 1, "maximum": 1000});
    let mut properties = json!({"podAnnotations": text_map, "podLabels": text_map, "resources": resources});
    let more = match name {
        VPC_CNI => json!({
            "affinity": any,
            "env": {"type": "object", "additionalProperties": {"type": ["string", "boolean", "integer"]}},
            "tolerations": list,
        }),
        KUBE_PROXY => json!({"mode": {"type": "string", "enum": ["nftables"]}}),
        COREDNS => json!({
            "affinity": any,
            "corefile": {"type": "string"},
            "nodeSelector": text_map,
            "podDisruptionBudget": budget,
            "replicaCount": replicas,
            "tolerations": list,
            "topologySpreadConstraints": list,
        }),
        METRICS_SERVER => json!({
            "affinity": any,
            "args": {"type": "array", "items": {"type": "string"}},
            "nodeSelector": text_map,
            "podDisruptionBudget": budget,
            "replicas": replicas,
            "tolerations": list,
            "topologySpreadConstraints": list,
        }),
        _ => json!({}),
    };
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
        properties.sort_keys();
    }
    json!({
        "$schema": "http://json-schema.org/draft-06/schema#",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Why a value is not as a schema says, with the place: `$.replicaCount: …`.
pub fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(types) = one_or_many(&schema["type"])
        && !types.iter().any(|kind| is(value, kind))
    {
        return Err(format!("{place}: {} found, {} expected", kind(value), types.join(" or ")));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{place}: does not have a value in the enumeration {}", schema["enum"]));
    }
    let beyond = |bound: &str, is: fn(f64, f64) -> bool| {
        let bound = schema[bound].as_f64()?;
        value.as_f64().filter(|value| is(*value, bound)).map(|_| bound)
    };
    if let Some(least) = beyond("minimum", |value, bound| value < bound) {
        return Err(format!("{place}: must have a minimum value of {least}"));
    }
    if let Some(most) = beyond("maximum", |value, bound| value > bound) {
        return Err(format!("{place}: must have a maximum value of {most}"));
    }
    match value {
        Value::Array(items) if schema["items"].is_object() => (0..)
            .zip(items)
            .try_for_each(|(n, item): (usize, _)| check(&schema["items"], item, &format!("{place}[{n}]"))),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            let (known, other) = (&schema["properties"][name], &schema["additionalProperties"]);
            let place = format!("{place}.{name}");
            match (known.is_object(), other) {
                (true, _) => check(known, member, &place),
                (false, Value::Bool(false)) => Err(format!(
                    "{place}: is not defined in the schema and the schema does not allow additional properties"
                )),
                (false, other) => check(other, member, &place),
            }
        }),
        _ => Ok(()),
    }
}

fn one_or_many(types: &Value) -> Option<Vec<&str>> {
    match types {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    kind(value) == wanted || wanted == "number" && value.is_number()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
