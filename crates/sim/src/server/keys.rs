use super::observe;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_kernel::region::Region;
use roadstead_store::{Key, Object, Read as _};
use roadstead_types::{Millis, Sealed};
use std::collections::BTreeMap;

/// Stands in every private part that the key driver makes, so that one that leaks is found in the journal.
pub const PRIVATE: &str = "THE-PRIVATE-BYTES-OF-";

/// The key driver: makes each key once, a certificate once its authority is there.
pub struct Keys {
    rng: Rng,
    /// Keys to make, and when each is done. Nobody has begun those without a time.
    wanted: BTreeMap<String, Option<Millis>>,
    /// How many times slower than usual.
    pub slowness: u64,
    made: u64,
}

impl Keys {
    /// A driver that has begun nothing.
    pub fn new(rng: Rng, ledger: &Ledger) -> Keys {
        let without_state = |name: &&str| ledger.get(&Key::<KeyState>::new(*name).any()).is_none();
        let wanted = ledger.names(KeySpec::KIND).filter(without_state).map(|name| (name.to_owned(), None));
        Keys { rng, wanted: wanted.collect(), slowness: 1, made: 0 }
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed]) {
        for change in changes {
            let name = change.key.name();
            match change.key.kind() {
                KeySpec::KIND if change.is_new() => drop(self.wanted.insert(name.to_owned(), None)),
                KeySpec::KIND if change.after.is_none() => drop(self.wanted.remove(name)),
                KeyState::KIND if change.is_new() => drop(self.wanted.remove(name)),
                _ => {}
            }
        }
    }

    /// Begins what can be begun; says when the next one is done.
    pub fn wakes(&mut self, now: Millis, region: &Region) -> Option<Millis> {
        let view = region.view();
        for (name, done) in self.wanted.iter_mut().filter(|(_, done)| done.is_none()) {
            let authority = match view.get(&Key::<KeySpec>::new(name.as_str())).map(|record| record.body) {
                Some(KeySpec::Certificate { authority, .. }) => Some(authority),
                _ => None,
            };
            if authority.is_none_or(|name| view.contains(&Key::<KeyState>::new(name).any())) {
                let span = self.rng.span(Millis(1), Millis(100));
                *done = Some(now + Millis(span.0 * self.slowness));
            }
        }
        self.wanted.values().flatten().min().copied()
    }

    /// Answers for one key, now and then twice and with another one: the first answer counts.
    pub fn act(&mut self, now: Millis, region: &mut Region) {
        let done = self.wanted.iter().filter(|(_, done)| done.is_some_and(|at| at <= now));
        let done: Vec<String> = done.map(|(name, _)| name.clone()).collect();
        let name = &done[self.rng.below(done.len())];
        self.answer(name, region);
        if self.rng.chance(5) {
            self.answer(name, region);
        }
        // Should the answer be lost, it is made again.
        self.wanted.insert(name.clone(), Some(now + Millis::secs(10)));
    }

    fn answer(&mut self, name: &str, region: &mut Region) {
        self.made += 1;
        let made = self.made;
        let state = KeyState {
            public: format!("-----BEGIN PUBLIC-----\n{name} no. {made}\n-----END PUBLIC-----\n"),
            private: Sealed { context: format!("key/{name}"), ciphertext: format!("{PRIVATE}{name}-no-{made}") },
        };
        let (spec, key) = (Key::<KeySpec>::new(name), Key::<KeyState>::new(name));
        observe(region, move |tx| {
            if tx.get(&spec).is_some() && tx.get(&key).is_none() {
                tx.create(key, Some(spec.any()), state);
            }
        });
    }
}
