//! Updates: what was asked to be changed of a cluster or of something in it, and how that goes.
//!
//! An update is a record of its own, owned by what it changes. Who changes it keeps its id, and says how it ended.

mod model;
pub mod ops;

pub use model::{Error, State, Subject, Update};

use crate::eks::uuid;
use roadstead_store::{AnyKey, Index, Read, Tx};

/// So many are kept of one subject.
const KEPT: usize = 50;

/// An update that is asked for.
pub struct Asked {
    /// The owner of the cluster.
    pub account: String,
    /// The cluster's name.
    pub cluster: String,
    /// What it changes.
    pub subject: Subject,
    /// EKS's type, e.g. `ConfigUpdate`.
    pub kind: String,
    /// What is changed, by EKS's names.
    pub params: Vec<(String, String)>,
}

/// Begins an update; `owner` is the record that it changes.
pub fn begin(tx: &mut Tx, owner: &AnyKey, asked: Asked) -> Update {
    forget_old(tx, owner);
    let update = Update {
        id: uuid(tx),
        account: asked.account,
        cluster: asked.cluster,
        subject: asked.subject,
        kind: asked.kind,
        params: asked.params,
        state: State::InProgress,
        errors: vec![],
    };
    tx.create(update.key(), Some(owner.clone()), update.clone());
    update
}

fn forget_old(tx: &mut Tx, owner: &AnyKey) {
    let mut all = tx.list(Index::<Update>::owner(owner));
    all.sort_by_key(|record| std::cmp::Reverse(record.created));
    for record in all.into_iter().skip(KEPT - 1).filter(|record| record.body.state != State::InProgress) {
        tx.remove(&record.key);
    }
}

/// Says how an update ended, unless that was said before.
pub fn end(tx: &mut Tx, account: &str, cluster: &str, id: &str, state: State, errors: Vec<Error>) {
    let Some(mut record) = tx.get(&Update::key_of(account, cluster, id)) else { return };
    if record.body.state == State::InProgress {
        (record.body.state, record.body.errors) = (state, errors);
        tx.put(record);
    }
}

/// Forgets the updates of something that goes.
pub fn remove_all(tx: &mut Tx, owner: &AnyKey) {
    for record in tx.list(Index::<Update>::owner(owner)) {
        tx.remove(&record.key);
    }
}
