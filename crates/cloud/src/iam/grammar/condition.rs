//! Conditions (IAM user guide, "IAM JSON policy elements: Condition operators").

use super::written::{Scalar, WrittenConditions};
use super::{Malformed, malformed};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;

/// One key of a request, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How they are compared.
    pub operator: Operator,
    /// E.g. `aws:RequestedRegion`, as given; its case does not matter.
    pub key: String,
    /// One of them must be met, of a negated test none.
    pub values: Vec<String>,
}

/// `ForAnyValue:StringLikeIfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// For keys with many values.
    pub quantifier: Option<Quantifier>,
    /// The test of one value.
    pub test: Test,
    /// Met, too, if the request has no such key.
    pub if_exists: bool,
}

/// How many values of a key must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    AnyValue,
    /// Each; met if there are none.
    AllValues,
}

/// Tests of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "AWS's user guide says what each means")]
pub enum Test {
    StringEquals,
    StringNotEquals,
    StringEqualsIgnoreCase,
    StringNotEqualsIgnoreCase,
    StringLike,
    StringNotLike,
    NumericEquals,
    NumericNotEquals,
    NumericLessThan,
    NumericLessThanEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    DateEquals,
    DateNotEquals,
    DateLessThan,
    DateLessThanEquals,
    DateGreaterThan,
    DateGreaterThanEquals,
    Bool,
    BinaryEquals,
    IpAddress,
    NotIpAddress,
    ArnEquals,
    ArnNotEquals,
    ArnLike,
    ArnNotLike,
    Null,
}

/// All of a statement, in the order of their operators and keys.
pub(super) fn all(written: WrittenConditions) -> Result<Vec<Condition>, Malformed> {
    let mut conditions = vec![];
    for (name, keys) in written {
        let operator = Operator::named(&name).ok_or_else(|| malformed("Syntax errors in policy."))?;
        conditions.extend(keys.into_iter().map(|(key, values)| Condition {
            operator,
            key,
            values: values.0.into_iter().map(Scalar::into_text).collect(),
        }));
    }
    Ok(conditions)
}

impl Operator {
    fn named(name: &str) -> Option<Operator> {
        let (quantifier, name) = match name.split_once(':') {
            Some(("ForAnyValue", rest)) => (Some(Quantifier::AnyValue), rest),
            Some(("ForAllValues", rest)) => (Some(Quantifier::AllValues), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name: serde::de::value::StrDeserializer<'_, Error> = name.into_deserializer();
        let test = Test::deserialize(name).ok()?;
        // Whether a key exists is what `Null` itself asks.
        (test != Test::Null || !if_exists).then_some(Operator { quantifier, test, if_exists })
    }
}
