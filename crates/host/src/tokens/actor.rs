//! The task of one reviewer, and of each connection to it.

use super::door::Door;
use super::keys::Keys;
use super::review::review;
use crate::backoff::Backoff;
use crate::net::Nets;
use crate::tended::Told;
use crate::{Config, Saw, now};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roadstead_hostspec::{ItemKey, ItemKind, Reviewer, ReviewerStatus, Status};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections at a time. An API server has one, and more only under load; the others wait to be accepted.
const CONNECTIONS: usize = 256;
/// A TokenReview has a token of 4 KiB at most; bytes.
const LONGEST_BODY: usize = 64 << 10;
/// For the TLS handshake, and for a body to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a connection without a request. More than the 90 s after which Go's clients hang up themselves, so that we
/// never hang up on a request that is under way.
const IDLE: Duration = Duration::from_secs(120);
/// Between looks at whether the listener is still where it should be. As long as it listens in a router that was
/// replaced, that one stays, with its wires, in the way of its successor.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Actor {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    keys: Arc<Keys>,
    told: Told<Reviewer>,
    /// Of what was last taken from `told`.
    generation: u64,
}

impl Actor {
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets, keys: Arc<Keys>, told: Told<Reviewer>) -> Actor {
        Actor { config, saw, nets, keys, told, generation: 0 }
    }

    /// Until the area drops the other end of `told`, or aborts.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.told.has_changed().is_ok() {
            let Err(error) = self.serve().await else {
                backoff = Backoff::new();
                continue;
            };
            self.report(Some(format!("{error:#}")));
            tokio::select! {
                () = backoff.pause() => {}
                _ = self.told.changed() => {}
            }
        }
    }

    fn take_spec(&mut self) -> Reviewer {
        let told = self.told.borrow_and_update();
        self.generation = told.0;
        told.1.clone()
    }

    async fn open(&mut self) -> Result<Door> {
        let spec = self.take_spec();
        if !self.nets.has_network(&spec.network) {
            self.report(Some(format!("network {} is not there yet", spec.network)));
            self.nets.wait_for_network(&spec.network).await;
        }
        Door::open(spec, &self.config, &self.nets, &self.keys).await
    }

    /// Opens a door and answers there until one elsewhere is asked for, or this one leads nowhere. Its connections end
    /// with it.
    async fn serve(&mut self) -> Result<()> {
        let mut door = self.open().await?;
        self.report(None);
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = self.told.changed() => {
                    let spec = self.take_spec();
                    if told.is_err() || !door.leads_to(&spec) {
                        return Ok(());
                    }
                    door.renew(spec, &self.keys).await?;
                    self.report(None);
                }
                accepted = accept(&door, &seats) => {
                    let (stream, seat) = accepted.context("cannot accept connections")?;
                    let (told, keys) = (self.told.clone(), self.keys.clone());
                    connections.spawn(connection(stream, seat, door.tls.clone(), told, keys));
                }
                _ = looks.tick() => if !door.stands(&self.config) {
                    return Ok(());
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn report(&self, why: Option<String>) {
        let id = self.told.borrow().1.id.clone();
        if let Some(why) = &why {
            tracing::warn!(reviewer = id, why, "tokens are not reviewed");
        }
        let status = ReviewerStatus { ready: why.is_none(), why };
        (self.saw)(ItemKey { kind: ItemKind::Reviewer, id }, self.generation, Status::Reviewer(status));
    }
}

async fn accept(door: &Door, seats: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let seat = seats.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((door.accept().await?, seat))
}

async fn connection(
    stream: TcpStream,
    seat: OwnedSemaphorePermit,
    tls: TlsAcceptor,
    told: Told<Reviewer>,
    keys: Arc<Keys>,
) {
    // Answers are one small write each: waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!("a client's TLS handshake failed: {error}"),
        Err(_) => return tracing::info!("a client's TLS handshake took more than {PATIENCE:?}"),
    };
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, &told, &keys).await) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(IDLE);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection ended: {error}");
    }
    drop(seat);
}

/// Any path will do: the API server's configuration says which it asks for.
async fn answer(request: Request<Incoming>, told: &Told<Reviewer>, keys: &Keys) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "POST a TokenReview");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    let body = match timeout(PATIENCE, Limited::new(request.into_body(), LONGEST_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "a TokenReview is no longer than 64 KiB");
        }
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the body ended early"),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s"),
    };
    let reviewed = review(&body, &told.borrow().1, keys, now());
    match reviewed {
        Some(review) => json(&review),
        None => plain(StatusCode::BAD_REQUEST, "POST a TokenReview of authentication.k8s.io/v1 or v1beta1"),
    }
}

fn json(body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
