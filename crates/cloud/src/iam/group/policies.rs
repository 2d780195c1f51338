//! The operations on a group's policies, attached and inline.

use super::Group;
use super::ops::find;
use crate::iam::grants::{Holder, Kind};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_store::{Tx, View};
use roadstead_wire::fault::Fault;

/// IAM AttachGroupPolicy: twice is once.
pub fn attach(tx: &mut Tx, caller: &Caller, input: api::AttachGroupPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.group_name)?;
    let Group { account, name, grants, .. } = &mut record.body;
    grants.attach(tx, Holder { kind: Kind::Group, account, name }, &input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM DetachGroupPolicy.
pub fn detach(tx: &mut Tx, caller: &Caller, input: api::DetachGroupPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.group_name)?;
    record.body.grants.detach(&input.policy_arn)?;
    tx.put(record);
    Ok(())
}

/// IAM ListAttachedGroupPolicies, by ARN.
pub fn list_attached(
    view: &View,
    caller: &Caller,
    input: api::ListAttachedGroupPoliciesRequest,
) -> Result<api::ListAttachedGroupPoliciesResponse, Fault> {
    let record = find(view, caller, &input.group_name)?;
    let scope = format!("iam:ListAttachedGroupPolicies/{}", record.key.name());
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let page = record.body.grants.attached_page(&scope, prefix, input.max_items, marker)?;
    Ok(api::ListAttachedGroupPoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM PutGroupPolicy: a policy of that name is replaced.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutGroupPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.group_name)?;
    let Group { account, name, grants, .. } = &mut record.body;
    grants.put(Holder { kind: Kind::Group, account, name }, input.policy_name, input.policy_document)?;
    tx.put(record);
    Ok(())
}

/// IAM GetGroupPolicy.
pub fn get(
    view: &View,
    caller: &Caller,
    input: api::GetGroupPolicyRequest,
) -> Result<api::GetGroupPolicyResponse, Fault> {
    let group = find(view, caller, &input.group_name)?.body;
    Ok(api::GetGroupPolicyResponse {
        policy_document: group.grants.document(Kind::Group, &input.policy_name)?,
        group_name: group.name,
        policy_name: input.policy_name,
    })
}

/// IAM ListGroupPolicies, by name.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListGroupPoliciesRequest,
) -> Result<api::ListGroupPoliciesResponse, Fault> {
    let record = find(view, caller, &input.group_name)?;
    let scope = format!("iam:ListGroupPolicies/{}", record.key.name());
    let page = record.body.grants.inline_page(&scope, input.max_items, input.marker.as_deref())?;
    Ok(api::ListGroupPoliciesResponse {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteGroupPolicy.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteGroupPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.group_name)?;
    record.body.grants.remove(Kind::Group, &input.policy_name)?;
    tx.put(record);
    Ok(())
}
