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

/// Asks for everything that the operation touches.
pub(crate) fn check<P: Policies>(
    policies: &P,
    read: &impl Read,
    operation: &AnyOperation,
    caller: &Caller,
    input: &Value,
) -> Result<(), Fault> {
    let account = AccountId(caller.identity.account.clone());
    let region = Region(caller.region.clone());
    for resource in operation.targets(input, &account, &region) {
        let ask = Ask { identity: &caller.identity, action: operation.action, resource: &resource };
        if let Decision::Deny(why) = policies.decide(read, ask) {
            let who = &caller.identity.arn;
            return Err(Common::AccessDenied.fault(format!(
                "User: {who} is not authorized to perform: {} on resource: {resource} because {why}",
                operation.action
            )));
        }
    }
    Ok(())
}
