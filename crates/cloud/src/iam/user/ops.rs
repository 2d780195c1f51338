//! The user operations.

use super::User;
use crate::iam::{access_key, listing, policy, tags};
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
    policy::no_boundary(input.permissions_boundary.as_deref())?;
    let tags = tags::given(input.tags)?;
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut user = super::create(tx, account, &input.user_name, &path);
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
        users: page.items.iter().map(view).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteUser: only one without access keys.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteUserRequest) -> Result<(), Fault> {
    let record = find(tx, caller, Some(input.user_name))?;
    if !access_key::of(tx, &record.body).is_empty() {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete entity, must delete access keys first."));
    }
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

fn view(user: &User) -> api::User {
    api::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn().to_string(),
        create_date: user.created,
        tags: Some(tags::shown(&user.tags)),
        ..Default::default()
    }
}
