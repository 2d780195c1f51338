//! The region's side of the session with the host agent.
//!
//! It looks at one item at a time and does what is due for it, whatever happened before:
//!
//! ```text
//! wanted, not met      ─▶ write Saw (empty); once that is durable, this looks at the item again
//! wanted, met          ─▶ tell the host, unless this session has told it this generation
//! not wanted, met      ─▶ tell the host to remove it, once a session
//! host says gone       ─▶ remove Saw, unless it is wanted again meanwhile: then the host is told anew
//! ```

use super::observe;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::fabric::{HostItem, Saw, Want};
use roadstead_hostspec::{
    Balancer, Credential, Disk, Endpoint, FromHost, ItemKey, ItemKind, Machine, Metadata, Network, Port, Quorum,
    Reviewer, SecurityGroup, Status, ToHost, Versioned,
};
use roadstead_kernel::region::Region;
use roadstead_store::{AnyKey, Key, Read as _, Record, Tx, View};
use roadstead_types::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// The session and what was said in it.
pub struct Link {
    rng: Rng,
    session: Option<u64>,
    /// Generations that the host was told in this session.
    told: BTreeMap<ItemKey, u64>,
    /// Items that the host was told to remove in this session.
    removing: BTreeSet<ItemKey>,
    /// Items to look at.
    due: BTreeSet<ItemKey>,
    wakes: Millis,
}

/// What the link does with one kind of item, its type forgotten.
struct Sort {
    kind: ItemKind,
    want: &'static str,
    saw: &'static str,
    body: fn(&View, &str) -> Option<Versioned>,
    meet: fn(&mut Tx, &str),
    record: fn(&mut Tx, &str, u64, Status),
    forget: fn(&mut Tx, &str),
}

const SORTS: [Sort; 11] = [
    sort::<Network>(ItemKind::Network),
    sort::<Port>(ItemKind::Port),
    sort::<SecurityGroup>(ItemKind::SecurityGroup),
    sort::<Disk>(ItemKind::Disk),
    sort::<Machine>(ItemKind::Machine),
    sort::<Metadata>(ItemKind::Metadata),
    sort::<Balancer>(ItemKind::Balancer),
    sort::<Endpoint>(ItemKind::Endpoint),
    sort::<Quorum>(ItemKind::Quorum),
    sort::<Credential>(ItemKind::Credential),
    sort::<Reviewer>(ItemKind::Reviewer),
];

const fn sort<T: HostItem>(kind: ItemKind) -> Sort {
    Sort {
        kind,
        want: T::WANT,
        saw: T::SAW,
        body: body::<T>,
        meet: meet::<T>,
        record: record::<T>,
        forget: forget::<T>,
    }
}

fn body<T: HostItem>(view: &View, id: &str) -> Option<Versioned> {
    let want = view.get(&Key::<Want<T>>::new(id))?;
    Some(Versioned { generation: want.generation, item: want.body.0.item() })
}

fn meet<T: HostItem>(tx: &mut Tx, id: &str) {
    let (want, saw) = (Key::<Want<T>>::new(id), Key::<Saw<T>>::new(id));
    if tx.get(&want).is_some() && tx.get(&saw).is_none() {
        tx.create(saw, None, Saw { generation: 0, status: None });
    }
}

/// An item that is not met, or is wanted and of which something newer was heard, is left as it is.
fn record<T: HostItem>(tx: &mut Tx, id: &str, generation: u64, status: Status) {
    let (want, saw) = (Key::<Want<T>>::new(id), Key::<Saw<T>>::new(id));
    let Some(status) = T::status(status) else { return };
    let is_new = |record: &Record<Saw<T>>| record.body.generation <= generation || tx.get(&want).is_none();
    if let Some(mut record) = tx.get(&saw).filter(is_new) {
        record.body = Saw { generation, status: Some(status) };
        tx.put(record);
    }
}

fn forget<T: HostItem>(tx: &mut Tx, id: &str) {
    if tx.get(&Key::<Want<T>>::new(id)).is_none() {
        tx.remove(&Key::<Saw<T>>::new(id));
    }
}

