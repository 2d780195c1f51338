//! The operations on a key's state.

use super::{State, find, find_usable};
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::KMS_INVALID_STATE_EXCEPTION;
use roadstead_store::{Read as _, Tx};
use roadstead_types::Millis;
use roadstead_wire::fault::{Common, Fault};

/// How long a key waits for its deletion, if nobody says otherwise (KMS API reference, ScheduleKeyDeletion). Days.
const WAIT: i32 = 30;
const DAY: u64 = 24 * 60;

/// KMS EnableKey: one that is enabled stays so.
pub fn enable(tx: &mut Tx, caller: &Caller, input: api::EnableKeyRequest) -> Result<(), Fault> {
    change(tx, caller, &input.key_id, State::Enabled)
}

/// KMS DisableKey: one that is disabled stays so.
pub fn disable(tx: &mut Tx, caller: &Caller, input: api::DisableKeyRequest) -> Result<(), Fault> {
    change(tx, caller, &input.key_id, State::Disabled)
}

fn change(tx: &mut Tx, caller: &Caller, named: &str, state: State) -> Result<(), Fault> {
    let mut record = find_usable(tx, caller, named)?;
    record.body.state = state;
    tx.put(record);
    Ok(())
}

/// KMS ScheduleKeyDeletion: after 7 to 30 days.
pub fn schedule_deletion(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ScheduleKeyDeletionRequest,
) -> Result<api::ScheduleKeyDeletionResponse, Fault> {
    let mut record = find_usable(tx, caller, &input.key_id)?;
    let days = input.pending_window_in_days.unwrap_or(WAIT);
    let window = u64::try_from(days).ok().filter(|days| (7..=30).contains(days));
    let window =
        window.ok_or_else(|| Common::Validation.fault("PendingWindowInDays must be between 7 and 30 (inclusive)"))?;
    let at = tx.now() + Millis::mins(window * DAY);
    record.body.state = State::PendingDeletion { at };
    let arn = record.body.arn(&caller.region).to_string();
    tx.put(record);
    Ok(api::ScheduleKeyDeletionResponse {
        key_id: Some(arn),
        deletion_date: Some(at),
        key_state: Some(api::KeyState::PendingDeletion),
        pending_window_in_days: Some(days),
    })
}

/// KMS CancelKeyDeletion: it is disabled.
pub fn cancel_deletion(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CancelKeyDeletionRequest,
) -> Result<api::CancelKeyDeletionResponse, Fault> {
    let mut record = find(tx, caller, &input.key_id)?;
    let arn = record.body.arn(&caller.region).to_string();
    let State::PendingDeletion { .. } = record.body.state else {
        return Err(KMS_INVALID_STATE_EXCEPTION.fault(format!("{arn} is not pending deletion.")));
    };
    record.body.state = State::Disabled;
    tx.put(record);
    Ok(api::CancelKeyDeletionResponse { key_id: Some(arn) })
}
