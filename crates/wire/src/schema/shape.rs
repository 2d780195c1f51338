use super::{Schema, Struct, Structure, Value};
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What can stand in a structure: it becomes a [`Value`] and comes back.
pub trait Data: Sized {
    /// As a document; [`Value::Null`] if it is absent.
    fn into_value(self) -> Value;
    /// Whether there is anything: what an absent member takes no room for.
    fn is_there(&self) -> bool {
        true
    }
    /// From a document that has this form. Validated input always has.
    fn from_value(value: Value) -> Result<Self, Mismatch>;
}

/// A generated structure: the input or output of an operation, or a part of one.
pub trait Shape: Data + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// Its description.
    const SCHEMA: &'static Schema;
}

/// A document has not the form that a type needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at '{path}': expected {expected}, found {found}")]
pub struct Mismatch {
    /// Where: member names joined by dots; empty for the whole.
    pub path: String,
    /// What the type needs.
    pub expected: &'static str,
    /// What was there.
    pub found: String,
}

impl Mismatch {
    /// `value` is not an `expected`. Text is quoted only in so far as an enumeration's value is.
    pub fn new(expected: &'static str, value: &Value) -> Mismatch {
        Mismatch { path: String::new(), expected, found: value.kind().into() }
    }

    /// The same, seen from one level up.
    #[must_use]
    pub fn under(mut self, name: &str) -> Mismatch {
        self.path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        self
    }
}

impl Struct {
    /// The members of a structure's document.
    pub fn from_value(value: Value) -> Result<Struct, Mismatch> {
        match value {
            Value::Struct(members) => Ok(members),
            other => Err(Mismatch::new("structure", &other)),
        }
    }

    /// Adds a member from a field; a structure's fields are all different.
    pub fn put_field(&mut self, name: &'static str, field: impl Data) {
        self.add(name, field.into_value());
    }

    /// Takes a member out as a field.
    pub fn take_field<T: Data>(&mut self, name: &str) -> Result<T, Mismatch> {
        T::from_value(self.take(name)).map_err(|e| e.under(name))
    }
}

/// `Data` for a type that one variant of [`Value`] holds.
macro_rules! scalar {
    ($type:ty, $expected:literal, $pattern:pat => $back:expr, $this:ident => $value:expr) => {
        impl Data for $type {
            fn into_value(self) -> Value {
                let $this = self;
                $value
            }
            fn from_value(value: Value) -> Result<Self, Mismatch> {
                match value {
                    $pattern => $back,
                    other => Err(Mismatch::new($expected, &other)),
                }
            }
        }
    };
}

scalar!(bool, "boolean", Value::Boolean(v) => Ok(v), this => Value::Boolean(this));
scalar!(i64, "integer", Value::Integer(v) => Ok(v), this => Value::Integer(this));
scalar!(i32, "32-bit integer",
    Value::Integer(v) => i32::try_from(v).map_err(|_| Mismatch::new("32-bit integer", &Value::Integer(v))),
    this => Value::Integer(this.into()));
scalar!(f64, "double", Value::Double(v) => Ok(v), this => Value::Double(this));
scalar!(String, "string", Value::String(v) => Ok(v), this => Value::String(this));
scalar!(Vec<u8>, "blob", Value::Blob(v) => Ok(v), this => Value::Blob(this));
scalar!(Millis, "timestamp", Value::Timestamp(v) => Ok(v), this => Value::Timestamp(this));

impl Data for Value {
    fn into_value(self) -> Value {
        self
    }
    fn from_value(value: Value) -> Result<Value, Mismatch> {
        Ok(value)
    }
}

impl<T: Data> Data for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, Data::into_value)
    }
    fn is_there(&self) -> bool {
        self.is_some()
    }
    fn from_value(value: Value) -> Result<Option<T>, Mismatch> {
        if value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: Data> Data for Box<T> {
    fn into_value(self) -> Value {
        (*self).into_value()
    }
    fn from_value(value: Value) -> Result<Box<T>, Mismatch> {
        T::from_value(value).map(Box::new)
    }
}

impl<T: Data> Data for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(Data::into_value).collect())
    }
    fn from_value(value: Value) -> Result<Vec<T>, Mismatch> {
        match value {
            Value::List(elements) => elements
                .into_iter()
                .enumerate()
                .map(|(i, v)| T::from_value(v).map_err(|e| e.under(&i.to_string())))
                .collect(),
            other => Err(Mismatch::new("list", &other)),
        }
    }
}

