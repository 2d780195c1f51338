//! Documents from XML.

use crate::ReadError;
use crate::schema::{Kind, Location, Map, Member, Struct, TimestampFormat, Value};
use crate::text;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::BTreeMap;

/// Elements nest at most so deep.
const MAX_DEPTH: usize = 64;

/// An element, its namespaces left aside.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Without a prefix.
    name: String,
    /// With their prefixes.
    attributes: Vec<(String, String)>,
    inner: Vec<Element>,
    text: String,
}

impl Element {
    /// The root of an XML text. A document type, which could name entities, is refused.
    pub fn read(body: &[u8]) -> Result<Element, ReadError> {
        let body = std::str::from_utf8(body).map_err(|_| ReadError::new("The body is not UTF-8"))?;
        let mut reader = Reader::from_str(body);
        let mut open = vec![Element::default()];
        loop {
            let event = reader.read_event().map_err(|why| malformed(&why))?;
            if open.len() > MAX_DEPTH {
                return Err(ReadError::new(format!("The body's elements nest deeper than {MAX_DEPTH}")));
            }
            let Some(parent) = open.last_mut() else { return Err(malformed(&"an end without a start")) };
            match event {
                Event::Start(start) => open.push(Element::of(&start)?),
                Event::Empty(start) => parent.inner.push(Element::of(&start)?),
                Event::End(_) => {
                    let done = open.pop().unwrap_or_default();
                    let Some(parent) = open.last_mut() else { return Err(malformed(&"an end without a start")) };
                    parent.inner.push(done);
                }
                Event::Text(text) => parent.text += &text.xml10_content(),
                Event::CData(text) => parent.text += &text.xml10_content(),
                Event::GeneralRef(reference) => parent.text.push(match reference.resolve_char_ref() {
                    Ok(Some(c)) => c,
                    _ => predefined(&reference).ok_or_else(|| malformed(&"an entity that XML does not define"))?,
                }),
                Event::DocType(_) => return Err(malformed(&"a document type")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        let [document] = &mut open[..] else { return Err(malformed(&"an element without its end")) };
        document.inner.pop().ok_or_else(|| malformed(&"no element"))
    }

    fn of(start: &BytesStart<'_>) -> Result<Element, ReadError> {
        let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
            let attribute = attribute.map_err(|why| malformed(&why))?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|why| malformed(&why))?;
            Ok((attribute.key.as_ref().to_owned(), value.into_owned()))
        };
        let attributes = start.attributes().map(attribute).collect::<Result<_, _>>()?;
        Ok(Element { name: start.local_name().as_ref().to_owned(), attributes, ..Element::default() })
    }

    fn named<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.inner.iter().filter(move |element| element.name == name)
    }

    /// The members that it holds.
    pub fn members(&self, members: &[Member]) -> Result<Struct, ReadError> {
        let mut values = Struct::new();
        for member in members.iter().filter(|member| member.location == Location::Body) {
            if let Some(value) = self.member(member)? {
                values.put(member.name, value);
            }
        }
        Ok(values)
    }

    fn member(&self, member: &Member) -> Result<Option<Value>, ReadError> {
        let name = member.wire_name();
        match &member.schema.kind {
            _ if member.wire.attribute => {
                let attribute = self.attributes.iter().find(|(own, _)| own == name);
                attribute.map(|(_, text)| text::read_member(member, TimestampFormat::Iso8601, text)).transpose()
            }
            Kind::List(list) if member.wire.flattened => {
                // botocore writes a flattened list under its own name, and reads it under its element's.
                let own: Vec<&Element> = self.named(name).collect();
                let found = match list.member.wire.name {
                    Some(name) if own.is_empty() => self.named(name).collect(),
                    _ => own,
                };
                let elements: Vec<Value> =
                    found.into_iter().map(|element| element.value(&list.member)).collect::<Result<_, _>>()?;
                Ok((!elements.is_empty()).then_some(Value::List(elements)))
            }
            Kind::Map(map) if member.wire.flattened => {
                let entries = entries(map, self.named(name))?;
                Ok((!entries.is_empty()).then_some(Value::Map(entries)))
            }
            _ => self.named(name).next().map(|element| element.value(member)).transpose(),
        }
    }

    /// What it is as a member.
    pub fn value(&self, member: &Member) -> Result<Value, ReadError> {
        match &member.schema.kind {
            Kind::Structure(structure) => self.members(structure.members).map(Value::Struct),
            Kind::List(list) => {
                let elements = self.named(list.member.wire_name()).map(|element| element.value(&list.member));
                elements.collect::<Result<_, _>>().map(Value::List)
            }
            Kind::Map(map) => entries(map, self.named("entry")).map(Value::Map),
            _ => text::read_member(member, TimestampFormat::Iso8601, &self.text),
        }
    }
}

fn entries<'e>(map: &Map, elements: impl Iterator<Item = &'e Element>) -> Result<BTreeMap<String, Value>, ReadError> {
    let entry = |element: &Element| {
        let part = |of: &Member| {
            let part = element.named(of.wire_name()).next();
            part.ok_or_else(|| ReadError::new(format!("An entry lacks its {}", of.wire_name())))
        };
        Ok((part(&map.key)?.text.clone(), part(&map.value)?.value(&map.value)?))
    };
    elements.map(entry).collect()
}

fn predefined(reference: &str) -> Option<char> {
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn malformed(why: &dyn std::fmt::Display) -> ReadError {
    ReadError::new(format!("The body is not well-formed XML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_document_is_refused() {
        let nested = |depth| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(Element::read(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let deep = nested(MAX_DEPTH + 1);
        let bomb = "<!DOCTYPE a [<!ENTITY b \"b\">]><a>&b;</a>";
        for text in [
            "",
            "a",
            "<!DOCTYPE a><a/>",
            "<a>",
            "</a>",
            "<a></b>",
            "<a x='1' x='2'/>",
            "<a>&b;</a>",
            "<a>&#0;</a>",
            bomb,
            &deep,
        ] {
            assert!(Element::read(text.as_bytes()).is_err(), "{text:.60}");
        }
        assert!(Element::read(b"<a>\xff</a>").is_err());
    }

    #[test]
    fn texts_are_what_was_written() {
        let element = Element::read(b"<?xml version='1.0'?><p:a>1 &lt; &#x32;<!-- no --><![CDATA[<&]]></p:a>").unwrap();
        assert_eq!((element.name.as_str(), element.text.as_str()), ("a", "1 < 2<&"));
    }
}
