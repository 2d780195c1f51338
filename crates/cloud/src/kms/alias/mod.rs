//! Aliases: names of keys.

mod model;
pub mod ops;

pub use model::Alias;

use crate::kms::key::KmsKey;
use roadstead_kernel::Caller;
use roadstead_shapes::kms::NOT_FOUND_EXCEPTION;
use roadstead_store::{Index, Read, Tx};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// The id of the key that an alias or an alias's ARN names; None if `named` is neither.
pub fn target(read: &impl Read, caller: &Caller, named: &str) -> Result<Option<String>, Fault> {
    let account = &caller.identity.account;
    let prefix = format!("arn:aws:kms:{}:{account}:", caller.region);
    let name = named.strip_prefix(&prefix).unwrap_or(named);
    if !name.starts_with("alias/") {
        return Ok(None);
    }
    let missing = || NOT_FOUND_EXCEPTION.fault(format!("Alias {} is not found.", arn(caller, name)));
    read.get(&Alias::key(account, name)).map(|record| Some(record.body.target)).ok_or_else(missing)
}

/// Removes a key's aliases.
pub fn forget(tx: &mut Tx, key: &KmsKey) {
    for record in of(tx, &key.account, &key.id) {
        tx.remove(&record.key);
    }
}

/// A key's aliases, by name.
fn of(read: &impl Read, account: &str, key: &str) -> Vec<roadstead_store::Record<Alias>> {
    read.list(Index::<Alias>::by("target", format!("{account}/{key}")))
}

fn arn(caller: &Caller, name: &str) -> Arn {
    Arn::new("kms", &caller.region, &caller.identity.account, name)
}
