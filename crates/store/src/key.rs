use crate::Object;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a record of kind `T`. Names are paths, most significant part first
/// (`111122223333/us-east-1/prod`), so that a prefix of the name is a range of the table.
///
/// Serializes as the name alone: the kind is in the type.
pub struct Key<T> {
    name: Arc<str>,
    of: PhantomData<fn() -> T>,
}

impl<T: Object> Key<T> {
    /// The key of this name. Any text is a name.
    pub fn new(name: impl Into<Arc<str>>) -> Key<T> {
        Key { name: name.into(), of: PhantomData }
    }

    /// This key with its kind as data instead of a type.
    pub fn any(&self) -> AnyKey {
        AnyKey { kind: Cow::Borrowed(T::KIND), name: self.name.clone() }
    }
}

impl<T> Key<T> {
    /// The name without the kind.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

/// The key of a record of any kind: `eks/cluster/111122223333/us-east-1/prod`. A kind has exactly two segments, so
/// the text can be read back; it is also the serialized form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnyKey {
    kind: Cow<'static, str>,
    name: Arc<str>,
}

impl AnyKey {
    /// The key of this name among the records of `kind` (`service/noun`).
    pub fn new(kind: &'static str, name: impl Into<Arc<str>>) -> AnyKey {
        AnyKey { kind: Cow::Borrowed(kind), name: name.into() }
    }

    /// `service/noun`, as in [`Object::KIND`].
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name without the kind.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The typed key, if this is the key of a `T`.
    pub fn typed<T: Object>(&self) -> Option<Key<T>> {
        (self.kind == T::KIND).then(|| Key { name: self.name.clone(), of: PhantomData })
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

impl<T: Object> From<&Key<T>> for AnyKey {
    fn from(key: &Key<T>) -> AnyKey {
        key.any()
    }
}

impl<T: Object> From<Key<T>> for AnyKey {
    fn from(key: Key<T>) -> AnyKey {
        AnyKey { kind: Cow::Borrowed(T::KIND), name: key.name }
    }
}

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a key: a key reads service/noun/name, e.g. eks/cluster/111122223333/us-east-1/prod")]
pub struct KeyError(String);

impl FromStr for AnyKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<AnyKey, KeyError> {
        let second_slash = text.match_indices('/').nth(1).map(|(at, _)| at);
        let at = second_slash.ok_or_else(|| KeyError(text.to_owned()))?;
        Ok(AnyKey { kind: Cow::Owned(text[..at].to_owned()), name: text[at + 1..].into() })
    }
}

impl fmt::Display for AnyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl fmt::Debug for AnyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AnyKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnyKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<AnyKey, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

// What follows is what `derive` would write, without its bounds on `T`: a key is a name whatever it names.

impl<T: Object> fmt::Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", T::KIND, self.name)
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Key<T> {
        Key { name: self.name.clone(), of: PhantomData }
    }
}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Key<T>) -> bool {
        self.name == other.name
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Key<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Key<T>) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<T> Serialize for Key<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.name)
    }
}

impl<'de, T> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Key<T>, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        Ok(Key { name: name.into(), of: PhantomData })
    }
}
