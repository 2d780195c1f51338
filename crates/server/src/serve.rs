//! The two long-running parts: the region and the host agent.

use crate::config::Config;
use crate::credentials::Credentials;
use crate::local::Local;
use crate::{admin, bootstrap, clock, drivers, http, private_file};
use anyhow::{Context as _, Result};
use roadstead_kernel::region::{Handle, Region};
use roadstead_store::journal::File;
use roadstead_store::{Core, Options};
use roadstead_vault::Vault;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

/// How a region ends that could run and then could not go on: another one, started in its place, may be able to.
const FELL: u8 = 75; // EX_TEMPFAIL of sysexits.h

/// Runs the region until it is told to stop, or its store can take no more.
///
/// # Errors
/// It cannot run here at all.
pub async fn run(config: &Config) -> Result<ExitCode> {
    let paths = Local::read(config).context("the region has no place on this machine yet: run `roadstead up`")?.paths();
    let vault = Arc::new(Vault::open_or_create(&config.root_key)?);
    let listener = bind(config).await?;
    let address = listener.local_addr()?;
    let core = Core::open(File::open(&config.journal())?, roadstead_cloud::registry(), seed()?)?;
    let region = Region::new(core, roadstead_cloud::planners());
    let (handle, running) = Handle::start(region, Arc::new(clock::now));
    bootstrap::run(config, &handle, &vault, address, paths.slot()).await?;
    let credentials = Arc::new(Credentials::new(vault.clone()));
    let _drivers = drivers::start(&handle, vault.clone(), paths.host_socket());
    let api = http::serve(listener, &handle, credentials, vault, config);
    let admin = admin::serve(unix(&paths.admin_socket())?, handle.clone(), address);
    info!("region {} answers at http://{address}", config.region);
    let halted = tokio::task::spawn_blocking(move || running.wait());
    let why = tokio::select! {
        never = api => match never {},
        ended = admin => format!("its own socket failed: {:?}", ended.err()),
        why = halted => format!("the store stopped: {}", why?),
        () = stopped() => return Ok(ExitCode::SUCCESS),
    };
    error!("{why}");
    Ok(ExitCode::from(FELL))
}

/// Runs the host agent until it is told to stop. Machines outlive it.
pub async fn host(config: &Config) -> Result<()> {
    let paths = Local::read(config).context("the region has no place on this machine yet: run `roadstead up`")?.paths();
    let listener = unix(&paths.host_socket())?;
    tokio::select! {
        ended = roadstead_host::agent::Agent::run(paths.host(config)?, listener) => ended,
        () = stopped() => Ok(()),
    }
}

async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Listens where it did before: a cluster's tokens and a user's profile name this address.
async fn bind(config: &Config) -> Result<TcpListener> {
    let file = config.data_dir.join("address");
    let before = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok());
    let wanted = match before {
        Some(before) if config.listen.port() == 0 && before.ip() == config.listen.ip() => before,
        _ => config.listen,
    };
    let listener = TcpListener::bind(wanted).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {wanted}: end what has it, or name another --listen"))?;
    let address = listener.local_addr()?;
    if before != Some(address) {
        // In one step: half a file would be another address after the next start.
        private_file::replace(&file, address.to_string().as_bytes())?;
    }
    Ok(listener)
}

/// A socket that only root reaches, whatever was left there.
fn unix(path: &Path) -> Result<UnixListener> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

/// Where a new store's ids start.
fn seed() -> Result<Options> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).context("no random bytes from the system")?;
    Ok(Options::seeded(u64::from_ne_bytes(bytes)))
}
