//! moto's server, the emulator that Python projects test with: a region in memory that checks no signature.

use crate::process::Process;
use crate::wait::Wait;
use anyhow::Result;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Within this it answers: it imports botocore first.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one.
pub struct Moto {
    _process: Process,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Moto {
    /// Starts it with a Python that has it.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start(python: &Path, folder: &Path, wait: &Wait) -> Result<Moto> {
        // It takes no port of the system's choice; this one was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = python.with_file_name("moto_server").display().to_string();
        let argv = vec![program, "-H".into(), address.ip().to_string(), "-p".into(), address.port().to_string()];
        let process = Process::start(folder, "moto", argv)?;
        wait.until("moto", PATIENCE, || Ok(TcpStream::connect(address).ok()))?;
        Ok(Moto { _process: process, address })
    }
}
