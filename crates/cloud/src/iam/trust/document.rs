use super::condition::Conditions;
use roadstead_shapes::iam::MALFORMED_POLICY_DOCUMENT_EXCEPTION;
use roadstead_wire::fault::Fault;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

/// A trust policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    /// One may stand without its brackets.
    #[serde(deserialize_with = "one_or_many")]
    pub(super) statement: Vec<Statement>,
}

/// What somebody may or may not.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Statement {
    pub effect: Effect,
    pub principal: Option<Principals>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub action: Vec<String>,
    #[serde(default)]
    pub condition: Conditions,
    not_principal: Option<IgnoredAny>,
    not_action: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Principals {
    /// `*`.
    Everybody(String),
    /// By kind.
    Kinds(Kinds),
}

/// Principals of the kinds that call this region; others (federated, canonical users) are nobody here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Kinds {
    #[serde(rename = "AWS", deserialize_with = "one_or_many")]
    pub aws: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    pub service: Vec<String>,
}

impl Document {
    /// The policy in a text.
    pub fn read(text: &str) -> Result<Document, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// ARNs and accounts that it names.
    pub fn principals(&self) -> impl Iterator<Item = &str> {
        let kinds = self.statement.iter().filter_map(|statement| match &statement.principal {
            Some(Principals::Kinds(kinds)) => Some(kinds),
            Some(Principals::Everybody(_)) | None => None,
        });
        kinds.flat_map(|kinds| &kinds.aws).map(String::as_str)
    }
}

impl Statement {
    /// Says whom or what it does not mean.
    pub fn uses_exclusions(&self) -> bool {
        self.not_principal.is_some() || self.not_action.is_some()
    }
}

/// Refuses what is no trust policy: a JSON object with statements that each say who and what.
pub fn check(text: &str) -> Result<Document, Fault> {
    let malformed = |why: &str| MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why);
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    let document = Document::read(text).map_err(|_| malformed("Syntax errors in policy."))?;
    for statement in &document.statement {
        if statement.principal.is_none() && statement.not_principal.is_none() {
            return Err(malformed("Missing required field Principal"));
        }
        if statement.action.is_empty() && statement.not_action.is_none() {
            return Err(malformed("Missing required field Action"));
        }
        if matches!(&statement.principal, Some(Principals::Everybody(who)) if who != "*") {
            return Err(malformed("Invalid principal in policy."));
        }
    }
    Ok(document)
}

/// A list, or its only element.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Many(Vec<T>),
        One(T),
    }
    Ok(match Either::deserialize(from)? {
        Either::Many(all) => all,
        Either::One(one) => vec![one],
    })
}
