//! The key operations.

use super::{KmsKey, State, find, find_usable, policy, tags};
use crate::kms::{alias, paged};
use crate::uuid;
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::UNSUPPORTED_OPERATION_EXCEPTION;
use roadstead_store::{Index, Read as _, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// Keys of a page, if nobody says how many.
const PAGE: usize = 100;

/// KMS CreateKey: a symmetric one of this region.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateKeyRequest) -> Result<api::CreateKeyResponse, Fault> {
    let account = &caller.identity.account;
    check_supported(&input)?;
    let policy = match input.policy {
        Some(text) => policy::checked(caller, text, input.bypass_policy_lockout_safety_check)?,
        None => policy::usual(account),
    };
    let tags = tags::given(input.tags)?;
    let key = KmsKey {
        id: uuid::fresh(tx),
        account: account.clone(),
        description: input.description.unwrap_or_default(),
        state: State::Enabled,
        rotation_days: None,
        policy,
        tags,
    };
    let record = tx.create(KmsKey::key(account, &key.id), None, key);
    Ok(api::CreateKeyResponse { key_metadata: Some(metadata(&record, &caller.region)) })
}

/// KMS DescribeKey: by id, ARN or alias.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeKeyRequest,
) -> Result<api::DescribeKeyResponse, Fault> {
    let named = alias::target(view, caller, &input.key_id)?.unwrap_or(input.key_id);
    let record = find(view, caller, &named)?;
    Ok(api::DescribeKeyResponse { key_metadata: Some(metadata(&record, &caller.region)) })
}

/// KMS ListKeys, by id.
pub fn list(view: &View, caller: &Caller, input: api::ListKeysRequest) -> Result<api::ListKeysResponse, Fault> {
    let account = &caller.identity.account;
    let owners = input.resource_owners;
    // Nobody shares a key with anybody here.
    let own = owners.is_none_or(|owners| owners.contains(&api::ResourceOwnerType::Self_));
    let keys = view.list(Index::<KmsKey>::prefix(format!("{account}/"))).into_iter().filter(|_| own);
    let keys = keys.map(|record| {
        let arn = record.body.arn(&caller.region).to_string();
        (record.body.id.clone(), api::KeyListEntry { key_id: Some(record.body.id), key_arn: Some(arn) })
    });
    let scope = format!("kms:ListKeys/{account}/{own}");
    let page = paged(&scope, keys.collect(), PAGE, input.limit, input.marker.as_deref())?;
    Ok(api::ListKeysResponse { keys: Some(page.items), truncated: Some(page.next.is_some()), next_marker: page.next })
}

/// KMS UpdateKeyDescription.
pub fn update_description(tx: &mut Tx, caller: &Caller, input: api::UpdateKeyDescriptionRequest) -> Result<(), Fault> {
    let mut record = find_usable(tx, caller, &input.key_id)?;
    record.body.description = input.description;
    tx.put(record);
    Ok(())
}

/// What is asked for must be of the one sort that there is.
fn check_supported(input: &api::CreateKeyRequest) -> Result<(), Fault> {
    let symmetric = input.key_spec.is_none_or(|spec| spec == api::KeySpec::SymmetricDefault)
        && input.customer_master_key_spec.is_none_or(|spec| spec == api::CustomerMasterKeySpec::SymmetricDefault);
    let given = [
        ("KeySpec", !symmetric),
        ("KeyUsage", input.key_usage.is_some_and(|usage| usage != api::KeyUsageType::EncryptDecrypt)),
        ("Origin", input.origin.is_some_and(|origin| origin != api::OriginType::AwsKms)),
        ("MultiRegion", input.multi_region == Some(true)),
        ("CustomKeyStoreId", input.custom_key_store_id.is_some()),
        ("XksKeyId", input.xks_key_id.is_some()),
    ];
    match given.into_iter().find(|(_, other)| *other) {
        None => Ok(()),
        Some((name, _)) => Err(UNSUPPORTED_OPERATION_EXCEPTION.fault(format!(
            "This {name} is not offered in this region: keys are SYMMETRIC_DEFAULT, for ENCRYPT_DECRYPT, of the origin AWS_KMS and of one region"
        ))),
    }
}

fn metadata(record: &Record<KmsKey>, region: &str) -> api::KeyMetadata {
    let key = &record.body;
    let (state, deletion_date) = match key.state {
        State::Enabled => (api::KeyState::Enabled, None),
        State::Disabled => (api::KeyState::Disabled, None),
        State::PendingDeletion { at } => (api::KeyState::PendingDeletion, Some(at)),
    };
    api::KeyMetadata {
        aws_account_id: Some(key.account.clone()),
        key_id: key.id.clone(),
        arn: Some(key.arn(region).to_string()),
        creation_date: Some(record.created),
        enabled: Some(key.state == State::Enabled),
        description: Some(key.description.clone()),
        key_usage: Some(api::KeyUsageType::EncryptDecrypt),
        key_state: Some(state),
        deletion_date,
        origin: Some(api::OriginType::AwsKms),
        key_manager: Some(api::KeyManagerType::Customer),
        customer_master_key_spec: Some(api::CustomerMasterKeySpec::SymmetricDefault),
        key_spec: Some(api::KeySpec::SymmetricDefault),
        encryption_algorithms: Some(vec![api::EncryptionAlgorithmSpec::SymmetricDefault]),
        multi_region: Some(false),
        ..Default::default()
    }
}
