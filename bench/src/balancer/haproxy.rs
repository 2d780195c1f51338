//! HAProxy in TCP mode, in a machine of its own, as it comes but for what a fair comparison needs.

use super::agent::{Agent, LIMIT, Place};
use crate::process::Process;
use crate::traffic::{Kind, answers};
use crate::wait::Wait;
use anyhow::Result;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// It ends when this is dropped.
pub struct Haproxy {
    _process: Process,
}

impl Haproxy {
    /// Starts it; its configuration and log stand in `folder`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(program: &Path, agent: &Agent, folder: &Path, wait: &Wait) -> Result<Haproxy> {
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration())?;
        let enter = format!("--net={}", agent.namespace(Place::Haproxy).display());
        let argv = ["nsenter", &enter, "--"].map(str::to_owned).into_iter();
        let argv = argv.chain([program.display().to_string(), "-db".into(), "-f".into(), file.display().to_string()]);
        let process = Process::start(folder, "haproxy", argv.collect())?;
        let client = agent.namespace(Place::Client);
        let listens = || Ok(answers(&client, Place::Haproxy.address()).then_some(()));
        wait.until("HAProxy listens", LIMIT, listens)?;
        Ok(Haproxy { _process: process })
    }
}

/// It uses a thread per processor by itself, and logs nothing.
fn configuration() -> String {
    let mut text = String::from(
        "global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n",
    );
    for kind in Kind::ALL {
        let port = kind.port();
        let _ = writeln!(text, "listen {}\n  bind :{port}", kind as u8);
        for place in [Place::A, Place::B] {
            let _ = writeln!(text, "  server s{} {}:{port}", place as u8, place.address());
        }
    }
    text
}
