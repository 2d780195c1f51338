//! What differs between two JSON values, leaf by leaf.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A leaf that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// `body.status.state`, `body.spec.slots[0].name`.
    pub path: String,
    /// As it was; None if it was not there.
    pub before: Option<Value>,
    /// As it is; None if it is not there.
    pub after: Option<Value>,
}

/// Longer values are cut when printed.
const SHOWN: usize = 100;

/// All leaves that differ, in the order of the newer value.
pub fn diff(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = vec![];
    walk(String::new(), Some(before), Some(after), &mut found);
    found
}

fn walk(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let children = children(before, after);
    if children.is_empty() {
        found.push(Difference { path, before: before.cloned(), after: after.cloned() });
        return;
    }
    for (step, before, after) in children {
        let path = format!("{path}{step}").trim_start_matches('.').to_owned();
        walk(path, before, after, found);
    }
}

type Child<'a> = (String, Option<&'a Value>, Option<&'a Value>);

/// What is inside both, side by side; nothing if they are not of one shape, or hold nothing.
fn children<'a>(before: Option<&'a Value>, after: Option<&'a Value>) -> Vec<Child<'a>> {
    let (before, after) = (before.filter(|v| !v.is_null()), after.filter(|v| !v.is_null()));
    let both = |shape: fn(&Value) -> bool| before.is_none_or(shape) && after.is_none_or(shape);
    if both(Value::is_object) {
        let (was, is) = (before.and_then(Value::as_object), after.and_then(Value::as_object));
        let kept = is.into_iter().flatten().map(|(name, value)| (name, was.and_then(|was| was.get(name)), Some(value)));
        let gone = was.into_iter().flatten().filter(|(name, _)| is.is_none_or(|is| !is.contains_key(*name)));
        let gone = gone.map(|(name, value)| (name, Some(value), None));
        return kept.chain(gone).map(|(name, before, after)| (format!(".{name}"), before, after)).collect();
    }
    if both(Value::is_array) {
        let (was, is) = (before.and_then(Value::as_array), after.and_then(Value::as_array));
        let count = was.map_or(0, Vec::len).max(is.map_or(0, Vec::len));
        let item = |list: Option<&'a Vec<Value>>, n| list.and_then(|list| list.get(n));
        return (0..count).map(|n| (format!("[{n}]"), item(was, n), item(is, n))).collect();
    }
    vec![]
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "{}: {}", self.path, short(after)),
            (Some(before), None) => write!(f, "{}: {} → nothing", self.path, short(before)),
            (before, after) => {
                let text = |value: &Option<Value>| value.as_ref().map(short).unwrap_or_default();
                write!(f, "{}: {} → {}", self.path, text(before), text(after))
            }
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(before: Value, after: Value) -> Vec<String> {
        diff(&before, &after).iter().map(Difference::to_string).collect()
    }

    #[test]
    fn each_leaf_that_differs_is_told_with_its_place() {
        let before = json!({"spec": {"n": 1, "gone": [1]}, "same": {"x": []}, "list": [{"a": 1}, 2]});
        let after = json!({"spec": {"n": 2}, "same": {"x": []}, "list": [{"a": 1}, 3, 4], "new": "text"});
        let expected = ["spec.n: 1 → 2", "spec.gone[0]: 1 → nothing", "list[1]: 2 → 3", "list[2]: 4", "new: \"text\""];
        assert_eq!(told(before, after), expected);
    }

    #[test]
    fn equal_values_do_not_differ_and_others_do_whatever_they_are() {
        assert!(told(json!({"a": [1, {}]}), json!({"a": [1, {}]})).is_empty());
        assert_eq!(told(json!({"a": {"b": 1}}), json!({"a": "text"})), ["a: {\"b\":1} → \"text\""]);
        assert_eq!(told(Value::Null, json!({"a": {"b": 1}})), ["a.b: 1"]);
        assert_eq!(told(json!({"a": null}), json!({"a": {"b": 1}})), ["a.b: 1"]);
        let long = told(json!("a"), json!("ä".repeat(500)));
        assert!(long[0].ends_with('…') && long[0].chars().count() < 130, "{long:?}");
    }
}
