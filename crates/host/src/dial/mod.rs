//! Connections into networks, made by the host on somebody's behalf.
//!
//! ```text
//! region ──ToHost::Dial──▶ agent ── a socket of the router's namespace, connected ──▶ 10.0.1.9:443
//! region ◀─Dialled + the socket (SCM_RIGHTS)─ agent          the agent is not on the connection's path
//! ```

mod pass;

use crate::Config;
use crate::agent::frame;
use crate::blocking;
use crate::net::{netns, router_namespace};
use anyhow::{Context as _, Result, bail};
use roadstead_hostspec::{FromHost, ToHost};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

/// Who does not answer until then does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket of the network's router.
pub(crate) async fn socket(config: &Config, network: &str) -> io::Result<TcpSocket> {
    let namespace = router_namespace(config, network);
    blocking(move || netns::run_in(&namespace, TcpSocket::new_v4).flatten()).await
}

/// Connects to an address inside the network, from the router's own. Gives up after 10 s.
pub async fn connect(config: &Config, network: &str, address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = socket(config, network).await?;
    let connected = timeout(PATIENCE, socket.connect(SocketAddr::from((address, port)))).await;
    connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s")))
}

/// Asks the agent that listens at `agent` to connect to an address inside a network; the region's half of `Dial`.
///
/// # Errors
/// The agent is away, refuses, or does not reach the address.
pub async fn request(agent: &Path, network: &str, address: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let stream = UnixStream::connect(agent).await;
    let mut stream = stream.with_context(|| format!("no host agent answers at {}", agent.display()))?;
    let network = network.to_owned();
    frame::write(&mut stream, &ToHost::Dial { network, address, port }).await?;
    let (first, passed) = pass::receive(&stream).await?;
    let mut length = [first, 0, 0, 0];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut length[1..]).await?;
    match (frame::body(&mut stream, length).await?, passed) {
        (FromHost::Dialled, Some(socket)) => {
            let socket = std::net::TcpStream::from(socket);
            socket.set_nonblocking(true)?;
            Ok(TcpStream::from_std(socket)?)
        }
        (FromHost::Refused { why }, _) => bail!("{why}"),
        (other, _) => bail!("the host agent answered Dial with {other:?}"),
    }
}

/// Answers a `Dial` on its connection; the agent's half.
pub(crate) async fn answer(config: &Config, mut stream: UnixStream, dial: (String, Ipv4Addr, u16)) -> io::Result<()> {
    let (network, address, port) = dial;
    match connect(config, &network, address, port).await {
        Ok(socket) => pass::send(&stream, &frame::encode(&FromHost::Dialled)?, socket.into_std()?.into()).await,
        Err(error) => {
            let why = format!("{address}:{port} in network {network}: {error}");
            frame::write(&mut stream, &FromHost::Refused { why }).await
        }
    }
}