impl Link {
    /// A link without a session, that has looked at nothing.
    pub fn new(rng: Rng, now: Millis, ledger: &Ledger) -> Link {
        let empty = Link {
            rng,
            session: None,
            told: BTreeMap::new(),
            removing: BTreeSet::new(),
            due: BTreeSet::new(),
            wakes: now,
        };
        Link { due: all(ledger), ..empty }
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed], now: Millis) {
        let items = changes.iter().filter_map(|change| item_of(&change.key));
        let before = self.due.len();
        self.due.extend(items);
        if self.due.len() > before {
            self.wakes = now + self.rng.span(Millis(0), Millis(10));
        }
    }

    /// When there is something to do.
    pub fn wakes(&self, host: &Host) -> Option<Millis> {
        let connect = !self.is_open(host) && host.is_there();
        (connect || !self.due.is_empty()).then_some(self.wakes)
    }

    /// Opens the session, or looks at an item.
    pub fn act(&mut self, now: Millis, region: &mut Region, host: &mut Host, ledger: &Ledger) {
        if !self.is_open(host) && host.is_there() {
            self.connect(region.view(), host, ledger);
            self.wakes = now + self.rng.span(Millis(20), Millis(500));
        }
        let Some(any) = self.due.iter().nth(self.rng.below(self.due.len().max(1))).cloned() else { return };
        self.due.remove(&any);
        self.look(&any, region, host, ledger);
    }

    /// The host said something.
    pub fn receive(&mut self, frame: FromHost, region: &mut Region) {
        match frame {
            FromHost::Saw { key, generation, status } => {
                let sort = sort_of(key.kind);
                observe(region, move |tx| (sort.record)(tx, &key.id, generation, status));
            }
            FromHost::Gone { key } => {
                self.told.remove(&key);
                self.removing.remove(&key);
                self.due.insert(key.clone());
                let sort = sort_of(key.kind);
                observe(region, move |tx| (sort.forget)(tx, &key.id));
            }
            FromHost::Welcome | FromHost::Dialled | FromHost::Refused { .. } => {}
        }
    }

    fn is_open(&self, host: &Host) -> bool {
        self.session.is_some() && self.session == host.session()
    }

    fn connect(&mut self, view: &View, host: &mut Host, ledger: &Ledger) {
        let all = all(ledger);
        let met = all.iter().filter(|key| ledger.get(&saw_key(key)).is_some());
        let items: Vec<Versioned> = met.filter_map(|key| (sort_of(key.kind).body)(view, &key.id)).collect();
        self.told = items.iter().map(|item| (item.item.key(), item.generation)).collect();
        self.removing.clear();
        self.due = all;
        self.session = host.connect(ToHost::Session { epoch: 1, items });
    }

    fn look(&mut self, key: &ItemKey, region: &mut Region, host: &mut Host, ledger: &Ledger) {
        let sort = sort_of(key.kind);
        let (want, saw) = (ledger.get(&want_key(key)), ledger.get(&saw_key(key)));
        match (want, saw) {
            (Some(_), None) => {
                let id = key.id.clone();
                observe(region, move |tx| (sort.meet)(tx, &id));
            }
            (Some(want), Some(_)) if self.is_open(host) && self.told.get(key) != Some(&want.generation) => {
                let put: Vec<Versioned> = (sort.body)(region.view(), &key.id).into_iter().collect();
                self.told.insert(key.clone(), want.generation);
                self.removing.remove(key);
                host.send(ToHost::Change { put, remove: vec![] });
            }
            (None, Some(_)) if self.is_open(host) && self.removing.insert(key.clone()) => {
                self.told.remove(key);
                host.send(ToHost::Change { put: vec![], remove: vec![key.clone()] });
            }
            _ => {}
        }
    }
}

fn sort_of(kind: ItemKind) -> &'static Sort {
    SORTS.iter().find(|sort| sort.kind == kind).expect("there is a sort for each kind")
}

fn want_key(key: &ItemKey) -> AnyKey {
    AnyKey::new(sort_of(key.kind).want, key.id.as_str())
}

fn saw_key(key: &ItemKey) -> AnyKey {
    AnyKey::new(sort_of(key.kind).saw, key.id.as_str())
}

fn item_of(key: &AnyKey) -> Option<ItemKey> {
    let sort = SORTS.iter().find(|sort| [sort.want, sort.saw].contains(&key.kind()))?;
    Some(ItemKey { kind: sort.kind, id: key.name().to_owned() })
}

fn all(ledger: &Ledger) -> BTreeSet<ItemKey> {
    let of = |sort: &'static Sort| {
        let ids = ledger.names(sort.want).chain(ledger.names(sort.saw));
        ids.map(|id| ItemKey { kind: sort.kind, id: id.to_owned() })
    };
    SORTS.iter().flat_map(of).collect()
}

/// The kind of something that is wanted of hosts.
pub fn is_want(kind: &str) -> bool {
    SORTS.iter().any(|sort| sort.want == kind)
}

/// The kind of what a host said.
pub fn is_saw(kind: &str) -> bool {
    SORTS.iter().any(|sort| sort.saw == kind)
}

/// Where stands what a host said of something wanted.
pub fn saw_of(want: &AnyKey) -> Option<AnyKey> {
    let sort = SORTS.iter().find(|sort| sort.want == want.kind())?;
    Some(AnyKey::new(sort.saw, want.name()))
}
