//! What was last seen of every item, and what of it the region has not been told.

use crate::{Saw, lock};
use roadstead_hostspec::{FromHost, ItemKey, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Bounded by the number of items, however slowly the region reads: of a status that changes often it gets the last.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    /// By item that there must be or that is being removed; none until it was seen.
    seen: BTreeMap<ItemKey, Option<(u64, Status)>>,
    untold: BTreeSet<ItemKey>,
    gone: BTreeSet<ItemKey>,
}

impl Board {
    /// What areas report to.
    pub fn saw(self: &Arc<Board>) -> Saw {
        let board = Arc::downgrade(self);
        Arc::new(move |key, generation, status| {
            if let Some(board) = board.upgrade() {
                board.see(key, generation, status);
            }
        })
    }

    /// The item is wanted from now on.
    pub fn know(&self, key: &ItemKey) {
        let mut state = lock(&self.state);
        state.seen.entry(key.clone()).or_default();
        state.gone.remove(key);
    }

    /// Nothing of the item is left.
    pub fn forget(&self, key: ItemKey) {
        let mut state = lock(&self.state);
        state.seen.remove(&key);
        state.untold.remove(&key);
        state.gone.insert(key);
        self.news.notify_one();
    }

    /// Whoever listens from now on has been told nothing yet.
    pub fn retell(&self) {
        let mut state = lock(&self.state);
        let seen = state.seen.iter().filter(|(_, seen)| seen.is_some()).map(|(key, _)| key.clone());
        state.untold = seen.collect();
        self.news.notify_one();
    }

    /// The next thing to tell; waits until there is one. Cancel-safe. For one listener at a time.
    pub async fn next(&self) -> FromHost {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.news.notified().await;
        }
    }

    fn take(&self) -> Option<FromHost> {
        let mut state = lock(&self.state);
        if let Some(key) = state.gone.pop_first() {
            return Some(FromHost::Gone { key });
        }
        let key = state.untold.pop_first()?;
        let (generation, status) = state.seen.get(&key).cloned().flatten()?;
        Some(FromHost::Saw { key, generation, status })
    }

    fn see(&self, key: ItemKey, generation: u64, status: Status) {
        let mut state = lock(&self.state);
        // A late word about something that is gone would be the last one for ever.
        let Some(seen) = state.seen.get_mut(&key) else { return };
        let new = Some((generation, status));
        if *seen != new {
            *seen = new;
            state.untold.insert(key);
            self.news.notify_one();
        }
    }
}
