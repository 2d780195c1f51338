//! Keys.

mod model;
pub mod ops;
mod plan;
pub mod policy;
pub mod rotation;
pub mod state;
pub mod tags;

pub use model::{KmsKey, State};
pub use plan::KeyPlanner;

use roadstead_kernel::Caller;
use roadstead_shapes::kms::{INVALID_ARN_EXCEPTION, KMS_INVALID_STATE_EXCEPTION, NOT_FOUND_EXCEPTION};
use roadstead_store::{Read, Record};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// The account's key of that id or ARN.
pub fn find(read: &impl Read, caller: &Caller, named: &str) -> Result<Record<KmsKey>, Fault> {
    let account = &caller.identity.account;
    let id = match named.starts_with("arn:") {
        false => named,
        true => id_of_arn(named, caller)?,
    };
    if !is_id(id) {
        return Err(NOT_FOUND_EXCEPTION.fault(format!("Invalid keyId '{named}'")));
    }
    let missing = || {
        let arn = Arn::new("kms", &caller.region, account, format!("key/{id}"));
        NOT_FOUND_EXCEPTION.fault(format!("Key '{arn}' does not exist"))
    };
    read.get(&KmsKey::key(account, id)).ok_or_else(missing)
}

/// The same of one that is not about to be deleted.
fn find_usable(read: &impl Read, caller: &Caller, named: &str) -> Result<Record<KmsKey>, Fault> {
    let record = find(read, caller, named)?;
    check_usable(&record.body, &caller.region)?;
    Ok(record)
}

/// Refuses a key that is about to be deleted.
pub fn check_usable(key: &KmsKey, region: &str) -> Result<(), Fault> {
    match key.state {
        State::Enabled | State::Disabled => Ok(()),
        State::PendingDeletion { .. } => {
            Err(KMS_INVALID_STATE_EXCEPTION.fault(format!("{} is pending deletion.", key.arn(region))))
        }
    }
}

fn id_of_arn<'a>(named: &'a str, caller: &Caller) -> Result<&'a str, Fault> {
    let invalid = || INVALID_ARN_EXCEPTION.fault(format!("Invalid arn {named}"));
    let arn: Arn = named.parse().map_err(|_| invalid())?;
    let own = arn.service == "kms" && arn.region == caller.region && arn.account == caller.identity.account;
    let id = named.rsplit_once(":key/").map(|(_, id)| id);
    id.filter(|_| own).ok_or_else(invalid)
}

/// A UUID.
fn is_id(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
