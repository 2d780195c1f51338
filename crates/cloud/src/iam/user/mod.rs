//! Users.

mod model;
pub mod ops;

pub use model::User;

use crate::iam::unique_id;
use roadstead_store::{Read as _, Tx};
use roadstead_types::Tags;

/// Makes a user.
pub fn create(tx: &mut Tx, account: &str, name: &str, path: &str) -> User {
    let user = User {
        name: name.into(),
        id: unique_id(tx, "AIDA"),
        account: account.into(),
        path: path.into(),
        tags: Tags::new(),
        created: tx.now(),
    };
    tx.create(User::key(account, name), None, user.clone());
    user
}
