//! What every request has, whatever it asks.

use crate::sigv4::hex;

/// Whether a waiter of an SDK asks: botocore says so by feature `B` among `m/…` of the user agent.
pub fn is_waiter(user_agent: &str) -> bool {
    let features = user_agent.split_whitespace().filter_map(|part| part.strip_prefix("m/"));
    features.flat_map(|f| f.split(',')).any(|f| f == "B")
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
    fn request_ids_are_random_uuids() {
        let id = request_id();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
        assert_ne!(id, request_id());
    }
}
