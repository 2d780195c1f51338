//! EC2's API as far as a node's daemon needs it: forms go, XML comes (the `ec2` protocol), signed with the credentials of
//! the instance's role.

use super::xml::Element;
use crate::ask::client::Endpoint;
use crate::ask::imds::Imds;
use anyhow::{Context as _, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roadstead_types::Millis;
use std::thread;
use std::time::{Duration, SystemTime};

/// How often a call is tried, as amazon-vpc-cni-k8s does (`AWS_MAX_ATTEMPTS`), but not for a quarter of an hour: who
/// needs an address asks again.
const TRIES: u32 = 6;
/// The first pause between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// How long EC2 may take.
const PATIENCE: Duration = Duration::from_secs(30);
const VERSION: &str = "2016-11-15";
/// What RFC 3986 §2.3 never escapes.
const FREE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// EC2 says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {message} ({code})")]
pub struct Refused {
    /// What was asked.
    pub action: &'static str,
    /// EC2's error code, e.g. `InsufficientFreeAddressesInSubnet`.
    pub code: String,
    /// EC2's sentence.
    pub message: String,
}

/// A client.
pub struct Ec2 {
    endpoint: Endpoint,
    region: String,
}

/// A call's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// With one more.
    pub fn with(mut self, name: &str, value: impl ToString) -> Parameters {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a list: `NAME.1`, `NAME.2`, …
    pub fn with_list(mut self, name: &str, values: impl IntoIterator<Item = impl ToString>) -> Parameters {
        let numbered = values.into_iter().enumerate();
        self.0.extend(numbered.map(|(n, value)| (format!("{name}.{}", n + 1), value.to_string())));
        self
    }

    /// With a filter; the n-th of them.
    pub fn with_filter(self, n: u32, name: &str, value: &str) -> Parameters {
        self.with(&format!("Filter.{n}.Name"), name).with(&format!("Filter.{n}.Value.1"), value)
    }

    fn form(&self, action: &str) -> String {
        let pairs = [("Action", action), ("Version", VERSION)].into_iter();
        let pairs = pairs.chain(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let encoded = |text| utf8_percent_encode(text, FREE);
        pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
    }
}

/// One try of a call.
enum Tried {
    Answered(Element),
    Refused(Refused),
    /// Nobody there, or too busy: it may work later.
    Later(anyhow::Error),
}

impl Ec2 {
    /// Of a region, at that URL.
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn new(url: &str, region: &str) -> Result<Ec2> {
        let endpoint = Endpoint::parse(url).context("the region's API: AWS_ENDPOINT_URL")?;
        Ok(Ec2 { endpoint, region: region.to_owned() })
    }

    /// Calls an action; again, after a pause, if nobody answered or EC2 was too busy.
    ///
    /// # Errors
    /// [`Refused`], or EC2 does not answer.
    pub fn call(&self, imds: &Imds, action: &'static str, parameters: &Parameters) -> Result<Element> {
        let mut pause = PAUSE;
        for tries_left in (0..TRIES).rev() {
            match self.attempt(imds, action, parameters)? {
                Tried::Answered(element) => return Ok(element),
                Tried::Refused(refused) => return Err(refused.into()),
                Tried::Later(why) if tries_left == 0 => return Err(why.context(format!("EC2 {action}"))),
                Tried::Later(why) => {
                    tracing::debug!("EC2 {action}: {why:#}; trying again in {pause:?}");
                    thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// All pages of a describe: what is in their lists called `list`.
    ///
    /// # Errors
    /// As [`Ec2::call`].
    pub fn list(&self, imds: &Imds, action: &'static str, parameters: &Parameters, list: &str) -> Result<Vec<Element>> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = match token.as_str() {
                "" => self.call(imds, action, parameters)?,
                token => self.call(imds, action, &parameters.clone().with("NextToken", token))?,
            };
            found.extend(page.list(list).cloned());
            token = page.text("nextToken").to_owned();
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    fn attempt(&self, imds: &Imds, action: &'static str, parameters: &Parameters) -> Result<Tried> {
        const TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
        let credentials = match imds.credentials() {
            Ok(credentials) => credentials,
            Err(why) => return Ok(Tried::Later(why.context("the role's credentials"))),
        };
        let (signer, body) = (credentials.signer(&self.region, "ec2"), parameters.form(action));
        let request = self.endpoint.sign(&signer, &[("content-type", TYPE)], body.as_bytes(), now())?;
        let answer = match self.endpoint.post(&request, PATIENCE) {
            Ok(answer) => answer,
            Err(why) => return Ok(Tried::Later(why)),
        };
        let element = match Element::parse(&answer.body) {
            Ok(element) => element,
            Err(why) => return Ok(Tried::Later(why.context(format!("it answers {} and no XML", answer.status)))),
        };
        if answer.status == 200 {
            return Ok(Tried::Answered(element));
        }
        let refused = Refused {
            action,
            code: element.text("Errors/Error/Code").to_owned(),
            message: element.text("Errors/Error/Message").to_owned(),
        };
        match refused.code.as_str() {
            "RequestExpired" | "ExpiredToken" | "InvalidClientTokenId" | "AuthFailure" => {
                imds.forget_credentials();
                Ok(Tried::Later(refused.into()))
            }
            "RequestLimitExceeded" => Ok(Tried::Later(refused.into())),
            _ if answer.status >= 500 => Ok(Tried::Later(refused.into())),
            _ => Ok(Tried::Refused(refused)),
        }
    }
}

/// By the wall clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_as_ec2_s_clients_write_it() {
        let parameters = Parameters::default()
            .with("NetworkInterfaceId", "eni-1")
            .with_list("PrivateIpAddress", ["10.0.0.5", "10.0.0.6"])
            .with_filter(1, "tag:a b", "x/y");
        assert_eq!(
            parameters.form("UnassignPrivateIpAddresses"),
            "Action=UnassignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-1\
             &PrivateIpAddress.1=10.0.0.5&PrivateIpAddress.2=10.0.0.6\
             &Filter.1.Name=tag%3Aa%20b&Filter.1.Value.1=x%2Fy"
        );
    }
}
