//! What is shown of a role.

use super::Role;
use crate::iam::{boundary, encode_policy, tags};
use roadstead_shapes::iam as api;

/// As IAM shows it.
pub fn view(role: &Role) -> api::Role {
    api::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn().to_string(),
        create_date: role.created,
        assume_role_policy_document: Some(encode_policy(&role.trust_policy)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        permissions_boundary: boundary::view(role.boundary.as_ref()),
        tags: Some(tags::shown(&role.tags)),
        ..Default::default()
    }
}

/// As lists show it (IAM API reference, ListRoles: "a subset of the available attributes").
pub fn listed(role: &Role) -> api::Role {
    api::Role { permissions_boundary: None, tags: None, ..view(role) }
}
