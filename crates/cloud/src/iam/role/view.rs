//! What is shown of a role.

use super::Role;
use crate::iam::{encode_policy, tags};
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
        tags: Some(tags::shown(&role.tags)),
        ..Default::default()
    }
}
