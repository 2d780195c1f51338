//! The access key operations.

use super::{AccessKey, new_id};
use crate::iam::{listing, user};
use roadstead_kernel::{Caller, Mint};
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{INVALID_INPUT_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Read, Record, Tx, View};
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

/// IAM UpdateAccessKey: no signature by an inactive one is good.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateAccessKeyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, input.user_name, &input.access_key_id)?;
    record.body.active = match input.status {
        api::StatusType::Active => true,
        api::StatusType::Inactive => false,
        api::StatusType::Expired => {
            return Err(
                INVALID_INPUT_EXCEPTION.fault("An access key is made Active or Inactive: nobody makes it expire.")
            );
        }
    };
    tx.put(record);
    Ok(())
}

/// IAM DeleteAccessKey: no signature by it is good from here on.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAccessKeyRequest) -> Result<(), Fault> {
    let record = find(tx, caller, input.user_name, &input.access_key_id)?;
    tx.delete(&record.key);
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

/// The access key of that id, if it is the named user's, or the caller's.
fn find(read: &impl Read, caller: &Caller, user: Option<String>, id: &str) -> Result<Record<AccessKey>, Fault> {
    let owner = user::ops::find(read, caller, user)?.body.arn().to_string();
    let found = read.get(&AccessKey::key(id)).filter(|r| r.deleting.is_none() && r.body.principal.arn == owner);
    found.ok_or_else(|| NO_SUCH_ENTITY_EXCEPTION.fault(format!("The Access Key with id {id} cannot be found.")))
}
