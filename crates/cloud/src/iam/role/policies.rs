//! The operations on a role's policies, attached and inline.

use super::Role;
use super::ops::{find, find_modifiable};
use crate::iam::grants::{Holder, Kind};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_store::{Tx, View};
use roadstead_wire::fault::Fault;

/// IAM AttachRolePolicy: twice is once.
pub fn attach(tx: &mut Tx, caller: &Caller, input: api::AttachRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find_modifiable(tx, caller, &input.role_name)?;
    let Role { account, name, grants, .. } = &mut record.body;
    grants.attach(tx, Holder { kind: Kind::Role, account, name }, &input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM DetachRolePolicy.
pub fn detach(tx: &mut Tx, caller: &Caller, input: api::DetachRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find_modifiable(tx, caller, &input.role_name)?;
    record.body.grants.detach(&input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM ListAttachedRolePolicies, by ARN.
pub fn list_attached(
    view: &View,
    caller: &Caller,
    input: api::ListAttachedRolePoliciesRequest,
) -> Result<api::ListAttachedRolePoliciesResponse, Fault> {
    let record = find(view, caller, &input.role_name)?;
    let scope = format!("iam:ListAttachedRolePolicies/{}", record.key.name());
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let page = record.body.grants.attached_page(&scope, prefix, input.max_items, marker)?;
    Ok(api::ListAttachedRolePoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM PutRolePolicy: a policy of that name is replaced.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find_modifiable(tx, caller, &input.role_name)?;
    let Role { account, name, grants, .. } = &mut record.body;
    grants.put(Holder { kind: Kind::Role, account, name }, input.policy_name, input.policy_document)?;
    tx.put(record);
    Ok(())
}

/// IAM GetRolePolicy.
pub fn get(
    view: &View,
    caller: &Caller,
    input: api::GetRolePolicyRequest,
) -> Result<api::GetRolePolicyResponse, Fault> {
    let role = find(view, caller, &input.role_name)?.body;
    Ok(api::GetRolePolicyResponse {
        policy_document: role.grants.document(Kind::Role, &input.policy_name)?,
        role_name: role.name,
        policy_name: input.policy_name,
    })
}

/// IAM ListRolePolicies, by name.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListRolePoliciesRequest,
) -> Result<api::ListRolePoliciesResponse, Fault> {
    let record = find(view, caller, &input.role_name)?;
    let scope = format!("iam:ListRolePolicies/{}", record.key.name());
    let page = record.body.grants.inline_page(&scope, input.max_items, input.marker.as_deref())?;
    Ok(api::ListRolePoliciesResponse {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteRolePolicy.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find_modifiable(tx, caller, &input.role_name)?;
    record.body.grants.remove(Kind::Role, &input.policy_name)?;
    tx.put(record);
    Ok(())
}
