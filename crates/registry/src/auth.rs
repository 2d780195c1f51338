//! Who asks: the user `AWS` with a token of GetAuthorizationToken for a password.

use crate::Registry;
use crate::refusal::{Code, Refusal};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, header};
use roadstead_cloud::ecr::token::{Claims, USER};
use roadstead_kernel::{Caller, Policies};
use roadstead_types::Millis;
use std::net::SocketAddr;

impl<P: Policies> Registry<P> {
    /// The caller, if the token is one of this region's and not over, and its user or role is still there.
    pub(crate) fn identify<B>(&self, request: &Request<B>, peer: SocketAddr, id: &str) -> Result<Caller, Refusal> {
        let claims = claims(&self.key, request.headers(), (self.settings.clock)())?;
        if !claims.stands(&*self.handle.view()) {
            return Err(Refusal::new(Code::Denied, "The user or role that asked for the authorization token is gone."));
        }
        let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Caller {
            identity: claims.identity(),
            access_key_id: claims.access_key_id,
            region: self.settings.region.clone(),
            source_ip: peer.ip().to_string(),
            user_agent: agent.unwrap_or_default().to_owned(),
            request_id: id.to_owned(),
        })
    }
}

/// What the token says, if it is one of those that `key` signs.
fn claims(key: &hmac::Key, headers: &HeaderMap, now: Millis) -> Result<Claims, Refusal> {
    let unauthorized = || Refusal::new(Code::Unauthorized, "Not Authorized: log in with aws ecr get-login-password");
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(unauthorized)?;
    let (scheme, encoded) = given.split_once(' ').ok_or_else(unauthorized)?;
    let plain = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let token = plain.as_deref().and_then(|plain| plain.strip_prefix(USER)?.strip_prefix(':'));
    let (text, signature) = token.and_then(|token| token.split_once('.')).ok_or_else(unauthorized)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unauthorized())?;
    if !scheme.eq_ignore_ascii_case("basic") || hmac::verify(key, text.as_bytes(), &signature).is_err() {
        return Err(unauthorized());
    }
    let claims = Claims::of(text).ok_or_else(unauthorized)?;
    match now < claims.expires {
        true => Ok(claims),
        // ECR's words.
        false => {
            let why = "Your authorization token has expired. Reauthenticate and try again.";
            Err(Refusal::new(Code::Denied, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn header_of(plain: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(plain)).parse().unwrap();
        [(header::AUTHORIZATION, value)].into_iter().collect()
    }

    fn token(key: &hmac::Key) -> String {
        let claims = json!({"arn": "arn:aws:iam::111122223333:user/ada", "role": null, "unique_id": "AIDA1",
            "account": "111122223333", "access_key_id": "AKIA1", "expires": 1000});
        let text = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(key, text.as_bytes())))
    }

    #[test]
    fn a_token_is_its_caller_until_its_end_and_nobodys_with_a_byte_changed() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"this region's");
        let told = |plain: &str, now| claims(&key, &header_of(plain), Millis(now)).map_err(|refusal| refusal.code);
        let good = format!("AWS:{}", token(&key));
        assert_eq!(told(&good, 999).unwrap().access_key_id, "AKIA1");
        assert_eq!(told(&good, 1000).unwrap_err(), Code::Denied);
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another region's");
        let later = good.replace('.', "A.");
        for bad in [format!("AWS:{}", token(&other)), good.replace("AWS", "aws"), later, "AWS:".into(), "AWS".into()] {
            assert_eq!(told(&bad, 0).unwrap_err(), Code::Unauthorized, "{bad}");
        }
        assert_eq!(claims(&key, &HeaderMap::new(), Millis(0)).unwrap_err().code, Code::Unauthorized);
    }
}
