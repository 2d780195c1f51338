use super::{Issued, Session, assumable, begin, end, key_names};
use crate::keys::{self, KeySpec};
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read as _, Record, Tx};
use roadstead_types::Millis;

/// How long an instance's credentials count (EC2 user guide, "Retrieve security credentials from instance metadata":
/// about six hours).
const LIFETIME: Millis = Millis::mins(6 * 60);
/// So long before their end there are newer ones.
const RENEWED_BEFORE: Millis = Millis::mins(60);
/// So long after its end a session is told apart from one that never was.
const REMEMBERED: Millis = Millis::mins(60);

/// Issues what EC2's sessions need, renews them, and forgets those that are over.
pub struct SessionPlanner;

impl Planner for SessionPlanner {
    type Object = Session;
    const NAME: &'static str = "sts/session";

    fn plan(&self, mut record: Record<Session>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            return Next::settled("over: hosts forget it");
        }
        if record.owner.as_ref().is_some_and(|owner| tx.born(owner).is_none()) {
            end(tx, &record);
            return Next::settled("its instance is gone");
        }
        let Some(issued) = record.body.issued.clone() else {
            return issue(record, tx);
        };
        let left = |until: Millis, now: Millis| until.since(now);
        let now = tx.now();
        if now >= issued.expires + REMEMBERED {
            end(tx, &record);
            return Next::settled("ended long ago");
        }
        if now >= issued.expires {
            return Next::after(left(issued.expires + REMEMBERED, now), "ended: it is refused");
        }
        let renews = issued.expires - RENEWED_BEFORE;
        match &mut record.body.instance {
            Some(instance) if !instance.renewed && now < renews => {
                Next::after(left(renews, now), "in use; newer credentials come before its end")
            }
            Some(instance) if !instance.renewed => {
                let Some(role) = assumable(tx, &record.body.role) else {
                    return Next::after(left(issued.expires, now), "in use; its role is gone or no longer trusts EC2");
                };
                let of = instance.clone();
                instance.renewed = true;
                let owner = record.owner.clone().unwrap_or_else(|| record.key.any());
                begin(tx, &owner, &role, of);
                tx.put(record);
                Next::after(left(issued.expires, now), "in use until its end; there are newer credentials")
            }
            Some(_) | None => Next::after(left(issued.expires, now), "in use until its end"),
        }
    }
}

/// Has the secrets made, and takes them over once they are.
fn issue(mut record: Record<Session>, tx: &mut Tx) -> Next {
    let names = key_names(&record.body.access_key_id);
    let owner = record.key.any();
    // 30 bytes are 40 characters, as long as AWS's secret; a token has no length of its own.
    let text = |bytes: usize| move || KeySpec::Text { template: format!("{{{{random:{bytes}}}}}") };
    let secret = keys::ensure(tx, &names[0], &owner, text(30));
    let token = keys::ensure(tx, &names[1], &owner, text(96));
    let (Some(secret), Some(token)) = (secret, token) else {
        return Next::settled("waits for its keys");
    };
    let (secret, token) = (secret.body.private.clone(), token.body.private.clone());
    let now = tx.now();
    record.body.issued = Some(Issued { secret, token, updated: now, expires: now + LIFETIME });
    tx.put(record);
    names.iter().for_each(|name| keys::remove(tx, name));
    Next::settled("issued")
}
