//! Instants as texts.

use crate::schema::TimestampFormat;
use roadstead_types::Millis;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HTTP: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
/// ISO 8601 basic, as SigV4 dates are.
const BASIC: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// The text of an instant. A fraction is written only if there is one.
pub(crate) fn format(at: Millis, format: TimestampFormat) -> String {
    let text = |items| utc(at).format(items).expect("years 1970 to 9999 have all of a format's parts");
    match format {
        TimestampFormat::Epoch if at.0.is_multiple_of(1000) => (at.0 / 1000).to_string(),
        TimestampFormat::Epoch => at.as_secs_f64().to_string(),
        TimestampFormat::Iso8601 if at.0.is_multiple_of(1000) => text(SECONDS),
        TimestampFormat::Iso8601 => text(MILLIS),
        TimestampFormat::HttpDate => text(HTTP),
    }
}

/// `20150830T123600Z`.
pub(crate) fn format_basic(at: Millis) -> String {
    utc(at).format(BASIC).expect("years 1970 to 9999 have all of a format's parts")
}

/// The instant of `20150830T123600Z`.
pub(crate) fn parse_basic(text: &str) -> Option<Millis> {
    millis(PrimitiveDateTime::parse(text, BASIC).ok()?.assume_utc())
}

/// The instant that a text names, to the millisecond; none before 1970.
pub(crate) fn parse(text: &str, format: TimestampFormat) -> Option<Millis> {
    match format {
        TimestampFormat::Epoch => of_seconds(text.parse().ok()?),
        TimestampFormat::Iso8601 => millis(OffsetDateTime::parse(text, &Rfc3339).ok()?),
        TimestampFormat::HttpDate => millis(OffsetDateTime::parse(text, &Rfc2822).ok()?),
    }
}

/// The instant so many seconds after 1970 began, to the millisecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub(crate) fn of_seconds(seconds: f64) -> Option<Millis> {
    (0.0..=LAST_SECOND).contains(&seconds).then(|| Millis((seconds * 1000.0).round() as u64))
}

/// 9999-12-31T23:59:59Z: the last that a four-digit year can write.
const LAST_SECOND: f64 = 253_402_300_799.0;

fn utc(at: Millis) -> OffsetDateTime {
    let nanos = i128::from(at.0) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn millis(at: OffsetDateTime) -> Option<Millis> {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimestampFormat::{Epoch, HttpDate, Iso8601};

    #[test]
    fn an_instant_reads_back_as_it_was_written() {
        for (form, text, millis) in [
            (Epoch, "1398796238.5", 1_398_796_238_500),
            (Epoch, "0", 0),
            (Iso8601, "2014-04-29T18:30:38Z", 1_398_796_238_000),
            (Iso8601, "2014-04-29T18:30:38.007Z", 1_398_796_238_007),
            (HttpDate, "Tue, 29 Apr 2014 18:30:38 GMT", 1_398_796_238_000),
        ] {
            assert_eq!(format(Millis(millis), form), text);
            assert_eq!(parse(text, form), Some(Millis(millis)));
        }
        assert_eq!(parse("2014-04-29T17:30:38-01:00", Iso8601), Some(Millis(1_398_796_238_000)));
    }

    #[test]
    fn what_is_no_instant_of_ours_is_none() {
        for (form, text) in [
            (Epoch, "-1"),
            (Epoch, "NaN"),
            (Epoch, "1e300"),
            (Iso8601, "1969-12-31T23:59:59Z"),
            (Iso8601, "2014-13-01T00:00:00Z"),
            (HttpDate, "yesterday"),
        ] {
            assert_eq!(parse(text, form), None, "{text}");
        }
    }
}
