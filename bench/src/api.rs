//! A client of the cluster that hides nothing: no retries, and a connection is one that somebody opened on purpose.

use crate::running::inside;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;

/// More than any answer here.
const BODY_LIMIT: usize = 64 << 20;
/// A connection that takes longer is none.
const DIAL_LIMIT: Duration = Duration::from_secs(1);

/// Where the cluster is and who asks.
#[derive(Clone)]
pub struct Access {
    /// The balancer's address outside.
    pub address: SocketAddr,
    /// Another way there: the network namespace to dial in, and the address there.
    inside: Option<(PathBuf, SocketAddr)>,
    tls: Arc<ClientConfig>,
    /// None: the certificate in `tls` says who asks.
    token: Option<String>,
}

/// One connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: Option<String>,
    /// Its own port, by which the kernel knows it.
    pub port: u16,
}

impl Access {
    /// From what the boto3 program says.
    ///
    /// # Errors
    /// It is no endpoint of ours.
    pub fn new(said: &Value) -> Result<Access> {
        let text = |name: &str| said[name].as_str().with_context(|| format!("{name} is missing"));
        let host = text("endpoint")?.strip_prefix("https://").context("the endpoint is not https")?;
        let address = match host.contains(':') {
            true => host.parse()?,
            false => SocketAddr::new(host.parse()?, 443),
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(text("authority")?.as_bytes())?)?;
        let tls = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        Ok(Access { address, inside: None, tls, token: Some(text("token")?.to_owned()) })
    }

    /// A cluster that is reached from a network namespace, for who has a certificate of its authority.
    pub fn certified(tls: Arc<ClientConfig>, address: SocketAddr, namespace: PathBuf) -> Access {
        Access { address, inside: Some((namespace, address)), tls, token: None }
    }

    /// The same cluster for somebody else.
    pub fn with_token(&self, token: &str) -> Access {
        Access { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same cluster as somebody in a network namespace dials it.
    pub fn inside(&self, namespace: PathBuf, address: SocketAddr) -> Access {
        Access { inside: Some((namespace, address)), ..self.clone() }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Nobody answers, or not as the cluster.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = match self.inside.clone() {
            None => TcpStream::connect(self.address).await?,
            Some((namespace, address)) => {
                let dial = move || inside(&namespace, || std::net::TcpStream::connect_timeout(&address, DIAL_LIMIT));
                let stream = spawn_blocking(dial).await??;
                stream.set_nonblocking(true)?;
                TcpStream::from_std(stream)?
            }
        };
        self.over(stream).await
    }

    /// Opens a connection over a stream that leads there.
    ///
    /// # Errors
    /// Who answers is not the cluster.
    pub async fn over(&self, stream: TcpStream) -> Result<Connection> {
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let host: IpAddr = self.address.ip();
        let stream = TlsConnector::from(self.tls.clone()).connect(ServerName::IpAddress(host.into()), stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; its errors reach the sender's requests.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, host: host.to_string(), token: self.token.clone(), port })
    }
}

impl Connection {
    /// One request and its whole answer.
    ///
    /// # Errors
    /// There is no whole answer, or one that is not 2xx.
    pub async fn ask(&mut self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        ensure!(status.is_success(), "{}", refusal(status, &body));
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One request whose answer has no end.
    ///
    /// # Errors
    /// There is no answer, or one that is not 2xx.
    pub async fn follow(&mut self, path: &str) -> Result<Incoming> {
        let response = self.send(Method::GET, path, &Value::Null).await?;
        ensure!(response.status().is_success(), "{}", response.status());
        Ok(response.into_body())
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Result<Response<Incoming>> {
        let body = if body.is_null() { vec![] } else { serde_json::to_vec(body)? };
        let request = Request::builder().method(method).uri(path).header("host", &self.host);
        let request = request.header("content-type", "application/json").header("accept", "application/json");
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// The lines of a body without end.
#[derive(Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The next line; none: the body has ended after all.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn next(&mut self, body: &mut Incoming) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let next = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, next)));
            }
            match body.frame().await {
                None => return Ok(None),
                Some(frame) => self.rest.extend(frame?.into_data().unwrap_or_default()),
            }
        }
    }
}

/// What a Kubernetes `Status` says.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    format!("{status}: {}", parsed["message"].as_str().unwrap_or_default())
}
