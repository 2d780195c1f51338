//! The access key operations.

use super::{AccessKey, new_id};
use crate::iam::user::User;
use roadstead_kernel::{Caller, Mint};
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Index, Read as _, Tx};
use roadstead_wire::fault::Fault;

/// IAM quota "access keys per user".
const KEYS_MAX: usize = 2;

/// IAM CreateAccessKey: the secret is shown here and never again.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateAccessKeyRequest,
    mint: Mint<'_>,
) -> Result<api::CreateAccessKeyResponse, Fault> {
    let user = find_user(tx, caller, input.user_name)?;
    let index = format!("{}/{}", user.account, user.name.to_lowercase());
    if tx.list(Index::<AccessKey>::by("user", index)).len() >= KEYS_MAX {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")));
    }
    let id = new_id(tx, "AKIA");
    let secret = mint.secret()?;
    let key = super::create(tx, &user, id, secret.sealed);
    let access_key = api::AccessKey {
        user_name: user.name,
        access_key_id: key.id,
        status: api::StatusType::Active,
        secret_access_key: secret.plain,
        create_date: Some(key.created),
    };
    Ok(api::CreateAccessKeyResponse { access_key })
}

/// IAM DeleteAccessKey: no signature by it is good from here on.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAccessKeyRequest) -> Result<(), Fault> {
    let user = find_user(tx, caller, input.user_name)?;
    let key = AccessKey::key(&input.access_key_id);
    let owned = tx.get(&key).filter(|r| r.deleting.is_none() && r.body.principal.arn == user.arn().to_string());
    if owned.is_none() {
        let why = format!("The Access Key with id {} cannot be found.", input.access_key_id);
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(why));
    }
    tx.delete(&key);
    Ok(())
}

/// The named user, or the caller.
fn find_user(tx: &Tx, caller: &Caller, name: Option<String>) -> Result<User, Fault> {
    let name = name.unwrap_or_else(|| caller.identity.arn.name().to_owned());
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("The user with name {name} cannot be found."));
    Ok(tx.get(&User::key(&caller.identity.account, &name)).ok_or_else(missing)?.body)
}
