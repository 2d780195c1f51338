//! An HTTPS client for what stands inside a network: somebody else makes the connection, this speaks on it.

use crate::Dial;
use anyhow::{Context as _, Result, anyhow};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No answer that a driver asks for, and no line of a stream, is longer, bytes.
const BODY_LIMIT: usize = 4 << 20;
/// A connection on which nothing was heard for so long is asked whether anybody is there, and given up after three
/// such spans: who only listens learns of a peer's death by what he sends (ADR 7). Seconds.
const KEEPALIVE: u32 = 5;

/// One connection.
pub struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
    /// Sent as `authorization` with every request.
    pub bearer: Option<String>,
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {status}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
pub struct Refusal {
    method: Method,
    path: String,
    /// The status.
    pub status: StatusCode,
    /// Its `message`, where the body has one: Kubernetes and etcd both do.
    pub message: Option<String>,
    /// The whole body; null if it is no JSON.
    pub body: Value,
}

/// Trusts one authority, and shows a certificate (PEM) and its key (PKCS #8 PEM) if there is one.
pub fn tls(authority: &str, identity: Option<(&str, &[u8])>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    let Some((certificate, key)) = identity else { return Ok(Arc::new(config.with_no_client_auth())) };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    Ok(Arc::new(config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?))
}

impl Client {
    /// Connects to an address inside a network, which its certificate must name.
    pub async fn connect<D: Dial>(
        dialer: &D,
        network: &str,
        address: Ipv4Addr,
        port: u16,
        tls: Arc<ClientConfig>,
    ) -> Result<Client> {
        let stream = dialer.dial(network, address, port).await?;
        keep_alive(&stream)?;
        let name = ServerName::IpAddress(IpAddr::V4(address).into());
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; its errors reach the sender's requests.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client { sender, host: address.to_string(), bearer: None })
    }

    /// Sends a body, none if it is null, and reads the JSON that is answered.
    ///
    /// # Errors
    /// A [`Refusal`] if the server answered with one; anything else: it is not known whether it got the request.
    pub async fn call(&mut self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value> {
        let response = self.send(&method, path, content_type, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_err(|e| anyhow!("{method} {path}: {e}"))?.to_bytes();
        if !status.is_success() {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let message = body["message"].as_str().map(str::to_owned);
            return Err(Refusal { method, path: path.to_owned(), status, message, body }.into());
        }
        serde_json::from_slice(&body).with_context(|| format!("{method} {path}"))
    }

    /// Asks for a stream of JSON lines, which takes the whole connection.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn stream(mut self, path: &str) -> Result<Lines> {
        let response = self.send(&Method::GET, path, "application/json", &Value::Null).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Lines { body: response.into_body(), read: BytesMut::new(), _client: self });
        }
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_or(Value::Null, |body| serde_json::from_slice(&body.to_bytes()).unwrap_or_default());
        let message = body["message"].as_str().map(str::to_owned);
        Err(Refusal { method: Method::GET, path: path.to_owned(), status, message, body }.into())
    }

    async fn send(
        &mut self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Response<Incoming>> {
        let body = if body.is_null() { vec![] } else { serde_json::to_vec(body)? };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("host", &self.host)
            .header("accept", "application/json")
            .header("content-type", content_type);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

fn keep_alive(stream: &TcpStream) -> Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &KEEPALIVE)?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)?;
    Ok(())
}

/// JSON values, one a line, as they come.
pub struct Lines {
    body: Incoming,
    read: BytesMut,
    /// The connection ends with it.
    _client: Client,
}

impl Lines {
    /// The next value; None at the end of the stream.
    ///
    /// # Errors
    /// The connection broke, or what came is no JSON.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.read.len() > BODY_LIMIT {
                return Err(anyhow!("a line of the stream is longer than {BODY_LIMIT} bytes"));
            }
            match self.body.frame().await {
                Some(frame) => self.read.extend(frame?.into_data().ok()),
                None => return Ok(None),
            }
        }
    }
}
