//! Making signatures: for our own probes, for tools and tests.

use super::canonical::{Pairs, Payload, encode, string_to_sign};
use super::chunks::Chain;
use super::claim::{ALGORITHM, Claim, Form, Scope, basic};
use super::key::{hex, signing_key};
use super::{Error, Paths, Payloads, Request};
use aws_lc_rs::hmac;
use roadstead_types::Millis;

/// Who signs, and for what.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: &'a str,
    /// The secret access key.
    pub secret: &'a str,
    /// The session token of a temporary key.
    pub security_token: Option<&'a str>,
    /// The scope's region.
    pub region: &'a str,
    /// The scope's service: its signing name.
    pub service: &'a str,
}

/// What clients don't sign, because proxies change it. As botocore.
const UNSIGNED: [&str; 11] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

impl Signer<'_> {
    /// Signs a request in a header. Its headers must include `host`; all are signed but those that proxies change.
    /// Gives the headers to add: `x-amz-date`, `x-amz-security-token` if there is a token, `authorization`.
    ///
    /// # Errors
    /// The request has a wrong `x-amz-content-sha256`, or an `X-Amz-*` parameter twice.
    pub fn sign(&self, request: &Request<'_>, now: Millis) -> Result<Vec<(&'static str, String)>, Error> {
        let timestamp = basic(now);
        let mut request = request.clone();
        request.headers.push(("x-amz-date", timestamp.as_bytes()));
        request.headers.extend(self.security_token.map(|token| ("x-amz-security-token", token.as_bytes())));
        let claim = self.claim(&request, Form::Header, now);
        let signature = self.signature(&request, &claim)?;
        let (id, scope, signed) = (self.access_key_id, &claim.scope, claim.signed_headers.join(";"));
        let text = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");
        let token = self.security_token.map(|token| ("x-amz-security-token", token.to_owned()));
        let mut added = vec![("x-amz-date", timestamp)];
        added.extend(token);
        added.push(("authorization", text));
        Ok(added)
    }

    /// Signs a request in its query: the query to send. Its headers must include `host`; all are signed.
    ///
    /// # Errors
    /// The request has a wrong `x-amz-content-sha256`, or an `X-Amz-*` parameter twice.
    pub fn presign(&self, request: &Request<'_>, expires: Millis, now: Millis) -> Result<String, Error> {
        let claim = self.claim(request, Form::Query { expires }, now);
        let mut query = request.query.to_owned();
        let mut add = |name: &str, value: &str| {
            let and = if query.is_empty() { "" } else { "&" };
            query.push_str(&format!("{and}{name}={}", encode(value.as_bytes())));
        };
        add("X-Amz-Algorithm", ALGORITHM);
        add("X-Amz-Credential", &format!("{}/{}", self.access_key_id, claim.scope));
        add("X-Amz-Date", &claim.timestamp);
        add("X-Amz-Expires", &(expires.0 / 1000).to_string());
        add("X-Amz-SignedHeaders", &claim.signed_headers.join(";"));
        if let Some(token) = self.security_token {
            add("X-Amz-Security-Token", token);
        }
        let signature = self.signature(&Request { query: &query, ..request.clone() }, &claim)?;
        Ok(format!("{query}&X-Amz-Signature={signature}"))
    }

    /// The body of a request whose `x-amz-content-sha256` is `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, or that with `-TRAILER`
    /// if there is one: these chunks, each signed, and names and values that follow them. The first signature to sign is
    /// the request's own.
    pub fn sign_chunks(&self, signature: &str, chunks: &[&[u8]], trailer: &[(&str, &str)], now: Millis) -> Vec<u8> {
        let (timestamp, scope) = (basic(now), Scope::new(&basic(now), self.region, self.service));
        let mut chain = Chain::new(signing_key(self.secret, &scope), &timestamp, &scope, signature);
        let mut body = vec![];
        // An empty one is the last.
        for data in chunks.iter().filter(|data| !data.is_empty()).chain([&&b""[..]]) {
            body.extend(format!("{:x};chunk-signature={}\r\n", data.len(), chain.sign_chunk(data)).bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(if data.is_empty() { b"" } else { b"\r\n" });
        }
        if !trailer.is_empty() {
            body.extend(trailer.iter().flat_map(|(name, value)| format!("{name}:{value}\r\n").into_bytes()));
            body.extend(format!("x-amz-trailer-signature:{}\r\n", chain.sign_trailer(trailer)).bytes());
        }
        body.extend_from_slice(b"\r\n");
        body
    }

    /// The URL that says who holds a key of STS without sending it: what `aws eks get-token` puts into its token, byte by
    /// byte. `headers` are signed besides `host`; names in lower case.
    pub fn presign_get_caller_identity(&self, headers: &[(&str, &str)], now: Millis) -> String {
        let host = format!("sts.{}.amazonaws.com", self.region);
        let mut all = vec![("host", host.as_bytes())];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let query = "Action=GetCallerIdentity&Version=2011-06-15";
        let request = Request { method: "GET", path: "/", query, headers: all, body: b"" };
        let query = self.presign(&request, Millis::secs(60), now).expect("a GET without a body has nothing to refuse");
        format!("https://{host}/?{query}")
    }

    fn claim(&self, request: &Request<'_>, form: Form, now: Millis) -> Claim {
        let timestamp = basic(now);
        let signable = request.headers.iter().filter(|(name, _)| !UNSIGNED.contains(name));
        let mut signed_headers: Vec<String> = signable.map(|(name, _)| (*name).to_owned()).collect();
        signed_headers.sort_unstable();
        signed_headers.dedup();
        Claim {
            form,
            access_key_id: self.access_key_id.into(),
            scope: Scope::new(&timestamp, self.region, self.service),
            signed_headers,
            signature: String::new(),
            timestamp,
            date: now,
            security_token: self.security_token.map(Into::into),
        }
    }

    fn signature(&self, request: &Request<'_>, claim: &Claim) -> Result<String, Error> {
        let pairs = Pairs::of(request.query)?;
        let string = string_to_sign(request, &pairs, claim, &Payload::of(request, Payloads::Signed)?, Paths::Normal);
        let key = signing_key(self.secret, &claim.scope);
        Ok(hex(hmac::sign(&key, string.as_bytes()).as_ref()))
    }
}

/// [`Signer::presign_get_caller_identity`] with a user's key.
pub fn presign_get_caller_identity(
    access_key_id: &str,
    secret: &str,
    region: &str,
    headers: &[(&str, &str)],
    now: Millis,
) -> String {
    let signer = Signer { access_key_id, secret, security_token: None, region, service: "sts" };
    signer.presign_get_caller_identity(headers, now)
}
