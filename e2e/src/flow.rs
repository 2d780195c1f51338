//! What tools do between their calls: they keep ids, ask again until something is so, and expect every answer.

use crate::boto::{Answer, Call, call};
use crate::region::Region;
use crate::story::until;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// As long as a node takes to join, and more.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a tool keeps in its state: ids by address.
#[derive(Default)]
pub struct State(RefCell<BTreeMap<&'static str, String>>);

impl State {
    /// Keeps an id.
    #[track_caller]
    pub fn keep(&self, address: &'static str, id: &Value) {
        let id = id.as_str().unwrap_or_else(|| panic!("no id of {address}: {id}"));
        self.0.borrow_mut().insert(address, id.to_owned());
    }

    /// The id that was kept.
    #[track_caller]
    pub fn id(&self, address: &str) -> String {
        self.0.borrow().get(address).unwrap_or_else(|| panic!("{address} is not in the state")).clone()
    }
}

impl Region {
    /// What there is in the account, but for instances that are gone, which EC2 shows for an hour.
    #[track_caller]
    pub fn there(&self) -> Vec<Value> {
        let mut parts = self.account().as_array().cloned().unwrap_or_default();
        for reservation in parts.iter_mut().filter_map(|part| part.get_mut("Reservations")?.as_array_mut()) {
            reservation.retain(|reservation| reservation["Instances"][0]["State"]["Name"] != "terminated");
        }
        parts
    }

    /// The one call, which must succeed.
    #[track_caller]
    pub fn one(&self, service: &str, operation: &str, input: Value) -> Value {
        self.gets(vec![("OK", call(service, operation, input))]).remove(0).value()
    }

    /// As waiters do: asks until the member is so.
    #[track_caller]
    pub fn becomes(&self, ask: &Call, path: &str, wanted: &str) {
        until(&format!("{path} is {wanted}"), PATIENCE, || {
            let answer: Answer = self.gets(vec![("OK", ask.clone())]).remove(0);
            (answer.value().pointer(path)? == wanted).then_some(())
        });
    }

    /// As deletions do: asks until the error is the one for what is not there.
    #[track_caller]
    pub fn goes(&self, ask: &Call, code: &str) {
        until("it is gone", PATIENCE, || (self.boto(vec![ask.clone()]).remove(0).code() == code).then_some(()));
    }
}
