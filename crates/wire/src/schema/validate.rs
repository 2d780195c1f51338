//! An input against the constraints of its model, in AWS's own words.
//!
//! Most services share one framework and its texts ("1 validation error detected: Value 'x' at 'roleName' failed to
//! satisfy constraint: Member must .."); EC2 has its own. Patterns are matched against the whole text, as that
//! framework does.

use super::{AnyOperation, Kind, Member, Protocol, Schema, Value};
use crate::fault::{Common, Fault};
use regex::Regex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

impl AnyOperation {
    /// Refuses an input that breaks the model's constraints: required members, lengths, ranges, patterns,
    /// enumerations. The fault is [`AnyOperation::invalid`] (EC2: `MissingParameter`, `InvalidParameterValue`).
    pub fn validate(&self, input: &Value) -> Result<(), Fault> {
        let ec2 = self.service.protocols.first() == Some(&Protocol::Ec2Query);
        let mut found = Vec::new();
        check(self.input, input, &Path { ec2, above: None }, &mut found);
        match found.first() {
            None => Ok(()),
            Some(first) if ec2 => Err(first.ec2()),
            Some(_) => Err(self.invalid.fault(coral(&found))),
        }
    }
}

/// One constraint that one value breaks.
struct Violation {
    /// Where, in the service's spelling.
    path: String,
    /// The value as a text; none if it must not be shown or is missing.
    shown: Option<String>,
    constraint: Constraint,
}

#[derive(Clone)]
enum Constraint {
    Missing,
    Min(i64, Measure),
    Max(i64, Measure),
    Pattern(&'static str),
    OneOf(&'static [&'static str]),
    /// On the elements, keys or values of a collection.
    Inside(&'static str, Vec<Constraint>),
}

#[derive(Clone, Copy)]
enum Measure {
    Value,
    Length,
}

/// The place of a value. It has a text only if something is wrong there.
#[derive(Clone, Copy)]
struct Path<'a> {
    ec2: bool,
    above: Option<(&'a Path<'a>, Step<'a>)>,
}

/// From a place to one inside of it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a Member),
    /// Of a list, from 0.
    Element(usize),
    /// Of a map.
    Entry(&'a str),
}

impl<'a> Path<'a> {
    fn to(&'a self, step: Step<'a>) -> Path<'a> {
        Path { ec2: self.ec2, above: Some((self, step)) }
    }

    fn text(&self) -> String {
        let Some((above, step)) = &self.above else { return String::new() };
        let own = match step {
            Step::Member(member) => lower_first(if self.ec2 { member.wire_name() } else { member.name }),
            Step::Element(index) if self.ec2 => (index + 1).to_string(),
            Step::Element(index) => format!("{}.member", index + 1),
            Step::Entry(key) => format!("{key}.member"),
        };
        let above = above.text();
        if above.is_empty() { own } else { format!("{above}.{own}") }
    }
}

fn check(schema: &Schema, value: &Value, path: &Path<'_>, found: &mut Vec<Violation>) {
    let shown = || (!schema.sensitive).then(|| show(schema, value));
    let violation = |constraint| Violation { path: path.text(), shown: shown(), constraint };
    found.extend(broken(schema, value).map(violation));
    match (value, &schema.kind) {
        (Value::Struct(values), Kind::Structure(_)) => {
            for member in schema.members() {
                check_member(member, values.get(member.name), &path.to(Step::Member(member)), found);
            }
        }
        (Value::List(elements), Kind::List(list)) => {
            found.extend(inside("Member", list.member.schema, elements.iter()).map(violation));
            let nested = elements.iter().enumerate().filter(|_| is_nested(list.member.schema));
            nested.for_each(|(i, e)| check(list.member.schema, e, &path.to(Step::Element(i)), found));
        }
        (Value::Map(entries), Kind::Map(map)) => {
            let keys: Vec<Value> = entries.keys().map(|k| Value::String(k.clone())).collect();
            found.extend(inside("Map keys", map.key.schema, keys.iter()).map(violation));
            found.extend(inside("Map value", map.value.schema, entries.values()).map(violation));
            let nested = entries.iter().filter(|_| is_nested(map.value.schema));
            nested.for_each(|(k, v)| check(map.value.schema, v, &path.to(Step::Entry(k)), found));
        }
        _ => {}
    }
}

