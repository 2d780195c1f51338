//! Documents as XML.

use crate::schema::{Kind, List, Location, Map, Member, Schema, Struct, TimestampFormat, Value};
use crate::text;
use quick_xml::escape::escape;
use std::borrow::Cow;

/// An XML text in the making.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    /// A start tag.
    pub fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.extend([" ", name, "=\"", &escaped(value), "\""]);
        }
        self.text.push('>');
    }

    /// An end tag.
    pub fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element with a text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.text.push_str(&escaped(text));
        self.close(name);
    }

    /// Members that are elements. Those that a request would have in its address have no other place in an answer.
    pub fn members(&mut self, schema: &Schema, values: &Struct) {
        for (member, value) in values.among(schema.members().iter().filter(|m| is_element(m))) {
            self.member(member, value);
        }
    }

    fn member(&mut self, member: &Member, value: &Value) {
        let name = member.wire_name();
        match (value, member.schema.kind) {
            (Value::List(elements), Kind::List(list)) if member.wire.flattened => {
                // botocore reads a flattened list under its element's name, if the model gives one.
                let name = list.member.wire.name.unwrap_or(name);
                elements.iter().for_each(|e| self.element(name, &list.member, e));
            }
            (Value::Map(entries), Kind::Map(map)) if member.wire.flattened => {
                entries.iter().for_each(|(k, v)| self.entry(name, map, k, v));
            }
            _ => self.element(name, member, value),
        }
    }

    /// An element that is a member.
    pub fn element(&mut self, name: &str, member: &Member, value: &Value) {
        let attributes = attributes(member, value);
        let borrowed: Vec<(&str, &str)> = attributes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.open(name, &borrowed);
        self.content(member, value);
        self.close(name);
    }

    fn content(&mut self, member: &Member, value: &Value) {
        match (value, member.schema.kind) {
            (Value::Struct(values), Kind::Structure(_)) => self.members(member.schema, values),
            (Value::List(elements), Kind::List(List { member, .. })) => {
                elements.iter().for_each(|e| self.element(member.wire_name(), member, e));
            }
            (Value::Map(entries), Kind::Map(map)) => {
                entries.iter().for_each(|(k, v)| self.entry("entry", map, k, v));
            }
            (Value::String(text), _) => self.text.push_str(&escaped(text)),
            _ => self.text.push_str(&escaped(&text::write_member(member, TimestampFormat::Iso8601, value))),
        }
    }

    fn entry(&mut self, name: &str, map: &Map, key: &str, value: &Value) {
        self.open(name, &[]);
        self.leaf(map.key.wire_name(), key);
        self.element(map.value.wire_name(), &map.value, value);
        self.close(name);
    }
}

/// Whether a member is an element of an answer.
pub(super) fn is_element(member: &Member) -> bool {
    matches!(member.location, Location::Body | Location::Uri | Location::Query) && !member.wire.attribute
}

/// The namespace to declare, and the members that are attributes.
fn attributes(member: &Member, value: &Value) -> Vec<(String, String)> {
    let namespace = member.wire.namespace.map(|ns| {
        let name = ns.prefix.map_or_else(|| "xmlns".to_owned(), |prefix| format!("xmlns:{prefix}"));
        (name, ns.uri.to_owned())
    });
    let Value::Struct(values) = value else { return namespace.into_iter().collect() };
    let own = member.schema.members().iter().filter(|m| m.wire.attribute).filter_map(|m| {
        let text = text::write_member(m, TimestampFormat::Iso8601, values.get(m.name)?);
        Some((m.wire_name().to_owned(), text))
    });
    namespace.into_iter().chain(own).collect()
}

/// A carriage return must be written as a reference: XML readers make a line feed of it. Characters that XML 1.0 has no
/// place for are replaced.
fn escaped(text: &str) -> Cow<'_, str> {
    // Nearly all texts are of these only.
    let plain = |b: u8| matches!(b, b' '..=b'~') && !matches!(b, b'<' | b'>' | b'&' | b'"' | b'\'');
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let text: String = text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    Cow::Owned(escape(&text).replace('\r', "&#xD;"))
}
