//! What a shape is, as data: the one description that validation, audit and every codec read.

pub mod canonical;
mod operation;
mod shape;
#[cfg(test)]
mod tests;
mod validate;
mod value;

pub use operation::{AnyOperation, Operation, Origin, Pagination, Protocol, Scope, Service};
pub use shape::{Data, Mismatch, Shape};
pub use validate::is_supported;
pub use value::{Struct, Value};

/// A shape of an AWS model.
///
/// Built by `const` functions, so that a generated schema reads as one line:
/// `Schema::string("ClusterName").length(1, 100).pattern("^[0-9A-Za-z][A-Za-z0-9\\-_]*")`.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The shape's name in the model.
    pub name: &'static str,
    /// What it is made of.
    pub kind: Kind,
    /// Never logged, audited or shown.
    pub sensitive: bool,
    /// Least value of a number; least length of a string (characters), blob (bytes), list or map (elements).
    pub min: Option<i64>,
    /// Greatest value or length, counted as `min`.
    pub max: Option<i64>,
    /// A regular expression (Java's, as AWS writes them) that the whole of a string must match.
    pub pattern: Option<&'static str>,
    /// The only values that a string may have; empty if it is free.
    pub allowed: &'static [&'static str],
}

/// What a shape is made of.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Long,
    /// Single precision on the wire; held as an `f64`.
    Float,
    /// Double precision.
    Double,
    /// Text.
    String,
    /// Bytes.
    Blob,
    /// An instant.
    Timestamp,
    /// Any JSON.
    Document,
    /// Elements in order.
    List(&'static List),
    /// Text keys to values.
    Map(&'static Map),
    /// Named members.
    Structure(&'static Structure),
}

/// A list's element.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// What each element is; its name is the XML element's (`member` if the model says nothing).
    pub member: Member,
    /// Whether an element may be null.
    pub sparse: bool,
}

/// A map's key and value.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// What each key is: a string shape.
    pub key: Member,
    /// What each value is.
    pub value: Member,
    /// Whether a value may be null.
    pub sparse: bool,
}

/// A structure's members, in the model's order.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// The members.
    pub members: &'static [Member],
    /// The member that is the whole HTTP body, if one is.
    pub payload: Option<&'static str>,
}

/// A use of a shape by another one: its name there and how it travels.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The member's name in the model, and in [`Struct`].
    pub name: &'static str,
    /// The shape.
    pub schema: &'static Schema,
    /// Must be given.
    pub required: bool,
    /// The client invents a value that makes a retry harmless.
    pub idempotency_token: bool,
    /// The part of an HTTP message that carries it.
    pub location: Location,
    /// How it looks there.
    pub wire: Wire,
}

/// The part of an HTTP message that carries a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// The body.
    Body,
    /// A label of the path.
    Uri,
    /// A query parameter; a map is any number of them.
    Query,
    /// A header.
    Header,
    /// All headers with a prefix.
    Headers,
    /// The response's status code.
    StatusCode,
}

/// How a member looks on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Its name there (JSON key, XML element, header, query parameter, label), if it isn't the member's.
    pub name: Option<&'static str>,
    /// Its name in an ec2Query form, if the model gives one of its own.
    pub query_name: Option<&'static str>,
    /// A list or map without an enclosing element.
    pub flattened: bool,
    /// A timestamp's form, if it isn't the usual one of protocol and location.
    pub timestamp: Option<TimestampFormat>,
    /// The XML namespace to declare.
    pub namespace: Option<Namespace>,
    /// An XML attribute of its parent.
    pub attribute: bool,
    /// The body as it is, however long.
    pub streaming: bool,
}

/// An XML namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub uri: &'static str,
    /// The prefix that stands for it, if it isn't the default namespace.
    pub prefix: Option<&'static str>,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// Seconds since 1970 with a fraction: JSON bodies.
    Epoch,
    /// `1985-04-12T23:20:50.52Z`: XML, forms, query strings, labels.
    Iso8601,
    /// `Tue, 29 Apr 2014 18:30:38 GMT`: headers.
    HttpDate,
}

const PLAIN: Wire = Wire {
    name: None,
    query_name: None,
    flattened: false,
    timestamp: None,
    namespace: None,
    attribute: false,
    streaming: false,
};

impl Schema {
    /// A shape without constraints.
    pub const fn new(name: &'static str, kind: Kind) -> Schema {
        Schema { name, kind, sensitive: false, min: None, max: None, pattern: None, allowed: &[] }
    }

    /// A string shape.
    pub const fn string(name: &'static str) -> Schema {
        Schema::new(name, Kind::String)
    }

