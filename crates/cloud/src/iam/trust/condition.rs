use super::document::one_or_many;
use crate::iam::evaluate::wild;
use roadstead_kernel::Caller;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Operator → key → values.
pub(super) type Conditions = BTreeMap<String, BTreeMap<String, Values>>;

/// What a key may be.
#[derive(Debug, Deserialize)]
pub(super) struct Values(#[serde(deserialize_with = "one_or_many")] Vec<Scalar>);

/// Numbers and booleans may stand without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Boolean(bool),
    Number(serde_json::Number),
}

/// Whether something is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Met {
    Yes,
    No,
    /// Nobody here can say: what it is that is not evaluated.
    Unclear(String),
}

/// The condition keys of a request by their names in lower case; a key that is known and has no value is not in the
/// request.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<&'static str, Option<String>>);

impl Context {
    /// What is known of a call. No caller here has signed in with a second factor.
    pub fn of(caller: &Caller) -> Context {
        let identity = &caller.identity;
        let user = identity.role.is_none().then(|| identity.arn.name().to_owned());
        let kind = if identity.role.is_some() { "AssumedRole" } else { "User" };
        let mut context = Context::default();
        context.put("aws:multifactorauthpresent", None);
        context.put("aws:multifactorauthage", None);
        context.put("aws:principalarn", Some(identity.grantee().to_string()));
        context.put("aws:principalaccount", Some(identity.account.clone()));
        context.put("aws:principaltype", Some(kind.into()));
        context.put("aws:userid", Some(identity.unique_id.clone()));
        context.put("aws:username", user);
        context.put("aws:requestedregion", Some(caller.region.clone()));
        context.put("aws:useragent", Some(caller.user_agent.clone()));
        context
    }

    /// What is known of a service that acts in an account.
    pub fn of_service(account: &str) -> Context {
        let mut context = Context::default();
        context.put("aws:sourceaccount", Some(account.into()));
        context
    }

    /// With a key, by its name in lower case.
    pub fn put(&mut self, key: &'static str, value: Option<String>) {
        self.0.insert(key, value);
    }
}

/// Whether all conditions are met.
pub(super) fn met(conditions: &Conditions, context: &Context) -> Met {
    let mut unclear = None;
    for (operator, keys) in conditions {
        for (key, values) in keys {
            match one(operator, key, values, context) {
                Met::Yes => {}
                Met::No => return Met::No,
                Met::Unclear(what) => unclear = Some(what),
            }
        }
    }
    unclear.map_or(Met::Yes, Met::Unclear)
}

fn one(operator: &str, key: &str, values: &Values, context: &Context) -> Met {
    let unclear = || Met::Unclear(format!("the condition {operator} {key}"));
    let (plain, if_exists) = match operator.strip_suffix("IfExists") {
        Some(plain) => (plain, true),
        None => (operator, false),
    };
    let Some(value) = context.0.get(key.to_lowercase().as_str()) else { return unclear() };
    let texts: Vec<String> = values.0.iter().map(Scalar::text).collect();
    if plain == "Null" {
        return is(texts.iter().all(|wanted| wanted == if value.is_none() { "true" } else { "false" }));
    }
    // A pattern with a variable in it is another pattern for each request.
    let Some((test, negated)) = test(plain).filter(|_| !texts.iter().any(|text| text.contains("${"))) else {
        return unclear();
    };
    match value {
        None => is(if_exists || negated),
        Some(value) => is(texts.iter().any(|wanted| test(wanted, value)) != negated),
    }
}

fn is(so: bool) -> Met {
    if so { Met::Yes } else { Met::No }
}

type Test = fn(&str, &str) -> bool;

/// The test of an operator on a value that is there, and whether it is met where the test is not.
fn test(operator: &str) -> Option<(Test, bool)> {
    let equal: Test = |wanted, value| wanted == value;
    let equal_in_any_case: Test = |wanted, value| wanted.to_lowercase() == value.to_lowercase();
    Some(match operator {
        "StringEquals" => (equal, false),
        "StringNotEquals" => (equal, true),
        "StringEqualsIgnoreCase" => (equal_in_any_case, false),
        "StringNotEqualsIgnoreCase" => (equal_in_any_case, true),
        "StringLike" | "ArnEquals" | "ArnLike" => (wild, false),
        "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => (wild, true),
        "Bool" => (equal_in_any_case, false),
        _ => return None,
    })
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Text(text) => text.clone(),
            Scalar::Boolean(so) => so.to_string(),
            Scalar::Number(number) => number.to_string(),
        }
    }
}
