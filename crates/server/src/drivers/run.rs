//! Runs drivers: one task per desired record, replaced when the record changes and stopped when it is gone.

use super::etcd::Etcd;
use super::host::{Dialer, HostLink};
use super::keys;
use crate::clock;
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_inspect::Metrics;
use roadstead_kernel::driver::Driver;
use roadstead_kernel::region::Handle;
use roadstead_kube::{Addons, Clusters, Nodes};
use roadstead_store::{Index, Key, Object, Read as _, Record};
use roadstead_vault::Vault;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tracing::error;

/// A key that could not be made is tried again after this span.
const AGAIN: Duration = Duration::from_secs(10);

/// Everything that runs until it is dropped.
pub struct Drivers {
    _tasks: JoinSet<()>,
}

/// Starts all drivers of a region.
pub fn start(handle: &Handle, vault: Arc<Vault>, host_socket: PathBuf, metrics: Arc<Metrics>) -> Drivers {
    let mut tasks = JoinSet::new();
    let dialer = Dialer::new(host_socket.clone());
    let clusters = Clusters { dialer: dialer.clone(), vault: vault.clone(), now: clock::now };
    let etcd = Etcd { dialer: dialer.clone(), vault: vault.clone(), now: clock::now, newest: Mutex::default() };
    let nodes = Nodes { dialer: dialer.clone(), vault: vault.clone() };
    let addons = Addons { dialer: dialer.clone(), vault: vault.clone() };
    tasks.spawn(drive(Arc::new(clusters), handle.clone()));
    tasks.spawn(drive(Arc::new(nodes), handle.clone()));
    tasks.spawn(drive(Arc::new(addons), handle.clone()));
    tasks.spawn(drive(Arc::new(etcd), handle.clone()));
    tasks.spawn(Keys::new(handle.clone(), vault).make());
    tasks.spawn(HostLink::new(handle.clone(), host_socket, metrics).run());
    Drivers { _tasks: tasks }
}

/// The keys of the records of kind `T` that commits create, change or remove from now on. What there is already is for
/// the caller to list after this, so that nothing is missed. Costs nothing for what did not change.
fn changed<T: Object>(handle: &Handle) -> UnboundedReceiver<Key<T>> {
    let (sender, receiver) = unbounded_channel();
    handle.subscribe(Box::new(move |commit| {
        for key in commit.changes.iter().filter_map(|change| change.key.typed()) {
            // Nobody listens any more only when the region stops.
            let _ = sender.send(key);
        }
    }));
    receiver
}

/// Keeps one `converge` running for each desired record, as it is now.
async fn drive<D: Driver + 'static>(driver: Arc<D>, handle: Handle) {
    let mut changed = changed::<D::Desired>(&handle);
    let start = |record: Record<D::Desired>| {
        let task = Task(tokio::spawn(converge(driver.clone(), handle.clone(), record.clone())));
        (record.key, (record.created, record.generation, task))
    };
    let all = handle.view().list(Index::<D::Desired>::all());
    let mut running: HashMap<_, _> = all.into_iter().map(start).collect();
    while let Some(key) = changed.recv().await {
        let Some(record) = handle.view().get(&key) else {
            running.remove(&key);
            continue;
        };
        let is_it =
            |(created, generation, _): &(_, _, _)| (*created, *generation) == (record.created, record.generation);
        if !running.get(&key).is_some_and(is_it) {
            // First the end of the old one: no two for one record.
            running.remove(&key);
            running.extend([start(record)]);
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

/// Makes each key once, and a certificate once its authority is there.
struct Keys {
    handle: Handle,
    vault: Arc<Vault>,
    specs: UnboundedReceiver<Key<KeySpec>>,
    states: UnboundedReceiver<Key<KeyState>>,
    making: HashMap<Key<KeySpec>, Task>,
    /// Certificates by the name of the authority that they wait for.
    waiting: HashMap<String, Vec<Key<KeySpec>>>,
}

impl Keys {
    fn new(handle: Handle, vault: Arc<Vault>) -> Keys {
        let (specs, states) = (changed(&handle), changed(&handle));
        Keys { handle, vault, specs, states, making: HashMap::new(), waiting: HashMap::new() }
    }

    async fn make(mut self) {
        let all = self.handle.view().list(Index::<KeySpec>::all());
        all.into_iter().for_each(|record| self.look(record.key));
        loop {
            tokio::select! {
                Some(key) = self.specs.recv() => self.look(key),
                Some(key) = self.states.recv() => {
                    self.making.remove(&Key::new(key.name()));
                    let waiting = self.waiting.remove(key.name()).unwrap_or_default();
                    waiting.into_iter().for_each(|key| self.look(key));
                }
                else => return,
            }
        }
    }

    /// Begins what is due for this key.
    fn look(&mut self, key: Key<KeySpec>) {
        let view = self.handle.view();
        let state = |name: &str| view.get(&Key::<KeyState>::new(name)).map(|r| r.body);
        let Some(record) = view.get(&key) else {
            self.making.remove(&key);
            self.waiting.remove(key.name());
            return;
        };
        if state(key.name()).is_some() || self.making.contains_key(&key) {
            return;
        }
        let authority = match &record.body {
            KeySpec::Certificate { authority, .. } => match state(authority) {
                Some(authority) => Some(authority),
                None => return self.waiting.entry(authority.clone()).or_default().push(key),
            },
            _ => None,
        };
        let task = tokio::spawn(make_key(self.vault.clone(), self.handle.clone(), record, authority));
        self.making.insert(key, Task(task));
    }
}

/// Makes a key; if that fails, again after a while.
async fn make_key(vault: Arc<Vault>, handle: Handle, record: Record<KeySpec>, authority: Option<KeyState>) {
    let record = Arc::new((record, authority));
    let made = loop {
        let (vault, what) = (vault.clone(), record.clone());
        let make = move || keys::make(&vault, what.0.key.name(), &what.0.body, what.1.as_ref());
        match tokio::task::spawn_blocking(make).await {
            Ok(Ok(state)) => break state,
            Ok(Err(error)) => error!("key {}: {error:#}", record.0.key),
            Err(error) => error!("key {}: {error}", record.0.key),
        }
        sleep(AGAIN).await;
    };
    // What was made first counts: a second one, asked for while the first was not published yet, would leave certificates
    // of an authority that is gone.
    let (spec, key) = (record.0.key.clone(), Key::<KeyState>::new(record.0.key.name()));
    super::observe(&handle, move |tx| {
        if tx.get(&spec).is_some() && tx.get(&key).is_none() {
            tx.create(key, Some(spec.any()), made);
        }
    });
}
