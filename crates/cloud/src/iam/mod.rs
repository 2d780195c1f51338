//! IAM: who there is, and who may do what.

pub mod access_key;
pub mod instance_profile;
mod managed;
mod policies;
pub mod role;
pub mod trust;
mod unique_id;
pub mod user;

pub use policies::OwnAccount;
pub use unique_id::unique_id;

use roadstead_kernel::Service;
use roadstead_shapes::iam as api;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_ROLE, role::ops::create)
        .read(&api::GET_ROLE, role::ops::get)
        .read(&api::LIST_ROLES, role::ops::list)
        .write(&api::DELETE_ROLE, role::ops::delete)
        .write(&api::ATTACH_ROLE_POLICY, role::ops::attach_policy)
        .write(&api::DETACH_ROLE_POLICY, role::ops::detach_policy)
        .read(&api::LIST_ATTACHED_ROLE_POLICIES, role::ops::list_attached_policies)
        .write(&api::CREATE_USER, user::ops::create)
        .write_secret(&api::CREATE_ACCESS_KEY, access_key::ops::create)
        .write(&api::DELETE_ACCESS_KEY, access_key::ops::delete)
}

/// A policy document as IAM answers it: URL-encoded (RFC 3986).
fn encode_policy(document: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    document.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
