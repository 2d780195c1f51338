//! What the REST protocols share: members in labels, query strings, headers and the status.

use crate::ReadError;
use crate::protocol::form::Form;
use crate::schema::{AnyOperation, Kind, Location, Member, Schema, Struct, TimestampFormat, Value};
use crate::text;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::collections::BTreeMap;

/// The parts of a request that hold members, its body apart.
pub(crate) struct Parts<'r> {
    /// Labels of the path, decoded.
    pub labels: &'r [(&'static str, String)],
    /// The query string.
    pub query: &'r Form,
    /// The headers.
    pub headers: &'r HeaderMap,
}

impl Parts<'_> {
    /// Puts the members that stand outside of the body into `values`.
    pub fn read(&self, members: &[Member], values: &mut Struct) -> Result<(), ReadError> {
        for member in members {
            let value = match member.location {
                Location::Uri => self.label(member)?,
                Location::Query => self.query(member)?,
                Location::Header => self.header(member)?,
                Location::Headers => self.prefixed(member)?,
                Location::Body | Location::StatusCode => None,
            };
            if let Some(value) = value {
                values.put(member.name, value);
            }
        }
        Ok(())
    }

    fn label(&self, member: &Member) -> Result<Option<Value>, ReadError> {
        let label = self.labels.iter().find(|(name, _)| *name == member.wire_name());
        label.map(|(_, value)| text::read_member(member, TimestampFormat::Iso8601, value)).transpose()
    }

    fn query(&self, member: &Member) -> Result<Option<Value>, ReadError> {
        let named = |name: &str| -> Vec<&str> {
            self.query.iter().filter(|(own, _)| *own == name).map(|(_, value)| value).collect()
        };
        match &member.schema.kind {
            // All of them, those included that other members are bound to (Smithy, httpQueryParams).
            Kind::Map(map) => {
                let entry = |name: &str| Ok((name.to_owned(), values(&map.value, &named(name))?));
                let entries: BTreeMap<String, Value> =
                    self.query.iter().map(|(name, _)| entry(name)).collect::<Result<_, ReadError>>()?;
                Ok((!entries.is_empty()).then_some(Value::Map(entries)))
            }
            _ => match named(member.wire_name()) {
                found if found.is_empty() => Ok(None),
                found => values(member, &found).map(Some),
            },
        }
    }

    fn header(&self, member: &Member) -> Result<Option<Value>, ReadError> {
        let lines: Vec<&str> = self.headers.get_all(member.wire_name()).iter().map(utf8).collect::<Result<_, _>>()?;
        let Some(first) = lines.first() else { return Ok(None) };
        match &member.schema.kind {
            Kind::List(list) => {
                let dates = matches!(list.member.schema.kind, Kind::Timestamp)
                    && list.member.wire.timestamp.unwrap_or(TimestampFormat::HttpDate) == TimestampFormat::HttpDate;
                let elements = lines.iter().flat_map(|line| if dates { split_dates(line) } else { split(line) });
                let read = |text: String| text::read_member(&list.member, TimestampFormat::HttpDate, &text);
                elements.map(read).collect::<Result<_, _>>().map(Value::List).map(Some)
            }
            _ => text::read_member(member, TimestampFormat::HttpDate, first).map(Some),
        }
    }

    fn prefixed(&self, member: &Member) -> Result<Option<Value>, ReadError> {
        let prefix = member.wire.name.unwrap_or_default().to_ascii_lowercase();
        let found = self.headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(&prefix)?, value)));
        let entries: BTreeMap<String, Value> =
            found.map(|(name, value)| Ok((name.to_owned(), Value::from(utf8(value)?)))).collect::<Result<_, _>>()?;
        Ok((!entries.is_empty()).then_some(Value::Map(entries)))
    }
}

/// The value of a query parameter that is there once, or more often if it is a list.
fn values(member: &Member, texts: &[&str]) -> Result<Value, ReadError> {
    match &member.schema.kind {
        Kind::List(list) => {
            let read = |text: &&str| text::read_member(&list.member, TimestampFormat::Iso8601, text);
            texts.iter().map(read).collect::<Result<_, _>>().map(Value::List)
        }
        _ => text::read_member(member, TimestampFormat::Iso8601, texts.first().copied().unwrap_or_default()),
    }
}

