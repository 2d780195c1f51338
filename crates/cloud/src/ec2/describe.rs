//! What every Describe of EC2 shares: ids, filters, pages.

use roadstead_kernel::page;
use roadstead_shapes::ec2::Filter;
use roadstead_types::Tags;
use roadstead_wire::fault::{Common, Fault};

/// EC2's default page, and its largest.
const PAGE: usize = 1000;

/// What was asked.
pub struct Query<'a> {
    /// Names the list in its page tokens.
    pub scope: String,
    /// The ids that were named; empty = all.
    pub ids: &'a [String],
    /// All must match.
    pub filters: &'a [Filter],
    /// Items on a page.
    pub max: Option<i32>,
    /// From the page before.
    pub token: Option<&'a str>,
}

/// The page of those that match. `values` gives what an item has under a filter's name, None for a name that there is
/// not; `missing` is the fault for an id that nothing has.
pub fn select<T>(
    query: &Query<'_>,
    items: Vec<(String, T)>,
    values: impl Fn(&T, &str) -> Option<Vec<String>>,
    missing: impl Fn(&str) -> Fault,
) -> Result<page::Page<T>, Fault> {
    if let Some(id) = query.ids.iter().find(|id| items.iter().all(|(known, _)| known != *id)) {
        return Err(missing(id));
    }
    let mut selected = vec![];
    for (id, item) in items {
        if (query.ids.is_empty() || query.ids.contains(&id)) && matches(query.filters, &item, &values)? {
            selected.push((id, item));
        }
    }
    at_least(1, query.max)?;
    let limit = query.max.map_or(PAGE, |asked| asked.unsigned_abs() as usize).min(PAGE);
    page::page(&query.scope, selected, limit, query.token)
        .map_err(|_| Common::InvalidParameterValue.fault("The token is not valid for this request."))
}

/// Refuses a page that is too small, in EC2's words, where its model has no constraint.
pub fn at_least(least: i32, asked: Option<i32>) -> Result<(), Fault> {
    match asked.filter(|asked| *asked < least) {
        None => Ok(()),
        Some(asked) => Err(Common::InvalidParameterValue.fault(format!(
            "Value ( {asked} ) for parameter maxResults is invalid. Expecting a value greater than {least}."
        ))),
    }
}

fn matches<T>(filters: &[Filter], item: &T, values: impl Fn(&T, &str) -> Option<Vec<String>>) -> Result<bool, Fault> {
    for filter in filters {
        let name = filter.name.as_deref().unwrap_or_default();
        let has = values(item, name)
            .ok_or_else(|| Common::InvalidParameterValue.fault(format!("The filter '{name}' is invalid")))?;
        let wanted = filter.values.as_deref().unwrap_or_default();
        if !wanted.iter().any(|w| has.iter().any(|h| like(w.as_bytes(), h.as_bytes()))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A tag filter's values: `tag:KEY` and `tag-key`.
pub fn tag_values(tags: &Tags, name: &str) -> Option<Vec<String>> {
    match name.strip_prefix("tag:") {
        Some(key) => Some(tags.get(key).cloned().into_iter().collect()),
        None => (name == "tag-key").then(|| tags.keys().cloned().collect()),
    }
}

/// Filters know `*`, any characters, and `?`, any one.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => like(rest, text) || (!text.is_empty() && like(pattern, &text[1..])),
        (Some((b'?', rest)), Some((_, text))) => like(rest, text),
        (Some((a, rest)), Some((b, text))) if a == b => like(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn wildcards_match_as_in_ec2() {
        for (pattern, text) in [("vpc-1", "vpc-1"), ("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*b*", "abc")] {
            assert!(like(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in [("vpc", "vpc-1"), ("a?c", "ac"), ("", "a"), ("a*d", "abc")] {
            assert!(!like(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
