//! The role operations.

use super::view::{listed, view};
use super::{Role, service_linked};
use crate::iam::instance_profile::InstanceProfile;
use crate::iam::user::User;
use crate::iam::{boundary, listing, tags, trust};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, MALFORMED_POLICY_DOCUMENT_EXCEPTION,
    NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::{AccountId, Arn};
use roadstead_wire::fault::Fault;

/// IAM CreateRole.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateRoleRequest) -> Result<api::CreateRoleResponse, Fault> {
    let account = &caller.identity.account;
    if tx.get(&Role::key(account, &input.role_name)).is_some() {
        let why = format!("Role with name {} already exists.", input.role_name);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    service_linked::check_path(input.path.as_deref().unwrap_or("/"))?;
    check_trust_policy(tx, caller, &input.assume_role_policy_document)?;
    let boundary = boundary::given(tx, caller, input.permissions_boundary)?;
    let tags = tags::given(input.tags)?;
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut role = super::create(tx, account, &input.role_name, &path, &input.assume_role_policy_document, &[]);
    role.description = input.description;
    role.max_session_seconds = input.max_session_duration.map_or(3600, i64::from);
    role.boundary = boundary;
    role.tags = tags;
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
    let scope = format!("iam:ListRoles/{account}/{prefix}");
    let page = listing::page(&scope, roles, input.max_items, input.marker.as_deref())?;
    Ok(api::ListRolesResponse {
        roles: page.items.iter().map(listed).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteRole: only one that has no policies and is in no instance profile. Its sessions end.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteRoleRequest) -> Result<(), Fault> {
    let record = find_modifiable(tx, caller, &input.role_name)?;
    if tx.any(Index::<InstanceProfile>::by("role", record.body.arn().to_string())) {
        let why = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(DELETE_CONFLICT_EXCEPTION.fault(why));
    }
    record.body.grants.check_none()?;
    tx.remove(&record.key);
    Ok(())
}

/// IAM UpdateRole: what is not given stays as it is. Of a service-linked role only the description is anybody's to
/// change.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateRoleRequest) -> Result<api::UpdateRoleResponse, Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    if let Some(seconds) = input.max_session_duration {
        service_linked::check_modifiable(&record.body)?;
        record.body.max_session_seconds = seconds.into();
    }
    if input.description.is_some() {
        record.body.description = input.description;
    }
    tx.put(record);
    Ok(api::UpdateRoleResponse {})
}

/// IAM UpdateAssumeRolePolicy: sessions that have begun go on.
pub fn update_trust_policy(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateAssumeRolePolicyRequest,
) -> Result<(), Fault> {
    let mut record = find_modifiable(tx, caller, &input.role_name)?;
    check_trust_policy(tx, caller, &input.policy_document)?;
    record.body.trust_policy = input.policy_document;
    tx.put(record);
    Ok(())
}

/// IAM TagRole.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagRoleRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    record.body.tags = tags::add(&record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// IAM UntagRole: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagRoleRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    record.body.tags = tags::remove(&record.body.tags, &input.tag_keys);
    tx.put(record);
    Ok(())
}

/// IAM ListRoleTags, by key.
pub fn list_tags(
    view: &View,
    caller: &Caller,
    input: api::ListRoleTagsRequest,
) -> Result<api::ListRoleTagsResponse, Fault> {
    let record = find(view, caller, &input.role_name)?;
    let scope = format!("iam:ListRoleTags/{}", record.key.name());
    let page = tags::page(&scope, &record.body.tags, input.max_items, input.marker.as_deref())?;
    Ok(api::ListRoleTagsResponse { tags: page.items, is_truncated: Some(page.next.is_some()), marker: page.next })
}

/// The account's role of that name.
pub fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Role>, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("The role with name {name} cannot be found."));
    read.get(&Role::key(&caller.identity.account, name)).ok_or_else(missing)
}

/// The same of one that its users may change.
pub fn find_modifiable(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Role>, Fault> {
    let record = find(read, caller, name)?;
    service_linked::check_modifiable(&record.body)?;
    Ok(record)
}

/// A trust policy whose principals in this account are there. (Those of other accounts nobody here can know.)
fn check_trust_policy(read: &impl Read, caller: &Caller, text: &str) -> Result<(), Fault> {
    for principal in trust::check(text)?.principals() {
        if !is_somebody(read, &caller.identity.account, principal) {
            let why = format!("Invalid principal in policy: \"AWS\":\"{principal}\"");
            return Err(MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why));
        }
    }
    Ok(())
}

fn is_somebody(read: &impl Read, account: &str, principal: &str) -> bool {
    if principal == "*" || AccountId::parse(principal).is_some() {
        return true;
    }
    let Ok(arn) = principal.parse::<Arn>() else { return false };
    let kind = arn.resource.split('/').next().unwrap_or_default();
    match (arn.service.as_str(), kind) {
        ("iam" | "sts", _) if arn.account != account => AccountId::parse(&arn.account).is_some(),
        ("iam", "root") => true,
        ("iam", "user") => read.get(&User::key(account, arn.name())).is_some_and(|record| record.body.arn() == arn),
        ("iam", "role") => read.get(&Role::key(account, arn.name())).is_some_and(|record| record.body.arn() == arn),
        ("sts", "assumed-role") => true,
        _ => false,
    }
}
