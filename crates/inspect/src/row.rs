//! A record as an operator sees it: what the store has, and how it is in two words and why.

use roadstead_store::{AnyKey, View};
use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which record. (In the journal: what a batch puts.)
    #[serde(alias = "put")]
    pub key: AnyKey,
    /// When it was made.
    pub created: Millis,
    /// How often its body changed, its making included.
    pub generation: u64,
    /// When its deletion was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleting: Option<Millis>,
    /// What it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AnyKey>,
    /// Itself, without what is sealed in it.
    pub body: Value,
    /// How it is, besides what it says itself.
    #[serde(default)]
    pub glance: Glance,
}

/// How a record is, in two words and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// `Creating`, `Ready`; None if nothing says so.
    pub state: Option<String>,
    /// Why, if anything says so.
    pub why: Option<String>,
    /// Something is not as it should be, or not yet.
    pub ails: bool,
    /// The record that its first issue is about.
    pub about: Option<String>,
}

/// States in which nothing is left to wait for.
const GOOD: [&str; 4] = ["Active", "Ready", "Running", "Available"];

impl Row {
    /// The record as the view has it.
    pub fn of(view: &View, key: &AnyKey) -> Option<Row> {
        let mut row: Row = serde_json::from_value(unsealed(&view.json(key)?)).ok()?;
        row.glance = glance(&row.body);
        // What a host saw stands beside what is wanted of it: see `cloud::fabric`.
        let seen = || format!("{}-status/{}", key.kind(), key.name()).parse().ok();
        if row.glance.state.is_none()
            && let Some(seen) = seen().and_then(|seen| Row::of(view, &seen))
        {
            row.glance = seen.glance;
        }
        if row.deleting.is_some() {
            row.glance = Glance { state: Some("Deleting".into()), ails: true, ..row.glance };
        }
        if let Some(state) = rests(&row) {
            row.glance = Glance { state: Some(state.into()), ails: false, ..row.glance };
        }
        Some(row)
    }

    /// A record that is there no more.
    pub fn removed(key: AnyKey, at: Millis) -> Row {
        let glance = Glance { state: Some("Removed".into()), ..Glance::default() };
        Row { key, created: at, generation: 0, deleting: None, owner: None, body: Value::Null, glance }
    }

    /// Takes the whys of its plans for its own, if it says nothing itself or if one of them fails.
    pub fn explain_by(&mut self, whys: &[Result<String, String>]) {
        if let Some(Err(failure)) = whys.iter().find(|why| why.is_err()) {
            self.glance.why = Some(failure.clone());
            self.glance.ails = true;
        } else if self.glance.why.is_none() {
            // "Active: Active" says nothing.
            let news = |why: &String| self.glance.state.as_ref() != Some(why);
            self.glance.why = whys.first().and_then(|why| why.clone().ok()).filter(news);
        }
    }
}

/// The state of a user's instance that is as it was asked to be and does not run.
fn rests(row: &Row) -> Option<&'static str> {
    let text = |path: &str| row.body.pointer(path).and_then(Value::as_str);
    match (text("/spec/launch/power")?, text("/status/machine")?) {
        (_, "Released") if row.deleting.is_some() => Some("Terminated"),
        ("Off", "Gone") if row.deleting.is_none() => Some("Stopped"),
        _ => None,
    }
}

/// A line of the journal with a placeholder for each thing sealed: not even ciphertext is for printing.
pub fn unsealed(line: &str) -> Value {
    let mut value = serde_json::from_str(line).unwrap_or(Value::Null);
    hide(&mut value);
    value
}

fn hide(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) if members.contains_key("ciphertext") => {
            let context = serde_json::from_value::<Sealed>(value.clone()).map(|sealed| sealed.context);
            *value = json!({ "sealed": context.unwrap_or_default() });
        }
        Value::Object(members) => members.values_mut().for_each(hide),
        _ => {}
    }
}

