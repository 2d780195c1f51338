//! As much of an HTTPS client as it takes to ask an API server whether something is there.

use crate::floor::pki::Identity;
use crate::running::inside;
use anyhow::Result;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks as somebody.
pub struct Client {
    /// Who asks, and whom that trusts.
    pub config: Arc<ClientConfig>,
    /// The network namespace that it asks from, if not the harness's own.
    space: Option<PathBuf>,
}

impl Client {
    /// Trusts and is who `identity` says.
    ///
    /// # Errors
    /// The identity is not usable for TLS.
    pub fn new(identity: Identity, space: Option<PathBuf>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority)?;
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = Arc::new(config.with_client_auth_cert(vec![identity.certificate], identity.key)?);
        Ok(Self { config, space })
    }

    /// Whether GET of `path` answers 200. Nobody there, or not able to answer yet, is a no.
    pub fn has(&self, address: SocketAddr, path: &str) -> bool {
        self.status(address, path).is_ok_and(|status| status == "200")
    }

    fn status(&self, address: SocketAddr, path: &str) -> io::Result<String> {
        let connection = ClientConnection::new(self.config.clone(), ServerName::IpAddress(address.ip().into()));
        let dial = || TcpStream::connect_timeout(&address, PATIENCE);
        let stream = match &self.space {
            Some(space) => inside(space, dial).map_err(io::Error::other)?,
            None => dial()?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection.map_err(io::Error::other)?, stream);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12]; // HTTP/1.1 200
        stream.read_exact(&mut start)?;
        Ok(String::from_utf8_lossy(&start[9..]).into_owned())
    }
}
