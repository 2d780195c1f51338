//! The host driver: tells the host agent what there must be, and writes down what it says it saw.
//!
//! One session at a time over the agent's socket. It opens with everything there must be, then follows each commit's
//! changes. [`Saw`] is made, and durable, before the host hears of an item; it goes when the host said that the item is
//! gone. Sessions end and begin again at any time; nothing depends on one.

use anyhow::{Context as _, Result, bail};
use roadstead_cloud::fabric::{HostItem, Saw, Want};
use roadstead_host::agent::frame;
use roadstead_hostspec as hostspec;
use roadstead_hostspec::{FromHost, ItemKey, ItemKind, Status, ToHost, Versioned};
use roadstead_inspect::Metrics;
use roadstead_kernel::region::Handle;
use roadstead_kube::Dial;
use roadstead_store::{AnyKey, Index, Key, Read as _, Tx, View};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{info, warn};

/// The pause before the next try to reach the agent.
const PAUSE: Duration = Duration::from_millis(50);
/// Of the region's history; a region that is restored from an older state takes a greater one.
const EPOCH: u64 = 1;

/// The kinds of items, in one place.
macro_rules! kinds {
    ($($kind:ident)*) => {
        const KINDS: [ItemKind; [$(ItemKind::$kind),*].len()] = [$(ItemKind::$kind),*];

        /// Calls `$body` with `$T` being the item type of `$kind`.
        macro_rules! with_kind {
            ($of:expr, $T:ident => $body:expr) => {
                match $of {
                    $(ItemKind::$kind => {
                        type $T = hostspec::$kind;
                        $body
                    })*
                }
            };
        }
    };
}

kinds!(Network Port SecurityGroup Disk Machine Metadata Balancer Endpoint Quorum Credential Reviewer);

/// The session with the host agent.
pub struct HostLink {
    handle: Handle,
    socket: PathBuf,
    metrics: Arc<Metrics>,
    /// Keys of [`Want`]s that a commit changed.
    changed: mpsc::UnboundedReceiver<ItemKey>,
}

impl HostLink {
    /// A link that is not up yet.
    pub fn new(handle: Handle, socket: PathBuf, metrics: Arc<Metrics>) -> HostLink {
        let (sender, changed) = mpsc::unbounded_channel();
        handle.subscribe(Box::new(move |commit| {
            for key in commit.changes.iter().filter_map(|c| wanted_item(&c.key)) {
                // Nobody listens any more only when the region stops.
                let _ = sender.send(key);
            }
        }));
        HostLink { handle, socket, metrics, changed }
    }

    /// Keeps a session with the agent.
    pub async fn run(mut self) {
        let mut told = String::new();
        loop {
            let ended = self.session().await;
            self.metrics.host_session(false);
            let Err(error) = ended else { continue };
            let why = format!("{error:#}");
            if why != told {
                warn!("no session with the host agent: {why}");
                told = why;
            }
            sleep(PAUSE).await;
        }
    }

    async fn session(&mut self) -> Result<()> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut from, mut to) = stream.into_split();
        // What changes from here on is told after the session's first word, which holds all there is by then.
        while self.changed.try_recv().is_ok() {}
        let items = self.everything().await?;
        let known = items.len();
        frame::write(&mut to, &ToHost::Session { epoch: EPOCH, items }).await?;
        match frame::read(&mut from).await? {
            Some(FromHost::Welcome) => {
                info!("session with the host agent: {known} items");
                self.metrics.host_session(true);
            }
            Some(FromHost::Refused { why }) => bail!("refused: {why}"),
            other => bail!("expected a welcome, got {other:?}"),
        }
        let orphans = self.orphans();
        if !orphans.is_empty() {
            frame::write(&mut to, &ToHost::Change { put: vec![], remove: orphans }).await?;
        }
        let listen = listen(self.handle.clone(), from);
        tokio::pin!(listen);
        loop {
            tokio::select! {
                ended = &mut listen => return ended,
                first = self.changed.recv() => {
                    let first = first.context("the region stops")?;
                    tell(&self.handle, &mut self.changed, first, &mut to).await?;
                }
            }
        }
    }

    /// All that is wanted, each announced by a durable [`Saw`].
    async fn everything(&self) -> Result<Vec<Versioned>> {
        let view = self.handle.view();
        let keys: Vec<ItemKey> = KINDS.iter().flat_map(|kind| with_kind!(kind, T => all::<T>(&view))).collect();
        announce(&self.handle, keys.clone()).await?;
        let view = self.handle.view();
        Ok(keys.iter().filter_map(|key| versioned(&view, key)).collect())
    }

    /// What a host may still have and nobody wants.
    fn orphans(&self) -> Vec<ItemKey> {
        let view = self.handle.view();
        KINDS.iter().flat_map(|kind| with_kind!(kind, T => unwanted::<T>(&view))).collect()
    }
}

/// The item that a record of kind `host/…` wants.
fn wanted_item(key: &AnyKey) -> Option<ItemKey> {
    let kind = KINDS.into_iter().find(|kind| with_kind!(kind, T => T::WANT) == key.kind())?;
    Some(ItemKey { kind, id: key.name().to_owned() })
}

