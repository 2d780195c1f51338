//! IAM: who there is, and who may do what.

pub mod access_key;
pub mod account_alias;
pub mod boundary;
pub mod evaluate;
pub mod grammar;
pub mod grants;
pub mod group;
pub mod instance_profile;
mod listing;
pub mod oidc_provider;
pub mod policy;
pub mod principal;
pub mod role;
mod simulation;
mod tags;
pub mod trust;
mod unique_id;
pub mod user;

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
        .write(&api::PUT_ROLE_PERMISSIONS_BOUNDARY, boundary::put_of_role)
        .write(&api::DELETE_ROLE_PERMISSIONS_BOUNDARY, boundary::delete_of_role)
        .write(&api::CREATE_SERVICE_LINKED_ROLE, role::service_linked::create)
        .write(&api::DELETE_SERVICE_LINKED_ROLE, role::service_linked::delete)
        .read(&api::GET_SERVICE_LINKED_ROLE_DELETION_STATUS, role::service_linked::deletion_status)
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
        .write(&api::CREATE_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::create)
        .read(&api::GET_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::get)
        .read(&api::LIST_OPEN_ID_CONNECT_PROVIDERS, oidc_provider::ops::list)
        .write(&api::DELETE_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::delete)
        .write(&api::UPDATE_OPEN_ID_CONNECT_PROVIDER_THUMBPRINT, oidc_provider::ops::update_thumbprint)
        .write(&api::ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::add_client_id)
        .write(&api::REMOVE_CLIENT_ID_FROM_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::remove_client_id)
        .write(&api::TAG_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::tag)
        .write(&api::UNTAG_OPEN_ID_CONNECT_PROVIDER, oidc_provider::ops::untag)
        .read(&api::LIST_OPEN_ID_CONNECT_PROVIDER_TAGS, oidc_provider::ops::list_tags)
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
        .read(&api::SIMULATE_CUSTOM_POLICY, simulation::custom)
        .read(&api::SIMULATE_PRINCIPAL_POLICY, simulation::principal)
        .write(&api::CREATE_USER, user::ops::create)
        .read(&api::GET_USER, user::ops::get)
        .read(&api::LIST_USERS, user::ops::list)
        .write(&api::DELETE_USER, user::ops::delete)
        .write(&api::UPDATE_USER, user::ops::update)
        .write(&api::TAG_USER, user::ops::tag)
        .write(&api::UNTAG_USER, user::ops::untag)
        .read(&api::LIST_USER_TAGS, user::ops::list_tags)
        .write(&api::ATTACH_USER_POLICY, user::policies::attach)
        .write(&api::DETACH_USER_POLICY, user::policies::detach)
        .read(&api::LIST_ATTACHED_USER_POLICIES, user::policies::list_attached)
        .write(&api::PUT_USER_POLICY, user::policies::put)
        .read(&api::GET_USER_POLICY, user::policies::get)
        .read(&api::LIST_USER_POLICIES, user::policies::list)
        .write(&api::DELETE_USER_POLICY, user::policies::delete)
        .write(&api::PUT_USER_PERMISSIONS_BOUNDARY, boundary::put_of_user)
        .write(&api::DELETE_USER_PERMISSIONS_BOUNDARY, boundary::delete_of_user)
        .write(&api::CREATE_GROUP, group::ops::create)
        .read(&api::GET_GROUP, group::ops::get)
        .read(&api::LIST_GROUPS, group::ops::list)
        .write(&api::DELETE_GROUP, group::ops::delete)
        .write(&api::ADD_USER_TO_GROUP, group::ops::add_user)
        .write(&api::REMOVE_USER_FROM_GROUP, group::ops::remove_user)
        .read(&api::LIST_GROUPS_FOR_USER, group::ops::list_for_user)
        .write(&api::ATTACH_GROUP_POLICY, group::policies::attach)
        .write(&api::DETACH_GROUP_POLICY, group::policies::detach)
        .read(&api::LIST_ATTACHED_GROUP_POLICIES, group::policies::list_attached)
        .write(&api::PUT_GROUP_POLICY, group::policies::put)
        .read(&api::GET_GROUP_POLICY, group::policies::get)
        .read(&api::LIST_GROUP_POLICIES, group::policies::list)
        .write(&api::DELETE_GROUP_POLICY, group::policies::delete)
        .write(&api::CREATE_ACCOUNT_ALIAS, account_alias::create)
        .read(&api::LIST_ACCOUNT_ALIASES, account_alias::list)
        .write(&api::DELETE_ACCOUNT_ALIAS, account_alias::delete)
        .write_secret(&api::CREATE_ACCESS_KEY, access_key::ops::create)
        .read(&api::LIST_ACCESS_KEYS, access_key::ops::list)
        .write(&api::UPDATE_ACCESS_KEY, access_key::ops::update)
        .write(&api::DELETE_ACCESS_KEY, access_key::ops::delete)
}

/// A policy document as IAM answers it: URL-encoded (RFC 3986).
fn encode_policy(document: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    document.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
