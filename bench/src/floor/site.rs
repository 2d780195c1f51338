//! Where the floor stands: its folder, its address, its ports.

use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Connections on loopback come from 127.0.0.1, so none of them can take a port here.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 0, 1));

/// The place.
pub struct Site {
    /// Holds everything.
    pub folder: PathBuf,
    /// Everybody's address.
    pub address: IpAddr,
    /// The folder of the etcd set.
    pub etcd: PathBuf,
    /// The folder of the Kubernetes set.
    pub kubernetes: PathBuf,
    /// Of etcd.
    pub members: Vec<Member>,
    /// API servers, with the controllers beside them.
    pub servers: Vec<Server>,
    /// The network namespace that all of it is in; None: the harness's own.
    pub space: Option<PathBuf>,
}

/// Ports of an etcd member.
pub struct Member {
    /// For API servers.
    pub client: u16,
    /// For other members.
    pub peer: u16,
    /// For health.
    pub metrics: u16,
}

/// Where an API server answers, and ports of the controllers beside it.
pub struct Server {
    /// The API.
    pub api: SocketAddr,
    /// Its controller-manager's.
    pub controller_manager: u16,
    /// Its scheduler's.
    pub scheduler: u16,
}

impl Site {
    /// Three members and two servers in `folder`, on free ports.
    ///
    /// # Errors
    /// There are no free ports.
    pub fn new(folder: PathBuf, etcd: &Path, kubernetes: &Path) -> Result<Self> {
        // Held together, so that no port is given twice.
        let listeners = (0..15).map(|_| TcpListener::bind((ADDRESS, 0))).collect::<Result<Vec<_>, _>>()?;
        let ports = listeners.iter().map(|l| Ok(l.local_addr()?.port())).collect::<Result<Vec<u16>>>()?;
        let (members, servers) = ports.split_at(9);
        let member = |p: &[u16]| Member { client: p[0], peer: p[1], metrics: p[2] };
        let server = |p: &[u16]| Server { api: (ADDRESS, p[0]).into(), controller_manager: p[1], scheduler: p[2] };
        Ok(Self {
            folder,
            address: ADDRESS,
            etcd: etcd.to_owned(),
            kubernetes: kubernetes.to_owned(),
            members: members.chunks(3).map(member).collect(),
            servers: servers.chunks(3).map(server).collect(),
            space: None,
        })
    }

    /// The folder of the keys.
    pub fn pki(&self) -> String {
        self.folder.join("pki").display().to_string()
    }
}
