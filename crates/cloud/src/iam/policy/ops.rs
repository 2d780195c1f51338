//! The policy operations.

use super::{Policy, aws, entities, find, find_own, view};
use crate::iam::{listing, tags, unique_id};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION};
use roadstead_store::{Index, Read, Tx, View};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// IAM quota "customer managed policies per account".
const POLICIES_MAX: usize = 1500;

/// IAM CreatePolicy: the document is its first version.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreatePolicyRequest,
) -> Result<api::CreatePolicyResponse, Fault> {
    let (account, name) = (&caller.identity.account, input.policy_name);
    if tx.shared(&Policy::key(account, &name)).is_some() {
        let why = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    super::versions::check(&input.policy_document)?;
    let tags = tags::given(input.tags)?;
    if tx.count(Index::<Policy>::prefix(format!("{account}/"))) >= POLICIES_MAX {
        return Err(
            LIMIT_EXCEEDED_EXCEPTION.fault(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}"))
        );
    }
    let mut policy = Policy {
        name,
        id: unique_id(tx, "ANPA"),
        account: account.clone(),
        path: input.path.unwrap_or_else(|| "/".into()),
        description: input.description,
        versions: vec![],
        default: 1,
        made: 0,
        tags,
        created: tx.now(),
        updated: Millis(0),
    };
    policy.add_version(input.policy_document, tx.now());
    tx.create(Policy::key(account, &policy.name), None, policy.clone());
    Ok(api::CreatePolicyResponse { policy: Some(view::own_whole(tx, &policy)) })
}

/// IAM GetPolicy.
pub fn get(view_: &View, caller: &Caller, input: api::GetPolicyRequest) -> Result<api::GetPolicyResponse, Fault> {
    let found = find(view_, caller, &input.policy_arn)?;
    Ok(api::GetPolicyResponse { policy: Some(view::whole(view_, &caller.identity.account, &found)) })
}

/// IAM ListPolicies, by ARN.
pub fn list(
    view_: &View,
    caller: &Caller,
    input: api::ListPoliciesRequest,
) -> Result<api::ListPoliciesResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let scope = input.scope.unwrap_or(api::PolicyScopeType::All);
    let only_attached = input.only_attached.unwrap_or(false);
    let of_aws = aws::all().filter(|_| scope != api::PolicyScopeType::Local);
    let own = match scope {
        api::PolicyScopeType::All | api::PolicyScopeType::Local => {
            view_.list(Index::<Policy>::prefix(format!("{account}/")))
        }
        api::PolicyScopeType::Aws => vec![],
    };
    let shown = of_aws.map(|policy| view::of_aws(view_, account, policy));
    let shown = shown.chain(own.iter().map(|record| view::own(view_, &record.body)));
    let of_boundaries = input.policy_usage_filter == Some(api::PolicyUsageType::PermissionsBoundary);
    let shown = shown.filter(|policy| !of_boundaries || policy.permissions_boundary_usage_count > Some(0));
    let shown = shown.filter(|policy| policy.path.as_ref().is_some_and(|path| path.starts_with(&prefix)));
    let shown = shown.filter(|policy| !only_attached || policy.attachment_count > Some(0));
    // By name, then by whose it is: an ARN, with a path of up to 512 characters, is too long for a Marker.
    let key = |policy: &api::Policy| {
        let whose = policy.arn.as_deref().and_then(|arn| arn.split(':').nth(4)).unwrap_or_default();
        format!("{}/{whose}", policy.policy_name.as_deref().unwrap_or_default())
    };
    let sorted = shown.map(|policy| (key(&policy), policy)).collect();
    let list = format!("iam:ListPolicies/{account}/{scope:?}/{only_attached}/{of_boundaries}/{prefix}");
    let page = listing::page(&list, sorted, input.max_items, input.marker.as_deref())?;
    Ok(api::ListPoliciesResponse {
        policies: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeletePolicy: only one that nobody has, for a boundary neither, and that has no other versions.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeletePolicyRequest) -> Result<(), Fault> {
    let record = find_own(tx, caller, &input.policy_arn, "iam:DeletePolicy")?;
    let account = &record.body.account;
    if entities::count(tx, account, &input.policy_arn) + entities::bounded(tx, account, &input.policy_arn) > 0 {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete a policy attached to entities."));
    }
    if record.body.versions.len() > 1 {
        let why = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
        return Err(DELETE_CONFLICT_EXCEPTION.fault(why));
    }
    tx.remove(&record.key);
    Ok(())
}

/// IAM TagPolicy.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagPolicyRequest) -> Result<(), Fault> {
    let mut record = find_own(tx, caller, &input.policy_arn, "iam:TagPolicy")?;
    record.body.tags = tags::add(&record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// IAM UntagPolicy: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagPolicyRequest) -> Result<(), Fault> {
    let mut record = find_own(tx, caller, &input.policy_arn, "iam:UntagPolicy")?;
    record.body.tags = tags::remove(&record.body.tags, &input.tag_keys);
    tx.put(record);
    Ok(())
}

/// IAM ListPolicyTags, by key.
pub fn list_tags(
    view: &View,
    caller: &Caller,
    input: api::ListPolicyTagsRequest,
) -> Result<api::ListPolicyTagsResponse, Fault> {
    let record = find_own(view, caller, &input.policy_arn, "iam:ListPolicyTags")?;
    let scope = format!("iam:ListPolicyTags/{}", record.key.name());
    let page = tags::page(&scope, &record.body.tags, input.max_items, input.marker.as_deref())?;
    Ok(api::ListPolicyTagsResponse { tags: page.items, is_truncated: Some(page.next.is_some()), marker: page.next })
}
