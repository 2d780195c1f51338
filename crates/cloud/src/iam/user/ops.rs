//! The user operations.

use super::User;
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::ENTITY_ALREADY_EXISTS_EXCEPTION;
use roadstead_store::{Read as _, Tx};
use roadstead_wire::fault::Fault;

/// IAM CreateUser.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateUserRequest) -> Result<api::CreateUserResponse, Fault> {
    let account = &caller.identity.account;
    if tx.get(&User::key(account, &input.user_name)).is_some() {
        let why = format!("User with name {} already exists.", input.user_name);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    let path = input.path.unwrap_or_else(|| "/".into());
    let mut user = super::create(tx, account, &input.user_name, &path);
    user.tags = input.tags.unwrap_or_default().into_iter().map(|t| (t.key, t.value)).collect();
    tx.set(&User::key(account, &user.name), None, user.clone());
    Ok(api::CreateUserResponse { user: Some(view(&user)) })
}

fn view(user: &User) -> api::User {
    api::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn().to_string(),
        create_date: user.created,
        tags: Some(user.tags.iter().map(|(k, v)| api::Tag { key: k.clone(), value: v.clone() }).collect()),
        ..Default::default()
    }
}