fn check_member(member: &Member, value: Option<&Value>, path: &Path<'_>, found: &mut Vec<Violation>) {
    let missing = || Violation { path: path.text(), shown: None, constraint: Constraint::Missing };
    match value {
        // EC2 takes an empty parameter for none.
        Some(Value::String(text)) if path.ec2 && member.required && text.is_empty() => found.push(missing()),
        Some(value) => check(member.schema, value, path, found),
        None if member.required => found.push(missing()),
        None => {}
    }
}

/// Whether its violations are told at its own place, not at its collection's.
fn is_nested(schema: &Schema) -> bool {
    matches!(schema.kind, Kind::Structure(_) | Kind::List(_) | Kind::Map(_))
}

/// If one of a collection's plain elements breaks a constraint, all constraints on the elements.
fn inside<'a>(
    what: &'static str,
    schema: &Schema,
    mut elements: impl Iterator<Item = &'a Value>,
) -> Option<Constraint> {
    let wrong = !is_nested(schema) && elements.any(|e| broken(schema, e).next().is_some());
    wrong.then(|| Constraint::Inside(what, all(schema).collect()))
}

/// Every constraint of a shape.
fn all(schema: &Schema) -> impl Iterator<Item = Constraint> + use<> {
    let measure = measure(schema);
    let max = schema.max.map(|n| Constraint::Max(n, measure));
    let min = schema.min.map(|n| Constraint::Min(n, measure));
    let pattern = schema.pattern.map(Constraint::Pattern);
    let allowed = (!schema.allowed.is_empty()).then_some(Constraint::OneOf(schema.allowed));
    [max, min, pattern, allowed].into_iter().flatten()
}

/// The constraints that the value itself breaks, not what is in it.
fn broken<'a>(schema: &Schema, value: &'a Value) -> impl Iterator<Item = Constraint> + use<'a> {
    let size = size(value);
    all(schema).filter(move |constraint| match (constraint, value) {
        (Constraint::Min(min, _), _) => size.is_some_and(|n| n < *min as f64),
        (Constraint::Max(max, _), _) => size.is_some_and(|n| n > *max as f64),
        (Constraint::Pattern(pattern), Value::String(text)) => !matches_whole(pattern, text),
        (Constraint::OneOf(allowed), Value::String(text)) => !allowed.contains(&text.as_str()),
        _ => false,
    })
}

fn measure(schema: &Schema) -> Measure {
    match schema.kind {
        Kind::Integer | Kind::Long | Kind::Float | Kind::Double => Measure::Value,
        _ => Measure::Length,
    }
}

/// A number's value; the length of anything else that has one.
fn size(value: &Value) -> Option<f64> {
    let length = match value {
        Value::Integer(n) => return Some(*n as f64),
        Value::Double(n) => return Some(*n),
        Value::String(text) => text.chars().count(),
        Value::Blob(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        Value::Map(entries) => entries.len(),
        _ => return None,
    };
    Some(length as f64)
}

impl Violation {
    fn coral(&self) -> String {
        let value = match (&self.constraint, &self.shown) {
            (Constraint::Missing, _) => "Value null".to_owned(),
            (_, Some(shown)) => format!("Value '{shown}'"),
            (_, None) => "Value".to_owned(),
        };
        format!("{value} at '{}' failed to satisfy constraint: {}", self.path, self.constraint.text())
    }

    fn ec2(&self) -> Fault {
        let value = self.shown.as_deref().unwrap_or("***");
        let invalid = |more: &str| {
            let text = format!("Value ({value}) for parameter {} is invalid.{more}", self.path);
            Common::InvalidParameterValue.fault(text)
        };
        match &self.constraint {
            Constraint::Missing => {
                Common::MissingParameter.fault(format!("The request must contain the parameter {}", self.path))
            }
            Constraint::Min(n, Measure::Value) => invalid(&format!(" Expecting a value greater than or equal to {n}.")),
            Constraint::Max(n, Measure::Value) => invalid(&format!(" Expecting a value less than or equal to {n}.")),
            _ => invalid(""),
        }
    }
}

impl Constraint {
    fn text(&self) -> String {
        match self {
            Constraint::Missing => "Member must not be null".into(),
            Constraint::Min(n, measure) => format!("Member must have {} greater than or equal to {n}", measure.text()),
            Constraint::Max(n, measure) => format!("Member must have {} less than or equal to {n}", measure.text()),
            Constraint::Pattern(p) => format!("Member must satisfy regular expression pattern: {p}"),
            Constraint::OneOf(values) => format!("Member must satisfy enum value set: [{}]", values.join(", ")),
            Constraint::Inside(what, all) => {
                let all: Vec<String> = all.iter().map(Constraint::text).collect();
                format!("{what} must satisfy constraint: [{}]", all.join(", "))
            }
        }
    }
}

impl Measure {
    fn text(self) -> &'static str {
        match self {
            Measure::Value => "value",
            Measure::Length => "length",
        }
    }
}

