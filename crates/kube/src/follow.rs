//! Following a collection: all its objects, then each change, for as long as anybody listens.

use crate::Dial;
use crate::api::Api;
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// Before the API is asked again that was not reached or refused.
const PAUSE: Duration = Duration::from_millis(500);

/// What was learnt of a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These are all; any other that was known is gone.
    All(Vec<Value>),
    /// One is there, or is otherwise than before.
    Put(Value),
    /// One is gone; as it was last.
    Gone(Value),
    /// The API is not reached; why. What was learnt before may no longer be so.
    Lost(String),
}

/// A collection of the API, or a part of it.
#[derive(Clone, Debug)]
pub struct Collection {
    /// `/api/v1/nodes`.
    pub path: String,
    /// `fieldSelector=…`; may be empty.
    pub query: String,
}

/// Tells `to`, wrapped by `wrap`, what there is and then what changes, until nobody listens.
pub async fn follow<D: Dial, T>(mut api: Api<D>, of: Collection, to: Sender<T>, wrap: impl Fn(Event) -> T) {
    loop {
        let Err(error) = session(&mut api, &of, &to, &wrap).await else { return };
        if to.send(wrap(Event::Lost(format!("{error:#}")))).await.is_err() {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// A list, and watches from there on. Ends without an error when nobody listens any more.
async fn session<D: Dial, T>(
    api: &mut Api<D>,
    of: &Collection,
    to: &Sender<T>,
    wrap: &impl Fn(Event) -> T,
) -> Result<()> {
    let listed = api.list(&of.path, &of.query).await?;
    let mut version = listed.version;
    if to.send(wrap(Event::All(listed.items))).await.is_err() {
        return Ok(());
    }
    loop {
        let mut lines = api.watch(&of.path, &of.query, &version).await?;
        while let Some(line) = next(&mut lines, &mut version).await? {
            if let Some(event) = line
                && to.send(wrap(event)).await.is_err()
            {
                return Ok(());
            }
        }
        // The API ends a watch after some minutes; another goes on where it ended. No busier than this, whatever it does.
        sleep(PAUSE).await;
    }
}

/// The next line of a watch; Some(None): one that tells of nothing.
async fn next(lines: &mut crate::https::Lines, version: &mut String) -> Result<Option<Option<Event>>> {
    let Some(mut line) = lines.next().await? else { return Ok(None) };
    let object = line["object"].take();
    if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
        newer.clone_into(version);
    }
    match line["type"].as_str().unwrap_or_default() {
        "ADDED" | "MODIFIED" => Ok(Some(Some(Event::Put(object)))),
        "DELETED" => Ok(Some(Some(Event::Gone(object)))),
        "BOOKMARK" => Ok(Some(None)),
        // ERROR, with a Status: the version is too old, most of all.
        _ => Err(anyhow!("the watch ended: {}", object["message"].as_str().unwrap_or("unknown"))),
    }
}
