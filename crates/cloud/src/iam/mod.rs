//! IAM: who there is, and who may do what.

pub mod access_key;
pub mod grammar;
pub mod grants;
pub mod instance_profile;
mod listing;
mod policies;
pub mod policy;
pub mod role;
mod tags;
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
        .write(&api::ATTACH_ROLE_POLICY, role::policies::attach)
        .write(&api::DETACH_ROLE_POLICY, role::policies::detach)
        .read(&api::LIST_ATTACHED_ROLE_POLICIES, role::policies::list_attached)
        .write(&api::UPDATE_ROLE, role::ops::update)
        .write(&api::UPDATE_ASSUME_ROLE_POLICY, role::ops::update_trust_policy)
        .write(&api::TAG_ROLE, role::ops::tag)
        .write(&api::UNTAG_ROLE, role::ops::untag)
        .read(&api::LIST_ROLE_TAGS, role::ops::list_tags)
        .write(&api::PUT_ROLE_POLICY, role::policies::put)
        .read(&api::GET_ROLE_POLICY, role::policies::get)
        .read(&api::LIST_ROLE_POLICIES, role::policies::list)
        .write(&api::DELETE_ROLE_POLICY, role::policies::delete)
        .write(&api::CREATE_INSTANCE_PROFILE, instance_profile::ops::create)
        .read(&api::GET_INSTANCE_PROFILE, instance_profile::ops::get)
        .read(&api::LIST_INSTANCE_PROFILES, instance_profile::ops::list)
        .read(&api::LIST_INSTANCE_PROFILES_FOR_ROLE, instance_profile::ops::list_for_role)
        .write(&api::ADD_ROLE_TO_INSTANCE_PROFILE, instance_profile::ops::add_role)
        .write(&api::REMOVE_ROLE_FROM_INSTANCE_PROFILE, instance_profile::ops::remove_role)
        .write(&api::DELETE_INSTANCE_PROFILE, instance_profile::ops::delete)
        .write(&api::TAG_INSTANCE_PROFILE, instance_profile::ops::tag)
        .write(&api::UNTAG_INSTANCE_PROFILE, instance_profile::ops::untag)
        .read(&api::LIST_INSTANCE_PROFILE_TAGS, instance_profile::ops::list_tags)
        .write(&api::CREATE_POLICY, policy::ops::create)
        .read(&api::GET_POLICY, policy::ops::get)
        .read(&api::LIST_POLICIES, policy::ops::list)
        .write(&api::DELETE_POLICY, policy::ops::delete)
        .read(&api::LIST_ENTITIES_FOR_POLICY, policy::entities::list)
        .write(&api::CREATE_POLICY_VERSION, policy::versions::create)
        .read(&api::GET_POLICY_VERSION, policy::versions::get)
        .read(&api::LIST_POLICY_VERSIONS, policy::versions::list)
        .write(&api::SET_DEFAULT_POLICY_VERSION, policy::versions::set_default)
        .write(&api::DELETE_POLICY_VERSION, policy::versions::delete)
        .write(&api::TAG_POLICY, policy::ops::tag)
        .write(&api::UNTAG_POLICY, policy::ops::untag)
        .read(&api::LIST_POLICY_TAGS, policy::ops::list_tags)
        .write(&api::CREATE_USER, user::ops::create)
        .read(&api::GET_USER, user::ops::get)
        .read(&api::LIST_USERS, user::ops::list)
        .write(&api::DELETE_USER, user::ops::delete)
        .write_secret(&api::CREATE_ACCESS_KEY, access_key::ops::create)
        .read(&api::LIST_ACCESS_KEYS, access_key::ops::list)
        .write(&api::DELETE_ACCESS_KEY, access_key::ops::delete)
}

/// A policy document as IAM answers it: URL-encoded (RFC 3986).
fn encode_policy(document: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    document.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
