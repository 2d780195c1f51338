//! Policies as they are written (IAM user guide, "Grammar of the IAM JSON policy language").
//!
//! [`Document::of_principal`] and [`Document::of_resource`] read a policy, typed, or say in AWS's words why a text is
//! none. What a policy means is decided elsewhere.

mod condition;
mod names;
mod written;

pub use condition::{Condition, Operator, Quantifier, Test};
pub use written::{Effect, Many, PrincipalKind, Principals, Version};

use std::collections::BTreeSet;
use written::{Written, WrittenStatement};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Of the language; 2008-10-17 if the policy does not say.
    pub version: Version,
    /// As given.
    pub id: Option<String>,
    /// At least one, in their order.
    pub statements: Vec<Statement>,
}

/// What somebody may or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// As given; unique in a principal's policy.
    pub sid: Option<String>,
    /// May, or may not.
    pub effect: Effect,
    /// Who: of a policy of a resource, always; of a principal's, never.
    pub principals: Option<Match<Principals>>,
    /// What: patterns like `eks:Describe*`.
    pub actions: Match<Vec<String>>,
    /// To what: patterns of ARNs.
    pub resources: Match<Vec<String>>,
    /// All must be met.
    pub conditions: Vec<Condition>,
}

/// What an element names, or all but that (`Action`, `NotAction`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// These.
    Only(T),
    /// All others.
    Except(T),
}

/// Why a text is no policy, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Document {
    /// The policy of a user, a group or a role: it says what, and never who.
    ///
    /// # Errors
    /// The text is none.
    pub fn of_principal(text: &str) -> Result<Document, Malformed> {
        let document = Document::read(text, principal_of_none)?;
        document.check_sids()?;
        Ok(document)
    }

    /// The policy of a resource (a key, a repository): each statement says who.
    ///
    /// # Errors
    /// The text is none.
    pub fn of_resource(text: &str) -> Result<Document, Malformed> {
        Document::read(text, principal_of_each)
    }

    fn read(text: &str, principals: Principal) -> Result<Document, Malformed> {
        let Written { version, id, statement } = Written::read(text)?;
        let statements = statement.0.into_iter().map(|statement| checked(statement, principals));
        let statements = statements.collect::<Result<Vec<_>, _>>()?;
        if statements.is_empty() {
            return Err(malformed("Syntax errors in policy."));
        }
        Ok(Document { version: version.unwrap_or(Version::V2008), id, statements })
    }

    /// In a principal's policy they are words, each there once; in a resource's they are its service's matter.
    fn check_sids(&self) -> Result<(), Malformed> {
        let mut seen = BTreeSet::new();
        for sid in self.statements.iter().filter_map(|statement| statement.sid.as_ref()) {
            names::check_sid(sid)?;
            if !sid.is_empty() && !seen.insert(sid) {
                return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
            }
        }
        Ok(())
    }
}

/// What a statement's principals must be.
type Principal = fn(&WrittenStatement) -> Result<(), Malformed>;

fn principal_of_none(statement: &WrittenStatement) -> Result<(), Malformed> {
    match (&statement.principal, &statement.not_principal) {
        (None, None) => Ok(()),
        _ => Err(malformed("Policy document should not specify a principal.")),
    }
}

fn principal_of_each(statement: &WrittenStatement) -> Result<(), Malformed> {
    match (&statement.principal, &statement.not_principal) {
        (None, None) => Err(malformed("Missing required field Principal")),
        (Some(Principals::Anybody(who)), _) | (_, Some(Principals::Anybody(who))) if who != "*" => {
            Err(malformed("Invalid principal in policy."))
        }
        _ => Ok(()),
    }
}

fn checked(statement: WrittenStatement, principals: Principal) -> Result<Statement, Malformed> {
    principals(&statement)?;
    let actions = some_of(statement.action, statement.not_action)?;
    let actions = actions.ok_or_else(|| malformed("Policy statement must contain actions."))?;
    let resources = some_of(statement.resource, statement.not_resource)?;
    let resources = resources.ok_or_else(|| malformed("Policy statement must contain resources."))?;
    resources.named().iter().try_for_each(|resource| names::check_resource(resource))?;
    actions.named().iter().try_for_each(|action| names::check_action(action))?;
    Ok(Statement {
        sid: statement.sid,
        effect: statement.effect,
        principals: one_of(statement.principal, statement.not_principal)?,
        actions,
        resources,
        conditions: condition::all(statement.condition)?,
    })
}

/// An element and its opposite never stand together.
fn one_of<T>(only: Option<T>, except: Option<T>) -> Result<Option<Match<T>>, Malformed> {
    match (only, except) {
        (Some(_), Some(_)) => Err(malformed("Syntax errors in policy.")),
        (only, except) => Ok(only.map(Match::Only).or(except.map(Match::Except))),
    }
}

/// The same of lists; an empty one says nothing.
fn some_of(only: Option<Many<String>>, except: Option<Many<String>>) -> Result<Option<Match<Vec<String>>>, Malformed> {
    let found = one_of(only.map(|many| many.0), except.map(|many| many.0))?;
    Ok(found.filter(|found| !found.named().is_empty()))
}

impl<T> Match<T> {
    /// What is named, whichever way.
    pub fn named(&self) -> &T {
        match self {
            Match::Only(named) | Match::Except(named) => named,
        }
    }
}

fn malformed(why: impl Into<String>) -> Malformed {
    Malformed(why.into())
}

#[cfg(test)]
mod tests;
