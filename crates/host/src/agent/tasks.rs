//! A task per item: one thing at a time, the latest wish wins.

use super::areas::Areas;
use super::board::Board;
use crate::lock;
use roadstead_hostspec::{ItemKey, Versioned};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What an item must be; none: gone.
type Wish = Option<Arc<Versioned>>;

/// Dropping it stops all tasks.
pub(super) struct Tasks {
    shared: Arc<Shared>,
    running: Mutex<JoinSet<()>>,
}

struct Shared {
    areas: Arc<Areas>,
    board: Arc<Board>,
    told: Mutex<BTreeMap<ItemKey, watch::Sender<Wish>>>,
}

impl Tasks {
    pub fn new(areas: Arc<Areas>, board: Arc<Board>) -> Tasks {
        let shared = Arc::new(Shared { areas, board, told: Mutex::default() });
        Tasks { shared, running: Mutex::default() }
    }

    /// Tells the item's task, which is started if need be, what the item must be from now on.
    pub fn tell(&self, key: ItemKey, wish: Wish) {
        let mut told = lock(&self.shared.told);
        if let Some(known) = told.get(&key) {
            known.send_replace(wish);
            return;
        }
        let (sender, receiver) = watch::channel(wish);
        told.insert(key.clone(), sender);
        let mut running = lock(&self.running);
        running.spawn(self.shared.clone().work(key, receiver));
        while running.try_join_next().is_some() {}
    }
}

impl Shared {
    async fn work(self: Arc<Shared>, key: ItemKey, mut told: watch::Receiver<Wish>) {
        loop {
            let wish = told.borrow_and_update().clone();
            let Some(item) = wish else {
                self.areas.remove(&key).await;
                if self.retire(&key, &told) {
                    return;
                }
                continue;
            };
            tokio::select! {
                changed = told.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = self.areas.put(&item) => {}
            }
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends the task of an item that is gone, unless it is wanted again meanwhile.
    fn retire(&self, key: &ItemKey, told: &watch::Receiver<Wish>) -> bool {
        let mut all = lock(&self.told);
        if told.has_changed().unwrap_or(false) {
            return false;
        }
        all.remove(key);
        self.board.forget(key.clone());
        true
    }
}
