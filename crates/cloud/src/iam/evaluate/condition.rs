//! Conditions on a request's keys (IAM user guide, "IAM JSON policy elements: Condition operators").

use super::Keys;
use super::moment::moment;
use super::pattern::{ArnPattern, Pattern};
use crate::iam::grammar::{Condition, Operator, Quantifier, Test, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::cmp::Ordering;
use std::net::IpAddr;

/// One key, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    operator: Operator,
    /// In lower case.
    key: String,
    wanted: Vec<Wanted>,
}

/// A value of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Text(Pattern),
    Arn(ArnPattern),
}

impl Clause {
    pub fn of(condition: &Condition, version: Version) -> Clause {
        let is_arn = is_of_arns(condition.operator.test);
        let wanted = |text: &String| match is_arn {
            true => Wanted::Arn(ArnPattern::read(text, version)),
            false => Wanted::Text(Pattern::read(text, version)),
        };
        Clause {
            operator: condition.operator,
            key: condition.key.to_lowercase(),
            wanted: condition.values.iter().map(wanted).collect(),
        }
    }

    /// Whether the request meets it.
    pub fn met(&self, keys: &dyn Keys) -> bool {
        let found = keys.values(&self.key);
        if self.operator.test == Test::Null {
            return self.wanted.iter().any(|wanted| wanted.says(found.is_none(), keys));
        }
        let Some(values) = found else { return self.met_by_none() };
        let is_negated = is_negated(self.operator.test);
        // None: a variable of the policy has no value, so the policy says nothing.
        let passes: Option<Vec<bool>> =
            values.iter().map(|value| Some(self.is_wanted(value, keys)? != is_negated)).collect();
        let Some(passes) = passes else { return false };
        let (any, all) = (passes.contains(&true), !passes.contains(&false));
        match self.operator.quantifier {
            Some(Quantifier::AnyValue) => any,
            Some(Quantifier::AllValues) => all,
            // Of a key with many values: a negated test is met if it is of each.
            None => {
                if is_negated {
                    all
                } else {
                    any
                }
            }
        }
    }

    /// Whether a request without the key meets it.
    fn met_by_none(&self) -> bool {
        self.operator.if_exists
            || match self.operator.quantifier {
                Some(Quantifier::AnyValue) => false,
                Some(Quantifier::AllValues) => true,
                None => is_negated(self.operator.test),
            }
    }

    fn is_wanted(&self, value: &str, keys: &dyn Keys) -> Option<bool> {
        let mut is = false;
        for wanted in &self.wanted {
            is = wanted.is(self.operator.test, value, keys)? || is;
        }
        Some(is)
    }
}

impl Wanted {
    /// Whether the value passes the test, which is not negated here.
    fn is(&self, test: Test, value: &str, keys: &dyn Keys) -> Option<bool> {
        let pattern = match self {
            Wanted::Arn(pattern) => return pattern.matches(value, keys),
            Wanted::Text(pattern) => pattern,
        };
        if matches!(test, Test::StringLike | Test::StringNotLike) {
            return pattern.matches(value, keys);
        }
        let wanted = pattern.text(keys)?;
        Some(compare(test, &wanted, value))
    }

    /// Whether it is this boolean.
    fn says(&self, so: bool, keys: &dyn Keys) -> bool {
        matches!(self, Wanted::Text(pattern) if pattern.text(keys).is_some_and(|text| text.eq_ignore_ascii_case(if so { "true" } else { "false" })))
    }
}

/// Tests without patterns.
fn compare(test: Test, wanted: &str, value: &str) -> bool {
    let number = || order(value.trim().parse::<f64>().ok(), wanted.trim().parse().ok());
    let date = || order(moment(value), moment(wanted));
    match test {
        Test::StringEquals | Test::StringNotEquals => value == wanted,
        Test::StringEqualsIgnoreCase | Test::StringNotEqualsIgnoreCase => value.to_lowercase() == wanted.to_lowercase(),
        Test::NumericEquals | Test::NumericNotEquals => number().is_some_and(Ordering::is_eq),
        Test::NumericLessThan => number().is_some_and(Ordering::is_lt),
        Test::NumericLessThanEquals => number().is_some_and(Ordering::is_le),
        Test::NumericGreaterThan => number().is_some_and(Ordering::is_gt),
        Test::NumericGreaterThanEquals => number().is_some_and(Ordering::is_ge),
        Test::DateEquals | Test::DateNotEquals => date().is_some_and(Ordering::is_eq),
        Test::DateLessThan => date().is_some_and(Ordering::is_lt),
        Test::DateLessThanEquals => date().is_some_and(Ordering::is_le),
        Test::DateGreaterThan => date().is_some_and(Ordering::is_gt),
        Test::DateGreaterThanEquals => date().is_some_and(Ordering::is_ge),
        Test::Bool => value.eq_ignore_ascii_case(wanted),
        Test::BinaryEquals => STANDARD.decode(wanted).is_ok_and(|bytes| STANDARD.decode(value) == Ok(bytes)),
        Test::IpAddress | Test::NotIpAddress => is_in(wanted, value).unwrap_or(false),
        Test::StringLike | Test::StringNotLike | Test::Null => false,
        Test::ArnEquals | Test::ArnNotEquals | Test::ArnLike | Test::ArnNotLike => false,
    }
}

fn order<T: PartialOrd>(value: Option<T>, wanted: Option<T>) -> Option<Ordering> {
    value?.partial_cmp(&wanted?)
}

/// Whether an address is in a block: `203.0.113.0/24`, `2001:db8::/32`, or one address.
fn is_in(block: &str, address: &str) -> Option<bool> {
    let (base, prefix) = block.split_once('/').map_or((block, None), |(base, prefix)| (base, Some(prefix)));
    let (base, width) = bits(base)?;
    let (address, of) = bits(address)?;
    let prefix = prefix.map_or(Some(width), |prefix| prefix.parse().ok()).filter(|prefix| *prefix <= width)?;
    let same = |shift: u32| base.checked_shr(shift) == address.checked_shr(shift);
    Some(width == of && same(width - prefix))
}

/// An address as a number, and how many bits it has.
fn bits(address: &str) -> Option<(u128, u32)> {
    Some(match address.parse().ok()? {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    })
}

/// Met where none of the values is it.
const fn is_negated(test: Test) -> bool {
    match test {
        Test::StringNotEquals
        | Test::StringNotEqualsIgnoreCase
        | Test::StringNotLike
        | Test::NumericNotEquals
        | Test::DateNotEquals
        | Test::NotIpAddress
        | Test::ArnNotEquals
        | Test::ArnNotLike => true,
        Test::StringEquals
        | Test::StringEqualsIgnoreCase
        | Test::StringLike
        | Test::NumericEquals
        | Test::NumericLessThan
        | Test::NumericLessThanEquals
        | Test::NumericGreaterThan
        | Test::NumericGreaterThanEquals
        | Test::DateEquals
        | Test::DateLessThan
        | Test::DateLessThanEquals
        | Test::DateGreaterThan
        | Test::DateGreaterThanEquals
        | Test::Bool
        | Test::BinaryEquals
        | Test::IpAddress
        | Test::ArnEquals
        | Test::ArnLike
        | Test::Null => false,
    }
}

const fn is_of_arns(test: Test) -> bool {
    matches!(test, Test::ArnEquals | Test::ArnNotEquals | Test::ArnLike | Test::ArnNotLike)
}
