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
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection is used for so long.
const LIFE: Duration = Duration::from_secs(10);
/// An answer over a kept connection that takes longer is asked for anew, over another one.
const KEPT: Duration = Duration::from_millis(100);
/// What is read of an answer's body so that the connection can be used again, bytes.
const LONGEST_BODY: usize = 64 << 10;

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

/// A connection on which a target has said that it is well: the next question goes there, which spares both sides a handshake.
/// Now and then it is a new one all the same, since clients have to get one too.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    since: Instant,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Check {
    /// Asks once, over `line` if there is one, and leaves there what the next question may go over. A connection that is
    /// not kept is reset, so that neither side keeps it waiting (TIME_WAIT), however often targets are asked.
    pub async fn run(&self, config: &Config, line: &mut Option<Line>) -> Seen {
        match tokio::time::timeout(self.timeout, self.ask(config, line)).await {
            Ok(Ok(())) => Seen::Well,
            Ok(Err(error)) if no_way(&error) => Seen::Unreachable(format!("{error:#}")),
            Ok(Err(error)) => Seen::Bad(format!("{error:#}")),
            Err(_) => Seen::Silent(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    async fn ask(&self, config: &Config, line: &mut Option<Line>) -> Result<()> {
        let HealthProtocol::Https { path } = &self.protocol else { return self.connect(config).await.map(drop) };
        if let Some(kept) = line.take().filter(|line| line.since.elapsed() < LIFE)
            && let Ok(Ok((head, kept))) = tokio::time::timeout(KEPT, get(kept, path, self.to)).await
        {
            head.ok().with_context(|| format!("GET {path}"))?;
            *line = kept;
            return Ok(());
        }
        // That it was closed, or is silent, says nothing of the target; and only the kernel says that there is no way.
        let stream = Box::new(handshake(self.connect(config).await?, self.to).await?);
        let (head, kept) = get(Line { stream, since: Instant::now() }, path, self.to).await?;
        head.ok().with_context(|| format!("GET {path}"))?;
        *line = kept;
        Ok(())
    }

    async fn connect(&self, config: &Config) -> Result<TcpStream> {
        let socket = dial::socket(config, &self.network).await?;
        socket.set_zero_linger()?;
        socket.bind(SocketAddr::from((self.from, 0)))?;
        socket.connect(self.to).await.context("connect")
    }
}

async fn handshake(stream: TcpStream, to: SocketAddr) -> Result<impl Stream> {
    static TLS: LazyLock<TlsConnector> = LazyLock::new(|| TlsConnector::from(Arc::new(unchecked_tls())));
    let name = ServerName::IpAddress(to.ip().into());
    TLS.connect(name, stream).await.context("TLS handshake")
}

/// What a target answers, and the line for the next question, if all of the answer was read.
async fn get(mut line: Line, path: &str, to: SocketAddr) -> Result<(Head, Option<Line>)> {
    let answered = async {
        line.stream.write_all(request(to, path, "roadstead-health")?.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            match Head::parse(&answer)? {
                None => {}
                Some(head) if head.body.is_none_or(|body| body > LONGEST_BODY) => return Ok((head, None)),
                Some(head) if answer.len() >= head.length + head.body.unwrap_or(0) => return Ok((head, Some(line))),
                Some(_) => {}
            }
            ensure!(line.stream.read_buf(&mut answer).await? > 0, "got no answer");
        }
    };
    answered.await.with_context(|| format!("GET {path}"))
}

/// Whether the kernel says that there is no way to a target.
fn no_way(error: &Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable))
}
