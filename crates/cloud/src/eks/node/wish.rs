//! What a Node object lacks of what its node must have.

use super::EXCLUDE_FROM_BALANCERS;
use super::model::{Node, Taint};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where we remember which taints are ours: they are one field for all who set some, so no manager owns just his.
const TAINTS: &str = "eks.amazonaws.com/taints";
/// Our name as a manager of fields.
const MANAGER: &str = "eks";

/// A change of a Node object.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// These fields are to be ours, and no others (server-side apply).
    Apply(Value),
    /// These fields are to be so, if nobody changed the object meanwhile (a merge patch with its version).
    Merge(Value),
}

/// The next change that is due; None: the object is as it must be.
pub fn edit(node: &Node, object: &Value) -> Option<Edit> {
    taints(node, object).or_else(|| fields(node, object))
}

fn fields(node: &Node, object: &Value) -> Option<Edit> {
    let mut labels = node.labels.clone();
    if node.cordon {
        labels.insert(EXCLUDE_FROM_BALANCERS.into(), "true".into());
    }
    let owned = Owned::of(object);
    let has = |(key, value): (&String, &String)| object["metadata"]["labels"][key].as_str() == Some(value);
    let same_labels = labels.keys().collect::<BTreeSet<_>>() == owned.labels.iter().collect() && labels.iter().all(has);
    let cordoned = object["spec"]["unschedulable"] == true;
    if same_labels && owned.unschedulable == node.cordon && (cordoned || !node.cordon) {
        return None;
    }
    let spec = if node.cordon { json!({"unschedulable": true}) } else { json!({}) };
    let metadata = &object["metadata"];
    // With its uid: an object that is gone meanwhile is not to be made anew.
    let metadata = json!({"name": metadata["name"], "uid": metadata["uid"], "labels": labels});
    Some(Edit::Apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})))
}

/// The fields that we applied before.
struct Owned {
    labels: BTreeSet<String>,
    unschedulable: bool,
}

impl Owned {
    /// By `managedFields` (`FieldsV1`: a field `x` is the key `f:x`).
    fn of(object: &Value) -> Owned {
        let none = vec![];
        let managers = object["metadata"]["managedFields"].as_array().unwrap_or(&none);
        let ours = managers.iter().find(|m| m["manager"] == MANAGER && m["operation"] == "Apply");
        let fields = ours.map_or(&Value::Null, |ours| &ours["fieldsV1"]);
        let labels = fields["f:metadata"]["f:labels"].as_object().into_iter().flat_map(Map::keys);
        Owned {
            labels: labels.filter_map(|key| key.strip_prefix("f:")).map(str::to_owned).collect(),
            unschedulable: !fields["f:spec"]["f:unschedulable"].is_null(),
        }
    }
}

fn taints(node: &Node, object: &Value) -> Option<Edit> {
    let id = |taint: &Taint| (taint.key.clone(), taint.effect.clone());
    let remembered = object["metadata"]["annotations"][TAINTS].as_str();
    let before: Vec<Taint> = remembered.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let before: BTreeSet<_> = before.iter().map(id).collect();
    let mut wished: BTreeMap<_, _> = node.taints.iter().map(|taint| (id(taint), taint)).collect();
    let ours = (!wished.is_empty()).then(|| json!(wished.values().collect::<Vec<_>>()).to_string());
    let none = vec![];
    let there = object["spec"]["taints"].as_array().unwrap_or(&none);
    let mut taints = vec![];
    for value in there {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let key = (text("key"), text("effect"));
        match wished.remove(&key) {
            Some(taint) if taint.value != text("value") => taints.push(show(taint)),
            None if before.contains(&key) => {}
            _ => taints.push(value.clone()),
        }
    }
    taints.extend(wished.into_values().map(show));
    if taints == *there && remembered == ours.as_deref() {
        return None;
    }
    let version = &object["metadata"]["resourceVersion"];
    let metadata = json!({"resourceVersion": version, "annotations": {TAINTS: ours}});
    Some(Edit::Merge(json!({"metadata": metadata, "spec": {"taints": taints}})))
}

/// A taint as the API has it: no value is no member.
fn show(taint: &Taint) -> Value {
    let mut shown = json!({"key": taint.key, "effect": taint.effect});
    if !taint.value.is_empty() {
        shown["value"] = json!(taint.value);
    }
    shown
}
