//! What a request claims about its signature: read from a header or from the query, not yet believed.

use super::canonical::{Pairs, Request};
use super::{Error, Expectation, Lifetime, MAX_EXPIRES, MAX_SKEW};
use crate::schema::TimestampFormat;
use crate::timestamp;
use roadstead_types::Millis;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const TERMINATOR: &str = "aws4_request";

pub(super) struct Claim {
    pub form: Form,
    pub access_key_id: String,
    pub scope: Scope,
    /// Lower-case names in ascending order, none twice.
    pub signed_headers: Vec<String>,
    /// Lower-case hexadecimal, if it is any.
    pub signature: String,
    /// `20150830T123600Z`: what is signed.
    pub timestamp: String,
    /// The instant of it.
    pub date: Millis,
    pub security_token: Option<String>,
}

/// Where the signature stands.
pub(super) enum Form {
    Header,
    Query { expires: Millis },
}

/// What a signing key is good for: a day, a region, a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// `20150830`.
    pub date: String,
    pub region: String,
    pub service: String,
}

impl Scope {
    pub fn new(timestamp: &str, region: &str, service: &str) -> Scope {
        Scope { date: timestamp[..8].into(), region: region.into(), service: service.into() }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

impl Claim {
    pub fn of(request: &Request<'_>, pairs: &Pairs) -> Result<Claim, Error> {
        let authorization = request.header("authorization")?.filter(|text| scheme(text).starts_with("AWS"));
        let in_query = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"].iter().any(|name| pairs.has(name));
        match authorization {
            Some(_) if in_query => Err(Error::incomplete(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header \
                 should be specified.",
            )),
            Some(text) => Claim::of_header(request, text),
            None if in_query => Claim::of_query(pairs),
            None => Err(Error::Missing),
        }
    }

    fn of_header(request: &Request<'_>, authorization: &str) -> Result<Claim, Error> {
        known_algorithm(scheme(authorization))?;
        let parameters = Parameters::read(&authorization[ALGORITHM.len()..])?;
        let timestamp = date_of(request)?;
        let mut lacks = parameters.lacks();
        if timestamp.is_none() {
            lacks.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".into());
        }
        let (
            Parameters { credential: Some(credential), signed_headers: Some(signed), signature: Some(signature) },
            Some(timestamp),
        ) = (parameters, timestamp)
        else {
            return Err(Error::Incomplete(lacks.join(" ")));
        };
        let token = request.header("x-amz-security-token")?.map(str::to_owned);
        Claim::new(Form::Header, credential, signed, signature, timestamp, token)
    }

    fn of_query(pairs: &Pairs) -> Result<Claim, Error> {
        const REQUIRED: [&str; 6] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        ];
        let [Some(algorithm), Some(credential), Some(date), Some(expires), Some(signed), Some(signature)] =
            REQUIRED.map(|name| pairs.get(name))
        else {
            let lacks = REQUIRED.iter().filter(|name| pairs.get(name).is_none());
            let texts = lacks.map(|name| format!("AWS query-string parameters must include '{name}'. "));
            return Err(Error::Incomplete(texts.collect::<String>() + "Re-examine the query-string parameters."));
        };
        known_algorithm(algorithm)?;
        let form = Form::Query { expires: seconds(expires)? };
        Claim::new(form, credential, signed, signature, date.into(), pairs.get("X-Amz-Security-Token").map(Into::into))
    }

    fn new(
        form: Form,
        credential: &str,
        signed_headers: &str,
        signature: &str,
        timestamp: String,
        security_token: Option<String>,
    ) -> Result<Claim, Error> {
        let [access_key_id, day, region, service, terminator] = credential.split('/').collect::<Vec<_>>()[..] else {
            let text = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.";
            return Err(Error::incomplete(text));
        };
        if terminator != TERMINATOR {
            return Err(Error::Terminator(terminator.into()));
        }
        let date = instant(&timestamp)?;
        if timestamp.get(..8) != Some(day) {
            return Err(Error::ScopeDate { scope: day.into(), timestamp });
        }
        Ok(Claim {
            form,
            access_key_id: access_key_id.into(),
            scope: Scope::new(&timestamp, region, service),
            signed_headers: names(signed_headers)?,
            signature: signature.into(),
            timestamp,
            date,
            security_token,
        })
    }

    /// `host` and every `x-amz-*` header of the request must be signed, and what is signed must be there.
    pub fn check_headers(&self, request: &Request<'_>) -> Result<(), Error> {
        let signed = |name: &str| self.signed_headers.binary_search_by(|own| own.as_str().cmp(name)).is_ok();
        if !signed("host") {
            return Err(Error::HostNotSigned);
        }
        if let Some((name, _)) = request.headers.iter().find(|(name, _)| name.starts_with("x-amz-") && !signed(name)) {
            return Err(Error::HeaderNotSigned((*name).into()));
        }
        // AWS would sign it as empty; no client does.
        let there = self.signed_headers.iter().all(|name| request.headers.iter().any(|(own, _)| own == name));
        if there { Ok(()) } else { Err(Error::Mismatch) }
    }

    pub fn check_scope(&self, expect: &Expectation<'_>) -> Result<(), Error> {
        if !expect.services.contains(&self.scope.service.as_str()) {
            return Err(Error::Service(expect.services.first().copied().unwrap_or_default().into()));
        }
        if self.scope.region == expect.region { Ok(()) } else { Err(Error::Region) }
    }

    pub fn check_time(&self, now: Millis, expect: &Expectation<'_>) -> Result<(), Error> {
        let (date, skew) = (self.date, expect.skew.min(MAX_SKEW));
        if date > now + skew {
            return Err(Error::NotYetCurrent { date, now, span: skew });
        }
        let span = match (&self.form, expect.lifetime) {
            (Form::Header, _) => skew,
            (Form::Query { .. }, Lifetime::Fixed(span)) => span,
            (Form::Query { expires }, Lifetime::AsSigned) if (Millis(1)..=MAX_EXPIRES).contains(expires) => *expires,
            (Form::Query { .. }, Lifetime::AsSigned) => return Err(Error::expires()),
        };
        if date + span < now { Err(Error::Expired { date, now, span }) } else { Ok(()) }
    }
}

/// `Credential=.., SignedHeaders=.., Signature=..`.
#[derive(Default)]
struct Parameters<'a> {
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn read(text: &'a str) -> Result<Parameters<'a>, Error> {
        let mut own = Parameters::default();
        // Nothing at all lacks everything; an empty part between others is one that is no pair.
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                Error::incomplete(
                    "The Authorization header has a part that is not a key=value pair (missing equal-sign).",
                )
            })?;
            let place = match name {
                "Credential" => &mut own.credential,
                "SignedHeaders" => &mut own.signed_headers,
                "Signature" => &mut own.signature,
                _ => return Err(Error::incomplete("The Authorization header has an unknown parameter.")),
            };
            if place.replace(value).is_some() {
                return Err(Error::repeated(name));
            }
        }
        Ok(own)
    }

    fn lacks(&self) -> Vec<String> {
        let parts =
            [("Credential", self.credential), ("Signature", self.signature), ("SignedHeaders", self.signed_headers)];
        let missing = parts.iter().filter(|(_, value)| value.is_none());
        missing.map(|(name, _)| format!("Authorization header requires '{name}' parameter.")).collect()
    }
}

