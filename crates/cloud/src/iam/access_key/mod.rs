//! Access keys. [`crate::fabric`] makes them known to hosts, which verify cluster tokens with them.

mod model;
pub mod ops;

pub use model::AccessKey;

use crate::iam::unique_id;
use crate::iam::user::User;
use roadstead_hostspec::Principal;
use roadstead_store::{Index, Read, Record, Tx};
use roadstead_types::Sealed;

/// An access key id is one character shorter than IAM's other ids: `AKIAIOSFODNN7EXAMPLE`.
const ID_LENGTH: usize = 20;

/// A new access key id: `AKIA` for a user's, `ASIA` for a session's.
pub fn new_id(tx: &mut Tx, prefix: &str) -> String {
    let mut id = unique_id(tx, prefix);
    id.truncate(ID_LENGTH);
    id
}

/// A user's access keys, by id.
pub fn of(read: &impl Read, user: &User) -> Vec<AccessKey> {
    let all = records_of(read, user).into_iter();
    all.filter(|record| record.deleting.is_none()).map(|record| record.body).collect()
}

/// The same as records, those that are being deleted included.
pub fn records_of(read: &impl Read, user: &User) -> Vec<Record<AccessKey>> {
    read.list(Index::<AccessKey>::by("user", format!("{}/{}", user.account, user.name.to_lowercase())))
}

/// Makes a user's access key.
pub fn create(tx: &mut Tx, user: &User, id: String, secret: Sealed) -> AccessKey {
    let principal =
        Principal { arn: user.arn().to_string(), unique_id: user.id.clone(), account: user.account.clone() };
    let key = AccessKey { id, secret, principal, user: user.name.clone(), active: true, created: tx.now() };
    tx.create(AccessKey::key(&key.id), Some(User::key(&user.account, &user.name).any()), key.clone());
    key
}
