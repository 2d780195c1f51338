//! What happened: one event for each call that changed something or was refused, in the batch of the change itself.

use crate::caller::Caller;
use roadstead_store::{Key, Object, Read, Tx};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::canonical::{self, Sensitive};
use roadstead_wire::schema::{AnyOperation, Value};
use serde::{Deserialize, Serialize};

/// How many events the store keeps; the oldest makes room for the newest. (CloudTrail's own engine keeps more.)
pub const RETAINED: u64 = 4096;

/// A call, as CloudTrail records it (record contents, version 1.11); secrets are redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it completed.
    pub time: Millis,
    /// `eks.amazonaws.com`.
    pub source: String,
    /// `CreateCluster`.
    pub name: String,
    /// ARN of the caller.
    pub principal: String,
    /// The key that signed.
    pub access_key_id: String,
    /// Its address.
    pub source_ip: String,
    /// As the client says.
    pub user_agent: String,
    /// The request's id.
    pub request_id: String,
    /// Canonical JSON of the input.
    pub request: String,
    /// Canonical JSON of the output; empty for a refused call.
    pub response: String,
    /// The error code of a refused call.
    pub error: Option<String>,
}

/// Where the next event goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    next: u64,
}

impl Object for Event {
    const KIND: &'static str = "audit/event";
}

impl Object for Cursor {
    const KIND: &'static str = "audit/cursor";
}

pub(crate) fn succeeded(tx: &mut Tx, operation: &AnyOperation, caller: &Caller, input: &Value, output: &Value) {
    let mut event = event(tx.now(), operation, caller, input);
    event.response = canonical::write(operation.output, output, Sensitive::Hidden);
    append(tx, event);
}

/// Records a call that was refused: its own transaction changed nothing, so this is another one.
pub fn failed(tx: &mut Tx, operation: &AnyOperation, caller: &Caller, input: &Value, fault: &Fault) {
    let mut event = event(tx.now(), operation, caller, input);
    event.error = Some(fault.code.name(operation.service.protocols[0]).to_owned());
    append(tx, event);
}

fn event(time: Millis, operation: &AnyOperation, caller: &Caller, input: &Value) -> Event {
    Event {
        time,
        source: format!("{}.amazonaws.com", operation.service.endpoint_prefix),
        name: operation.name.into(),
        principal: caller.identity.arn.to_string(),
        access_key_id: caller.access_key_id.clone(),
        source_ip: caller.source_ip.clone(),
        user_agent: caller.user_agent.clone(),
        request_id: caller.request_id.clone(),
        request: canonical::write(operation.input, input, Sensitive::Hidden),
        response: String::new(),
        error: None,
    }
}

fn append(tx: &mut Tx, event: Event) {
    let key = Key::<Cursor>::new("cursor");
    let next = tx.get(&key).map_or(0, |r| r.body.next);
    tx.set(&Key::<Event>::new(format!("{:06}", next % RETAINED)), None, event);
    tx.set(&key, None, Cursor { next: next + 1 });
}
