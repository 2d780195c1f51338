//! A request to a service of the instance's own network: plain HTTP, one per connection.

use super::http::Head;
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_types::Millis;
use roadstead_wire::sigv4::{Request, Signer};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// The longest answer that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// Who is asked: `http://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A signed POST of `/`, by which a service of AWS's with a query or JSON protocol is asked.
pub struct Post<'a> {
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, if all is well.
    pub status: u16,
    /// All of it.
    pub body: Vec<u8>,
}

impl Endpoint {
    /// Reads a URL; what follows its host is left out.
    ///
    /// # Errors
    /// It is none, or one of `https`: where this is used, the way to the service does not leave the machine.
    pub fn parse(url: &str) -> Result<Endpoint> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("'{url}' is not an http:// URL, which is needed here")
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().with_context(|| format!("the port of '{url}'"))?),
            None => (authority, 80),
        };
        ensure!(!host.is_empty() && !host.contains(['\r', '\n', ' ']), "'{url}' has no host");
        Ok(Endpoint { host: host.to_owned(), port })
    }

    /// As the `Host` header has it.
    pub fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Asks, and waits for each step at most `patience`. `headers` are besides `Host` and `Content-Length`.
    ///
    /// # Errors
    /// Nobody answers, or not in HTTP/1. A status that is no success is no error.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        patience: Duration,
    ) -> Result<Answer> {
        let whole = |text: &str| !text.contains(['\r', '\n']);
        ensure!(path.starts_with('/') && whole(path) && !path.contains(' '), "'{path}' is not a path");
        ensure!(headers.iter().all(|(name, value)| whole(name) && whole(value)), "a header has more than one line");
        let host = self.authority();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        request.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = self.connect(patience).with_context(|| format!("connecting to {host}"))?;
        let mut exchange = || -> std::io::Result<Vec<u8>> {
            stream.write_all(&[request.as_bytes(), body].concat())?;
            let mut answer = Vec::new();
            (&stream).take(LONGEST).read_to_end(&mut answer)?;
            Ok(answer)
        };
        let bytes = exchange().with_context(|| format!("{method} {path} at {host}"))?;
        Answer::parse(&bytes).with_context(|| format!("{method} {path} at {host}"))
    }

    /// Signs a request with headers of its own. It counts as long as signatures do.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn sign<'a>(
        &self,
        signer: &Signer<'_>,
        own: &[(&'static str, &str)],
        body: &'a [u8],
        now: Millis,
    ) -> Result<Post<'a>> {
        let host = self.authority();
        let mut headers = vec![("host", host.as_bytes())];
        headers.extend(own.iter().map(|(name, value)| (*name, value.as_bytes())));
        let signed = signer.sign(&Request { method: "POST", path: "/", query: "", headers, body }, now)?;
        let own = own.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Ok(Post { headers: own.chain(signed).collect(), body })
    }

    /// Asks what was signed, as [`Endpoint::ask`] does.
    ///
    /// # Errors
    /// As there.
    pub fn post(&self, request: &Post<'_>, patience: Duration) -> Result<Answer> {
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.ask("POST", "/", &headers, request.body, patience)
    }

    fn connect(&self, patience: Duration) -> Result<TcpStream> {
        let mut last = None;
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(why) => last = Some(why),
            }
        }
        Err(last.map_or_else(|| anyhow::anyhow!("{} has no address", self.host), Into::into))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Answer> {
        let head = Head::parse(bytes)?.context("the connection ended before the answer's head did")?;
        let status = head.line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("it answers '{}'", head.line))?;
        let rest = &bytes[head.length..];
        let text = String::from_utf8_lossy(&bytes[..head.length]).to_ascii_lowercase();
        let body = match head.body {
            Some(length) => rest.get(..length).context("the connection ended in the middle of the answer")?.to_vec(),
            None if text.contains("\r\ntransfer-encoding: chunked\r\n") => unchunked(rest)?,
            None => rest.to_vec(),
        };
        Ok(Answer { status, body })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// RFC 9112 §7.1.
fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("the answer ends before a chunk's size")?;
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("a chunk's size is '{size}'"))?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("the answer ends in the middle of a chunk")?);
        rest = rest.get(size + 2..).context("the answer ends after a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        assert_eq!(Endpoint::parse("http://169.254.169.254").unwrap().authority(), "169.254.169.254");
        assert_eq!(Endpoint::parse("http://localhost:4566/").unwrap().authority(), "localhost:4566");
        for bad in ["https://ec2.amazonaws.com", "localhost", "http://", "http://x:y"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_is_read_however_its_end_is_told() {
        let bodies = [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nok",
        ];
        for text in bodies {
            assert_eq!(Answer::parse(text.as_bytes()).unwrap(), Answer { status: 200, body: b"ok".to_vec() });
        }
        for cut in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"] {
            assert!(Answer::parse(cut.as_bytes()).is_err());
        }
    }
}
