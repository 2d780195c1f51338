//! The region's API inside a network: connections are passed on to the region's own listener, which trusts whoever comes
//! this way as little as anybody, and asks for a signature.

use super::attend::attend;
use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Connections at a time, of one network.
const SEATS: usize = 512;
/// The region is on this host: it accepts at once, or is not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Passes on whoever connects. `address` is the file that says where the region listens; it is read for each, since a
/// region that was restarted may be elsewhere.
pub(crate) async fn serve(listener: TcpListener, address: PathBuf) -> Result<()> {
    let address: Arc<Path> = address.into();
    let each = |client, peer| {
        let address = address.clone();
        async move {
            if let Err(error) = pass(client, &address).await {
                // The client is hung up on, and tries again.
                tracing::debug!(%peer, "a connection to the region's API: {error:#}");
            }
        }
    };
    attend(listener, SEATS, each).await
}

async fn pass(mut client: TcpStream, address: &Path) -> Result<()> {
    let at = region(address).await?;
    let mut region = timeout(PATIENCE, TcpStream::connect(at)).await?.with_context(|| format!("the region at {at}"))?;
    for stream in [&client, &region] {
        stream.set_nodelay(true)?;
        // A machine that vanished says nothing any more.
        setsockopt(stream, sockopt::KeepAlive, &true)?;
    }
    copy_bidirectional(&mut client, &mut region).await?;
    Ok(())
}

async fn region(address: &Path) -> Result<SocketAddr> {
    let text = tokio::fs::read_to_string(address).await.with_context(|| format!("reading {}", address.display()))?;
    let mut at: SocketAddr = text.trim().parse().map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} says '{text}': {error}", address.display()))
    })?;
    if at.ip().is_unspecified() {
        at.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(at)
}
