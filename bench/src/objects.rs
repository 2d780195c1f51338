//! What a cluster's API says of its objects, as they change.

use crate::api::{Access, Lines};
use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use serde_json::Value;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is so now.
    Is,
    /// It is gone.
    Gone,
}

/// Shows the objects at `path` to `look`, as they are and whenever one changes, until that has found what it looks for.
///
/// # Errors
/// The API does not answer, or ends the watch.
pub async fn follow<T>(access: &Access, path: &str, mut look: impl FnMut(Change, &Value) -> Option<T>) -> Result<T> {
    let mut connection = access.connect().await?;
    let list = connection.ask(Method::GET, path, &Value::Null).await?;
    for object in items(&list) {
        if let Some(found) = look(Change::Is, object) {
            return Ok(found);
        }
    }
    let version = list["metadata"]["resourceVersion"].as_str().context("a list has a version")?;
    let mut body = connection.follow(&format!("{path}?watch=1&resourceVersion={version}")).await?;
    let mut lines = Lines::default();
    while let Some(line) = lines.next(&mut body).await? {
        let event: Value = serde_json::from_slice(&line)?;
        ensure!(event["type"] != "ERROR", "{path}: {}", event["object"]["message"]);
        let change = if event["type"] == "DELETED" { Change::Gone } else { Change::Is };
        if let Some(found) = look(change, &event["object"]) {
            return Ok(found);
        }
    }
    bail!("the API has ended the watch of {path}")
}

/// The objects of a list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// An object's name.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether its condition of that type is True.
pub fn is(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == condition && c["status"] == "True")
}

/// The name in full of the image for tests that every node has, by a Node object.
pub fn agnhost(node: &Value) -> Option<String> {
    let images = node["status"]["images"].as_array().into_iter().flatten();
    let names = images.filter_map(|image| image["names"].as_array()).flatten().filter_map(Value::as_str);
    names.filter(|name| !name.contains('@')).find(|name| name.contains("/agnhost:")).map(str::to_owned)
}
