//! Who may? Each operation says what it touches; the kernel asks before the handler exists, on the view that the call
//! came upon, and again inside the writer's transaction.

use crate::caller::{Caller, Identity};
use roadstead_store::Read;
use roadstead_types::{AccountId, Region};
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{AnyOperation, Value};

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// `eks:CreateCluster`.
    pub action: &'a str,
    /// The ARN it touches, or `*`.
    pub resource: &'a str,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// No, and why in the words that follow `because`.
    Deny(&'static str),
}

/// What applies to a principal. Implemented by the nouns that hold policies, handed in at assembly.
pub trait Policies: Send + Sync + 'static {
    /// Decides.
    fn decide(&self, read: &impl Read, ask: Ask<'_>) -> Decision;
}

/// Asks for everything that the operation touches, and for each role that the caller hands to the service
/// (IAM user guide, "Granting a user permissions to pass a role").
pub(crate) fn check<P: Policies>(
    policies: &P,
    read: &impl Read,
    operation: &AnyOperation,
    caller: &Caller,
    input: &Value,
) -> Result<(), Fault> {
    if operation.open {
        return Ok(());
    }
    let account = AccountId(caller.identity.account.clone());
    let region = Region(caller.region.clone());
    for resource in operation.targets(input, &account, &region) {
        permit(policies, read, caller, operation.action, &resource)?;
    }
    for member in operation.pass_role {
        if let Value::Struct(members) = input
            && let Some(Value::String(role)) = members.get(member)
        {
            permit(policies, read, caller, "iam:PassRole", role)?;
        }
    }
    Ok(())
}

/// Asks one question.
pub(crate) fn permit<P: Policies>(
    policies: &P,
    read: &impl Read,
    caller: &Caller,
    action: &str,
    resource: &str,
) -> Result<(), Fault> {
    match policies.decide(read, Ask { identity: &caller.identity, action, resource }) {
        Decision::Allow => Ok(()),
        Decision::Deny(why) => Err(Common::AccessDenied.fault(format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} because {why}",
            caller.identity.arn
        ))),
    }
}
