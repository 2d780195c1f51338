use crate::{AnyKey, Key};
use roadstead_types::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The body of a record: a spec, a status, or both. Plain data, written to the journal as JSON, so a field that is
/// added later needs `#[serde(default)]` to read what stands there already.
pub trait Object: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static {
    /// `service/noun`: `eks/cluster`. Names the kind in keys, in the journal and to operators, so it never changes.
    const KIND: &'static str;

    /// What this record can be found by besides its name, its name's prefixes and its owner: pairs of an index's name
    /// and this record's value in it, `("vpc", "vpc-1")`. Several values in one index are fine. Computed from the body
    /// and never stored, so an index may be added at any time.
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![]
    }
}

/// A body and what the store keeps about it. `created`, `generation` and `deleting` are the store's own: a
/// [`Tx::put`](crate::Tx::put) doesn't change them by what the record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T> {
    /// Where it stands.
    pub key: Key<T>,
    /// When the transaction that created it ran.
    pub created: Millis,
    /// 1 when created, one more with each change of the body.
    pub generation: u64,
    /// When its deletion was first asked for. Its planner removes it once nothing is owned by it.
    pub deleting: Option<Millis>,
    /// The record this one belongs to.
    pub owner: Option<AnyKey>,
    /// The spec, the status, or both.
    pub body: T,
}

/// A record whose type only its kind's code knows: what tables, the journal and effects hold.
pub(crate) trait Row: Any + Debug + Send + Sync {
    fn kind(&self) -> &'static str;
    fn owner(&self) -> Option<&AnyKey>;
    fn index(&self) -> Vec<(&'static str, String)>;
    /// See [`crate::Read::born`].
    fn born(&self) -> Option<Millis>;
    /// One line of JSON without line breaks; [`crate::Registry`] reads it back.
    fn write_line(&self, to: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

pub(crate) type SharedRow = Arc<dyn Row>;

/// How a record stands in the journal. Borrowed to write, owned to read: one definition for both, so they can't differ.
#[derive(Serialize, serde::Deserialize)]
pub(crate) struct Line<T> {
    pub put: AnyKey,
    pub created: Millis,
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleting: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AnyKey>,
    pub body: T,
}

impl<T: Object> Row for Record<T> {
    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn owner(&self) -> Option<&AnyKey> {
        self.owner.as_ref()
    }

    fn index(&self) -> Vec<(&'static str, String)> {
        self.body.index()
    }

    fn born(&self) -> Option<Millis> {
        self.deleting.is_none().then_some(self.created)
    }

    fn write_line(&self, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let line = Line {
            put: self.key.any(),
            created: self.created,
            generation: self.generation,
            deleting: self.deleting,
            owner: self.owner.clone(),
            body: &self.body,
        };
        serde_json::to_writer(to, &line)
    }
}

/// The row itself as a record. Panics as [`typed`].
pub(crate) fn shared<T: Object>(row: &SharedRow) -> Arc<Record<T>> {
    let row: Arc<dyn Any + Send + Sync> = row.clone();
    row.downcast().unwrap_or_else(|_| panic!("invariant: {} is the kind of one type only", T::KIND))
}

/// The record of a row. Panics when the row is of another type: two types that claim one kind, which
/// [`crate::Registry::add`] refuses.
pub(crate) fn typed<T: Object>(row: &SharedRow) -> &Record<T> {
    let row: &dyn Any = &**row;
    row.downcast_ref().unwrap_or_else(|| panic!("invariant: {} is the kind of one type only", T::KIND))
}
