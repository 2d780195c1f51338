//! Who a token is of: from a TokenReview to its answer. No I/O.

use super::keys::Keys;
use super::signed_url::SignedUrl;
use super::username::Names;
use roadstead_hostspec::{Mapping, Principal, Reviewer};
use roadstead_types::Millis;
use roadstead_wire::sigv4::{self, Expectation, Lifetime, Request};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a token lives after the date in it, whatever else it says: as long as STS honours such a URL.
const LIFETIME: Millis = Millis::mins(15);
/// The header that binds a token to a cluster.
const CLUSTER: &str = "x-k8s-aws-id";

/// Why a token is nobody's. The text is for the logs of the host and of the API server; it holds nothing of the token
/// that could be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("not a token of `aws eks get-token`: it must be k8s-aws-v1. and an STS URL in base64, at most 4096 bytes")]
    NoToken,
    #[error("the token's URL has a query parameter that GetCallerIdentity does not have")]
    Parameter,
    #[error("the token's URL has the query parameter {0} twice")]
    Repeated(&'static str),
    #[error("the token's URL is not for GetCallerIdentity of 2011-06-15")]
    Action,
    #[error("the token's X-Amz-Expires is not a number of seconds between 0 and 900")]
    Expires,
    #[error("the token's URL is not https")]
    NotHttps,
    #[error("the token's URL is not for an STS of the cluster's region, but for {0:?}")]
    Host(String),
    #[error("the token was signed without the header {CLUSTER}, so it is for no cluster")]
    NoCluster,
    #[error("no user has the access key")]
    UnknownKey,
    #[error("the access key is disabled")]
    DisabledKey,
    #[error("the token has a session token, which a user's access key does not have")]
    NoSession,
    #[error("the access key is that of a session, and the token has not the session token that goes with it")]
    WrongSession,
    #[error("the session that signed has ended: get new credentials")]
    Ended,
    #[error("the signature does not match: the token is for a cluster other than '{0}', or the secret key is wrong")]
    Mismatch(String),
    #[error("{0}")]
    Signature(sigv4::Error),
    #[error("the access key's secret is not readable on this host: {0}")]
    Secret(#[from] roadstead_vault::Error),
    #[error("{0} has no access to the cluster: no mapping names it")]
    Unmapped(String),
    #[error("the user name {template} needs {what}, which {arn} does not have")]
    NoName { template: String, what: &'static str, arn: String },
}

/// Somebody that the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub groups: Vec<String>,
    /// Of the principal that signed.
    pub arn: String,
    /// Of the user, or of the role that the principal is a session of.
    pub canonical_arn: String,
    pub session_name: String,
    pub access_key_id: String,
    /// Of the user or the role.
    pub unique_id: String,
    pub account: String,
}

/// Answers a TokenReview; none if the body is not one. Logs the verdict, with nothing of the token but the access key's
/// id.
pub(super) fn review(body: &[u8], spec: &Reviewer, keys: &Keys, now: Millis) -> Option<Value> {
    let review: TokenReview = serde_json::from_slice(body).ok()?;
    let versions = ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"];
    if review.kind != "TokenReview" || !versions.contains(&review.api_version.as_str()) {
        return None;
    }
    let status = match SignedUrl::of(&review.spec.token) {
        Ok(url) => verdict(identify(&url, spec, keys, now), &spec.cluster, url.access_key_id()),
        Err(refusal) => verdict(Err(refusal), &spec.cluster, None),
    };
    Some(json!({"apiVersion": review.api_version, "kind": review.kind, "spec": {}, "status": status}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenReview {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    token: String,
}

fn verdict(result: Result<User, Refusal>, cluster: &str, claimed: Option<&str>) -> Value {
    match result {
        Ok(user) => {
            tracing::debug!(cluster, access_key_id = user.access_key_id, user = user.name, "token accepted");
            json!({"authenticated": true, "user": user.info()})
        }
        Err(refusal) => {
            let why = refusal.to_string();
            tracing::info!(cluster, access_key_id = claimed, why, "token refused");
            json!({"authenticated": false, "error": why})
        }
    }
}

/// Whose a token is.
pub(super) fn identify(url: &SignedUrl, spec: &Reviewer, keys: &Keys, now: Millis) -> Result<User, Refusal> {
    let headers = vec![("host", url.authority().as_bytes()), (CLUSTER, spec.cluster.as_bytes())];
    let request = Request { method: "GET", path: "/", query: url.query(), headers, body: b"" };
    let expect = Expectation { lifetime: Lifetime::Fixed(LIFETIME), ..Expectation::new(url.region(spec)?, &["sts"]) };
    let mut asked = Err(Refusal::UnknownKey);
    let secret_of = |id: &str| {
        asked = keys.find(id);
        asked.as_ref().ok().cloned()
    };
    let verified = match keys.verifier.verify(&request, now, &expect, secret_of) {
        Ok(verified) => verified,
        Err(sigv4::Error::UnknownKey) => return Err(asked.err().unwrap_or(Refusal::UnknownKey)),
        Err(sigv4::Error::Mismatch) => return Err(Refusal::Mismatch(spec.cluster.clone())),
        Err(error) => return Err(Refusal::Signature(error)),
    };
    let key = asked?;
    let session = key.session(verified.security_token.as_deref(), now)?;
    if !verified.signed_headers.iter().any(|name| name == CLUSTER) {
        return Err(Refusal::NoCluster);
    }
    let Principal { arn, unique_id, account } = key.principal().clone();
    let canonical_arn = session.map_or(&arn, |session| &session.role);
    let mapping = spec.mappings.iter().find(|mapping| mapping.arn == *canonical_arn);
    let Mapping { username, groups, .. } = mapping.ok_or_else(|| Refusal::Unmapped(canonical_arn.clone()))?;
    let names = Names { session, arn: &arn, account: &account, access_key_id: &verified.access_key_id };
    let name = names.fill(username)?;
    let groups = groups.iter().map(|group| names.fill(group)).collect::<Result<_, _>>()?;
    Ok(User {
        name,
        groups,
        canonical_arn: canonical_arn.clone(),
        session_name: session.map(|session| session.name.clone()).unwrap_or_default(),
        access_key_id: verified.access_key_id,
        // `AROA…:SESSION`.
        unique_id: unique_id.split(':').next().unwrap_or_default().to_owned(),
        account,
        arn,
    })
}

impl User {
    /// As aws-iam-authenticator describes a user (`pkg/server`).
    fn info(&self) -> Value {
        json!({
            "username": self.name,
            "uid": format!("aws-iam-authenticator:{}:{}", self.account, self.unique_id),
            "groups": self.groups,
            "extra": {
                "arn": [self.arn],
                "canonicalArn": [self.canonical_arn],
                "sessionName": [self.session_name],
                "accessKeyId": [self.access_key_id],
                "principalId": [self.unique_id],
                "sigs.k8s.io/aws-iam-authenticator/principalId": [self.unique_id],
            },
        })
    }
}