/// What a body says of itself by the names that our records share: `state` or `phase` or `ready`, `why` or `issues`, in
/// its `status` if it has one.
fn glance(body: &Value) -> Glance {
    let status = match body.get("status") {
        // A host was told and said nothing, yet or ever: whoever waits for its word says so.
        Some(Value::Null) => return Glance::default(),
        Some(status) if status.is_object() => status,
        _ => body,
    };
    let (state, reason) = match (status.get("state").or_else(|| status.get("phase")), status.get("ready")) {
        (Some(Value::String(state)), _) => (Some(state.clone()), None),
        // A variant with fields, the first text of which says why.
        (Some(Value::Object(variant)), _) => match variant.iter().next() {
            Some((state, fields)) => (Some(state.clone()), first_text(fields)),
            None => (None, None),
        },
        (_, Some(Value::Bool(ready))) => (Some(if *ready { "Ready" } else { "NotReady" }.to_owned()), None),
        _ => (None, None),
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|why| !why.is_empty()).map(str::to_owned);
    let issue = text(status.pointer("/issues/0/message"));
    let ails = issue.is_some() || state.as_deref().is_some_and(|state| !GOOD.contains(&state));
    let about = text(status.pointer("/issues/0/resources/0"));
    Glance { why: issue.or(reason).or_else(|| text(status.get("why"))), state, ails, about }
}

fn first_text(fields: &Value) -> Option<String> {
    fields.as_object()?.values().find_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_was_stopped_or_terminated_does_not_ail() {
        let key: AnyKey = "ec2/instance/i-1".parse().unwrap();
        let row = |power: &str, machine: &str, deleting| Row {
            body: json!({"spec": {"launch": {"power": power}}, "status": {"ready": false, "machine": machine}}),
            deleting,
            ..Row::removed(key.clone(), Millis(0))
        };
        assert_eq!(rests(&row("Off", "Gone", None)), Some("Stopped"));
        assert_eq!(rests(&row("On", "Released", Some(Millis(1)))), Some("Terminated"));
        assert_eq!(rests(&row("Off", "Running", None)), None);
        assert_eq!(rests(&row("On", "Gone", None)), None);
    }

    fn looks(body: Value) -> (String, String, bool) {
        let Glance { state, why, ails, .. } = glance(&body);
        (state.unwrap_or_default(), why.unwrap_or_default(), ails)
    }

    #[test]
    fn a_record_says_how_it_is_in_the_words_that_records_share() {
        let cases = [
            (json!({"status": {"state": "Active", "issues": []}}), ("Active", "", false)),
            (json!({"status": {"state": "Active", "issues": [{"message": "slow"}]}}), ("Active", "slow", true)),
            (json!({"status": {"ready": false, "why": "starting"}}), ("NotReady", "starting", true)),
            (json!({"ready": true, "why": "Kubernetes v1.36.3"}), ("Ready", "Kubernetes v1.36.3", false)),
            (json!({"status": {"phase": {"Waiting": {"for_what": "a disk"}}}}), ("Waiting", "a disk", true)),
            (json!({"status": {"phase": "Running"}}), ("Running", "", false)),
            (json!({"generation": 0, "status": null}), ("", "", false)),
            (json!({"spec": {}}), ("", "", false)),
            (json!("text"), ("", "", false)),
        ];
        for (body, (state, why, ails)) in cases {
            assert_eq!(looks(body.clone()), (state.to_owned(), why.to_owned(), ails), "{body}");
        }
    }

    #[test]
    fn what_is_sealed_is_replaced_wherever_it_stands() {
        let sealed = Sealed { context: "key/ca".into(), ciphertext: "Zm9yIG5vYm9keQ==".into() };
        let line =
            json!({"put": "keys/state/ca", "body": {"private": sealed, "files": [{"content": {"Sealed": sealed}}]}});
        let shown = unsealed(&line.to_string());
        assert!(!shown.to_string().contains("Zm9y"), "{shown}");
        assert_eq!(shown["body"]["private"], json!({"sealed": "key/ca"}));
        assert_eq!(shown["body"]["files"][0]["content"]["Sealed"], json!({"sealed": "key/ca"}));
    }

    #[test]
    fn a_failing_plan_is_the_reason_and_a_settled_one_is_where_there_is_no_other() {
        let view = crate::world::small();
        let mut group = Row::of(&view, &"autoscaling/group/000000000000/g".parse().unwrap()).unwrap();
        group.explain_by(&[Ok("2 of 3 instances ready".into())]);
        assert_eq!((group.glance.why.as_deref(), group.glance.ails), (Some("2 of 3 instances ready"), false));
        group.explain_by(&[Ok("fine".into()), Err("plan x panicked: y".into())]);
        assert_eq!((group.glance.why.as_deref(), group.glance.ails), (Some("plan x panicked: y"), true));
    }
}
