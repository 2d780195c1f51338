//! Managed policies: a customer's own, in versions, and those that AWS gives everybody.

pub mod aws;
pub mod entities;
mod model;
pub mod ops;
pub mod versions;
mod view;

pub use model::{Policy, Version};

use aws::AwsPolicy;
use roadstead_kernel::Caller;
use roadstead_shapes::iam::{INVALID_INPUT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION, POLICY_NOT_ATTACHABLE_EXCEPTION};
use roadstead_store::{Read, Record};
use roadstead_types::Arn;
use roadstead_wire::fault::{Common, Fault};

/// A managed policy that is there.
enum Found {
    /// Of AWS.
    Aws(&'static AwsPolicy),
    /// Of the caller's account.
    Own(Box<Record<Policy>>),
}

/// The name of a managed policy that somebody in the account may have attached.
pub fn attachable(read: &impl Read, account: &str, arn: &str) -> Result<String, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {arn} does not exist or is not attachable."));
    for_entities(read, account, arn)?.ok_or_else(missing)
}

/// The name of a managed policy, if it is there, that is not for service-linked roles alone.
pub fn for_entities(read: &impl Read, account: &str, arn: &str) -> Result<Option<String>, Fault> {
    match look(read, account, arn)? {
        Some(Found::Own(record)) => Ok(Some(record.body.name)),
        Some(Found::Aws(policy)) if policy.path == aws::OF_SERVICE_LINKED_ROLES => {
            Err(POLICY_NOT_ATTACHABLE_EXCEPTION.fault("Cannot attach a Service Role Policy to a Customer Role."))
        }
        Some(Found::Aws(policy)) => Ok(Some(policy.name.to_owned())),
        None => Ok(None),
    }
}

/// Refuses what is no ARN of a managed policy.
pub fn check_arn(text: &str) -> Result<Arn, Fault> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.service == "iam" && arn.resource.starts_with("policy/"));
    arn.ok_or_else(|| INVALID_INPUT_EXCEPTION.fault(format!("ARN {text} is not valid.")))
}

/// The path in a managed policy's ARN: `/` or `/a/b/`.
pub fn path_of(arn: &str) -> &str {
    let rest = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    rest.rfind('/').map_or("/", |last| &rest[..=last])
}

/// The name in a managed policy's ARN.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The managed policy of that ARN.
fn find(read: &impl Read, caller: &Caller, arn: &str) -> Result<Found, Fault> {
    let found = look(read, &caller.identity.account, arn)?;
    found.ok_or_else(|| NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {arn} was not found.")))
}

/// The account's own managed policy of that ARN, which `action` (`iam:DeletePolicy`) changes. Nobody changes those of AWS.
fn find_own(read: &impl Read, caller: &Caller, arn: &str, action: &str) -> Result<Record<Policy>, Fault> {
    match find(read, caller, arn)? {
        Found::Own(record) => Ok(*record),
        Found::Aws(_) => {
            let who = &caller.identity.arn;
            let why = format!("User: {who} is not authorized to perform: {action} on resource: policy {arn}");
            Err(Common::AccessDenied.fault(why))
        }
    }
}

fn look(read: &impl Read, account: &str, text: &str) -> Result<Option<Found>, Fault> {
    let arn = check_arn(text)?;
    if arn.account == "aws" {
        return Ok(aws::find(text).map(Found::Aws));
    }
    let record = read.get(&Policy::key(account, arn.name()));
    Ok(record.filter(|record| record.body.arn() == arn).map(Box::new).map(Found::Own))
}
