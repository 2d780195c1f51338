//! The operations on how often a key's material is to be another.

use super::{KmsKey, State, find_usable};
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::DISABLED_EXCEPTION;
use roadstead_store::{Read, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// If nobody says how often (KMS API reference, EnableKeyRotation). Days.
const USUAL: i32 = 365;

/// KMS EnableKeyRotation: the setting is kept; there is no material to rotate yet.
pub fn enable(tx: &mut Tx, caller: &Caller, input: api::EnableKeyRotationRequest) -> Result<(), Fault> {
    let mut record = find_enabled(tx, caller, &input.key_id)?;
    record.body.rotation_days = Some(input.rotation_period_in_days.unwrap_or(USUAL));
    tx.put(record);
    Ok(())
}

/// KMS DisableKeyRotation.
pub fn disable(tx: &mut Tx, caller: &Caller, input: api::DisableKeyRotationRequest) -> Result<(), Fault> {
    let mut record = find_enabled(tx, caller, &input.key_id)?;
    record.body.rotation_days = None;
    tx.put(record);
    Ok(())
}

/// KMS GetKeyRotationStatus.
pub fn status(
    view: &View,
    caller: &Caller,
    input: api::GetKeyRotationStatusRequest,
) -> Result<api::GetKeyRotationStatusResponse, Fault> {
    let KmsKey { id, rotation_days, .. } = find_usable(view, caller, &input.key_id)?.body;
    Ok(api::GetKeyRotationStatusResponse {
        key_id: Some(id),
        key_rotation_enabled: Some(rotation_days.is_some()),
        rotation_period_in_days: rotation_days,
        ..Default::default()
    })
}

fn find_enabled(read: &impl Read, caller: &Caller, named: &str) -> Result<Record<KmsKey>, Fault> {
    let record = find_usable(read, caller, named)?;
    match record.body.state {
        State::Disabled => Err(DISABLED_EXCEPTION.fault(format!("{} is disabled.", record.body.arn(&caller.region)))),
        State::Enabled | State::PendingDeletion { .. } => Ok(record),
    }
}
