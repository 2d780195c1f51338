//! Trust policies: who may assume a role (IAM user guide, "IAM JSON policy elements").
//!
//! What is not evaluated here never lets anybody in: an `Allow` that says it counts as not there, a `Deny` as met, and
//! the refusal names it.

mod condition;
mod document;

pub use condition::Context;
pub use document::{Document, check};

use crate::iam::evaluate::wild;
use condition::Met;
use document::{Effect, Principals, Statement};
use roadstead_kernel::Identity;

/// Who wants to assume the role.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A user, or a session of a role.
    Identity(&'a Identity),
    /// The same, where only what names it, its role or everybody counts, and not what names its account.
    Itself(&'a Identity),
    /// A service: `ec2.amazonaws.com`.
    Service(&'a str),
}

/// What a trust policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No, and what of the policy is not evaluated here, if that is why.
    Refused(Option<String>),
}

/// Whether the policy lets `who` do `action` (`sts:AssumeRole`).
pub fn evaluate(policy: &str, who: Who<'_>, action: &str, context: &Context) -> Verdict {
    let Ok(document) = Document::read(policy) else { return Verdict::Refused(None) };
    let (mut allowed, mut unclear) = (false, None);
    for statement in &document.statement {
        match (statement.effect, applies(statement, who, action, context)) {
            (_, Met::No) => {}
            (Effect::Allow, Met::Yes) => allowed = true,
            (Effect::Deny, Met::Yes) => return Verdict::Refused(None),
            (Effect::Deny, Met::Unclear(what)) => return Verdict::Refused(Some(what)),
            (Effect::Allow, Met::Unclear(what)) => unclear = Some(what),
        }
    }
    if allowed { Verdict::Allowed } else { Verdict::Refused(unclear) }
}

fn applies(statement: &Statement, who: Who<'_>, action: &str, context: &Context) -> Met {
    let names_action = statement.action.iter().any(|pattern| wild(&pattern.to_lowercase(), &action.to_lowercase()));
    let is_named = statement.principal.as_ref().is_some_and(|principals| names(principals, who));
    if statement.uses_exclusions() {
        return Met::Unclear("NotPrincipal or NotAction".into());
    }
    if !names_action || !is_named {
        return Met::No;
    }
    condition::met(&statement.condition, context)
}

fn names(principals: &Principals, who: Who<'_>) -> bool {
    match (principals, who) {
        (Principals::Everybody(star), Who::Identity(_) | Who::Itself(_)) => star == "*",
        (Principals::Everybody(_), Who::Service(_)) => false,
        (Principals::Kinds(kinds), Who::Identity(identity)) => {
            kinds.aws.iter().any(|principal| names_account(principal, identity) || names_itself(principal, identity))
        }
        (Principals::Kinds(kinds), Who::Itself(identity)) => {
            kinds.aws.iter().any(|principal| names_itself(principal, identity))
        }
        (Principals::Kinds(kinds), Who::Service(service)) => kinds.service.iter().any(|name| name == service),
    }
}

/// An account stands for whom its own policies let; so do its root's ARN and its bare number.
fn names_account(principal: &str, identity: &Identity) -> bool {
    principal == identity.account || principal == format!("arn:aws:iam::{}:root", identity.account)
}

fn names_itself(principal: &str, identity: &Identity) -> bool {
    let role = identity.role.as_ref().map(ToString::to_string);
    principal == "*" || principal == identity.arn.to_string() || role.as_deref() == Some(principal)
}

#[cfg(test)]
mod tests;