fn utf8(value: &HeaderValue) -> Result<&str, ReadError> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| ReadError::new("A header is not UTF-8"))
}

/// The elements of a list in a header: between commas, perhaps in quotes (RFC 9110, section 5.6).
fn split(line: &str) -> Vec<String> {
    if line.trim().is_empty() {
        return vec![];
    }
    let mut elements = vec![];
    let mut element = String::new();
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => element.extend(chars.next()),
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            c if !quoted && c.is_whitespace() => {
                if !element.is_empty() {
                    element.push(c);
                }
            }
            c => element.push(c),
        }
    }
    elements.push(element);
    elements
}

/// The same of dates, each of which has a comma itself.
fn split_dates(line: &str) -> Vec<String> {
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    parts.chunks(2).map(|pair| pair.join(", ")).collect()
}

/// The member that is the whole body, if one is.
pub(crate) fn payload(schema: &Schema) -> Option<&'static Member> {
    let Kind::Structure(structure) = &schema.kind else { return None };
    schema.member(structure.payload?)
}

/// A payload that is neither JSON nor XML, and its type: none if it is to be written in the protocol's own format.
pub(crate) fn plain_payload(member: &Member, value: Option<&Value>) -> Option<(&'static str, Bytes)> {
    match value {
        None => Some(("", Bytes::new())),
        Some(Value::Blob(bytes)) => Some(("application/octet-stream", Bytes::copy_from_slice(bytes))),
        Some(Value::String(text)) if matches!(member.schema.kind, Kind::String) => {
            Some(("text/plain", Bytes::copy_from_slice(text.as_bytes())))
        }
        Some(_) => None,
    }
}

/// A payload that is a text.
pub(crate) fn text(body: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(body).map_err(|_| ReadError::new("The body is not UTF-8"))
}

/// The answer with the members that stand outside of its body.
pub(crate) fn answer(operation: &AnyOperation, values: &Struct, mut response: Response<Bytes>) -> Response<Bytes> {
    let status = write(operation.output.members(), values, response.headers_mut());
    if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
        *response.status_mut() = status;
    }
    response
}

/// Puts the members that stand outside of the body into a response's headers, and tells the status if a member does.
pub(crate) fn write(members: &[Member], values: &Struct, headers: &mut HeaderMap) -> Option<u16> {
    let mut status = None;
    for member in members {
        match (member.location, values.get(member.name)) {
            (Location::Header, Some(value)) => put(headers, member.wire_name(), &header_text(member, value)),
            (Location::Headers, Some(Value::Map(entries))) => {
                for (name, value) in entries {
                    let name = format!("{}{name}", member.wire.name.unwrap_or_default());
                    put(headers, &name, &text::write_member(member, TimestampFormat::HttpDate, value));
                }
            }
            (Location::StatusCode, Some(Value::Integer(code))) => status = u16::try_from(*code).ok(),
            _ => {}
        }
    }
    status
}

/// A header that can't be written (a line break in it) is left out: nobody may end the head of a response early.
fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn header_text(member: &Member, value: &Value) -> String {
    let (Value::List(elements), Kind::List(list)) = (value, &member.schema.kind) else {
        return text::write_member(member, TimestampFormat::HttpDate, value);
    };
    let element = |e: &Value| {
        let text = text::write_member(&list.member, TimestampFormat::HttpDate, e);
        if matches!(e, Value::String(_)) { quoted(text) } else { text }
    };
    elements.iter().map(element).collect::<Vec<_>>().join(", ")
}

fn quoted(text: String) -> String {
    if text.contains([',', '"']) || text.trim() != text {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_a_header_reads_back_as_it_was_written() {
        let texts = ["plain", "with, comma", "a \"quote\"", "back\\slash, too", " spaced "];
        let line = texts.map(|text| quoted(text.to_owned())).join(", ");
        assert_eq!(split(&line), texts);
        assert_eq!(split_dates("Mon, 16 Dec 2019 23:48:18 GMT, Tue, 17 Dec 2019 23:48:18 GMT").len(), 2);
    }

    #[test]
    fn no_value_ends_the_head_of_a_response() {
        let mut headers = HeaderMap::new();
        put(&mut headers, "x-a", "1\r\nx-b: 2");
        assert!(headers.is_empty());
    }
}
