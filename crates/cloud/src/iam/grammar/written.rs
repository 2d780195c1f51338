//! A policy's JSON, element by element.

use super::{Malformed, malformed};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use std::collections::BTreeMap;

/// Versions of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Version {
    /// Without policy variables.
    #[serde(rename = "2008-10-17")]
    V2008,
    /// With them.
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// May, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Effect {
    /// May.
    Allow,
    /// May not, whatever else says that it may.
    Deny,
}

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Principals {
    /// `*`.
    Anybody(String),
    /// Kind (`AWS`, `Service`, `Federated`, `CanonicalUser`) → names.
    Kinds(BTreeMap<PrincipalKind, Many<String>>),
}

/// Kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum PrincipalKind {
    /// Accounts, users, roles, sessions.
    #[serde(rename = "AWS")]
    Aws,
    /// `eks.amazonaws.com`.
    Service,
    /// Who an identity provider vouches for.
    Federated,
    /// An account by its other id.
    CanonicalUser,
}

/// A list; its only element may stand without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

/// Operator → key → values.
pub(super) type WrittenConditions = BTreeMap<String, BTreeMap<String, Many<Scalar>>>;

/// Numbers and booleans may stand without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Boolean(bool),
    Number(serde_json::Number),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Written {
    pub version: Option<Version>,
    pub id: Option<String>,
    pub statement: Many<WrittenStatement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct WrittenStatement {
    pub sid: Option<String>,
    pub effect: Effect,
    pub principal: Option<Principals>,
    pub not_principal: Option<Principals>,
    pub action: Option<Many<String>>,
    pub not_action: Option<Many<String>>,
    pub resource: Option<Many<String>>,
    pub not_resource: Option<Many<String>>,
    #[serde(default)]
    pub condition: WrittenConditions,
}

impl Written {
    pub(super) fn read(text: &str) -> Result<Written, Malformed> {
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| malformed("This policy contains invalid Json"))?;
        serde_json::from_str(text).map_err(|_| malformed("Syntax errors in policy."))
    }
}

impl Scalar {
    /// As if in quotes.
    pub(super) fn into_text(self) -> String {
        match self {
            Scalar::Text(text) => text,
            Scalar::Boolean(so) => so.to_string(),
            Scalar::Number(number) => number.to_string(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Many<T>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Many(Vec<T>),
            One(T),
        }
        Ok(match Either::deserialize(from)? {
            Either::Many(all) => Many(all),
            Either::One(one) => Many(vec![one]),
        })
    }
}
