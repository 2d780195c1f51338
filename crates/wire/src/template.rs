//! Templates of paths: `/clusters/{name}/updates/{updateId}?version`.

use crate::protocol::form::Form;
use percent_encoding::percent_decode_str;
use std::cmp::Reverse;

/// A method, the segments of a path, and query parameters that must be there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    /// More of them is more special, so this sorts the other way.
    fixed: Reverse<Vec<(&'static str, Option<&'static str>)>>,
    method: &'static str,
}

/// The order is that of their specialty: at the first place where two templates differ, a literal goes before a label.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Label(&'static str),
    /// `{key+}`: one segment or more. Further segments may follow.
    Greedy(&'static str),
}

/// Values of labels, decoded.
pub(crate) type Labels = Vec<(&'static str, String)>;

impl Template {
    /// Reads a template.
    pub fn of(method: &'static str, uri: &'static str) -> Template {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let pair = |pair: &'static str| pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
        Template {
            segments: segments(path).map(Segment::of).collect(),
            fixed: Reverse(query.split('&').filter(|p| !p.is_empty()).map(pair).collect()),
            method,
        }
    }

    /// The labels of a request that it fits, whose path has these [`segments`]. Labels are cut out of the raw path and
    /// decoded afterwards: an ARN's slashes arrive encoded and cut nothing.
    pub fn matches(&self, method: &str, path: &[&str], query: &Form) -> Option<Labels> {
        if method != self.method {
            return None;
        }
        let given = |(name, value): &(&str, Option<&str>)| match value {
            Some(value) => query.iter().any(|pair| pair == (name, value)),
            None => query.get(name).is_some(),
        };
        let labels = fit(&self.segments, path)?;
        self.fixed.0.iter().all(given).then_some(labels)
    }
}

impl Segment {
    fn of(text: &'static str) -> Segment {
        match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            None => Segment::Literal(text),
            Some(name) => name.strip_suffix('+').map_or(Segment::Label(name), Segment::Greedy),
        }
    }
}

/// The parts of a path between its slashes.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    trimmed.split('/').filter(|s| !s.is_empty())
}

fn fit(segments: &[Segment], parts: &[&str]) -> Option<Labels> {
    let Some((segment, more)) = segments.split_first() else { return parts.is_empty().then(Vec::new) };
    let (part, rest) = parts.split_first()?;
    match segment {
        Segment::Literal(text) => (text == part).then(|| fit(more, rest))?,
        Segment::Label(name) => with(name, part, fit(more, rest)?),
        Segment::Greedy(name) => {
            let taken = parts.len().checked_sub(more.len()).filter(|n| *n > 0)?;
            with(name, &parts[..taken].join("/"), fit(more, &parts[taken..])?)
        }
    }
}

fn with(name: &'static str, encoded: &str, mut labels: Labels) -> Option<Labels> {
    labels.push((name, percent_decode_str(encoded).decode_utf8().ok()?.into_owned()));
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(uri: &'static str, path: &str) -> Option<Labels> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path: Vec<&str> = segments(path).collect();
        Template::of("GET", uri).matches("GET", &path, &Form::read(&[query.as_bytes()]).unwrap())
    }

    #[test]
    fn labels_are_single_segments_and_greedy_ones_are_more() {
        assert_eq!(labels("/a/{b}/c", "/a/x%2Fy/c"), Some(vec![("b", "x/y".to_owned())]));
        assert_eq!(labels("/a/{b}/c", "/a/x/y/c"), None);
        assert_eq!(
            labels("/{b}/{key+}/end", "/x/1/2%203/end"),
            Some(vec![("key", "1/2 3".to_owned()), ("b", "x".to_owned())])
        );
        assert_eq!(labels("/{b}/{key+}", "/x"), None);
        assert_eq!(labels("/a/{b}", "/a/%ff"), None, "no UTF-8");
    }

    #[test]
    fn fixed_parameters_must_be_there() {
        assert!(labels("/a?list=2&all", "/a?all&list=2&x=y").is_some());
        assert!(labels("/a?list=2", "/a?list=3").is_none() && labels("/a?all", "/a").is_none());
    }

    #[test]
    fn the_most_special_template_comes_first() {
        let mut templates =
            ["/{a+}", "/x/{a}", "/x/y", "/x/{a}?q", "/{a}/y"].map(|uri| (Template::of("GET", uri), uri));
        templates.sort_by(|(a, _), (b, _)| a.cmp(b));
        assert_eq!(templates.map(|(_, uri)| uri), ["/x/y", "/x/{a}?q", "/x/{a}", "/{a}/y", "/{a+}"]);
    }
}
