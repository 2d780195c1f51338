//! Who may? Each operation says what it touches; the kernel asks before the handler exists, on the view that the call
//! came upon, and again inside the writer's transaction.

use crate::caller::Caller;
use roadstead_store::Read;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{AnyOperation, Origin, Protocol, Value};

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who, and from where.
    pub caller: &'a Caller,
    /// `eks:CreateCluster`.
    pub action: &'a str,
    /// The ARN it touches, or `*`.
    pub resource: &'a str,
    /// What was called; none where no operation stands for it.
    pub call: Option<Call<'a>>,
}

/// An operation and what it was given.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The operation.
    pub operation: &'a AnyOperation,
    /// Its input, which the model lets pass.
    pub input: &'a Value,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// No.
    Deny(Denial),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No policy of the principal says that it may.
    NoIdentityPolicy,
    /// A policy of the principal says that it may not.
    IdentityPolicy,
    /// The principal has a permissions boundary, which does not say that it may.
    NoBoundary,
    /// It says that it may not.
    Boundary,
    /// The resource is another account's, and nothing there says that the principal may.
    NoResourcePolicy,
    /// The session was given policies of its own, and none of them says that it may.
    NoSessionPolicy,
    /// One of them says that it may not.
    SessionPolicy,
}

/// What applies to a principal. Implemented by the nouns that hold policies, handed in at assembly.
pub trait Policies: Send + Sync + 'static {
    /// Decides.
    fn decide(&self, read: &impl Read, ask: Ask<'_>) -> Decision;

    /// What a call needs beside its own action on its own resources: actions on ARNs.
    fn more(&self, read: &impl Read, caller: &Caller, call: Call<'_>) -> Vec<(&'static str, String)>;
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
    let identity = &caller.identity;
    let origin = Origin { account: &identity.account, region: &caller.region, name: identity.arn.name() };
    let call = Call { operation, input };
    let ask = |action: &str, resource: &str| permit(policies, read, Ask { caller, action, resource, call: Some(call) });
    for resource in operation.targets(input, &origin) {
        ask(operation.action, &resource)?;
    }
    for member in operation.pass_role {
        if let Some(Value::String(role)) = input.at(member) {
            ask("iam:PassRole", role)?;
        }
    }
    policies.more(read, caller, call).iter().try_for_each(|(action, resource)| ask(action, resource))
}

/// Asks one question.
pub(crate) fn permit<P: Policies>(policies: &P, read: &impl Read, ask: Ask<'_>) -> Result<(), Fault> {
    match policies.decide(read, ask) {
        Decision::Allow => Ok(()),
        Decision::Deny(why) => Err(Common::AccessDenied.fault(words(ask, why))),
    }
}

/// As AWS says it (IAM user guide, "Access denied error message examples").
fn words(ask: Ask<'_>, why: Denial) -> String {
    let Ask { caller, action, resource, call } = ask;
    let why = match why {
        Denial::NoIdentityPolicy => format!("because no identity-based policy allows the {action} action"),
        Denial::IdentityPolicy => "with an explicit deny in an identity-based policy".to_owned(),
        Denial::NoBoundary => format!("because no permissions boundary allows the {action} action"),
        Denial::Boundary => "with an explicit deny in a permissions boundary".to_owned(),
        Denial::NoResourcePolicy => format!("because no resource-based policy allows the {action} action"),
        Denial::NoSessionPolicy => format!("because no session policy allows the {action} action"),
        Denial::SessionPolicy => "with an explicit deny in a session policy".to_owned(),
    };
    let who = &caller.identity.arn;
    let is_ec2 = call.is_some_and(|call| call.operation.service.protocols.first() == Some(&Protocol::Ec2Query));
    match (is_ec2, resource) {
        (false, _) => format!("User: {who} is not authorized to perform: {action} on resource: {resource} {why}"),
        // EC2 has words of its own before, and says nothing of a resource that is none.
        (true, "*") => format!(
            "You are not authorized to perform this operation. User: {who} is not authorized to perform: {action} {why}"
        ),
        (true, _) => format!(
            "You are not authorized to perform this operation. User: {who} is not authorized to perform: {action} on resource: {resource} {why}"
        ),
    }
}
