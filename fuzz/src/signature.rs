//! Signatures: what verifies was signed so. The inputs are requests that are signed, and changed afterwards.

use crate::request::{read, recorded};
use bytes::Bytes;
use roadstead_types::Millis;
use roadstead_wire::sigv4::{Error, Expectation, Request, Signer, Verified, verify};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const NOW: Millis = Millis::secs(1_767_225_600);
/// Who signs.
pub const SIGNER: Signer<'static> = Signer {
    access_key_id: "AKIDEXAMPLE",
    secret: "a secret",
    security_token: None,
    region: "us-east-1",
    service: "eks",
};

/// The header that tells how a body is signed.
const STATED: &str = "x-amz-content-sha256";

/// Method and body of every request that was signed: neither may change. Of a body in chunks that is what they carry.
static SIGNED: LazyLock<BTreeSet<(String, Vec<u8>)>> = LazyLock::new(|| {
    let signed = seeds().into_iter().filter_map(|bytes| read(&bytes));
    signed.map(|request| meaning(&request)).collect()
});

/// Verifies the request that the bytes are.
pub fn run(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    if let Ok(verified) = verified(&request, SIGNER.secret) {
        assert_eq!(verified.access_key_id, SIGNER.access_key_id);
        assert!(SIGNED.contains(&meaning(&request)), "{request:?}");
        assert!(self::verified(&request, "another secret").is_err(), "{request:?}");
    }
}

/// The verdict if that is the secret.
pub fn verified(request: &http::Request<Bytes>, secret: &str) -> Result<Verified, Error> {
    let expect = Expectation::new(SIGNER.region, &[SIGNER.service]);
    verify(&Request::new(request), NOW, &expect, |id| (id == SIGNER.access_key_id).then_some(secret))
}

fn meaning(request: &http::Request<Bytes>) -> (String, Vec<u8>) {
    let body = match request.headers().contains_key(STATED) {
        true => unframed(request.body()),
        false => request.body().to_vec(),
    };
    (request.method().to_string(), body)
}

/// What stands between the frames, until one is none.
fn unframed(mut body: &[u8]) -> Vec<u8> {
    let mut data = vec![];
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let digits = body[..end].split(|byte| *byte == b';').next().and_then(|digits| std::str::from_utf8(digits).ok());
        let size = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let Some(chunk) = body.get(end + 2..end + 2 + size).filter(|chunk| !chunk.is_empty()) else { break };
        data.extend_from_slice(chunk);
        body = body.get(end + 2 + size + 2..).unwrap_or_default();
    }
    data
}

/// Requests of real clients: a third of them signed in a header, a third in the query, a third in chunks.
pub fn seeds() -> Vec<Vec<u8>> {
    let requests = recorded(&[]);
    requests.iter().enumerate().filter_map(|(n, bytes)| signed(bytes, n % 3)).collect()
}

fn signed(bytes: &[u8], way: usize) -> Option<Vec<u8>> {
    let mut request = read(bytes)?;
    if way == 2 {
        let stated = if request.body().len() % 2 == 0 { "" } else { "-TRAILER" };
        let stated = format!("STREAMING-AWS4-HMAC-SHA256-PAYLOAD{stated}");
        request.headers_mut().insert(STATED, stated.parse().ok()?);
    }
    if way != 1 {
        for (name, value) in SIGNER.sign(&Request::new(&request), NOW).ok()? {
            request.headers_mut().insert(name, value.parse().ok()?);
        }
        if way == 2 {
            let signature = request.headers()["authorization"].to_str().ok()?.rsplit('=').next()?;
            let trailer: &[_] = if request.body().len() % 2 == 0 { &[] } else { &[("x-amz-meta-a", "b")] };
            let body = SIGNER.sign_chunks(signature, &[request.body()], trailer, NOW);
            *request.body_mut() = body.into();
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
