//! Where a reviewer is asked: a TLS listener in its network's router.

use super::keys::Keys;
use crate::net::{Nets, Service, netns, router_namespace};
use crate::{Config, blocking};
use anyhow::{Context as _, Result, ensure};
use roadstead_hostspec::Reviewer;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(super) struct Door {
    /// As it was when the door was opened.
    spec: Reviewer,
    listener: TcpListener,
    pub tls: TlsAcceptor,
    /// Inode of the router's namespace, which the listener is in.
    router: Option<u64>,
}

/// What the router must do for a reviewer.
pub(super) fn service(spec: &Reviewer) -> Service {
    Service { id: spec.id.clone(), address: spec.address, port: spec.port, clients: spec.clients }
}

impl Door {
    /// Opens the certificate's key and listens.
    pub async fn open(spec: Reviewer, config: &Config, nets: &Nets, keys: &Arc<Keys>) -> Result<Door> {
        let (keys, own) = (keys.clone(), spec.clone());
        let tls = blocking(move || tls(&own, &keys)).await?;
        let router = router(config, &spec.network);
        let listener = TcpListener::from_std(nets.listen(&spec.network, service(&spec)).await?)?;
        Ok(Door { spec, listener, tls, router })
    }

    /// Whether it is the door that `spec` asks for. Who is who may differ: that is looked up at each request.
    pub fn fits(&self, spec: &Reviewer) -> bool {
        let of = |spec: &Reviewer| (spec.network.clone(), service(spec), spec.certificate.clone(), spec.key.clone());
        of(&self.spec) == of(spec)
    }

    /// Whether the router is still the one in which it listens, and not another under the same name.
    pub fn stands(&self, config: &Config) -> bool {
        router(config, &self.spec.network) == self.router
    }

    /// The next client that may ask.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        loop {
            let (stream, peer) = self.listener.accept().await?;
            if may_ask(peer, &self.spec) {
                return Ok(stream);
            }
            tracing::warn!(reviewer = self.spec.id, %peer, "hung up on a client that is not in {}", self.spec.clients);
        }
    }
}

fn may_ask(peer: SocketAddr, spec: &Reviewer) -> bool {
    matches!(peer.ip(), IpAddr::V4(address) if spec.clients.contains(address))
}

fn router(config: &Config, network: &str) -> Option<u64> {
    let path = netns::path(&router_namespace(config, network));
    Some(std::fs::metadata(path).ok()?.ino())
}

fn tls(spec: &Reviewer, keys: &Keys) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(spec.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("its certificate is not PEM")?;
    ensure!(!chain.is_empty(), "it has no certificate");
    let key = keys.open(&spec.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).context("its key is not PEM")?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    Ok(TlsAcceptor::from(Arc::new(config.context("its certificate and key do not go together")?)))
}