impl<T: Data> Data for BTreeMap<String, T> {
    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(k, v)| (k, v.into_value())).collect())
    }
    fn from_value(value: Value) -> Result<BTreeMap<String, T>, Mismatch> {
        match value {
            Value::Map(entries) => {
                entries.into_iter().map(|(k, v)| Ok((k.clone(), T::from_value(v).map_err(|e| e.under(&k))?))).collect()
            }
            other => Err(Mismatch::new("map", &other)),
        }
    }
}

static EMPTY: Schema = Schema::structure("Unit", &Structure::new(&[]));

/// No input, or no output.
impl Data for () {
    fn into_value(self) -> Value {
        Value::Struct(Struct::new())
    }
    fn from_value(value: Value) -> Result<(), Mismatch> {
        Struct::from_value(value).map(drop)
    }
}

impl Shape for () {
    const SCHEMA: &'static Schema = &EMPTY;
}

/// Implements [`Data`], [`Shape`], `Debug` (sensitive members hidden) and serde's traits (all members, in the
/// canonical form) for a generated structure: `shape!(Type = SCHEMA { field: "member", .. })`.
#[macro_export]
macro_rules! shape {
    ($type:ident = $schema:path { $($field:ident : $name:literal),* $(,)? }) => {
        impl $crate::schema::Data for $type {
            fn into_value(self) -> $crate::schema::Value {
                #[allow(unused_mut, reason = "a structure may have no members")]
                let mut members = $crate::schema::Struct::with_room(0 $(+ usize::from($crate::schema::Data::is_there(&self.$field)))*);
                $(members.put_field($name, self.$field);)*
                $crate::schema::Value::Struct(members)
            }
            fn from_value(value: $crate::schema::Value) -> Result<Self, $crate::schema::Mismatch> {
                #[allow(unused_mut, unused_variables, reason = "a structure may have no members")]
                let mut members = $crate::schema::Struct::from_value(value)?;
                Ok($type { $($field: members.take_field($name)?),* })
            }
        }

        impl $crate::schema::Shape for $type {
            const SCHEMA: &'static $crate::schema::Schema = &$schema;
        }

        impl ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::schema::canonical::debug(self, f)
            }
        }

        $crate::serde_by_value!($type);
    };
}

/// Implements serde's traits for a generated type through its canonical JSON.
#[macro_export]
macro_rules! serde_by_value {
    ($type:ident) => {
        impl $crate::serde::Serialize for $type {
            fn serialize<S: $crate::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::schema::canonical::serialize(self, to)
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $type {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::schema::canonical::deserialize(from)
            }
        }
    };
}

/// Defines a string enumeration: `string_enum!(ClusterStatus { Creating = "CREATING", .. })`. A text that is not
/// one of the values does not convert; validation refuses it before.
#[macro_export]
macro_rules! string_enum {
    ($(#[$attr:meta])* $type:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($variant),+ }

        impl $type {
            /// Every value.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// As it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text),+ }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::schema::Mismatch;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($type::$variant),)+
                    _ => Err($crate::schema::Mismatch {
                        path: String::new(), expected: stringify!($type), found: format!("{text:?}"),
                    }),
                }
            }
        }

        impl $crate::schema::Data for $type {
            fn into_value(self) -> $crate::schema::Value {
                $crate::schema::Value::String(self.as_str().to_owned())
            }
            fn from_value(value: $crate::schema::Value) -> Result<Self, $crate::schema::Mismatch> {
                <String as $crate::schema::Data>::from_value(value)?.parse()
            }
        }

        impl From<$type> for $crate::schema::Value {
            fn from(v: $type) -> Self {
                $crate::schema::Value::String(v.as_str().to_owned())
            }
        }

        impl $crate::serde::Serialize for $type {
            fn serialize<S: $crate::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $type {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as $crate::serde::Deserialize>::deserialize(from)?;
                text.parse().map_err($crate::serde::de::Error::custom)
            }
        }
    };
}
