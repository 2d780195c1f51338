//! One health check of one target.

use crate::{Config, dial};
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_hostspec::HealthProtocol;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whom to ask, from where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub network: String,
    /// The balancer's own address.
    pub from: Ipv4Addr,
    pub to: SocketAddr,
    pub protocol: HealthProtocol,
    pub timeout: Duration,
}

impl Check {
    /// Asks once. The connection is gone when this returns: it is reset, so that neither side keeps it waiting
    /// (TIME_WAIT), however often targets are asked.
    pub async fn run(&self, config: &Config) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.ask(config)).await {
            Ok(answer) => answer.map_err(|error| format!("{error:#}")),
            Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    async fn ask(&self, config: &Config) -> Result<()> {
        let socket = dial::socket(config, &self.network).await?;
        socket.set_zero_linger()?;
        socket.bind(SocketAddr::from((self.from, 0)))?;
        let stream = socket.connect(self.to).await.context("connect")?;
        match &self.protocol {
            HealthProtocol::Tcp => Ok(()),
            HealthProtocol::Https { path } => get(handshake(stream, self.to).await?, path, self.to).await,
        }
    }
}

async fn handshake(stream: TcpStream, to: SocketAddr) -> Result<impl AsyncRead + AsyncWrite + Unpin> {
    static TLS: LazyLock<TlsConnector> = LazyLock::new(|| TlsConnector::from(Arc::new(tls())));
    let name = ServerName::IpAddress(to.ip().into());
    TLS.connect(name, stream).await.context("TLS handshake")
}

/// The longest answer that is read; what matters stands in the first line.
const LONGEST: u64 = 64 << 10;

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, to: SocketAddr) -> Result<()> {
    ensure!(path.starts_with('/') && !path.contains([' ', '\r', '\n']), "'{path}' is not a path");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: roadstead-health\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A server may close without the TLS goodbye; what it said before counts.
    let end = stream.take(LONGEST).read_to_end(&mut answer).await;
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    match line.split(' ').nth(1) {
        Some("200") if line.starts_with("HTTP/1.") => Ok(()),
        Some(_) => bail!("GET {path} answered {line}"),
        None => bail!("GET {path} got no HTTP answer{}", end.err().map(|e| format!(": {e}")).unwrap_or_default()),
    }
}

fn tls() -> ClientConfig {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(Anybody(provider.signature_verification_algorithms));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider supports the default versions").dangerous();
    let mut config = builder.with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Each check stands for itself, and nothing is kept between them.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// Takes any certificate, as NLB's health checks do: the question is whether the target answers, not who it is.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
