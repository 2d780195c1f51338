//! The operations on groups, and on who is in them.

use super::Group;
use crate::iam::grants::Grants;
use crate::iam::user::{self, User};
use crate::iam::{listing, unique_id};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, ENTITY_ALREADY_EXISTS_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// IAM quota "groups per account".
const GROUPS_MAX: usize = 300;
/// IAM quota "groups per user".
const GROUPS_OF_USER_MAX: usize = 10;

/// IAM CreateGroup.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateGroupRequest) -> Result<api::CreateGroupResponse, Fault> {
    let (account, name) = (&caller.identity.account, input.group_name);
    let key = Group::key(account, &name);
    if tx.shared(&key).is_some() {
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(format!("Group with name {name} already exists.")));
    }
    if tx.count(Index::<Group>::prefix(format!("{account}/"))) >= GROUPS_MAX {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("Cannot exceed quota for GroupsPerAccount: {GROUPS_MAX}")));
    }
    let path = input.path.unwrap_or_else(|| "/".into());
    let (id, created) = (unique_id(tx, "AGPA"), tx.now());
    let group = Group { name, id, account: account.clone(), path, grants: Grants::default(), created };
    let record = tx.create(key, None, group);
    Ok(api::CreateGroupResponse { group: view(&record.body) })
}

/// IAM GetGroup: with who is in it, by name.
pub fn get(view_: &View, caller: &Caller, input: api::GetGroupRequest) -> Result<api::GetGroupResponse, Fault> {
    let group = find(view_, caller, &input.group_name)?;
    let users = members(view_, &group.body).into_iter();
    let users = users.map(|record| (record.key.name().to_owned(), user::ops::view(&record.body))).collect();
    let scope = format!("iam:GetGroup/{}", group.key.name());
    let page = listing::page(&scope, users, input.max_items, input.marker.as_deref())?;
    Ok(api::GetGroupResponse {
        group: view(&group.body),
        users: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM ListGroups, by name.
pub fn list(view_: &View, caller: &Caller, input: api::ListGroupsRequest) -> Result<api::ListGroupsResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let groups = view_.list(Index::<Group>::prefix(format!("{account}/"))).into_iter();
    let groups = groups.filter(|record| record.body.path.starts_with(&prefix));
    let groups = groups.map(|record| (record.key.name().to_owned(), view(&record.body))).collect();
    let scope = format!("iam:ListGroups/{account}/{prefix}");
    let page = listing::page(&scope, groups, input.max_items, input.marker.as_deref())?;
    Ok(api::ListGroupsResponse { groups: page.items, is_truncated: Some(page.next.is_some()), marker: page.next })
}

/// IAM DeleteGroup: only one that nobody is in and that has no policies.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteGroupRequest) -> Result<(), Fault> {
    let record = find(tx, caller, &input.group_name)?;
    if tx.any(Index::<User>::by("group", record.key.name())) {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete entity, must remove users from group first."));
    }
    record.body.grants.check_none()?;
    tx.remove(&record.key);
    Ok(())
}

/// IAM AddUserToGroup: twice is once.
pub fn add_user(tx: &mut Tx, caller: &Caller, input: api::AddUserToGroupRequest) -> Result<(), Fault> {
    let group = find(tx, caller, &input.group_name)?;
    let mut record = user::ops::find(tx, caller, Some(input.user_name))?;
    record.body.groups.insert(group.key.name().to_owned());
    if record.body.groups.len() > GROUPS_OF_USER_MAX {
        let why = format!("Cannot exceed quota for GroupsPerUser: {GROUPS_OF_USER_MAX}");
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    tx.put(record);
    Ok(())
}

/// IAM RemoveUserFromGroup: one who is not in it is no error.
pub fn remove_user(tx: &mut Tx, caller: &Caller, input: api::RemoveUserFromGroupRequest) -> Result<(), Fault> {
    let group = find(tx, caller, &input.group_name)?;
    let mut record = user::ops::find(tx, caller, Some(input.user_name))?;
    record.body.groups.remove(group.key.name());
    tx.put(record);
    Ok(())
}

/// IAM ListGroupsForUser, by name.
pub fn list_for_user(
    view_: &View,
    caller: &Caller,
    input: api::ListGroupsForUserRequest,
) -> Result<api::ListGroupsForUserResponse, Fault> {
    let user = user::ops::find(view_, caller, Some(input.user_name))?;
    let groups =
        user.body.groups.iter().filter_map(|name| view_.get(&roadstead_store::Key::<Group>::new(name.clone())));
    let groups = groups.map(|record| (record.key.name().to_owned(), view(&record.body))).collect();
    let scope = format!("iam:ListGroupsForUser/{}", user.key.name());
    let page = listing::page(&scope, groups, input.max_items, input.marker.as_deref())?;
    Ok(api::ListGroupsForUserResponse {
        groups: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The account's group of that name.
pub fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Group>, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("The group with name {name} cannot be found."));
    read.get(&Group::key(&caller.identity.account, name)).ok_or_else(missing)
}

fn members(read: &impl Read, group: &Group) -> Vec<Record<User>> {
    read.list(Index::<User>::by("group", Group::key(&group.account, &group.name).name()))
}

fn view(group: &Group) -> api::Group {
    api::Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.id.clone(),
        arn: group.arn().to_string(),
        create_date: group.created,
    }
}
