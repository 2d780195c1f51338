//! The instance metadata service, version 2: what an instance knows of itself, and its role's credentials.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use super::client::{Answer, Endpoint};
use anyhow::{Context as _, Result, ensure};
use roadstead_hostspec::link_local::METADATA;
use roadstead_types::Millis;
use roadstead_wire::sigv4::Signer;
use serde::Deserialize;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long a session lasts, seconds: the longest there is.
const SESSION: &str = "21600";
/// It answers from the machine itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// Credentials are asked for anew so long before their end: IMDS has new ones five minutes before.
const EARLY: Millis = Millis::mins(4);

/// A client.
pub struct Imds {
    endpoint: Endpoint,
    session: Mutex<Option<String>>,
    credentials: Mutex<Option<Credentials>>,
}

/// The credentials of the instance's role. They don't print.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token.
    pub token: String,
    /// When they end: RFC 3339.
    expiration: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, until {})", self.access_key_id, self.expiration)
    }
}

impl Credentials {
    /// Signs for a service in a region.
    pub fn signer<'a>(&'a self, region: &'a str, service: &'a str) -> Signer<'a> {
        let Credentials { access_key_id, secret_access_key: secret, token, .. } = self;
        Signer { access_key_id, secret, security_token: Some(token), region, service }
    }

    fn fresh(&self, now: Millis) -> bool {
        let end = OffsetDateTime::parse(&self.expiration, &Rfc3339).ok();
        let end = end.and_then(|end| u64::try_from(end.unix_timestamp_nanos() / 1_000_000).ok());
        end.is_some_and(|end| now + EARLY < Millis(end))
    }
}

impl Imds {
    /// Of this instance, or of an `endpoint` that stands in for it.
    ///
    /// # Errors
    /// The endpoint can't be read.
    pub fn new(endpoint: Option<&str>) -> Result<Imds> {
        let own = format!("http://{METADATA}");
        let endpoint = Endpoint::parse(endpoint.unwrap_or(&own)).context("the metadata service's address")?;
        Ok(Imds { endpoint, session: Mutex::default(), credentials: Mutex::default() })
    }

    /// What stands at a path below `/latest/meta-data/`; `None` if nothing does.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub fn get(&self, path: &str) -> Result<Option<String>> {
        self.get_at(&format!("/latest/meta-data/{path}"))
    }

    /// The same, where something must stand.
    ///
    /// # Errors
    /// Nothing does, or as above.
    pub fn need(&self, path: &str) -> Result<String> {
        self.get(path)?.with_context(|| format!("the metadata service has no {path}"))
    }

    /// The instance's user data, if it has any.
    ///
    /// # Errors
    /// As above.
    pub fn user_data(&self) -> Result<Option<String>> {
        self.get_at("/latest/user-data")
    }

    /// The credentials of the instance's role, remembered until shortly before their end.
    ///
    /// # Errors
    /// The instance has no role, or as above.
    pub fn credentials(&self) -> Result<Credentials> {
        let mut known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = known.as_ref().filter(|credentials| credentials.fresh(now())) {
            return Ok(credentials.clone());
        }
        const FOLDER: &str = "iam/security-credentials/";
        let role = self.get(FOLDER)?.context("the instance has no role: launch it with an instance profile")?;
        let role = role.lines().next().unwrap_or_default();
        let text = self.need(&format!("{FOLDER}{role}"))?;
        let credentials: Credentials = serde_json::from_str(&text).context("the role's credentials can't be read")?;
        Ok(known.insert(credentials).clone())
    }

    /// Forgets credentials that a service has refused.
    pub fn forget_credentials(&self) {
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn get_at(&self, path: &str) -> Result<Option<String>> {
        let mut answer = self.ask(path, false)?;
        if answer.status == 401 {
            // The session is over, or of another life of the service.
            answer = self.ask(path, true)?;
        }
        match answer.status {
            200 => Ok(Some(answer.text())),
            404 => Ok(None),
            status => anyhow::bail!("the metadata service answers {status} for {path}"),
        }
    }

    fn ask(&self, path: &str, anew: bool) -> Result<Answer> {
        let session = self.session(anew)?;
        let headers = [("X-aws-ec2-metadata-token", session.as_str())];
        self.endpoint.ask("GET", path, &headers, b"", PATIENCE).context("asking the metadata service")
    }

    fn session(&self, anew: bool) -> Result<String> {
        let mut known = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(session), false) = (known.as_ref(), anew) {
            return Ok(session.clone());
        }
        let headers = [("X-aws-ec2-metadata-token-ttl-seconds", SESSION)];
        let answer = self.endpoint.ask("PUT", "/latest/api/token", &headers, b"", PATIENCE);
        let answer = answer.context("asking the metadata service for a session")?;
        ensure!(answer.status == 200, "the metadata service answers {} instead of a session", answer.status);
        Ok(known.insert(answer.text().trim().to_owned()).clone())
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_fresh_until_four_minutes_before_their_end() {
        let expiration = "1970-01-01T01:00:00Z".to_owned();
        let [access_key_id, secret_access_key, token] = ["ASIA", "s3cret", "t0ken"].map(str::to_owned);
        let credentials = Credentials { access_key_id, secret_access_key, token, expiration };
        assert!(credentials.fresh(Millis::mins(55)));
        assert!(!credentials.fresh(Millis::mins(56)));
        let text = format!("{credentials:?}");
        assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
    }
}
