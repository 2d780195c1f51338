//! The role operations.

use super::Role;
use crate::iam::managed;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, INVALID_INPUT_EXCEPTION,
    MALFORMED_POLICY_DOCUMENT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;

/// IAM CreateRole.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateRoleRequest) -> Result<api::CreateRoleResponse, Fault> {
    let account = &caller.identity.account;
    if tx.get(&Role::key(account, &input.role_name)).is_some() {
        let why = format!("Role with name {} already exists.", input.role_name);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    check_trust_policy(&input.assume_role_policy_document)?;
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut role = super::create(tx, account, &input.role_name, &path, &input.assume_role_policy_document, &[]);
    role.description = input.description;
    role.max_session_seconds = input.max_session_duration.map_or(3600, i64::from);
    role.tags = tags(input.tags);
    tx.set(&Role::key(account, &role.name), None, role.clone());
    Ok(api::CreateRoleResponse { role: view(&role) })
}

/// IAM GetRole.
pub fn get(view_: &View, caller: &Caller, input: api::GetRoleRequest) -> Result<api::GetRoleResponse, Fault> {
    Ok(api::GetRoleResponse { role: view(&find(view_, caller, &input.role_name)?.body) })
}

/// IAM ListRoles, by name.
pub fn list(view_: &View, caller: &Caller, input: api::ListRolesRequest) -> Result<api::ListRolesResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let roles = view_.list(Index::<Role>::prefix(format!("{account}/"))).into_iter();
    let roles = roles.filter(|r| r.body.path.starts_with(&prefix)).map(|r| (r.key.name().to_owned(), r.body)).collect();
    let limit = input.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page(&format!("iam:ListRoles/{account}/{prefix}"), roles, limit, input.marker.as_deref());
    let page = page.map_err(|_| INVALID_INPUT_EXCEPTION.fault("Invalid Marker."))?;
    Ok(api::ListRolesResponse {
        roles: page.items.iter().map(view).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteRole: only without attached policies.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteRoleRequest) -> Result<(), Fault> {
    let record = find(tx, caller, &input.role_name)?;
    if !record.body.attached.is_empty() {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete entity, must detach all policies first."));
    }
    tx.remove(&record.key);
    Ok(())
}

/// IAM AttachRolePolicy: AWS-managed policies; twice is once.
pub fn attach_policy(tx: &mut Tx, caller: &Caller, input: api::AttachRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    let missing =
        || NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {} does not exist or is not attachable.", input.policy_arn));
    let name = managed::name(&input.policy_arn).ok_or_else(missing)?;
    record.body.attached.insert(input.policy_arn.clone(), name.into());
    tx.put(record);
    Ok(())
}

/// IAM DetachRolePolicy.
pub fn detach_policy(tx: &mut Tx, caller: &Caller, input: api::DetachRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    if record.body.attached.remove(&input.policy_arn).is_none() {
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {} was not found.", input.policy_arn)));
    }
    tx.put(record);
    Ok(())
}

/// IAM ListAttachedRolePolicies, by ARN.
pub fn list_attached_policies(
    view: &View,
    caller: &Caller,
    input: api::ListAttachedRolePoliciesRequest,
) -> Result<api::ListAttachedRolePoliciesResponse, Fault> {
    let record = find(view, caller, &input.role_name)?;
    let attached = record.body.attached.into_iter();
    let attached = attached
        .map(|(arn, name)| (arn.clone(), api::AttachedPolicy { policy_arn: Some(arn), policy_name: Some(name) }));
    let scope = format!("iam:ListAttachedRolePolicies/{}", record.key.name());
    let limit = input.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page(&scope, attached.collect(), limit, input.marker.as_deref());
    let page = page.map_err(|_| INVALID_INPUT_EXCEPTION.fault("Invalid Marker."))?;
    Ok(api::ListAttachedRolePoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Role>, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("The role with name {name} cannot be found."));
    read.get(&Role::key(&caller.identity.account, name)).ok_or_else(missing)
}

/// A trust policy is a JSON object with statements that each say who.
fn check_trust_policy(text: &str) -> Result<(), Fault> {
    let malformed = |why: &str| MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why);
    let policy: serde_json::Value =
        serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    let statements = match &policy["Statement"] {
        serde_json::Value::Array(statements) => statements.clone(),
        serde_json::Value::Object(one) => vec![one.clone().into()],
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    for statement in &statements {
        if statement["Principal"].is_null() {
            return Err(malformed("Missing required field Principal"));
        }
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(malformed("Syntax errors in policy."));
        }
    }
    Ok(())
}

fn tags(tags: Option<Vec<api::Tag>>) -> Tags {
    tags.unwrap_or_default().into_iter().map(|t| (t.key, t.value)).collect()
}

fn view(role: &Role) -> api::Role {
    api::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn().to_string(),
        create_date: role.created,
        assume_role_policy_document: Some(crate::iam::encode_policy(&role.trust_policy)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        tags: Some(role.tags.iter().map(|(k, v)| api::Tag { key: k.clone(), value: v.clone() }).collect()),
        ..Default::default()
    }
}
