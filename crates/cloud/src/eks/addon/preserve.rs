//! Fields that somebody else manages: what the API says of them, and an object without them.

use super::model::Conflict;
use serde_json::Value;

/// The conflicts that the API's refusal of an apply tells of: each is a cause `FieldManagerConflict` with the field and who
/// manages it (Kubernetes docs, "Server-Side Apply").
pub fn conflicts(object: &Value, refusal: &Value) -> Vec<Conflict> {
    let none = vec![];
    let causes = refusal["details"]["causes"].as_array().unwrap_or(&none).iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = object["apiVersion"].as_str().and_then(|version| Some(format!(".{}", version.split_once('/')?.0)));
    let name = format!("{}{} {}", text(&object["kind"]), group.unwrap_or_default(), text(&object["metadata"]["name"]));
    let theirs = causes.filter(|cause| cause["reason"] == "FieldManagerConflict");
    theirs
        .map(|cause| Conflict { object: name.clone(), field: text(&cause["field"]), who: text(&cause["message"]) })
        .collect()
}

/// Takes a field out of an object, by its path as structured-merge-diff writes it (`fieldpath.Path.String`):
/// `.spec.template.spec.containers[name="aws-node"].image`. True if it was there.
pub fn without(object: &mut Value, path: &str) -> bool {
    match object {
        Value::Object(members) => {
            // Names stand there as they are, dots and all: `.metadata.labels.app.kubernetes.io/name`.
            let names = members.keys().filter_map(|name| {
                let rest = path.strip_prefix('.')?.strip_prefix(name.as_str())?;
                (rest.is_empty() || rest.starts_with(['.', '['])).then(|| (name.clone(), rest))
            });
            let names: Vec<_> = names.collect();
            names.into_iter().any(|(name, rest)| match rest {
                "" => members.shift_remove(&name).is_some(),
                rest => without(&mut members[&name], rest),
            })
        }
        Value::Array(items) => {
            let Some(inner) = path.strip_prefix('[') else { return false };
            let Some(end) = closing(inner) else { return false };
            let Some(n) = place(items, &inner[..end]) else { return false };
            match &inner[end + 1..] {
                "" => {
                    items.remove(n);
                    true
                }
                rest => without(&mut items[n], rest),
            }
        }
        _ => false,
    }
}

/// Where the bracket closes: not inside a text.
fn closing(inner: &str) -> Option<usize> {
    let mut quoted = false;
    inner.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == ']' && !quoted).then_some(at)
    })
}

/// The place of the item that is selected: `0`, by its place; `="a"`, that is this; `name="a",port=1`, with these members.
fn place(items: &[Value], selector: &str) -> Option<usize> {
    if let Ok(n) = selector.parse() {
        return (n < items.len()).then_some(n);
    }
    if let Some(value) = selector.strip_prefix('=') {
        let value: Value = serde_json::from_str(value).ok()?;
        return items.iter().position(|item| *item == value);
    }
    let members = selector.split(',').map(|member| {
        let (name, value) = member.split_once('=')?;
        Some((name, serde_json::from_str::<Value>(value).ok()?))
    });
    let members: Vec<_> = members.collect::<Option<_>>()?;
    items.iter().position(|item| members.iter().all(|(name, value)| item[name] == *value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_by_its_path_and_taken_out() {
        let whole = json!({"spec": {"containers": [{"name": "a", "image": "x", "ports": [{"p": 1, "q": "t,u"}]}, {"name": "b"}]},
            "data": {"Corefile": "…"}, "finalizers": ["one", "two"],
            "labels": {"app": "a", "app.kubernetes.io/name": "b"}});
        let cases = [
            (".data.Corefile", "/data", json!({})),
            (".spec.containers[name=\"a\"].image", "/spec/containers/0/image", Value::Null),
            (".spec.containers[name=\"b\"]", "/spec/containers/1", Value::Null),
            (".spec.containers[name=\"a\"].ports[p=1]", "/spec/containers/0/ports", json!([])),
            (".finalizers[=\"one\"]", "/finalizers", json!(["two"])),
            (".spec.containers[1]", "/spec/containers/1", Value::Null),
            (".labels.app.kubernetes.io/name", "/labels", json!({"app": "a"})),
        ];
        for (path, place, left) in cases {
            let mut object = whole.clone();
            assert!(without(&mut object, path), "{path}");
            assert_eq!(object.pointer(place).cloned().unwrap_or_default(), left, "{path}");
        }
        for nowhere in ["", ".nothing.there", ".spec.containers[name=\"c\"].image", "[", "spec"] {
            let mut object = whole.clone();
            assert!(!without(&mut object, nowhere) && object == whole, "{nowhere}");
        }
    }

    #[test]
    fn conflicts_name_the_object_the_field_and_who_has_it() {
        let object = json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": "aws-node"}});
        let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.x",
            "message": "conflict with \"kubectl-edit\" using v1"});
        let refusal = json!({"code": 409, "details": {"causes": [cause, {"reason": "Other"}]}});
        let who = "conflict with \"kubectl-edit\" using v1".to_owned();
        let object_name = "DaemonSet.apps aws-node".to_owned();
        assert_eq!(conflicts(&object, &refusal), [Conflict { object: object_name, field: ".spec.x".into(), who }]);
    }
}