fn scheme(authorization: &str) -> &str {
    authorization.split(' ').next().unwrap_or_default()
}

fn known_algorithm(name: &str) -> Result<(), Error> {
    if name == ALGORITHM { Ok(()) } else { Err(Error::Incomplete(format!("Unsupported AWS 'algorithm': '{name}'."))) }
}

/// The names of `host;x-amz-date`, which must be as every client writes them.
fn names(signed_headers: &str) -> Result<Vec<String>, Error> {
    let names: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
    let lower = names.iter().all(|name| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    if lower && names.is_sorted_by(|a, b| a < b) {
        return Ok(names);
    }
    Err(Error::incomplete(
        "SignedHeaders must be lower-case header names in ascending order, separated by ';', none twice.",
    ))
}

/// The date of a request that carries its signature in a header, as SigV4 writes it.
fn date_of(request: &Request<'_>) -> Result<Option<String>, Error> {
    if let Some(text) = request.header("x-amz-date")? {
        return Ok(Some(text.trim().into()));
    }
    let Some(text) = request.header("date")? else { return Ok(None) };
    Ok(Some(timestamp::parse(text, TimestampFormat::HttpDate).map_or_else(|| text.trim().into(), basic)))
}

fn instant(text: &str) -> Result<Millis, Error> {
    let date = (text.len() == 16).then(|| timestamp::parse_basic(text)).flatten();
    date.ok_or_else(|| Error::incomplete("Date must be in ISO-8601 'basic format', e.g. '20150830T123600Z'."))
}

fn seconds(text: &str) -> Result<Millis, Error> {
    let digits = !text.is_empty() && text.len() <= 7 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Millis::secs).ok_or_else(Error::expires)
}

pub(super) fn basic(at: Millis) -> String {
    timestamp::format_basic(at)
}
