//! What a token must be before anybody looks at its signature: a presigned `GetCallerIdentity`, and nothing else.
//!
//! Source of the rules: aws-iam-authenticator, `pkg/token/token.go`. Where it leaves a choice (encoded parameter
//! names, fragments, letters of a name in another case), we take only what AWS's clients write.

use super::review::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roadstead_hostspec::Reviewer;

const PREFIX: &str = "k8s-aws-v1.";
/// Bytes.
const LONGEST: usize = 4096;
/// The region of `sts.amazonaws.com`.
const GLOBAL_REGION: &str = "us-east-1";
/// The longest that an `X-Amz-Expires` may be, seconds.
const MAX_EXPIRES: u32 = 900;

const PARAMETERS: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The URL in a token.
pub(super) struct SignedUrl {
    url: String,
    /// Where in `url` the authority begins and ends, and the query begins.
    authority: (usize, usize),
    query: usize,
}

impl SignedUrl {
    /// The URL in a token, of the right form.
    pub fn of(token: &str) -> Result<SignedUrl, Refusal> {
        let url = SignedUrl::read(token).ok_or(Refusal::NoToken)?;
        url.check_query()?;
        Ok(url)
    }

    /// `SCHEME://AUTHORITY/?QUERY`.
    fn read(token: &str) -> Option<SignedUrl> {
        let encoded = token.strip_prefix(PREFIX).filter(|_| token.len() <= LONGEST)?;
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        let clean = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let start = url.find("://").filter(|_| clean)? + 3;
        let end = start + url[start..].find(['/', '?'])?;
        url[end..].starts_with("/?").then_some(SignedUrl { authority: (start, end), query: end + 2, url })
    }

    pub fn is_https(&self) -> bool {
        self.url.starts_with("https://")
    }

    pub fn authority(&self) -> &str {
        &self.url[self.authority.0..self.authority.1]
    }

    pub fn query(&self) -> &str {
        &self.url[self.query..]
    }

    /// The access key id that it claims, if that is fit to be shown to people.
    pub fn access_key_id(&self) -> Option<&str> {
        let id = self.parameter("X-Amz-Credential")?.split(['/', '%']).next()?;
        (id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(id)
    }

    /// The region whose STS the URL is for: one of AWS's endpoints in the cluster's region, or ours. Ours may be plain
    /// HTTP: the URL is a proof, not a place.
    pub fn region<'a>(&self, spec: &'a Reviewer) -> Result<&'a str, Refusal> {
        let (host, region) = (self.authority(), spec.region.as_str());
        let http = self.url.starts_with("http://");
        if spec.sts_hosts.iter().any(|own| own == host) && (http || self.is_https()) {
            return Ok(region);
        }
        if !self.is_https() {
            return Err(Refusal::NotHttps);
        }
        let regional = [format!("sts.{region}.amazonaws.com"), format!("sts-fips.{region}.amazonaws.com")];
        match host {
            "sts.amazonaws.com" => Ok(GLOBAL_REGION),
            _ if regional.iter().any(|own| own == host) => Ok(region),
            _ => Err(Refusal::Host(host.to_owned())),
        }
    }

    fn check_query(&self) -> Result<(), Refusal> {
        let mut seen = Vec::new();
        for name in self.query().split('&').map(|pair| pair.split('=').next().unwrap_or_default()) {
            let known = PARAMETERS.iter().find(|own| own.eq_ignore_ascii_case(name)).ok_or(Refusal::Parameter)?;
            if seen.contains(known) {
                return Err(Refusal::Repeated(known));
            }
            seen.push(known);
        }
        if (self.parameter("Action"), self.parameter("Version")) != (Some("GetCallerIdentity"), Some("2011-06-15")) {
            return Err(Refusal::Action);
        }
        let expires = self.parameter("X-Amz-Expires").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match expires.and_then(|text| text.parse::<u32>().ok()) {
            Some(0..=MAX_EXPIRES) => Ok(()),
            _ => Err(Refusal::Expires),
        }
    }

    /// As it stands in the URL.
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query().split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}
