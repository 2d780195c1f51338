use super::Member;
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// A document: what travelled, before it has a type and after it has lost it.
///
/// An absent member is not there at all; [`Value::Null`] stands only for an element of a sparse list or map and
/// inside documents. `Debug` shows everything: what may hold a secret is shown by
/// [`canonical::write`](super::canonical::write).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// Any whole number.
    Integer(i64),
    /// Any other number, NaN and the infinities included.
    Double(f64),
    /// Text.
    String(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// An instant, to the millisecond.
    Timestamp(Millis),
    /// Elements in order.
    List(Vec<Value>),
    /// Text keys to values.
    Map(BTreeMap<String, Value>),
    /// A structure's members.
    Struct(Struct),
}

/// A structure's members that are present, by the model's names.
#[derive(Clone, Debug, Default)]
pub struct Struct(Vec<(&'static str, Value)>);

impl Struct {
    /// No members.
    pub const fn new() -> Struct {
        Struct(Vec::new())
    }

    /// No members, and room for so many.
    pub fn with_room(members: usize) -> Struct {
        Struct(Vec::with_capacity(members))
    }

    /// Sets a member; [`Value::Null`] leaves it absent.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.retain(|(n, _)| *n != name);
        match value.into() {
            Value::Null => {}
            value => self.0.push((name, value)),
        }
    }

    /// The same with a member set.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Struct {
        self.put(name, value);
        self
    }

    /// A member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Those of `members` that are present, in their order. Quick if they are present in that order, too, as those of
    /// generated structures are.
    pub(crate) fn among<'a>(
        &'a self,
        members: impl Iterator<Item = &'a Member>,
    ) -> impl Iterator<Item = (&'a Member, &'a Value)> {
        let mut ahead = self.0.iter().peekable();
        members.filter_map(move |member| {
            let next = ahead.next_if(|(name, _)| *name == member.name).map(|(_, value)| value);
            Some((member, next.or_else(|| self.get(member.name))?))
        })
    }

    /// Adds a member that was not there before.
    pub(super) fn add(&mut self, name: &'static str, value: Value) {
        if !matches!(value, Value::Null) {
            self.0.push((name, value));
        }
    }

    /// Takes a member out; [`Value::Null`] if it is absent.
    pub fn take(&mut self, name: &str) -> Value {
        match self.0.iter().position(|(n, _)| *n == name) {
            Some(at) => self.0.remove(at).1,
            None => Value::Null,
        }
    }

    /// The members that are present.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Whether no member is present.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Two structs are equal if they have the same members, in whatever order.
impl PartialEq for Struct {
    fn eq(&self, other: &Struct) -> bool {
        self.0.len() == other.0.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Value {
    /// The member of a structure, by a path such as `resourcesVpcConfig.subnetIds`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, name| match value {
            Value::Struct(members) => members.get(name),
            Value::Map(entries) => entries.get(name),
            _ => None,
        })
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for an error's text.
    pub const fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Blob(_) => "blob",
            Value::Timestamp(_) => "timestamp",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Struct(_) => "structure",
        }
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Value {
        Value::Boolean(v)
    }
}

impl From<i32> for Value {
    fn from(v: i32) -> Value {
        Value::Integer(v.into())
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Value {
        Value::Integer(v)
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Value {
        Value::Double(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Value {
        Value::String(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Value {
        Value::String(v)
    }
}

impl From<Millis> for Value {
    fn from(v: Millis) -> Value {
        Value::Timestamp(v)
    }
}

impl From<Struct> for Value {
    fn from(v: Struct) -> Value {
        Value::Struct(v)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(v: Vec<T>) -> Value {
        Value::List(v.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Null, Into::into)
    }
}