fn all<T: HostItem>(view: &View) -> Vec<ItemKey> {
    let keys = view.list(Index::<Want<T>>::all());
    keys.into_iter().map(|r| ItemKey { kind: T::kind(), id: r.key.name().to_owned() }).collect()
}

fn unwanted<T: HostItem>(view: &View) -> Vec<ItemKey> {
    let seen = view.list(Index::<Saw<T>>::all()).into_iter().map(|r| r.key.name().to_owned());
    let gone = seen.filter(|id| view.get(&Key::<Want<T>>::new(id.as_str())).is_none());
    gone.map(|id| ItemKey { kind: T::kind(), id }).collect()
}

fn versioned(view: &View, key: &ItemKey) -> Option<Versioned> {
    with_kind!(key.kind, T => {
        let record = view.get(&Key::<Want<T>>::new(key.id.as_str()))?;
        Some(Versioned { generation: record.generation, item: record.body.0.item() })
    })
}

/// Makes the [`Saw`] of each key that lacks one, and waits until it is durable.
async fn announce(handle: &Handle, keys: Vec<ItemKey>) -> Result<()> {
    let view = handle.view();
    let missing: Vec<_> = keys
        .into_iter()
        .filter(|key| !with_kind!(key.kind, T => view.contains(&saw_key::<T>(&key.id).any())))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    super::write(handle, move |tx| {
        for key in &missing {
            with_kind!(key.kind, T => first_saw::<T>(tx, &key.id));
        }
    })
    .await
}

fn saw_key<T: HostItem>(id: &str) -> Key<Saw<T>> {
    Key::new(id)
}

fn first_saw<T: HostItem>(tx: &mut Tx, id: &str) {
    let key = saw_key::<T>(id);
    if tx.get(&key).is_none() && tx.get(&Key::<Want<T>>::new(id)).is_some() {
        tx.create(key, None, Saw { generation: 0, status: None });
    }
}

/// Tells the host what `first`, and all that changed meanwhile, is now.
async fn tell(
    handle: &Handle,
    changed: &mut mpsc::UnboundedReceiver<ItemKey>,
    first: ItemKey,
    to: &mut OwnedWriteHalf,
) -> Result<()> {
    let mut keys = BTreeSet::from([first]);
    while let Ok(key) = changed.try_recv() {
        keys.insert(key);
    }
    announce(handle, keys.iter().cloned().collect()).await?;
    let view = handle.view();
    let (mut put, mut remove) = (vec![], vec![]);
    for key in keys {
        match versioned(&view, &key) {
            Some(item) => put.push(item),
            None => remove.push(key),
        }
    }
    Ok(frame::write(to, &ToHost::Change { put, remove }).await?)
}

/// Writes down what the host says, until it hangs up.
async fn listen(handle: Handle, mut from: OwnedReadHalf) -> Result<()> {
    loop {
        match frame::read(&mut from).await?.context("the agent hung up")? {
            FromHost::Saw { key, generation, status } => super::observe(&handle, move |tx| {
                with_kind!(key.kind, T => record_saw::<T>(tx, &key.id, generation, status));
            }),
            FromHost::Gone { key } => super::observe(&handle, move |tx| {
                with_kind!(key.kind, T => record_gone::<T>(tx, &key.id));
            }),
            FromHost::Refused { why } => bail!("refused: {why}"),
            FromHost::Welcome | FromHost::Dialled => bail!("a frame out of turn"),
        }
    }
}

/// A status counts only for what was told and is not yet gone, and never replaces a newer generation's, unless nobody
/// wants the item any more: then it is of whatever is left of it.
fn record_saw<T: HostItem>(tx: &mut Tx, id: &str, generation: u64, status: Status) {
    let Some(mut record) = tx.get(&saw_key::<T>(id)) else { return };
    if generation < record.body.generation && tx.get(&Key::<Want<T>>::new(id)).is_some() {
        return;
    }
    if let Some(status) = T::status(status) {
        record.body = Saw { generation, status: Some(status) };
        tx.put(record);
    }
}

/// An item that is wanted again meanwhile is about to be told again: what was seen of it stays.
fn record_gone<T: HostItem>(tx: &mut Tx, id: &str) {
    if tx.get(&Key::<Want<T>>::new(id)).is_none() {
        tx.remove(&saw_key::<T>(id));
    }
}

/// The way into VPCs: the agent dials and passes the connection on.
#[derive(Clone, Debug)]
pub struct Dialer {
    socket: PathBuf,
}

impl Dialer {
    /// Dials by the agent at `socket`.
    pub fn new(socket: PathBuf) -> Dialer {
        Dialer { socket }
    }
}

impl Dial for Dialer {
    async fn dial(&self, network: &str, address: Ipv4Addr, port: u16) -> Result<TcpStream> {
        let dialled = roadstead_host::dial::request(&self.socket, network, address, port).await;
        dialled.with_context(|| format!("cannot reach {address}:{port} in {network}"))
    }
}