    /// A list shape.
    pub const fn list(name: &'static str, list: &'static List) -> Schema {
        Schema::new(name, Kind::List(list))
    }

    /// A map shape.
    pub const fn map(name: &'static str, map: &'static Map) -> Schema {
        Schema::new(name, Kind::Map(map))
    }

    /// A structure shape.
    pub const fn structure(name: &'static str, structure: &'static Structure) -> Schema {
        Schema::new(name, Kind::Structure(structure))
    }

    /// With a least value or length.
    pub const fn min(mut self, min: i64) -> Schema {
        self.min = Some(min);
        self
    }

    /// With a greatest value or length.
    pub const fn max(mut self, max: i64) -> Schema {
        self.max = Some(max);
        self
    }

    /// With a pattern.
    pub const fn pattern(mut self, pattern: &'static str) -> Schema {
        self.pattern = Some(pattern);
        self
    }

    /// With the only values allowed.
    pub const fn one_of(mut self, allowed: &'static [&'static str]) -> Schema {
        self.allowed = allowed;
        self
    }

    /// Sensitive.
    pub const fn sensitive(mut self) -> Schema {
        self.sensitive = true;
        self
    }

    /// The members if this is a structure, else none.
    pub const fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(structure) => structure.members,
            _ => &[],
        }
    }

    /// The member of that name, if this is a structure that has it.
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        self.members().iter().find(|m| m.name == name)
    }
}

impl Kind {
    /// Its name, for an error's text.
    pub const fn name(&self) -> &'static str {
        match self {
            Kind::Boolean => "Boolean",
            Kind::Integer => "Integer",
            Kind::Long => "Long",
            Kind::Float => "Float",
            Kind::Double => "Double",
            Kind::String => "String",
            Kind::Blob => "Blob",
            Kind::Timestamp => "Timestamp",
            Kind::Document => "Document",
            Kind::List(_) => "List",
            Kind::Map(_) => "Map",
            Kind::Structure(_) => "Structure",
        }
    }
}

impl Structure {
    /// A structure whose members all have their own places.
    pub const fn new(members: &'static [Member]) -> Structure {
        Structure { members, payload: None }
    }

    /// With a member that is the whole HTTP body.
    pub const fn payload(mut self, member: &'static str) -> Structure {
        self.payload = Some(member);
        self
    }
}

impl List {
    /// A list of what `member` says.
    pub const fn of(member: Member) -> List {
        List { member, sparse: false }
    }

    /// Whose elements may be null.
    pub const fn sparse(mut self) -> List {
        self.sparse = true;
        self
    }
}

impl Map {
    /// A map of what `key` and `value` say.
    pub const fn of(key: Member, value: Member) -> Map {
        Map { key, value, sparse: false }
    }

    /// Whose values may be null.
    pub const fn sparse(mut self) -> Map {
        self.sparse = true;
        self
    }
}

impl Member {
    /// An optional member in the body.
    pub const fn new(name: &'static str, schema: &'static Schema) -> Member {
        Member { name, schema, required: false, idempotency_token: false, location: Location::Body, wire: PLAIN }
    }

    /// Must be given.
    pub const fn required(mut self) -> Member {
        self.required = true;
        self
    }

    /// The client invents a value that makes a retry harmless.
    pub const fn idempotency_token(mut self) -> Member {
        self.idempotency_token = true;
        self
    }

    /// Carried by that part of the HTTP message.
    pub const fn at(mut self, location: Location) -> Member {
        self.location = location;
        self
    }

    /// Named so on the wire.
    pub const fn named(mut self, name: &'static str) -> Member {
        self.wire.name = Some(name);
        self
    }

    /// Named so in an ec2Query form.
    pub const fn query_named(mut self, name: &'static str) -> Member {
        self.wire.query_name = Some(name);
        self
    }

    /// Without an enclosing element.
    pub const fn flattened(mut self) -> Member {
        self.wire.flattened = true;
        self
    }

    /// A timestamp written so.
    pub const fn timestamp(mut self, format: TimestampFormat) -> Member {
        self.wire.timestamp = Some(format);
        self
    }

    /// Declaring an XML namespace.
    pub const fn namespace(mut self, uri: &'static str, prefix: Option<&'static str>) -> Member {
        self.wire.namespace = Some(Namespace { uri, prefix });
        self
    }

    /// An XML attribute of its parent.
    pub const fn attribute(mut self) -> Member {
        self.wire.attribute = true;
        self
    }

    /// The body as it is.
    pub const fn streaming(mut self) -> Member {
        self.wire.streaming = true;
        self
    }

    /// Its name on the wire.
    pub const fn wire_name(&self) -> &'static str {
        match self.wire.name {
            Some(name) => name,
            None => self.name,
        }
    }
}
