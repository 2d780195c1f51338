use crate::object::{Line, SharedRow};
use crate::{Key, Object, Record};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kinds that a store holds. What isn't in it can neither be created nor read back.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Codec>,
}

struct Codec {
    of: TypeId,
    read_line: fn(&str) -> Result<SharedRow, serde_json::Error>,
}

impl Registry {
    /// A registry that knows no kind.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Makes `T` known. Adding it twice is fine; panics if another type has its kind already, or if the kind is not
    /// `service/noun`, both of which are mistakes in the program.
    pub fn add<T: Object>(&mut self) -> &mut Registry {
        let segments: Vec<&str> = T::KIND.split('/').collect();
        assert!(
            matches!(segments[..], [a, b] if !a.is_empty() && !b.is_empty()),
            "kind {:?} is not service/noun",
            T::KIND
        );
        let of = TypeId::of::<T>();
        let known = self.kinds.entry(T::KIND).or_insert(Codec { of, read_line: read_line::<T> });
        assert!(known.of == of, "two types claim the kind {}", T::KIND);
        self
    }

    /// The kinds, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }

    pub(crate) fn holds<T: Object>(&self) -> bool {
        self.kinds.get(T::KIND).is_some_and(|codec| codec.of == TypeId::of::<T>())
    }

    /// The kind's own spelling of its name, if it is known.
    pub(crate) fn known(&self, kind: &str) -> Option<&'static str> {
        self.kinds.get_key_value(kind).map(|(known, _)| *known)
    }

    /// Reads what [`crate::object::Row::write_line`] wrote; `None` if the kind is unknown.
    pub(crate) fn read_line(&self, kind: &str, line: &str) -> Option<Result<SharedRow, serde_json::Error>> {
        self.kinds.get(kind).map(|codec| (codec.read_line)(line))
    }
}

fn read_line<T: Object>(line: &str) -> Result<SharedRow, serde_json::Error> {
    let line: Line<T> = serde_json::from_str(line)?;
    Ok(Arc::new(Record {
        key: Key::<T>::new(line.put.shared_name().clone()),
        created: line.created,
        generation: line.generation,
        deleting: line.deleting,
        owner: line.owner,
        body: line.body,
    }))
}
