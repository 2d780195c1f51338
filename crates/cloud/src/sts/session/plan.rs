use super::{Issued, Session, assumable, begin, end, key_names};
use crate::iam::role::Role;
use crate::iam::user::User;
use crate::keys::{self, KeySpec};
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read, Record, Tx};
use roadstead_types::{Arn, Millis};

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
        if !stands(tx, &record.body) {
            end(tx, &record);
            return Next::settled("its role is gone");
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
                    return Next::after(left(issued.expires, now), "in use; its role no longer trusts EC2");
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

/// Whether the role, or the user whose own session it is, is still there and no other of its name.
fn stands(read: &impl Read, session: &Session) -> bool {
    let Ok(arn) = session.role.parse::<Arn>() else { return false };
    if arn.resource.starts_with("role/") {
        return read.get(&Role::key(&arn.account, arn.name())).is_some_and(|record| session.is_of(&record.body));
    }
    let user = read.get(&User::key(&arn.account, arn.name()));
    user.is_some_and(|record| record.body.id == session.principal.unique_id)
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
