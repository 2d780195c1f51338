//! Signatures: what verifies was signed so. The inputs are requests that are signed, and changed afterwards.

use crate::request::{read, recorded};
use roadstead_types::Millis;
use roadstead_wire::sigv4::{Expectation, Request, Signer, verify};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const NOW: Millis = Millis::secs(1_767_225_600);
const SIGNER: Signer<'static> = Signer {
    access_key_id: "AKIDEXAMPLE",
    secret: "a secret",
    security_token: None,
    region: "us-east-1",
    service: "eks",
};

/// Method and body of every request that was signed: neither may change.
static SIGNED: LazyLock<BTreeSet<(String, Vec<u8>)>> = LazyLock::new(|| {
    let signed = seeds().into_iter().filter_map(|bytes| read(&bytes));
    signed.map(|request| (request.method().to_string(), request.body().to_vec())).collect()
});

/// Verifies the request that the bytes are.
pub fn run(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let expect = Expectation::new(SIGNER.region, &[SIGNER.service]);
    let secret_of = |secret: &'static str| move |id: &str| (id == SIGNER.access_key_id).then_some(secret);
    if let Ok(verified) = verify(&Request::new(&request), NOW, &expect, secret_of(SIGNER.secret)) {
        assert_eq!(verified.access_key_id, SIGNER.access_key_id);
        assert!(SIGNED.contains(&(request.method().to_string(), request.body().to_vec())), "{request:?}");
        let other = verify(&Request::new(&request), NOW, &expect, secret_of("another secret"));
        assert!(other.is_err(), "{request:?}");
    }
}

/// Requests of real clients, half of them signed in a header and half in the query.
pub fn seeds() -> Vec<Vec<u8>> {
    let requests = recorded(&[]);
    requests.iter().enumerate().filter_map(|(n, bytes)| signed(bytes, n % 2 == 0)).collect()
}

fn signed(bytes: &[u8], in_header: bool) -> Option<Vec<u8>> {
    let mut request = read(bytes)?;
    if in_header {
        for (name, value) in SIGNER.sign(&Request::new(&request), NOW).ok()? {
            request.headers_mut().insert(name, value.parse().ok()?);
        }
    } else {
        let query = SIGNER.presign(&Request::new(&request), Millis::mins(5), NOW).ok()?;
        *request.uri_mut() = format!("{}?{query}", request.uri().path()).parse().ok()?;
    }
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend([b"\r\n", request.body().as_ref()].concat());
    Some(bytes)
}
