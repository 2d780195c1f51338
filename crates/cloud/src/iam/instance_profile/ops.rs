//! The instance profile operations.

use super::InstanceProfile;
use crate::iam::role::{self, Role};
use crate::iam::{listing, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// IAM CreateInstanceProfile: it has no role yet.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateInstanceProfileRequest,
) -> Result<api::CreateInstanceProfileResponse, Fault> {
    let (account, name) = (&caller.identity.account, &input.instance_profile_name);
    if super::find(tx, account, name).is_some() {
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(format!("Instance Profile {name} already exists.")));
    }
    let tags = tags::given(input.tags)?;
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut profile = super::create(tx, account, name, &path, None);
    profile.tags = tags;
    tx.set(&InstanceProfile::key(account, name), None, profile.clone());
    Ok(api::CreateInstanceProfileResponse { instance_profile: view(tx, &profile) })
}

/// IAM GetInstanceProfile.
pub fn get(
    view_: &View,
    caller: &Caller,
    input: api::GetInstanceProfileRequest,
) -> Result<api::GetInstanceProfileResponse, Fault> {
    let profile = find(view_, caller, &input.instance_profile_name)?.body;
    Ok(api::GetInstanceProfileResponse { instance_profile: view(view_, &profile) })
}

/// IAM ListInstanceProfiles, by name.
pub fn list(
    view_: &View,
    caller: &Caller,
    input: api::ListInstanceProfilesRequest,
) -> Result<api::ListInstanceProfilesResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let all = view_.list(Index::<InstanceProfile>::prefix(format!("{account}/"))).into_iter();
    let sorted = all.filter(|r| r.body.path.starts_with(&prefix)).map(|r| (r.key.name().to_owned(), r.body)).collect();
    let scope = format!("iam:ListInstanceProfiles/{account}/{prefix}");
    let page = listing::page(&scope, sorted, input.max_items, input.marker.as_deref())?;
    Ok(api::ListInstanceProfilesResponse {
        instance_profiles: page.items.iter().map(|profile| view(view_, profile)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM ListInstanceProfilesForRole, by name.
pub fn list_for_role(
    view_: &View,
    caller: &Caller,
    input: api::ListInstanceProfilesForRoleRequest,
) -> Result<api::ListInstanceProfilesForRoleResponse, Fault> {
    let role = role::ops::find(view_, caller, &input.role_name)?;
    let all = view_.list(Index::<InstanceProfile>::by("role", role.body.arn().to_string()));
    let sorted = all.into_iter().map(|r| (r.key.name().to_owned(), r.body)).collect();
    let scope = format!("iam:ListInstanceProfilesForRole/{}", role.key.name());
    let page = listing::page(&scope, sorted, input.max_items, input.marker.as_deref())?;
    Ok(api::ListInstanceProfilesForRoleResponse {
        instance_profiles: page.items.iter().map(|profile| view(view_, profile)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM AddRoleToInstanceProfile: one role, and no other.
pub fn add_role(tx: &mut Tx, caller: &Caller, input: api::AddRoleToInstanceProfileRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.instance_profile_name)?;
    let role = role::ops::find_modifiable(tx, caller, &input.role_name)?.body;
    if record.body.role.is_some() {
        let why = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    record.body.role = Some(role.arn().to_string());
    tx.put(record);
    Ok(())
}

/// IAM RemoveRoleFromInstanceProfile: instances that have it get no new credentials.
pub fn remove_role(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RemoveRoleFromInstanceProfileRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.instance_profile_name)?;
    let role = role::ops::find(tx, caller, &input.role_name)?.body;
    if record.body.role != Some(role.arn().to_string()) {
        let why = format!("The role with name {} is not in the instance profile {}.", role.name, record.body.name);
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(why));
    }
    record.body.role = None;
    tx.put(record);
    Ok(())
}

/// IAM DeleteInstanceProfile: only one without a role.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteInstanceProfileRequest) -> Result<(), Fault> {
    let record = find(tx, caller, &input.instance_profile_name)?;
    if record.body.role.is_some() {
        let why = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(DELETE_CONFLICT_EXCEPTION.fault(why));
    }
    tx.remove(&record.key);
    Ok(())
}

/// IAM TagInstanceProfile.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagInstanceProfileRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.instance_profile_name)?;
    record.body.tags = tags::add(&record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// IAM UntagInstanceProfile: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagInstanceProfileRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.instance_profile_name)?;
    record.body.tags = tags::remove(&record.body.tags, &input.tag_keys);
    tx.put(record);
    Ok(())
}

/// IAM ListInstanceProfileTags, by key.
pub fn list_tags(
    view: &View,
    caller: &Caller,
    input: api::ListInstanceProfileTagsRequest,
) -> Result<api::ListInstanceProfileTagsResponse, Fault> {
    let record = find(view, caller, &input.instance_profile_name)?;
    let scope = format!("iam:ListInstanceProfileTags/{}", record.key.name());
    let page = tags::page(&scope, &record.body.tags, input.max_items, input.marker.as_deref())?;
    Ok(api::ListInstanceProfileTagsResponse {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<InstanceProfile>, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("Instance Profile {name} cannot be found."));
    read.get(&InstanceProfile::key(&caller.identity.account, name)).ok_or_else(missing)
}

/// As IAM shows it, its role in full.
fn view(read: &impl Read, profile: &InstanceProfile) -> api::InstanceProfile {
    let name = profile.role.as_deref().and_then(|role| Some(role.parse::<Arn>().ok()?.name().to_owned()));
    let role = name.and_then(|name| read.get(&Role::key(&profile.account, &name)));
    api::InstanceProfile {
        path: profile.path.clone(),
        instance_profile_name: profile.name.clone(),
        instance_profile_id: profile.id.clone(),
        arn: profile.arn().to_string(),
        create_date: profile.created,
        roles: role.iter().map(|record| role::view(&record.body)).collect(),
        tags: Some(tags::shown(&profile.tags)),
    }
}
