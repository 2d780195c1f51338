//! Instants of policies (W3C, "Date and Time Formats"), or seconds since 1970.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// The instant, in nanoseconds since 1970: `2026-11-30T12:00:00Z`, `2026-11-30T12:00Z`, `2026-11-30`, `1796040000`.
pub(super) fn moment(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(i128::from(seconds) * 1_000_000_000);
    }
    let instant =
        OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(&with_seconds(text), &Rfc3339));
    let day = || Some(Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?.midnight().assume_utc());
    instant.ok().or_else(day).map(OffsetDateTime::unix_timestamp_nanos)
}

/// `12:00Z` → `12:00:00Z`.
fn with_seconds(text: &str) -> String {
    const MINUTES: usize = "2026-11-30T12:00".len();
    match (text.get(..MINUTES), text.get(MINUTES..)) {
        (Some(until), Some(zone)) => format!("{until}:00{zone}"),
        _ => text.to_owned(),
    }
}
