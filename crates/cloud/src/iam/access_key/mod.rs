//! Access keys. [`crate::fabric`] makes them known to hosts, which verify cluster tokens with them.

mod model;
pub mod ops;

pub use model::AccessKey;

use crate::iam::user::User;
use roadstead_hostspec::Principal;
use roadstead_store::{Read as _, Tx};
use roadstead_types::Sealed;

/// Makes a user's access key.
pub fn create(tx: &mut Tx, user: &User, id: String, secret: Sealed) -> AccessKey {
    let principal =
        Principal { arn: user.arn().to_string(), unique_id: user.id.clone(), account: user.account.clone() };
    let key = AccessKey { id, secret, principal, user: user.name.clone(), active: true, created: tx.now() };
    tx.create(AccessKey::key(&key.id), Some(User::key(&user.account, &user.name).any()), key.clone());
    key
}
