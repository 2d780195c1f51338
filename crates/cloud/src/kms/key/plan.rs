use super::{KmsKey, State};
use crate::kms::alias;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read as _, Record, Tx};

/// Deletes a key when its time has come, and its aliases with it.
pub struct KeyPlanner;

impl Planner for KeyPlanner {
    type Object = KmsKey;
    const NAME: &'static str = "kms/key";

    fn plan(&self, record: Record<KmsKey>, tx: &mut Tx) -> Next {
        let State::PendingDeletion { at } = record.body.state else { return Next::settled("it is there to stay") };
        if tx.now() < at {
            return Next::after(at.since(tx.now()), "waits for the end of its waiting period");
        }
        alias::forget(tx, &record.body);
        tx.remove(&record.key);
        Next::settled("its waiting period is over")
    }
}
