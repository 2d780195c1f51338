//! What an instance gets for a request. No I/O.

use super::token::Tokens;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use roadstead_hostspec::{Metadata, RoleCredentials};
use roadstead_types::{Millis, Sealed};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

/// How long a token lives, seconds: asked for by this header, and told by it.
pub(super) const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const LIFETIMES: RangeInclusive<u64> = 1..=21_600;

const TOKENS: &str = "api/token";
const USER_DATA: &str = "user-data";
const CREDENTIALS: &str = "meta-data/iam/security-credentials";

/// A request.
pub(super) struct Ask<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
}

/// What it gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Bytes,
    /// What is left of the session token's life, seconds.
    pub token_ttl: Option<u64>,
}

impl Ask<'_> {
    pub fn of<B>(request: &Request<B>) -> Ask<'_> {
        Ask { method: request.method(), path: request.uri().path(), headers: request.headers() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Answer {
    fn text(body: impl Into<Bytes>) -> Answer {
        let (status, content_type) = (StatusCode::OK, "text/plain");
        Answer { status, content_type, body: body.into(), token_ttl: None }
    }

    fn refusal(status: StatusCode) -> Answer {
        let body = format!("<html><body><h1>{} - {}</h1></body></html>\n", status.as_u16(), reason(status));
        Answer { status, content_type: "text/html", body: body.into(), token_ttl: None }
    }

    /// The fault is ours.
    pub fn failure() -> Answer {
        Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

/// Answers the instance that `metadata` is of; nobody known: its service is turned off. `open` opens secrets, which
/// happens only when they are asked for.
///
/// # Errors
/// A secret does not open.
pub(super) fn answer(
    ask: &Ask<'_>,
    metadata: Option<&Metadata>,
    tokens: &Tokens,
    now: Millis,
    open: impl Fn(&Sealed) -> Result<Zeroizing<String>>,
) -> Result<Answer> {
    let Some(metadata) = metadata else { return Ok(Answer::refusal(StatusCode::FORBIDDEN)) };
    let path = below_version(ask.path);
    if path == Some(TOKENS) {
        return Ok(give_token(ask, metadata, tokens, now));
    }
    if !matches!(*ask.method, Method::GET | Method::HEAD) {
        return Ok(Answer::refusal(StatusCode::METHOD_NOT_ALLOWED));
    }
    let left = ask.header(TOKEN).and_then(|token| tokens.left(&metadata.id, token, now));
    let Some(left) = left else { return Ok(Answer::refusal(StatusCode::UNAUTHORIZED)) };
    let found = match path {
        Some(path) => find(metadata, path, open)?,
        None if ask.path == "/" => Some(Answer::text("latest")),
        None => None,
    };
    let answer = found.unwrap_or_else(|| Answer::refusal(StatusCode::NOT_FOUND));
    Ok(Answer { token_ttl: Some(left.0 / 1000), ..answer })
}

/// A session token. One that was asked for through a proxy is refused: an open one would give it to anybody.
fn give_token(ask: &Ask<'_>, metadata: &Metadata, tokens: &Tokens, now: Millis) -> Answer {
    if *ask.method != Method::PUT {
        return Answer::refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    if ask.headers.contains_key("x-forwarded-for") {
        return Answer::refusal(StatusCode::FORBIDDEN);
    }
    let seconds = ask.header(TTL).and_then(|text| text.trim().parse().ok()).filter(|n| LIFETIMES.contains(n));
    let Some(seconds) = seconds else { return Answer::refusal(StatusCode::BAD_REQUEST) };
    let token = tokens.give(&metadata.id, now + Millis::secs(seconds));
    Answer { token_ttl: Some(seconds), ..Answer::text(token) }
}

/// What follows `/latest`, or a version by its date: all are the same here. Without slashes at its ends.
fn below_version(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_date = version.len() == 10 && version.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    (version == "latest" || version == "1.0" || is_date).then(|| rest.trim_matches('/'))
}

/// A value, or the listing of a folder.
fn find(
    metadata: &Metadata,
    path: &str,
    open: impl Fn(&Sealed) -> Result<Zeroizing<String>>,
) -> Result<Option<Answer>> {
    if path == USER_DATA {
        let binary = |text: &String| Answer { content_type: "application/octet-stream", ..Answer::text(text.clone()) };
        return Ok(metadata.user_data.as_ref().map(binary));
    }
    let role = path.strip_prefix(CREDENTIALS).and_then(|rest| rest.strip_prefix('/'));
    if let (Some(role), Some(credentials)) = (role, &metadata.credentials) {
        return (role == credentials.role).then(|| document(credentials, open).map(Answer::text)).transpose();
    }
    let value = metadata.categories.get(path).map(|value| Answer::text(value.clone()));
    Ok(value.or_else(|| listing(metadata, path).map(Answer::text)))
}

/// What is in a folder, a line each; folders in it end with a slash, but those at the top.
fn listing(metadata: &Metadata, folder: &str) -> Option<String> {
    let role = metadata.credentials.iter().map(|credentials| format!("{CREDENTIALS}/{}", credentials.role));
    let user_data = metadata.user_data.iter().map(|_| USER_DATA.to_owned());
    let all = metadata.categories.keys().cloned().chain(role).chain(user_data);
    let below = |path: String| match folder {
        "" => Some(path.split('/').next()?.to_owned()),
        _ => {
            let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some(rest.split_once('/').map_or(rest.to_owned(), |(name, _)| format!("{name}/")))
        }
    };
    let names: BTreeSet<String> = all.filter_map(below).collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
}

/// Credentials as SDKs read them: EC2 user guide, "Retrieve security credentials from instance metadata".
fn document(credentials: &RoleCredentials, open: impl Fn(&Sealed) -> Result<Zeroizing<String>>) -> Result<String> {
    let document = serde_json::json!({
        "Code": "Success",
        "LastUpdated": time_of(credentials.updated)?,
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": *open(&credentials.secret).context("the role's secret access key")?,
        "Token": *open(&credentials.token).context("the role's session token")?,
        "Expiration": time_of(credentials.expires)?,
    });
    Ok(serde_json::to_string_pretty(&document)?)
}

/// `2026-11-30T04:00:00Z`.
fn time_of(millis: Millis) -> Result<String> {
    let seconds = i64::try_from(millis.0 / 1000)?;
    Ok(OffsetDateTime::from_unix_timestamp(seconds)?.format(&Rfc3339)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hmac;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn tokens() -> Tokens {
        Tokens::new(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]))
    }

    fn metadata() -> Metadata {
        let sealed = |text: &str| Sealed { context: "test".into(), ciphertext: text.into() };
        let categories = [
            ("meta-data/instance-id", "i-1"),
            ("meta-data/placement/region", "us-west-2"),
            ("meta-data/placement/availability-zone", "us-west-2a"),
            ("meta-data/iam/info", "{}"),
            ("dynamic/instance-identity/document", "{\"region\":\"us-west-2\"}"),
        ];
        Metadata {
            id: "i-1".into(),
            network: "vpc-1".into(),
            address: [10, 0, 1, 5].into(),
            hop_limit: 1,
            categories: categories.map(|(path, value)| (path.to_owned(), value.to_owned())).into(),
            user_data: Some("#!/bin/sh\n".into()),
            credentials: Some(RoleCredentials {
                role: "node".into(),
                access_key_id: "ASIAEXAMPLE".into(),
                secret: sealed("secret"),
                token: sealed("session"),
                updated: NOW,
                expires: NOW + Millis::mins(60),
            }),
        }
    }

    fn send(method: &Method, path: &str, headers: &[(&'static str, &str)], metadata: &Metadata) -> (u16, String) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let open = |sealed: &Sealed| Ok(Zeroizing::new(sealed.ciphertext.clone()));
        let ask = Ask { method, path, headers: &headers };
        let answer = answer(&ask, Some(metadata), &tokens(), NOW, open).unwrap();
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    fn get(path: &str) -> (u16, String) {
        let token = tokens().give("i-1", NOW + Millis(1));
        send(&Method::GET, path, &[(TOKEN, &token)], &metadata())
    }

    #[test]
    fn a_token_is_asked_for_by_put_with_a_lifetime() {
        let put = |headers: &[(&'static str, &str)]| send(&Method::PUT, "/latest/api/token", headers, &metadata());
        for (seconds, status) in [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("x", 400), ("-1", 400)] {
            assert_eq!(put(&[(TTL, seconds)]).0, status, "{seconds}");
        }
        assert_eq!(put(&[]).0, 400);
        assert_eq!(put(&[(TTL, "60"), ("x-forwarded-for", "10.0.0.1")]).0, 403);
        let (_, token) = put(&[(TTL, "60")]);
        assert_eq!(tokens().left("i-1", &token, NOW), Some(Millis::secs(60)));
        assert_eq!(get("/latest/api/token").0, 405);
    }

    #[test]
    fn nothing_is_told_without_the_instances_own_token() {
        let ask = |headers: &[(&'static str, &str)]| send(&Method::GET, "/latest/meta-data/", headers, &metadata()).0;
        let (other, over) = (tokens().give("i-2", NOW + Millis(1)), tokens().give("i-1", NOW));
        assert_eq!(
            (ask(&[]), ask(&[(TOKEN, "x")]), ask(&[(TOKEN, &other)]), ask(&[(TOKEN, &over)])),
            (401, 401, 401, 401)
        );
        assert_eq!(ask(&[(TOKEN, &tokens().give("i-1", NOW + Millis(1)))]), 200);
        let post = |method| send(&method, "/latest/meta-data/", &[], &metadata()).0;
        assert_eq!((post(Method::POST), post(Method::PUT), post(Method::DELETE)), (405, 405, 405));
        let headers = HeaderMap::new();
        let ask = Ask { method: &Method::PUT, path: "/latest/api/token", headers: &headers };
        let stranger = answer(&ask, None, &tokens(), NOW, |_| unreachable!()).unwrap();
        assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn values_and_folders_are_found() {
        let ok = |body: &str| (200, body.to_owned());
        assert_eq!(get("/"), ok("latest"));
        assert_eq!(get("/latest/"), ok("dynamic\nmeta-data\nuser-data"));
        assert_eq!(get("/latest/meta-data/"), ok("iam/\ninstance-id\nplacement/"));
        assert_eq!(get("/latest/meta-data"), get("/latest/meta-data/"));
        assert_eq!(get("/latest/meta-data/placement"), ok("availability-zone\nregion"));
        assert_eq!(get("/latest/meta-data/placement/region"), ok("us-west-2"));
        assert_eq!(get("/2021-07-15/meta-data/instance-id"), ok("i-1"));
        assert_eq!(get("/latest/user-data"), ok("#!/bin/sh\n"));
        assert!(get("/latest/dynamic/instance-identity/document").1.contains("us-west-2"));
        for path in ["/latest/meta-data/x", "/latest/meta-dat", "/latest/meta-data/instance-id/x", "/newest/", "/2021/"]
        {
            assert_eq!(get(path).0, 404, "{path}");
        }
        let bare = Metadata { user_data: None, credentials: None, ..metadata() };
        let token = tokens().give("i-1", NOW + Millis(1));
        let get = |path| send(&Method::GET, path, &[(TOKEN, &token)], &bare);
        assert_eq!(get("/latest/user-data").0, 404);
        assert_eq!(get("/latest/meta-data/iam/security-credentials/").0, 404);
    }

    #[test]
    fn credentials_are_as_sdks_read_them() {
        assert_eq!(get("/latest/meta-data/iam/"), (200, "info\nsecurity-credentials/".into()));
        assert_eq!(get("/latest/meta-data/iam/security-credentials/"), (200, "node".into()));
        assert_eq!(get("/latest/meta-data/iam/security-credentials/other").0, 404);
        let (status, text) = get("/latest/meta-data/iam/security-credentials/node");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let wanted = serde_json::json!({
            "Code": "Success",
            "LastUpdated": "2027-01-15T08:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "secret",
            "Token": "session",
            "Expiration": "2027-01-15T09:00:00Z",
        });
        assert_eq!((status, document), (200, wanted));
    }
}
