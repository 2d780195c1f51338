use crate::{Registry, View};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What an answer follows from: kinds of records, and in which state they were. Coarser than a [`crate::ReadSet`], and
/// so cheap to compare as an answer is often asked for.
#[derive(Clone)]
pub struct Footprint {
    /// Each opened store has one of its own, which tells it from itself after a restart: versions count from its opening.
    pub(crate) store: Arc<Registry>,
    /// Kinds and their versions.
    pub(crate) kinds: Vec<(Box<str>, u64)>,
}

impl Footprint {
    /// Whether what follows from it is the same in `view`.
    pub fn stands_in(&self, view: &View) -> bool {
        Arc::ptr_eq(&self.store, view.registry())
            && self.kinds.iter().all(|(kind, version)| view.version(kind) == *version)
    }
}

impl fmt::Debug for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Footprint").field(&self.kinds).finish()
    }
}

/// What is asked of a view.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    kinds: Vec<Box<str>>,
    beyond: bool,
}

impl Notes {
    /// Records of this kind were looked for, whether there are any or not.
    pub fn kind(&self, kind: &str) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.kinds.iter().any(|asked| **asked == *kind) {
            asked.kinds.push(kind.into());
        }
    }

    /// Something was asked that no version of a kind tells.
    pub fn beyond(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).beyond = true;
    }

    /// The kinds, if nothing else was asked.
    pub fn kinds(&self) -> Option<Vec<Box<str>>> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!asked.beyond).then(|| asked.kinds.clone())
    }
}
