//! What a Node object says.

use super::drain::Draining;
use super::model::{Node, NodeState, NodesSpec};
use roadstead_types::Millis;
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The instance that a Node object stands for, by its `providerID`: `aws:///us-east-1a/i-0123456789abcdef0`.
pub fn instance(object: &Value) -> Option<&str> {
    place(object).map(|(_, instance)| instance)
}

/// Zone and instance of a Node object. What stands for no instance at all (a hybrid node) is nobody's business here.
fn place(object: &Value) -> Option<(&str, &str)> {
    let place = object["spec"]["providerID"].as_str()?.strip_prefix("aws:///")?;
    place.split_once('/').filter(|(_, id)| id.starts_with("i-"))
}

/// Instances of Node objects that nobody has stated, and their zones: a user's own nodes, or what is left of one that is
/// gone. The region, which knows its instances, says which.
pub fn strangers<'a>(spec: &NodesSpec, objects: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let places = objects.into_iter().filter_map(place).filter(|(_, id)| !spec.nodes.contains_key(*id));
    places.map(|(zone, id)| (id.to_owned(), zone.to_owned())).collect()
}

/// The Node object of an instance that is no more.
pub fn is_left_over(spec: &NodesSpec, object: &Value) -> bool {
    instance(object).is_some_and(|id| spec.gone.contains(id))
}

/// What there is to say of a node, by its Node object (if one of its name is there) and how far its drain is.
pub fn state(node: &Node, object: Option<&Value>, draining: Option<&Draining>) -> NodeState {
    let state = NodeState { instance: node.instance.clone(), ..NodeState::default() };
    // Under an address that was used before, the Node object of the one before may still be there.
    let Some(object) = object.filter(|o| instance(o).is_none_or(|id| id == node.instance)) else {
        return NodeState { why: format!("{} has not registered with the cluster yet", node.name), ..state };
    };
    let none = vec![];
    let conditions = object["status"]["conditions"].as_array().unwrap_or(&none);
    let condition = conditions.iter().find(|c| c["type"] == "Ready").unwrap_or(&Value::Null);
    let ready = condition["status"] == "True";
    let said = condition["message"].as_str().filter(|message| !message.is_empty());
    let leaving = draining.is_none_or(|d| d.leaving == 0 || !ready);
    NodeState {
        registered: true,
        ready,
        why: if ready { String::new() } else { said.unwrap_or("kubelet has not said yet how it is").into() },
        since: condition["lastTransitionTime"].as_str().and_then(instant).unwrap_or_default(),
        kubelet_version: object["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default().into(),
        // A kubelet that is away ends nothing and says nothing: what is only waited for goes with the node.
        drained: node.drain.is_some() && draining.is_some_and(|d| d.left == 0) && leaving,
        blocked_by: draining.map(|d| d.blocked_by.clone()).unwrap_or_default(),
        ..state
    }
}

/// An instant as Kubernetes writes it: RFC 3339.
fn instant(text: &str) -> Option<Millis> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(instant.unix_timestamp()).ok().map(Millis::secs)
}
