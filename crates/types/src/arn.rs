use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Twelve decimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub String);

impl AccountId {
    /// The account if `s` is twelve decimal digits.
    pub fn parse(s: &str) -> Option<AccountId> {
        (s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit())).then(|| AccountId(s.to_owned()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region's name, e.g. `us-east-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(pub String);

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Amazon Resource Name: `arn:partition:service:region:account:resource`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn {
    /// `aws`.
    pub partition: String,
    /// E.g. `eks`.
    pub service: String,
    /// Empty for global services.
    pub region: String,
    /// Empty for resources that AWS owns for everybody.
    pub account: String,
    /// All after the fifth colon, colons and slashes included.
    pub resource: String,
}

/// Why a text is no ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an ARN (arn:partition:service:region:account:resource)")]
pub struct ArnError(pub String);

impl Arn {
    /// An ARN of the `aws` partition.
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Arn {
        Arn {
            partition: "aws".into(),
            service: service.into(),
            region: region.into(),
            account: account.into(),
            resource: resource.into(),
        }
    }

    /// The name at the end of `type/path/name`; the whole resource if it has no slash.
    pub fn name(&self) -> &str {
        self.resource.rsplit('/').next().unwrap_or(&self.resource)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl FromStr for Arn {
    type Err = ArnError;
    fn from_str(s: &str) -> Result<Arn, ArnError> {
        let mut parts = s.splitn(6, ':');
        let mut next = || parts.next().map(str::to_owned).ok_or_else(|| ArnError(s.to_owned()));
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        if arn != "arn" || partition.is_empty() || service.is_empty() || resource.is_empty() {
            return Err(ArnError(s.to_owned()));
        }
        Ok(Arn { partition, service, region, account, resource })
    }
}

impl TryFrom<String> for Arn {
    type Error = ArnError;
    fn try_from(s: String) -> Result<Arn, ArnError> {
        s.parse()
    }
}

impl From<Arn> for String {
    fn from(arn: Arn) -> String {
        arn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_reads_back_as_written() {
        for text in ["arn:aws:iam::111122223333:role/path/name", "arn:aws:eks:us-east-1:111122223333:cluster/a:b"] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
        assert_eq!("arn:aws:iam::111122223333:role/path/name".parse::<Arn>().unwrap().name(), "name");
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for text in ["", "arn:aws:iam", "arn::iam::1:role/x", "arn:aws:iam::1:", "x:aws:iam::1:role/x"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
