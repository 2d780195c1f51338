//! Asks the instance metadata service, version 2: a session token first, then whatever there is to know.

use crate::ask::Head;
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_hostspec::link_local;
use serde::Deserialize;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Seconds that a session token is asked for; it is used within one.
const TOKEN_TTL: &str = "60";
/// A question that is not answered within this is not answered.
const TIMEOUT: Duration = Duration::from_secs(2);
/// User data has at most 16 KiB before it is encoded; nothing else is as long. Bytes.
const LONGEST: usize = 64 << 10;

/// The service, and the right to ask it.
pub struct Imds {
    address: SocketAddr,
    token: String,
}

/// The role's credentials, as the service gives them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
}

impl Imds {
    /// Opens a session.
    ///
    /// # Errors
    /// The service does not answer.
    pub fn open() -> Result<Imds> {
        Imds::at(SocketAddr::from((link_local::METADATA, 80)))
    }

    fn at(address: SocketAddr) -> Result<Imds> {
        let header = ("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL);
        let token = ask(address, "PUT", "api/token", header)?.context("IMDS gives out no tokens")?;
        Ok(Imds { address, token })
    }

    /// What there is at a path below `/latest/`, e.g. `meta-data/instance-id`; none: 404.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub fn find(&self, path: &str) -> Result<Option<String>> {
        ask(self.address, "GET", path, ("X-aws-ec2-metadata-token", &self.token))
    }

    /// A category that every instance has, e.g. `instance-id`.
    ///
    /// # Errors
    /// The service does not answer, or has no such thing.
    pub fn get(&self, category: &str) -> Result<String> {
        let path = format!("meta-data/{category}");
        self.find(&path)?.with_context(|| format!("IMDS has no /latest/{path}"))
    }

    /// The credentials of the instance's role.
    ///
    /// # Errors
    /// It has none, or none yet.
    pub fn credentials(&self) -> Result<Credentials> {
        let folder = "meta-data/iam/security-credentials/";
        let role = self.find(folder)?.context("the instance has no role: give it an instance profile")?;
        let role = role.lines().next().unwrap_or_default();
        let text = self.find(&format!("{folder}{role}"))?;
        let text = text.with_context(|| format!("the role {role} has no credentials here yet"))?;
        serde_json::from_str(&text).with_context(|| format!("reading the credentials of role {role}"))
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, header: (&str, &str)) -> Result<Option<String>> {
    let answer = exchange(address, method, path, header).with_context(|| format!("asking IMDS for {path}"))?;
    let Some(head) = Head::parse(&answer)? else { bail!("IMDS broke off its answer for {path}") };
    match head.line.split(' ').nth(1) {
        Some("200") => {}
        Some("404") => return Ok(None),
        _ => bail!("IMDS answered {} for {path}", head.line),
    }
    let body = &answer[head.length..];
    ensure!(head.body.is_none_or(|length| length == body.len()), "IMDS broke off its answer for {path}");
    let text = String::from_utf8(body.to_vec());
    Ok(Some(text.with_context(|| format!("what IMDS has for {path} is not text"))?))
}

/// One question on a connection of its own, which the answer ends. HTTP/1.0, so that the body comes in one piece.
fn exchange(address: SocketAddr, method: &str, path: &str, (name, value): (&str, &str)) -> Result<Vec<u8>> {
    ensure!(!path.contains([' ', '\r', '\n']) && !value.contains(['\r', '\n']), "'{path}' is not a path");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let host = address.ip();
    let question = format!("{method} /latest/{path} HTTP/1.0\r\nHost: {host}\r\n{name}: {value}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    let limit = u64::try_from(LONGEST)?;
    stream.take(limit).read_to_end(&mut answer)?;
    ensure!(answer.len() < LONGEST, "the answer has more than {LONGEST} bytes");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A service that has a role, an instance id and nothing else.
    fn service() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
        address
    }

    fn serve(mut stream: TcpStream) {
        let (mut question, mut bytes) = (Vec::new(), [0; 1024]);
        while !question.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut bytes).unwrap();
            question.extend_from_slice(&bytes[..n]);
        }
        let question = String::from_utf8(question).unwrap();
        let authorized = question.contains("X-aws-ec2-metadata-token: secret\r\n");
        let (status, body) = match question.split(' ').nth(1).unwrap() {
            "/latest/api/token" if question.starts_with("PUT ") => ("200 OK", "secret"),
            _ if !authorized => ("401 Unauthorized", ""),
            "/latest/meta-data/instance-id" => ("200 OK", "i-1"),
            "/latest/meta-data/iam/security-credentials/" => ("200 OK", "node"),
            "/latest/meta-data/iam/security-credentials/node" => {
                ("200 OK", r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t"}"#)
            }
            _ => ("404 Not Found", "no"),
        };
        let length = body.len();
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    }

    #[test]
    fn everything_is_asked_with_a_session_token() {
        let imds = Imds::at(service()).unwrap();
        assert_eq!(imds.get("instance-id").unwrap(), "i-1");
        assert_eq!(imds.find("user-data").unwrap(), None);
        let credentials = imds.credentials().unwrap();
        assert_eq!((credentials.access_key_id, credentials.token), ("ASIA1".into(), "t".into()));
        let stranger = Imds { token: "guessed".into(), ..imds };
        let refused = stranger.get("instance-id").unwrap_err().to_string();
        assert_eq!(refused, "IMDS answered HTTP/1.1 401 Unauthorized for meta-data/instance-id");
    }
}
