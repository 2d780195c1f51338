//! Scaling activities: records of their own, so that a group's does not grow with them. The last hundred are kept.

use super::model::{Activity, ActivityState, AutoScalingGroup};
use crate::uuid;
use roadstead_store::{Index, Key, Read, Tx};

/// So many are kept of a group.
const KEPT: u64 = 100;

/// Begins an activity; gives its number.
pub fn begin(
    tx: &mut Tx,
    key: &Key<AutoScalingGroup>,
    group: &mut AutoScalingGroup,
    description: String,
    cause: &str,
    (subnet, zone): (&str, &str),
) -> u64 {
    let number = group.status.activities;
    group.status.activities += 1;
    if let Some(old) = number.checked_sub(KEPT) {
        tx.remove(&Activity::key(key, old));
    }
    let details = serde_json::json!({ "Subnet ID": subnet, "Availability Zone": zone }).to_string();
    let activity = Activity {
        id: uuid::fresh(tx),
        description,
        cause: cause.into(),
        start: tx.now(),
        end: None,
        state: ActivityState::InProgress,
        message: None,
        details,
    };
    tx.create(Activity::key(key, number), Some(key.any()), activity);
    number
}

/// How an activity stands; nothing happens if it ended, or is no longer kept.
pub fn set(tx: &mut Tx, key: &Key<AutoScalingGroup>, number: u64, state: ActivityState, message: Option<String>) {
    let Some(mut record) = tx.get(&Activity::key(key, number)) else { return };
    let activity = &mut record.body;
    if activity.end.is_some() {
        return;
    }
    activity.state = state;
    activity.message = message;
    let open = matches!(state, ActivityState::InProgress | ActivityState::MidLifecycleAction);
    activity.end = (!open).then(|| tx.now());
    tx.put(record);
}

/// A group's activities, the newest first.
pub fn of(read: &impl Read, key: &Key<AutoScalingGroup>) -> Vec<Activity> {
    let all = read.list(Index::<Activity>::prefix(format!("{}/", key.name())));
    all.into_iter().rev().map(|record| record.body).collect()
}

/// Forgets a group's activities.
pub fn remove_all(tx: &mut Tx, key: &Key<AutoScalingGroup>) {
    for record in tx.list(Index::<Activity>::prefix(format!("{}/", key.name()))) {
        tx.remove(&record.key);
    }
}
