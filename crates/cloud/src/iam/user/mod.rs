//! Users.

mod model;
pub mod ops;
pub mod policies;

pub use model::User;

use crate::iam::grants::Grants;
use crate::iam::policy::aws::{self, ADMINISTRATOR_ACCESS};
use crate::iam::{access_key, unique_id};
use roadstead_store::{Read as _, Record, Tx};
use roadstead_types::Tags;
use std::collections::BTreeSet;

/// Makes a user.
pub fn create(tx: &mut Tx, account: &str, name: &str, path: &str) -> User {
    let user = User {
        name: name.into(),
        id: unique_id(tx, "AIDA"),
        account: account.into(),
        path: path.into(),
        grants: Grants::default(),
        boundary: None,
        groups: BTreeSet::new(),
        tags: Tags::new(),
        created: tx.now(),
    };
    tx.create(User::key(account, name), None, user.clone());
    user
}

/// Lets a user do everything, if there is one of that name.
pub fn make_administrator(tx: &mut Tx, account: &str, name: &str) {
    let (record, policy) = (tx.get(&User::key(account, name)), aws::find(ADMINISTRATOR_ACCESS));
    if let (Some(mut record), Some(policy)) = (record, policy) {
        record.body.grants.attached.insert(policy.arn(), policy.name.to_owned());
        tx.put(record);
    }
}

/// Gives a user another name or path. Its access keys are still its own; sessions that it began for itself end.
fn rename(tx: &mut Tx, record: Record<User>, user: User) {
    let key = User::key(&user.account, &user.name);
    let access_keys = access_key::records_of(tx, &record.body);
    if key == record.key {
        tx.put(Record { body: user.clone(), ..record });
    } else {
        tx.remove(&record.key);
        tx.create(key.clone(), None, user.clone());
    }
    for mut access_key in access_keys {
        access_key.owner = Some(key.any());
        access_key.body.user.clone_from(&user.name);
        access_key.body.principal.arn = user.arn().to_string();
        tx.put(access_key);
    }
}
