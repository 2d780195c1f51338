//! Permissions boundaries: a managed policy that says how far the policies of a user or of a role reach. What it does not
//! allow is not allowed, whatever they say (IAM user guide, "Permissions boundaries for IAM entities").

use crate::iam::role::{self, Role};
use crate::iam::user::{self, User};
use crate::iam::{grants, policy};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::NO_SUCH_ENTITY_EXCEPTION;
use roadstead_store::{Read, Tx};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// The index of users and roles by their boundaries; its values are those of `policy`.
pub const INDEX: &str = "boundary";

/// The row of [`INDEX`] of somebody who has a boundary.
pub fn index(account: &str, boundary: Option<&String>) -> Option<(&'static str, String)> {
    boundary.map(|arn| (INDEX, grants::index_value(account, arn)))
}

/// The boundary that somebody is given, if any: a managed policy that could be attached, too.
pub fn given(read: &impl Read, caller: &Caller, asked: Option<String>) -> Result<Option<String>, Fault> {
    asked.map(|arn| check(read, caller, arn)).transpose()
}

/// As IAM shows it of a single user or role; lists leave it out.
pub fn view(boundary: Option<&String>) -> Option<api::AttachedPermissionsBoundary> {
    boundary.map(|arn| api::AttachedPermissionsBoundary {
        permissions_boundary_type: Some(api::PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

/// The boundary of the user or the role of that ARN, whose path does not matter.
pub fn of(read: &impl Read, arn: &str) -> Option<String> {
    let arn: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service == "iam")?;
    match arn.resource.split('/').next()? {
        "user" => read.shared(&User::key(&arn.account, arn.name()))?.body.boundary.clone(),
        "role" => read.shared(&Role::key(&arn.account, arn.name()))?.body.boundary.clone(),
        _ => None,
    }
}

/// IAM PutRolePermissionsBoundary: the one before is replaced.
pub fn put_of_role(tx: &mut Tx, caller: &Caller, input: api::PutRolePermissionsBoundaryRequest) -> Result<(), Fault> {
    let mut record = role::ops::find_modifiable(tx, caller, &input.role_name)?;
    record.body.boundary = Some(check(tx, caller, input.permissions_boundary)?);
    tx.put(record);
    Ok(())
}

/// IAM DeleteRolePermissionsBoundary: none is none.
pub fn delete_of_role(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteRolePermissionsBoundaryRequest,
) -> Result<(), Fault> {
    let mut record = role::ops::find_modifiable(tx, caller, &input.role_name)?;
    record.body.boundary = None;
    tx.put(record);
    Ok(())
}

/// IAM PutUserPermissionsBoundary: the one before is replaced.
pub fn put_of_user(tx: &mut Tx, caller: &Caller, input: api::PutUserPermissionsBoundaryRequest) -> Result<(), Fault> {
    let mut record = user::ops::find(tx, caller, Some(input.user_name))?;
    record.body.boundary = Some(check(tx, caller, input.permissions_boundary)?);
    tx.put(record);
    Ok(())
}

/// IAM DeleteUserPermissionsBoundary: none is none.
pub fn delete_of_user(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteUserPermissionsBoundaryRequest,
) -> Result<(), Fault> {
    let mut record = user::ops::find(tx, caller, Some(input.user_name))?;
    record.body.boundary = None;
    tx.put(record);
    Ok(())
}

fn check(read: &impl Read, caller: &Caller, arn: String) -> Result<String, Fault> {
    match policy::for_entities(read, &caller.identity.account, &arn)? {
        Some(_) => Ok(arn),
        None => {
            let why = format!("Scope ARN: {arn} does not exist or is not attachable.");
            Err(NO_SUCH_ENTITY_EXCEPTION.fault(why))
        }
    }
}
