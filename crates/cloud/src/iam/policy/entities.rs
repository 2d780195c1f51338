//! Who has a managed policy.

use super::find;
use crate::iam::boundary;
use crate::iam::grants::index_value;
use crate::iam::group::Group;
use crate::iam::listing;
use crate::iam::role::Role;
use crate::iam::user::User;
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_store::{Index, Read, View};
use roadstead_wire::fault::Fault;
use std::collections::BTreeMap;

/// Somebody who has it.
enum Entity {
    Group(api::PolicyGroup),
    User(api::PolicyUser),
    Role(api::PolicyRole),
}

/// How many in the account have it.
pub fn count(read: &impl Read, account: &str, arn: &str) -> usize {
    let value = index_value(account, arn);
    read.count(Index::<Role>::by("policy", value.clone()))
        + read.count(Index::<User>::by("policy", value.clone()))
        + read.count(Index::<Group>::by("policy", value))
}

/// How many in the account have it for a boundary.
pub fn bounded(read: &impl Read, account: &str, arn: &str) -> usize {
    let value = index_value(account, arn);
    read.count(Index::<Role>::by(boundary::INDEX, value.clone()))
        + read.count(Index::<User>::by(boundary::INDEX, value))
}

/// IAM ListEntitiesForPolicy, by kind and name.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListEntitiesForPolicyRequest,
) -> Result<api::ListEntitiesForPolicyResponse, Fault> {
    find(view, caller, &input.policy_arn)?;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let usage = input.policy_usage_filter;
    let indexes: &[&'static str] = match usage {
        None => &["policy", boundary::INDEX],
        Some(api::PolicyUsageType::PermissionsPolicy) => &["policy"],
        Some(api::PolicyUsageType::PermissionsBoundary) => &[boundary::INDEX],
    };
    // Who has it twice over is shown once.
    let all = indexes.iter().flat_map(|index| holders(view, caller, index, &input.policy_arn, &prefix));
    let all: BTreeMap<String, Entity> = all.collect();
    let filter = input.entity_filter;
    let wanted = all.into_iter().filter(|(_, entity)| filter.is_none_or(|kind| entity.kind() == kind)).collect();
    let scope = format!("iam:ListEntitiesForPolicy/{}/{prefix}/{filter:?}/{usage:?}", input.policy_arn);
    let page = listing::page(&scope, wanted, input.max_items, input.marker.as_deref())?;
    let mut answer = api::ListEntitiesForPolicyResponse {
        policy_groups: Some(vec![]),
        policy_users: Some(vec![]),
        policy_roles: Some(vec![]),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    };
    for entity in page.items {
        match entity {
            Entity::Group(group) => answer.policy_groups.get_or_insert_default().push(group),
            Entity::User(user) => answer.policy_users.get_or_insert_default().push(user),
            Entity::Role(role) => answer.policy_roles.get_or_insert_default().push(role),
        }
    }
    Ok(answer)
}

/// All under a path who have it by that index, and what orders them: their kinds and names.
fn holders(view: &View, caller: &Caller, index: &'static str, arn: &str, prefix: &str) -> Vec<(String, Entity)> {
    let value = index_value(&caller.identity.account, arn);
    let roles = view.list(Index::<Role>::by(index, value.clone())).into_iter().map(|record| record.body);
    let roles = roles.filter(|role| role.path.starts_with(prefix)).map(|role| {
        let shown = api::PolicyRole { role_name: Some(role.name.clone()), role_id: Some(role.id) };
        (format!("role/{}", role.name), Entity::Role(shown))
    });
    let users = view.list(Index::<User>::by(index, value.clone())).into_iter().map(|record| record.body);
    let users = users.filter(|user| user.path.starts_with(prefix)).map(|user| {
        let shown = api::PolicyUser { user_name: Some(user.name.clone()), user_id: Some(user.id) };
        (format!("user/{}", user.name), Entity::User(shown))
    });
    let groups = view.list(Index::<Group>::by(index, value)).into_iter().map(|record| record.body);
    let groups = groups.filter(|group| group.path.starts_with(prefix)).map(|group| {
        let shown = api::PolicyGroup { group_name: Some(group.name.clone()), group_id: Some(group.id) };
        (format!("group/{}", group.name), Entity::Group(shown))
    });
    groups.chain(roles).chain(users).collect()
}

impl Entity {
    fn kind(&self) -> api::EntityType {
        match self {
            Entity::Group(_) => api::EntityType::Group,
            Entity::User(_) => api::EntityType::User,
            Entity::Role(_) => api::EntityType::Role,
        }
    }
}
