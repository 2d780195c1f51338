//! Launch templates: what an instance is to be, written down in numbered versions that never change.

mod data;
mod model;
pub mod ops;
mod view;

pub(crate) use data::{Root, hop_limit};
pub use model::{Data, LaunchTemplate, Version};

use roadstead_store::{Index, Read, Tx};
use roadstead_types::Tags;
use std::collections::BTreeMap;

/// Makes a launch template whose first version is `data`. Its name must be free in the account: see [`named`].
pub fn create(tx: &mut Tx, account: &str, name: &str, data: Data, tags: Tags) -> LaunchTemplate {
    insert(tx, account, name, data, tags, Authorship { by: format!("arn:aws:iam::{account}:root"), description: None })
}

/// Who writes a version, and what they say of it.
pub(crate) struct Authorship {
    pub by: String,
    pub description: Option<String>,
}

fn insert(tx: &mut Tx, account: &str, name: &str, data: Data, tags: Tags, who: Authorship) -> LaunchTemplate {
    let first = version(tx, data, who);
    let template = LaunchTemplate {
        id: tx.fresh_id("lt-"),
        account: account.into(),
        name: name.into(),
        versions: BTreeMap::from([(1, first)]),
        latest: 1,
        default: 1,
        created: tx.now(),
        tags,
    };
    tx.create(LaunchTemplate::key(account, &template.id), None, template.clone());
    template
}

fn version(tx: &Tx, data: Data, who: Authorship) -> Version {
    Version { data, description: who.description, created: tx.now(), created_by: who.by }
}

/// Adds a version; gives its number. None if there is no such template.
pub fn add_version(tx: &mut Tx, account: &str, id: &str, data: Data) -> Option<u64> {
    append(tx, account, id, data, Authorship { by: format!("arn:aws:iam::{account}:root"), description: None })
}

fn append(tx: &mut Tx, account: &str, id: &str, data: Data, who: Authorship) -> Option<u64> {
    let mut record = tx.get(&LaunchTemplate::key(account, id))?;
    let version = version(tx, data, who);
    let template = &mut record.body;
    template.latest += 1;
    template.versions.insert(template.latest, version);
    let number = template.latest;
    tx.put(record);
    Some(number)
}

/// What a version says.
pub fn data(read: &impl Read, account: &str, id: &str, version: u64) -> Option<Data> {
    let template = read.shared(&LaunchTemplate::key(account, id))?;
    template.body.versions.get(&version).map(|version| version.data.clone())
}

/// The template of this name.
pub fn named(read: &impl Read, account: &str, name: &str) -> Option<LaunchTemplate> {
    let found = read.list(Index::<LaunchTemplate>::by("name", LaunchTemplate::of_name(account, name)));
    found.into_iter().next().map(|record| record.body)
}

/// Forgets a template. Instances that were launched from it stay.
pub fn remove(tx: &mut Tx, account: &str, id: &str) {
    tx.remove(&LaunchTemplate::key(account, id));
}
