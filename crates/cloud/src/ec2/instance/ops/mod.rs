//! The instance operations.

use super::{Instance, Launch};
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Record};
use roadstead_wire::fault::Fault;

/// An account's instance, terminated ones included.
pub(crate) fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<Instance>, Fault> {
    let digits = id.strip_prefix("i-").filter(|digits| [8, 17].contains(&digits.len()));
    if digits.is_none_or(|digits| !digits.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(api::INVALID_INSTANCE_ID_MALFORMED.fault(format!("Invalid id: \"{id}\"")));
    }
    let record = read.get(&Instance::key(id));
    record
        .filter(|record| record.body.spec.account == account && record.body.spec.launch.is_some())
        .ok_or_else(|| missing(id))
}

pub(crate) fn missing(id: &str) -> Fault {
    api::INVALID_INSTANCE_ID_NOT_FOUND.fault(format!("The instance ID '{id}' does not exist"))
}

/// How a found instance was launched.
pub(crate) fn launched(record: &Record<Instance>) -> Result<&Launch, Fault> {
    record.body.spec.launch.as_ref().ok_or_else(|| missing(&record.body.spec.id))
}
