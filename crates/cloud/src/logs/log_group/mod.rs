//! Log groups.

pub mod describe;
mod model;
pub mod ops;
pub mod tags;

pub use model::{Class, LogGroup};

use crate::logs::invalid;
use roadstead_kernel::Caller;
use roadstead_shapes::logs::RESOURCE_NOT_FOUND_EXCEPTION;
use roadstead_store::{Read, Record};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// The account's log group of that name.
fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<LogGroup>, Fault> {
    let missing = || RESOURCE_NOT_FOUND_EXCEPTION.fault("The specified log group does not exist.");
    read.get(&LogGroup::key(&caller.identity.account, name)).ok_or_else(missing)
}

/// The one of that ARN.
fn find_by_arn(read: &impl Read, caller: &Caller, text: &str) -> Result<Record<LogGroup>, Fault> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.service == "logs" && arn.region == caller.region);
    let name = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("log-group:"));
    let name = name.ok_or_else(|| invalid(format!("'{text}' is not the ARN of a log group of this region")))?;
    find(read, caller, name)
}
