//! Runs drivers: one task per desired record, replaced when the record changes and stopped when it is gone.

use super::etcd::Etcd;
use super::host::{Dialer, HostLink};
use super::keys;
use super::kube::Kube;
use crate::clock;
use anyhow::Result;
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_inspect::Metrics;
use roadstead_kernel::driver::Driver;
use roadstead_kernel::region::Handle;
use roadstead_store::{Index, Key, Object, Read as _, Record};
use roadstead_vault::Vault;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::error;

/// Everything that runs until it is dropped.
pub struct Drivers {
    _tasks: JoinSet<()>,
}

/// Starts all drivers of a region.
pub fn start(handle: &Handle, vault: Arc<Vault>, host_socket: PathBuf, metrics: Arc<Metrics>) -> Drivers {
    let changed = watch_commits(handle);
    let mut tasks = JoinSet::new();
    let dialer = Dialer::new(host_socket.clone());
    let kube = Kube { dialer: dialer.clone(), vault: vault.clone(), now: clock::now };
    let etcd = Etcd { dialer, vault: vault.clone(), now: clock::now, newest: Mutex::default() };
    tasks.spawn(drive(Arc::new(kube), handle.clone(), changed.clone()));
    tasks.spawn(drive(Arc::new(etcd), handle.clone(), changed.clone()));
    tasks.spawn(make_keys(handle.clone(), vault, changed));
    tasks.spawn(HostLink::new(handle.clone(), host_socket, metrics).run());
    Drivers { _tasks: tasks }
}

/// The revision that was last published.
pub fn watch_commits(handle: &Handle) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(handle.view().revision());
    handle.subscribe(Box::new(move |commit| {
        sender.send_replace(commit.revision);
    }));
    receiver
}

/// Keeps one `converge` running for each desired record, as it is now.
async fn drive<D: Driver + 'static>(driver: Arc<D>, handle: Handle, mut changed: watch::Receiver<u64>) {
    let mut running: HashMap<Key<D::Desired>, (u64, Task)> = HashMap::new();
    loop {
        let wanted = handle.view().list(Index::<D::Desired>::all());
        running.retain(|key, (generation, _)| wanted.iter().any(|r| r.key == *key && r.generation == *generation));
        for record in wanted {
            let start =
                || (record.generation, Task(tokio::spawn(converge(driver.clone(), handle.clone(), record.clone()))));
            running.entry(record.key.clone()).or_insert_with(start);
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn converge<D: Driver>(driver: Arc<D>, handle: Handle, record: Record<D::Desired>) {
    let key = record.key.clone();
    let saw = move |observed: D::Observed| observe(&handle, &key, observed);
    driver.converge(&record, &saw).await;
}

/// Writes what was seen beside what is wanted, unless that is gone.
fn observe<D: Object, O: Object>(handle: &Handle, desired: &Key<D>, observed: O) {
    let (desired, key) = (desired.clone(), Key::<O>::new(desired.name()));
    super::observe(handle, move |tx| {
        if tx.get(&desired).is_some() {
            tx.set(&key, Some(desired.any()), observed);
        }
    });
}

/// Makes each key once.
async fn make_keys(handle: Handle, vault: Arc<Vault>, mut changed: watch::Receiver<u64>) {
    let mut asked: HashMap<Key<KeySpec>, JoinHandle<()>> = HashMap::new();
    loop {
        let view = handle.view();
        let wanted = view.list(Index::<KeySpec>::all());
        asked.retain(|key, task| !task.is_finished() && wanted.iter().any(|r| r.key == *key));
        for record in wanted {
            let state = |name: &str| view.get(&Key::<KeyState>::new(name)).map(|r| r.body);
            if state(record.key.name()).is_some() || asked.contains_key(&record.key) {
                continue;
            }
            let authority = match &record.body {
                KeySpec::Certificate { authority, .. } => match state(authority) {
                    Some(authority) => Some(authority),
                    None => continue,
                },
                _ => None,
            };
            let (vault, handle, key) = (vault.clone(), handle.clone(), record.key.clone());
            let make = move || make_key(&vault, &handle, &record, authority.as_ref());
            asked.insert(key, tokio::task::spawn_blocking(make));
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn make_key(vault: &Vault, handle: &Handle, record: &Record<KeySpec>, authority: Option<&KeyState>) {
    let made: Result<KeyState> = keys::make(vault, record.key.name(), &record.body, authority);
    match made {
        // What was made first counts: a second one, asked for while the first was not published yet, would leave
        // certificates of an authority that is gone.
        Ok(state) => super::observe(handle, {
            let (spec, key) = (record.key.clone(), Key::<KeyState>::new(record.key.name()));
            move |tx| {
                if tx.get(&spec).is_some() && tx.get(&key).is_none() {
                    tx.create(key, Some(spec.any()), state);
                }
            }
        }),
        Err(error) => error!("key {}: {error:#}", record.key),
    }
}
