//! The pods of a node, followed in the cluster's API as kubelet does it: by the node's own token, which may read no others.

use crate::ask::Head;
use crate::node::node_config::Cluster;
use anyhow::{Context as _, Result, bail, ensure};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Deserializer, Value};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// The API may be silent for so long; then it is asked anew.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of an answer, bytes.
const LONGEST: u64 = 16 << 10;

/// What was learnt.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// These are all.
    All(Vec<Value>),
    /// This one is new, or was changed.
    Put(Value),
    /// This one is gone.
    Gone(Value),
    /// Nothing.
    None,
}

/// The way to the API, and what is asked there.
pub struct Watch {
    /// `HOST:PORT`.
    authority: String,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    path: String,
}

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

impl Watch {
    /// Of a node's pods.
    ///
    /// # Errors
    /// What the node is told of its cluster can't be used.
    pub fn new(cluster: &Cluster, node: &str) -> Result<Watch> {
        let endpoint = &cluster.api_server_endpoint;
        let host = endpoint.strip_prefix("https://").with_context(|| format!("'{endpoint}' is no https:// URL"))?;
        let host = host.trim_end_matches('/');
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let authority = if name.len() == host.len() { format!("{host}:443") } else { host.to_owned() };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&cluster.authority()?) {
            roots.add(certificate.context("the certificateAuthority is no PEM")?)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(Watch {
            name: ServerName::try_from(name.to_owned()).with_context(|| format!("the host of '{endpoint}'"))?,
            authority,
            tls: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()),
            path: format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"),
        })
    }

    /// Tells all pods and then each change, until it is told to stop or the API has nothing to say.
    ///
    /// # Errors
    /// The API is not reached, or refuses.
    pub fn follow<B>(&self, token: &str, mut learn: impl FnMut(&Change) -> ControlFlow<B>) -> Result<ControlFlow<B>> {
        let mut connection = self.connect().with_context(|| format!("connecting to {}", self.authority))?;
        let list: Value = serde_json::from_reader(self.ask(&mut connection, token, &self.path)?)?;
        let version = list["metadata"]["resourceVersion"].as_str().context("the list of pods has no version")?;
        let path = format!("{}&watch=true&resourceVersion={version}", self.path);
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        if let ControlFlow::Break(stop) = learn(&Change::All(pods)) {
            return Ok(ControlFlow::Break(stop));
        }
        let answer = self.ask(&mut connection, token, &path)?;
        for event in Deserializer::from_reader(BufReader::new(answer)).into_iter::<Value>() {
            let mut event = match event {
                Ok(event) => event,
                Err(why) if why.is_io() => return Ok(ControlFlow::Continue(())),
                Err(why) => return Err(why.into()),
            };
            let object = event["object"].take();
            let change = match event["type"].as_str().unwrap_or_default() {
                "ADDED" | "MODIFIED" => Change::Put(object),
                "DELETED" => Change::Gone(object),
                _ => bail!("the API ends the watch: {object}"),
            };
            if let ControlFlow::Break(stop) = learn(&change) {
                return Ok(ControlFlow::Break(stop));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.authority)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let session = ClientConnection::new(self.tls.clone(), self.name.clone())?;
        Ok(BufReader::new(StreamOwned::new(session, stream)))
    }

    /// Asks, and returns the answer's body to read.
    fn ask<'a>(&self, connection: &'a mut Connection, token: &str, path: &str) -> Result<Body<&'a mut Connection>> {
        let host = &self.authority;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
             User-Agent: roadstead-network\r\n\r\n"
        );
        connection.get_mut().write_all(request.as_bytes())?;
        Body::of(connection).with_context(|| format!("GET {path} at {host}"))
    }
}

/// The body of an answer, however its end is told (RFC 9112 §6). The connection may be used again after it.
struct Body<R> {
    from: R,
    /// Bytes of it, or of its present chunk, that are to come.
    left: u64,
    /// More chunks follow.
    more: bool,
}

impl<R: BufRead> Body<R> {
    /// Reads the head of the answer.
    fn of(mut from: R) -> Result<Body<R>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)?;
            ensure!(read > 0 && (bytes.len() as u64) < LONGEST, "the connection ended before the answer's head did");
        }
        let head = Head::parse(&bytes)?.context("the answer has no head")?;
        head.ok()?;
        Ok(Body { from, left: head.body.unwrap_or_default() as u64, more: head.body.is_none() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.from.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default();
        self.left = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        if self.left == 0 {
            self.more = false;
            self.line()?;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.more {
            self.next_chunk()?;
        }
        if self.left == 0 {
            return Ok(0);
        }
        let read = self.from.by_ref().take(self.left).read(bytes)?;
        if read == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 && self.more {
            self.line()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_on_one_connection_end_where_they_say() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\n{}\n\r\n2;x=y\r\n[]\r\n0\r\n\r\nrest";
        let mut from = text.as_bytes();
        let mut read = || {
            let mut body = String::new();
            Body::of(&mut from).unwrap().read_to_string(&mut body).unwrap();
            body
        };
        assert_eq!([read(), read()], ["ok", "{}\n[]"]);
        assert_eq!(from, b"rest");
    }

    #[test]
    fn an_answer_that_is_cut_off_or_refuses_is_an_error() {
        for cut in ["Content-Length: 3\r\n\r\nok", "\r\n3\r\nok", "\r\n2\r\nok\r\n", "\r\nx\r\nok"] {
            let text = format!("HTTP/1.1 200 OK\r\n{cut}");
            let mut body = String::new();
            let read = Body::of(text.as_bytes()).map(|mut answer| answer.read_to_string(&mut body));
            assert!(read.is_ok_and(|read| read.is_err()), "{cut}");
        }
        let refused = Body::of(&b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"[..]);
        assert!(refused.is_err_and(|why| why.to_string().contains("403")));
    }
}
