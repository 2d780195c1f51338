//! The instance operations.

mod attribute;
mod describe;
mod run;
mod state;

pub use attribute::{console_output, describe_attribute, modify_attribute};
pub use describe::{describe, describe_status, status_may_change, will_change};
pub use run::run;
pub use state::{reboot, start, stop, terminate};

use super::{Instance, Launch};
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Record};
use roadstead_wire::fault::Fault;

/// An account's instance, terminated ones included.
pub(crate) fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<Instance>, Fault> {
    let record = read.get(&Instance::key(id)).filter(|record| record.body.spec.account == account);
    record.filter(|record| record.body.spec.launch.is_some()).ok_or_else(|| missing(&[id]))
}

/// The fault for ids that no instance has, or that are none.
pub(crate) fn missing(ids: &[&str]) -> Fault {
    let is_id = |id: &&&str| {
        let digits = id.strip_prefix("i-").filter(|digits| [8, 17].contains(&digits.len()));
        digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match (ids.iter().find(|id| !is_id(id)), ids) {
        (Some(id), _) => api::INVALID_INSTANCE_ID_MALFORMED.fault(format!("Invalid id: \"{id}\"")),
        (None, [id]) => api::INVALID_INSTANCE_ID_NOT_FOUND.fault(format!("The instance ID '{id}' does not exist")),
        (None, ids) => {
            let why = format!("The instance IDs '{}' do not exist", ids.join(", "));
            api::INVALID_INSTANCE_ID_NOT_FOUND.fault(why)
        }
    }
}

/// How a found instance was launched.
pub(crate) fn launched(record: &Record<Instance>) -> Result<&Launch, Fault> {
    record.body.spec.launch.as_ref().ok_or_else(|| missing(&[&record.body.spec.id]))
}
