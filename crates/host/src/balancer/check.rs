//! One health check of one target.

use super::state::Seen;
use crate::{Config, dial};
use anyhow::{Context as _, Error, Result, ensure};
use roadstead_guest::ask::{Head, request, unchecked_tls};
use roadstead_hostspec::HealthProtocol;
use rustls_pki_types::ServerName;
use std::io::{self, ErrorKind};
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
    pub async fn run(&self, config: &Config) -> Seen {
        match tokio::time::timeout(self.timeout, self.ask(config)).await {
            Ok(Ok(())) => Seen::Well,
            Ok(Err(error)) if no_way(&error) => Seen::Unreachable(format!("{error:#}")),
            Ok(Err(error)) => Seen::Bad(format!("{error:#}")),
            Err(_) => Seen::Silent(format!("no answer within {} ms", self.timeout.as_millis())),
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
    static TLS: LazyLock<TlsConnector> = LazyLock::new(|| TlsConnector::from(Arc::new(unchecked_tls())));
    let name = ServerName::IpAddress(to.ip().into());
    TLS.connect(name, stream).await.context("TLS handshake")
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, to: SocketAddr) -> Result<()> {
    stream.write_all(request(to, path, "roadstead-health")?.as_bytes()).await?;
    let mut answer = Vec::new();
    let answered = async {
        loop {
            if let Some(head) = Head::parse(&answer)? {
                return head.ok();
            }
            ensure!(stream.read_buf(&mut answer).await? > 0, "got no answer");
        }
    };
    answered.await.with_context(|| format!("GET {path}"))
}

/// Whether the kernel says that there is no way to a target.
fn no_way(error: &Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable))
}
