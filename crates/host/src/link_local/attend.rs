//! Clients of a listener, each attended to by a task of its own.

use anyhow::{Context as _, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Attends to at most `seats` clients at a time; the others wait to be accepted. Ends when no more can be accepted, and
/// then, as when it is dropped, with all of them.
pub(super) async fn attend<F>(
    listener: TcpListener,
    seats: usize,
    each: impl Fn(TcpStream, Ipv4Addr) -> F,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(seats));
    let mut clients = JoinSet::new();
    loop {
        let seat = seats.clone().acquire_owned().await.context("nobody closes the seats")?;
        let (stream, peer) = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted.context("cannot accept connections")?,
                Some(_) = clients.join_next() => {}
            }
        };
        let IpAddr::V4(peer) = peer.ip() else { continue };
        let client = each(stream, peer);
        clients.spawn(async move {
            client.await;
            drop(seat);
        });
    }
}
