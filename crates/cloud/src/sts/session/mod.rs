//! Sessions: temporary credentials of a role. [`crate::fabric`] makes them known to hosts.
//!
//! ```text
//! AssumeRole ──────────────▶ Session, issued ──▶ hosts and the API accept it ──▶ its end ──▶ forgotten an hour later
//! EC2, for an instance ──▶ Session ──keys──▶ issued ──an hour before its end──▶ its successor
//! ```

mod model;
pub mod ops;
mod plan;

pub use model::{ForInstance, Issued, Limits, Session};
pub use plan::SessionPlanner;

use crate::iam::access_key::new_id;
use crate::iam::role::{self, Role};
use crate::keys;
use roadstead_hostspec::{Principal, RoleCredentials};
use roadstead_store::{AnyKey, Index, Read, Record, Tx};
use roadstead_types::Arn;
use std::sync::Arc;

/// The service that assumes an instance's role.
const EC2: &str = "ec2.amazonaws.com";

/// What the metadata service shows an instance: the newest credentials of its role. None while there are none: the key
/// driver has not made them yet, the role is gone, or it does not trust EC2. Whoever asks in a plan is woken by each
/// renewal. `owner` is the instance's record, which stays until [`end_all`] says that it may go.
pub fn for_instance(
    tx: &mut Tx,
    owner: &AnyKey,
    instance: &str,
    role: &str,
    private_dns_name: &str,
) -> Option<RoleCredentials> {
    let role = assumable(tx, role);
    let sessions = of_instance(tx, instance);
    let is_current = |r: &Record<Session>| {
        let wanted = role.as_ref().is_some_and(|role| r.body.is_of(role));
        wanted && r.body.instance.as_ref().is_some_and(|i| i.private_dns_name == private_dns_name)
    };
    let (current, stale): (Vec<_>, Vec<_>) = sessions.into_iter().partition(is_current);
    stale.iter().for_each(|record| end(tx, record));
    let role = role?;
    let of = ForInstance { id: instance.into(), private_dns_name: private_dns_name.into(), renewed: false };
    if current.is_empty() {
        begin(tx, owner, &role, of);
    }
    let now = tx.now();
    let issued = current.iter().filter_map(|r| Some((&r.body, r.body.issued.as_ref()?)));
    let (session, issued) = issued.filter(|(_, i)| now < i.expires).max_by_key(|(_, i)| i.expires)?;
    Some(RoleCredentials {
        role: role.name,
        access_key_id: session.access_key_id.clone(),
        secret: issued.secret.clone(),
        token: issued.token.clone(),
        updated: issued.updated,
        expires: issued.expires,
    })
}

/// Ends all sessions of an instance: what they sign is refused from here on. True once nothing of them is left, on any
/// host either.
pub fn end_all(tx: &mut Tx, instance: &str) -> bool {
    for record in of_instance(tx, instance) {
        end(tx, &record);
    }
    !tx.any(Index::<Session>::by("instance", instance))
}

/// The session that the key is of, if it has policies of its own.
pub fn limited(read: &impl Read, access_key_id: &str) -> Option<Arc<Record<Session>>> {
    read.shared(&Session::key_of(access_key_id)).filter(|record| record.body.limits.is_some())
}

/// The instance's role, if EC2 may assume it.
fn assumable(read: &impl Read, role: &str) -> Option<Role> {
    let arn: Arn = role.parse().ok()?;
    let role = read.get(&Role::key(&arn.account, arn.name()))?.body;
    role::trusts_service(&role, EC2).then_some(role)
}

fn of_instance(read: &impl Read, instance: &str) -> Vec<Record<Session>> {
    let all = read.list(Index::<Session>::by("instance", instance));
    all.into_iter().filter(|record| record.deleting.is_none()).collect()
}

/// A session whose secrets are yet to be made.
fn begin(tx: &mut Tx, owner: &AnyKey, role: &Role, of: ForInstance) {
    let id = new_id(tx, "ASIA");
    let principal = principal(role, &of.id);
    let name = of.id.clone();
    let session = Session {
        access_key_id: id,
        principal,
        role: role.arn().to_string(),
        name,
        instance: Some(of),
        issued: None,
        limits: None,
    };
    tx.create(session.key(), Some(owner.clone()), session);
}

/// Who a session of the role is.
fn principal(role: &Role, name: &str) -> Principal {
    let arn = Arn::new("sts", "", &role.account, format!("assumed-role/{}/{name}", role.name));
    Principal { arn: arn.to_string(), unique_id: format!("{}:{name}", role.id), account: role.account.clone() }
}

/// Names of the keys that a session of EC2's is made from.
fn key_names(id: &str) -> [String; 2] {
    ["secret", "token"].map(|part| format!("sts/{id}/{part}"))
}

fn end(tx: &mut Tx, record: &Record<Session>) {
    for name in key_names(&record.body.access_key_id) {
        keys::remove(tx, &name);
    }
    tx.delete(&record.key);
}
