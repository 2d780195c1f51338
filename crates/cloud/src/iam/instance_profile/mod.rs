//! Instance profiles: how roles get to instances.

mod model;
pub mod ops;

pub use model::InstanceProfile;

use crate::iam::unique_id;
use roadstead_store::{Read, Tx};
use roadstead_types::Tags;

/// The account's instance profile of that name.
pub fn find(read: &impl Read, account: &str, name: &str) -> Option<InstanceProfile> {
    Some(read.get(&InstanceProfile::key(account, name))?.body)
}

/// Makes the instance profile with that role in the user's account, as EKS does for a managed node group; one that is
/// there is left as it is.
pub fn create_for_service(tx: &mut Tx, account: &str, name: &str, role: &str) -> InstanceProfile {
    find(tx, account, name).unwrap_or_else(|| create(tx, account, name, "/", Some(role.to_owned())))
}

/// Removes one that a service made.
pub fn remove_for_service(tx: &mut Tx, account: &str, name: &str) {
    tx.remove(&InstanceProfile::key(account, name));
}

fn create(tx: &mut Tx, account: &str, name: &str, path: &str, role: Option<String>) -> InstanceProfile {
    let profile = InstanceProfile {
        name: name.into(),
        id: unique_id(tx, "AIPA"),
        account: account.into(),
        path: path.into(),
        role,
        tags: Tags::new(),
        created: tx.now(),
    };
    tx.create(InstanceProfile::key(account, name), None, profile.clone());
    profile
}
