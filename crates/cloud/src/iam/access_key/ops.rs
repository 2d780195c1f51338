//! The access key operations.

use super::{AccessKey, new_id};
use crate::iam::{listing, user};
use roadstead_kernel::{Caller, Mint};
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Read as _, Tx, View};
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
    let user = user::ops::find(tx, caller, input.user_name)?.body;
    if super::of(tx, &user).len() >= KEYS_MAX {
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
    let user = user::ops::find(tx, caller, input.user_name)?.body;
    let key = AccessKey::key(&input.access_key_id);
    let owned = tx.get(&key).filter(|r| r.deleting.is_none() && r.body.principal.arn == user.arn().to_string());
    if owned.is_none() {
        let why = format!("The Access Key with id {} cannot be found.", input.access_key_id);
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(why));
    }
    tx.delete(&key);
    Ok(())
}

/// IAM ListAccessKeys: no secrets.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListAccessKeysRequest,
) -> Result<api::ListAccessKeysResponse, Fault> {
    let user = user::ops::find(view, caller, input.user_name)?.body;
    let keys = super::of(view, &user).into_iter().map(|key| (key.id.clone(), key)).collect();
    let scope = format!("iam:ListAccessKeys/{}", user.id);
    let page = listing::page(&scope, keys, input.max_items, input.marker.as_deref())?;
    let shown = page.items.into_iter().map(|key| api::AccessKeyMetadata {
        user_name: Some(key.user),
        access_key_id: Some(key.id),
        status: Some(if key.active { api::StatusType::Active } else { api::StatusType::Inactive }),
        create_date: Some(key.created),
    });
    Ok(api::ListAccessKeysResponse {
        access_key_metadata: shown.collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}
