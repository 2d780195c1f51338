//! Connections from the region: one session at a time, and dials.

use super::{Agent, frame};
use crate::dial;
use roadstead_hostspec::{FromHost, ToHost};
use std::future::pending;
use std::io;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Changes that may wait to be accepted together.
const QUEUE: usize = 256;

/// Serves a connection to its end.
pub(super) async fn serve(agent: Arc<Agent>, mut stream: UnixStream) {
    let result = match frame::read(&mut stream).await {
        Ok(Some(ToHost::Session { epoch, items })) => match agent.open(epoch, items).await {
            Ok(number) => converse(&agent, number, stream).await,
            Err(why) => refuse(&mut stream, &why).await,
        },
        Ok(Some(ToHost::Dial { network, address, port })) => {
            dial::answer(&agent.config, stream, (network, address, port)).await
        }
        Ok(Some(ToHost::Change { .. })) => refuse(&mut stream, &anyhow::anyhow!("Session comes before Change")).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::info!("a connection of the region ended: {error}");
    }
}

/// A session, until it ends or a newer one begins. To hear, to accept and to tell don't wait for each other: a region
/// that is busy telling may not be listening.
async fn converse(agent: &Agent, number: u64, stream: UnixStream) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    frame::write(&mut to, &FromHost::Welcome).await?;
    agent.board.retell();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (refuse, refused) = oneshot::channel();
    let mut newest = agent.session.subscribe();
    let judge = async {
        let why = tokio::select! {
            why = accept(agent, number, receiver) => why,
            // The agent outlives its connections, and so does the sender.
            _ = newest.wait_for(|newest| *newest != number) => anyhow::anyhow!("a newer session has begun"),
        };
        // Nobody is told once the connection is gone.
        let _ = refuse.send(why);
        pending().await
    };
    tokio::select! {
        result = listen(from, sender) => result,
        result = tell(agent, &mut to, refused) => result,
        never = judge => never,
    }
}

async fn listen(mut from: OwnedReadHalf, to: mpsc::Sender<ToHost>) -> io::Result<()> {
    while let Some(message) = frame::read(&mut from).await? {
        if to.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Tells all news, and last why the session ends.
async fn tell(agent: &Agent, to: &mut OwnedWriteHalf, mut refused: oneshot::Receiver<anyhow::Error>) -> io::Result<()> {
    loop {
        tokio::select! {
            news = agent.board.next() => frame::write(to, &news).await?,
            Ok(why) = &mut refused => {
                return frame::write(to, &FromHost::Refused { why: format!("{why:#}") }).await;
            }
        }
    }
}

/// Accepts what was heard, all that waits in one step; ends with the reason of a refusal.
async fn accept(agent: &Agent, number: u64, mut heard: mpsc::Receiver<ToHost>) -> anyhow::Error {
    let mut changes = Vec::new();
    while heard.recv_many(&mut changes, QUEUE).await > 0 {
        if let Err(why) = agent.change(number, std::mem::take(&mut changes)).await {
            return why;
        }
    }
    anyhow::anyhow!("the region hung up")
}

async fn refuse(stream: &mut UnixStream, why: &anyhow::Error) -> io::Result<()> {
    frame::write(stream, &FromHost::Refused { why: format!("{why:#}") }).await
}