fn coral(found: &[Violation]) -> String {
    let texts: Vec<String> = found.iter().map(Violation::coral).collect();
    let errors = if texts.len() == 1 { "error" } else { "errors" };
    format!("{} validation {errors} detected: {}", texts.len(), texts.join("; "))
}

/// A value as the framework (a Java one) prints it, secrets left out.
fn show(schema: &Schema, value: &Value) -> String {
    let pairs =
        |pairs: Vec<(&str, String)>| pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ");
    match (value, &schema.kind) {
        _ if schema.sensitive => "***".into(),
        (Value::List(elements), Kind::List(list)) => {
            let texts: Vec<String> = elements.iter().map(|e| show(list.member.schema, e)).collect();
            format!("[{}]", texts.join(", "))
        }
        (Value::Map(entries), Kind::Map(map)) => {
            format!("{{{}}}", pairs(entries.iter().map(|(k, v)| (k.as_str(), show(map.value.schema, v))).collect()))
        }
        (Value::Struct(values), _) => {
            let present = schema.members().iter().filter_map(|m| Some((m.name, show(m.schema, values.get(m.name)?))));
            format!("{{{}}}", pairs(present.collect()))
        }
        (Value::Blob(bytes), _) => format!("{} bytes", bytes.len()),
        _ => crate::text::write(value, super::TimestampFormat::Iso8601),
    }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), chars.as_str()))
}

/// Whether a Java pattern matches the whole text. A pattern that does not compile matches everything; the
/// generator refuses such a pattern, so that none gets here.
fn matches_whole(pattern: &'static str, text: &str) -> bool {
    compiled(pattern).is_none_or(|regex| regex.is_match(text))
}

type Compiled = HashMap<&'static str, Option<Arc<Regex>>>;

/// Compiled patterns, kept: a service has a handful of them and each costs some 10 µs to compile.
fn compiled(pattern: &'static str) -> Option<Arc<Regex>> {
    static KEPT: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || Regex::new(&whole(pattern)).ok().map(Arc::new);
    kept.entry(pattern).or_insert_with(compile).clone()
}

/// The pattern in our regex crate's words, anchored at both ends.
fn whole(pattern: &str) -> String {
    // Java's way to write what lies above the basic plane: pairs of surrogates, which are no characters here.
    let pattern = &pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\u{10000}-\u{10FFFF}");
    // The same without a look ahead, which is Java's: no two dashes in a row. How long the text is, the shape says, too.
    let pattern = &pattern.replace("([a-z0-9]|-(?!-)){1,61}[a-z0-9]", "(-?[a-z0-9])+");
    format!(r"\A(?:{})\z", ascii_classes(pattern))
}

/// In Java `\w`, `\d` and `\s` are ASCII's, here they are Unicode's.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut bracket = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(class @ ('w' | 'd' | 's')) => out.push_str(&ascii_class(class, bracket)),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' => {
                bracket = true;
                out.push(c);
            }
            ']' => {
                bracket = false;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

fn ascii_class(class: char, in_bracket: bool) -> String {
    let name = match class {
        'w' => "[:word:]",
        'd' => "[:digit:]",
        _ => "[:space:]",
    };
    if in_bracket { name.to_owned() } else { format!("[{name}]") }
}

/// Whether a pattern of a model can be checked here.
pub fn is_supported(pattern: &str) -> bool {
    Regex::new(&whole(pattern)).is_ok()
}
