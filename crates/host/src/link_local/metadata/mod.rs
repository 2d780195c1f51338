//! The instance metadata service, version 2.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
//!
//! An instance is known by the address that it asks from, and that is the primary one of its first port. Its answers live
//! for as many hops as it says: with one hop none gets past the instance, into a pod.

mod answer;
mod token;

use super::attend::attend;
use crate::now;
use answer::{Answer, Ask};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roadstead_hostspec::Metadata;
use roadstead_types::Sealed;
use roadstead_vault::Vault;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use token::Tokens;
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

/// Connections at a time, of one network.
const SEATS: usize = 256;
/// For a connection without a request.
const IDLE: Duration = Duration::from_secs(10);

/// What instances are told, by network and address.
pub(super) struct Instances {
    root_key: PathBuf,
    opened: OnceLock<(Vault, Tokens)>,
    known: RwLock<HashMap<(String, Ipv4Addr), Arc<Metadata>>>,
}

impl Instances {
    pub fn new(root_key: &Path) -> Instances {
        Instances { root_key: root_key.to_owned(), opened: OnceLock::new(), known: RwLock::default() }
    }

    pub fn put(&self, metadata: Metadata) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, other| other.id != metadata.id);
        known.insert((metadata.network.clone(), metadata.address), Arc::new(metadata));
    }

    pub fn remove(&self, id: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, metadata| metadata.id != id);
    }

    fn find(&self, place: &(String, Ipv4Addr)) -> Option<Arc<Metadata>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn opened(&self) -> Result<&(Vault, Tokens)> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let vault = Vault::open(&self.root_key)?;
        let tokens = Tokens::new(vault.derive("instance metadata tokens"));
        Ok(self.opened.get_or_init(|| (vault, tokens)))
    }

    /// Opens a secret, which is a text.
    fn open(&self, sealed: &Sealed) -> Result<Zeroizing<String>> {
        let bytes = self.opened()?.0.unseal(sealed)?;
        Ok(Zeroizing::new(std::str::from_utf8(&bytes).context("it is no text")?.to_owned()))
    }

    /// Answers whoever is at `place`.
    fn answer(&self, place: &(String, Ipv4Addr), request: &Request<Incoming>) -> Result<Answer> {
        let (_, tokens) = self.opened()?;
        let metadata = self.find(place);
        let ask = Ask::of(request);
        answer::answer(&ask, metadata.as_deref(), tokens, now(), |sealed| self.open(sealed))
    }
}

/// Answers instances of `network`.
pub(super) async fn serve(listener: TcpListener, network: String, instances: Arc<Instances>) -> Result<()> {
    let each = |stream, peer| connection(stream, (network.clone(), peer), instances.clone());
    attend(listener, SEATS, each).await
}

async fn connection(stream: TcpStream, place: (String, Ipv4Addr), instances: Arc<Instances>) {
    // One write each: waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let hops = instances.find(&place).map_or(1, |metadata| metadata.hop_limit.max(1));
    if let Err(error) = stream.set_ttl(hops.into()) {
        return tracing::warn!("hung up on {}: its answers cannot be limited to {hops} hops: {error}", place.1);
    }
    let service = service_fn(|request| {
        let answer = instances.answer(&place, &request).unwrap_or_else(|error| {
            tracing::warn!(network = place.0, address = %place.1, "instance metadata: {error:#}");
            Answer::failure()
        });
        async { Ok::<_, Infallible>(respond(answer)) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(IDLE);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection for instance metadata ended: {error}");
    }
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::SERVER, HeaderValue::from_static("EC2ws"));
    if let Some(left) = answer.token_ttl {
        headers.insert(answer::TTL, HeaderValue::from(left));
    }
    response
}
