//! Where a reviewer is asked: a TLS listener in its network's router.

use super::keys::Keys;
use crate::net::{Nets, Service, Transport, netns, router_namespace};
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
    spec: Reviewer,
    listener: TcpListener,
    pub tls: TlsAcceptor,
    /// Inode of the router's namespace, which the listener is in.
    router: Option<u64>,
}

/// What the router must do for a reviewer.
pub(super) fn service(spec: &Reviewer) -> Service {
    let (id, transport, clients) = (spec.id.clone(), Transport::Tcp, vec![spec.clients]);
    Service { id, address: spec.address, transport, port: spec.port, clients, groups: Vec::new() }
}

impl Door {
    /// Opens the certificate's key and listens.
    pub async fn open(spec: Reviewer, config: &Config, nets: &Nets, keys: &Arc<Keys>) -> Result<Door> {
        let tls = tls(&spec, keys).await?;
        let router = router(config, &spec.network);
        let listener = TcpListener::from_std(nets.listen(&spec.network, service(&spec)).await?)?;
        Ok(Door { spec, listener, tls, router })
    }

    /// Whether it is where `spec` asks for one.
    pub fn leads_to(&self, spec: &Reviewer) -> bool {
        (&self.spec.network, service(&self.spec)) == (&spec.network, service(spec))
    }

    /// Shows the certificate of `spec` from now on. Connections that are open stay.
    pub async fn renew(&mut self, spec: Reviewer, keys: &Arc<Keys>) -> Result<()> {
        if (&spec.certificate, &spec.key) != (&self.spec.certificate, &self.spec.key) {
            self.tls = tls(&spec, keys).await?;
        }
        self.spec = spec;
        Ok(())
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

async fn tls(spec: &Reviewer, keys: &Arc<Keys>) -> Result<TlsAcceptor> {
    let (spec, keys) = (spec.clone(), keys.clone());
    let config = blocking(move || tls_config(&spec, &keys)).await?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn tls_config(spec: &Reviewer, keys: &Keys) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(spec.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("its certificate is not PEM")?;
    ensure!(!chain.is_empty(), "it has no certificate");
    let key = keys.open(&spec.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).context("its key is not PEM")?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    config.with_single_cert(chain, key).context("its certificate and key do not go together")
}
