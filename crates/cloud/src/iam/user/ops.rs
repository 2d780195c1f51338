//! The user operations.

use super::User;
use crate::iam::{access_key, boundary, listing, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// IAM CreateUser.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateUserRequest) -> Result<api::CreateUserResponse, Fault> {
    let account = &caller.identity.account;
    if tx.get(&User::key(account, &input.user_name)).is_some() {
        let why = format!("User with name {} already exists.", input.user_name);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    let boundary = boundary::given(tx, caller, input.permissions_boundary)?;
    let tags = tags::given(input.tags)?;
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut user = super::create(tx, account, &input.user_name, &path);
    user.boundary = boundary;
    user.tags = tags;
    tx.set(&User::key(account, &user.name), None, user.clone());
    Ok(api::CreateUserResponse { user: Some(view(&user)) })
}

/// IAM GetUser: the named one, or the caller.
pub fn get(view_: &View, caller: &Caller, input: api::GetUserRequest) -> Result<api::GetUserResponse, Fault> {
    Ok(api::GetUserResponse { user: view(&find(view_, caller, input.user_name)?.body) })
}

/// IAM ListUsers, by name.
pub fn list(view_: &View, caller: &Caller, input: api::ListUsersRequest) -> Result<api::ListUsersResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let users = view_.list(Index::<User>::prefix(format!("{account}/"))).into_iter();
    let users = users.filter(|r| r.body.path.starts_with(&prefix)).map(|r| (r.key.name().to_owned(), r.body)).collect();
    let scope = format!("iam:ListUsers/{account}/{prefix}");
    let page = listing::page(&scope, users, input.max_items, input.marker.as_deref())?;
    Ok(api::ListUsersResponse {
        users: page.items.iter().map(listed).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM UpdateUser: another name, another path.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateUserRequest) -> Result<(), Fault> {
    let record = find(tx, caller, Some(input.user_name))?;
    let mut user = record.body.clone();
    if let Some(name) = input.new_user_name {
        let key = User::key(&user.account, &name);
        if key != record.key && tx.shared(&key).is_some() {
            return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(format!("User with name {name} already exists.")));
        }
        user.name = name;
    }
    user.path = input.new_path.unwrap_or(user.path);
    super::rename(tx, record, user);
    Ok(())
}

/// IAM TagUser.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagUserRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    record.body.tags = tags::add(&record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// IAM UntagUser: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagUserRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, Some(input.user_name))?;
    record.body.tags = tags::remove(&record.body.tags, &input.tag_keys);
    tx.put(record);
    Ok(())
}

/// IAM ListUserTags, by key.
pub fn list_tags(
    view: &View,
    caller: &Caller,
    input: api::ListUserTagsRequest,
) -> Result<api::ListUserTagsResponse, Fault> {
    let record = find(view, caller, Some(input.user_name))?;
    let scope = format!("iam:ListUserTags/{}", record.key.name());
    let page = tags::page(&scope, &record.body.tags, input.max_items, input.marker.as_deref())?;
    Ok(api::ListUserTagsResponse { tags: page.items, is_truncated: Some(page.next.is_some()), marker: page.next })
}

/// IAM DeleteUser: only one without access keys, groups and policies.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteUserRequest) -> Result<(), Fault> {
    let record = find(tx, caller, Some(input.user_name))?;
    if !access_key::of(tx, &record.body).is_empty() {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete entity, must delete access keys first."));
    }
    if !record.body.groups.is_empty() {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete entity, must remove users from group first."));
    }
    record.body.grants.check_none()?;
    tx.remove(&record.key);
    Ok(())
}

/// The named user, or the caller.
pub fn find(read: &impl Read, caller: &Caller, name: Option<String>) -> Result<Record<User>, Fault> {
    if name.is_none() && caller.identity.role.is_some() {
        return Err(Common::Validation.fault("Must specify userName when calling with non-User credentials"));
    }
    let name = name.unwrap_or_else(|| caller.identity.arn.name().to_owned());
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("The user with name {name} cannot be found."));
    read.get(&User::key(&caller.identity.account, &name)).ok_or_else(missing)
}

/// As IAM shows it.
pub fn view(user: &User) -> api::User {
    api::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn().to_string(),
        create_date: user.created,
        permissions_boundary: boundary::view(user.boundary.as_ref()),
        tags: Some(tags::shown(&user.tags)),
        ..Default::default()
    }
}

/// As lists show it (IAM API reference, ListUsers: "a subset of the available attributes").
fn listed(user: &User) -> api::User {
    api::User { permissions_boundary: None, tags: None, ..view(user) }
}
