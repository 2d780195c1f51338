//! The log group operations that change something.

use super::{Class, LogGroup, find, find_by_arn, tags};
use crate::logs::invalid;
use roadstead_kernel::Caller;
use roadstead_shapes::logs as api;
use roadstead_shapes::logs::{RESOURCE_ALREADY_EXISTS_EXCEPTION, VALIDATION_EXCEPTION};
use roadstead_store::{Read as _, Tx};
use roadstead_wire::fault::Fault;

/// CloudWatch Logs API reference, PutRetentionPolicy. Days.
const RETENTIONS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// CloudWatch Logs CreateLogGroup: its events are kept for ever until somebody says how long.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateLogGroupRequest) -> Result<(), Fault> {
    let account = &caller.identity.account;
    if input.kms_key_id.is_some() {
        return Err(invalid("Log groups are not encrypted with keys of KMS in this region: leave kmsKeyId out"));
    }
    let class = class(input.log_group_class)?;
    let tags = tags::given(input.tags)?;
    let key = LogGroup::key(account, &input.log_group_name);
    if tx.shared(&key).is_some() {
        return Err(RESOURCE_ALREADY_EXISTS_EXCEPTION.fault("The specified log group already exists"));
    }
    let group = LogGroup {
        name: input.log_group_name,
        account: account.clone(),
        class,
        retention_days: None,
        protected: input.deletion_protection_enabled.unwrap_or(false),
        tags,
    };
    tx.create(key, None, group);
    Ok(())
}

/// CloudWatch Logs DeleteLogGroup: only one that is not protected.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteLogGroupRequest) -> Result<(), Fault> {
    let record = find(tx, caller, &input.log_group_name)?;
    if record.body.protected {
        let why = "The log group has deletion protection: disable it with PutLogGroupDeletionProtection first";
        return Err(VALIDATION_EXCEPTION.fault(why));
    }
    tx.remove(&record.key);
    Ok(())
}

/// CloudWatch Logs PutLogGroupDeletionProtection.
pub fn put_deletion_protection(
    tx: &mut Tx,
    caller: &Caller,
    input: api::PutLogGroupDeletionProtectionRequest,
) -> Result<(), Fault> {
    let named = &input.log_group_identifier;
    let mut record = if named.starts_with("arn:") { find_by_arn(tx, caller, named)? } else { find(tx, caller, named)? };
    record.body.protected = input.deletion_protection_enabled;
    tx.put(record);
    Ok(())
}

/// CloudWatch Logs PutRetentionPolicy.
pub fn put_retention_policy(tx: &mut Tx, caller: &Caller, input: api::PutRetentionPolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.log_group_name)?;
    let days = input.retention_in_days;
    if !RETENTIONS.contains(&days) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: {RETENTIONS:?}"
        )));
    }
    record.body.retention_days = Some(days);
    tx.put(record);
    Ok(())
}

/// CloudWatch Logs DeleteRetentionPolicy: events are kept for ever.
pub fn delete_retention_policy(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteRetentionPolicyRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.log_group_name)?;
    record.body.retention_days = None;
    tx.put(record);
    Ok(())
}

fn class(asked: Option<api::LogGroupClass>) -> Result<Class, Fault> {
    match asked {
        None | Some(api::LogGroupClass::Standard) => Ok(Class::Standard),
        Some(api::LogGroupClass::InfrequentAccess) => Ok(Class::InfrequentAccess),
        Some(other @ (api::LogGroupClass::Delivery | api::LogGroupClass::Essentials)) => Err(invalid(format!(
            "Log groups of the class {other} are not there in this region: use STANDARD or INFREQUENT_ACCESS"
        ))),
    }
}
