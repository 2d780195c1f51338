//! What every request has, whatever it asks.

use crate::sigv4::hex;
use bytes::Bytes;
use http::Request;

/// Headers that are new each time that the same is asked: when it was signed and how, and which try it is (SDKs reference
/// guide, "Retry behavior"). No operation's input.
const OF_THE_MOMENT: [&str; 5] = ["authorization", "x-amz-date", "date", "amz-sdk-invocation-id", "amz-sdk-request"];

/// What the client calls itself; nothing if it does not say.
pub fn user_agent<B>(request: &Request<B>) -> &str {
    request.headers().get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}

/// Whether a waiter of an SDK asks: botocore says so by feature `B` among `m/…` of the user agent.
pub fn is_waiter(user_agent: &str) -> bool {
    let features = user_agent.split_whitespace().filter_map(|part| part.strip_prefix("m/"));
    features.flat_map(|f| f.split(',')).any(|f| f == "B")
}

/// What a request says, in parts, without what is new each time that a client sends the same.
pub fn gist(request: &Request<Bytes>) -> impl Iterator<Item = &[u8]> {
    let uri = request.uri();
    let line = [request.method().as_str(), uri.path(), uri.query().unwrap_or_default()].map(str::as_bytes);
    let headers = request.headers().iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
    let headers = headers.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
    line.into_iter().chain(headers).chain([&**request.body()])
}

/// A request's id: a random UUID, version 4. Of zeros if the system has no randomness, which signatures don't need.
pub fn request_id() -> String {
    let mut bytes = [0u8; 16];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_waiters_request_is_a_waiters() {
        assert!(is_waiter("aws-cli/1.45 md/Botocore#1.43 ua/2.1 os/linux m/A,B,b lang/python"));
        assert!(!is_waiter("aws-cli/1.45 md/B#1 m/A,b"));
    }

    #[test]
    fn the_gist_of_a_request_is_all_but_its_moment() {
        let sent = |path: &str, body: &'static str, date: &str, age: &str| {
            let request =
                Request::get(path).header("X-Amz-Date", date).header("Age", age).body(Bytes::from(body)).unwrap();
            gist(&request).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let one = sent("/clusters?a=1", "{}", "20260827T000000Z", "1");
        assert_eq!(one, sent("/clusters?a=1", "{}", "20260827T000001Z", "1"));
        for other in [
            ("/clusters?a=2", "{}", "1"),
            ("/cluster", "{}", "1"),
            ("/clusters?a=1", "[]", "1"),
            ("/clusters?a=1", "{}", "2"),
        ] {
            assert_ne!(one, sent(other.0, other.1, "20260827T000000Z", other.2), "{other:?}");
        }
    }

    #[test]
    fn request_ids_are_random_uuids() {
        let id = request_id();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
        assert_ne!(id, request_id());
    }
}
