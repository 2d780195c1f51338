//! As much of HTTP/1.1 as a question and its answer need.

use anyhow::{Context as _, Result, bail, ensure};
use std::fmt::Display;

/// The longest head of an answer that is read, bytes.
const LONGEST: usize = 16 << 10;

/// A `GET` of `path`, on a connection that stays open.
///
/// # Errors
/// The path would be more than a path.
pub fn request(host: impl Display, path: &str, agent: &str) -> Result<String> {
    ensure!(path.starts_with('/') && !path.contains([' ', '\r', '\n']), "'{path}' is not a path");
    Ok(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n"))
}

/// What an answer begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1 200 OK`.
    pub line: String,
    /// Bytes until the body.
    pub length: usize,
    /// Bytes of the body, if the head says; otherwise it ends with the connection, or says so itself.
    pub body: Option<usize>,
}

impl Head {
    /// Reads the head at the beginning of what has arrived; `None` if that is not all of it.
    ///
    /// # Errors
    /// It is no answer of HTTP/1.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(bytes.len() < LONGEST, "the head of the answer is longer than {LONGEST} bytes");
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        ensure!(line.starts_with("HTTP/1."), "it answers '{line}', which is not HTTP/1");
        let mut body = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = Some(value.trim().parse().with_context(|| format!("Content-Length:{value}"))?);
            }
        }
        Ok(Some(Head { line, length: end + 4, body }))
    }

    /// Fails, in words for people, unless the answer is 200.
    ///
    /// # Errors
    /// It is not.
    pub fn ok(&self) -> Result<()> {
        match self.line.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => bail!("answered {}", self.line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\nDate: today\r\ncontent-length: 3\r\n\r\nok\n";
        for n in 0..answer.len() - 3 {
            assert_eq!(Head::parse(&answer[..n]).unwrap(), None);
        }
        let head = Head::parse(answer).unwrap().unwrap();
        assert_eq!(head, Head { line: "HTTP/1.1 200 OK".into(), length: answer.len() - 3, body: Some(3) });
        head.ok().unwrap();
        let chunked = Head::parse(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!(chunked.body, None);
        assert_eq!(chunked.ok().unwrap_err().to_string(), "answered HTTP/1.1 500 No");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let long = vec![b'x'; LONGEST];
        for bad in [&b"SSH-2.0-x\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", &long] {
            assert!(Head::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        for bad in ["livez", "/livez HTTP/1.0", "/livez\r\nX: y"] {
            assert!(request("h", bad, "a").is_err());
        }
    }
}
