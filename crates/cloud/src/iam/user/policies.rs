//! The operations on a user's policies, attached and inline.

use super::User;
use super::ops::find;
use crate::iam::grants::{Holder, Kind};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_store::{Tx, View};
use roadstead_wire::fault::Fault;

/// IAM AttachUserPolicy: twice is once.
pub fn attach(tx: &mut Tx, caller: &Caller, input: api::AttachUserPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    let User { account, name, grants, .. } = &mut record.body;
    grants.attach(tx, Holder { kind: Kind::User, account, name }, &input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM DetachUserPolicy.
pub fn detach(tx: &mut Tx, caller: &Caller, input: api::DetachUserPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    record.body.grants.detach(&input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM ListAttachedUserPolicies, by ARN.
pub fn list_attached(
    view: &View,
    caller: &Caller,
    input: api::ListAttachedUserPoliciesRequest,
) -> Result<api::ListAttachedUserPoliciesResponse, Fault> {
    let record = find(view, caller, Some(input.user_name))?;
    let scope = format!("iam:ListAttachedUserPolicies/{}", record.key.name());
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let page = record.body.grants.attached_page(&scope, prefix, input.max_items, marker)?;
    Ok(api::ListAttachedUserPoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM PutUserPolicy: a policy of that name is replaced.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutUserPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    let User { account, name, grants, .. } = &mut record.body;
    grants.put(Holder { kind: Kind::User, account, name }, input.policy_name, input.policy_document)?;
    tx.put(record);
    Ok(())
}

/// IAM GetUserPolicy.
pub fn get(
    view: &View,
    caller: &Caller,
    input: api::GetUserPolicyRequest,
) -> Result<api::GetUserPolicyResponse, Fault> {
    let user = find(view, caller, Some(input.user_name))?.body;
    Ok(api::GetUserPolicyResponse {
        policy_document: user.grants.document(Kind::User, &input.policy_name)?,
        user_name: user.name,
        policy_name: input.policy_name,
    })
}

/// IAM ListUserPolicies, by name.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListUserPoliciesRequest,
) -> Result<api::ListUserPoliciesResponse, Fault> {
    let record = find(view, caller, Some(input.user_name))?;
    let scope = format!("iam:ListUserPolicies/{}", record.key.name());
    let page = record.body.grants.inline_page(&scope, input.max_items, input.marker.as_deref())?;
    Ok(api::ListUserPoliciesResponse {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteUserPolicy.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteUserPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    record.body.grants.remove(Kind::User, &input.policy_name)?;
    tx.put(record);
    Ok(())
}
