//! The two long-running parts: the region and the host agent.

use crate::admin::{self, Admin};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::local::Local;
use crate::metrics::{self, Timed};
use crate::{bootstrap, clock, drivers, http, private_file};
use anyhow::{Context as _, Result};
use roadstead_inspect::Metrics;
use roadstead_kernel::region::{Handle, Region};
use roadstead_store::journal::File;
use roadstead_store::{Core, Options};
use roadstead_vault::Vault;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

/// How a region ends that could run and then could not go on: another one, started in its place, may be able to.
const FELL: u8 = 75; // EX_TEMPFAIL of sysexits.h

/// The pause after a connection could not be taken.
const CROWDED: Duration = Duration::from_millis(100);

/// Runs the region until it is told to stop, or its store can take no more.
///
/// # Errors
/// It cannot run here at all.
pub async fn run(config: &Config) -> Result<ExitCode> {
    let paths = Local::read(config).context("the region has no place on this machine yet: run `roadstead up`")?.paths();
    let vault = Arc::new(Vault::open_or_create(&config.root_key)?);
    let listener = bind(config).await?;
    let address = listener.local_addr()?;
    let metrics = Arc::new(Metrics::default());
    let journal = Timed { journal: File::open(&config.journal())?, metrics: metrics.clone() };
    let core = Core::open(journal, roadstead_cloud::registry(), seed()?)?;
    let mut region = Region::new(core, roadstead_cloud::planners());
    let began = Instant::now();
    region.measure_with(Box::new(move || began.elapsed()));
    let plans = admin::listen(&mut region);
    let (handle, running) = Handle::start(region, Arc::new(clock::now));
    bootstrap::run(config, &handle, &vault, address, paths.slot()).await?;
    let credentials = Arc::new(Credentials::new(vault.clone()));
    let _drivers = drivers::start(&handle, vault.clone(), paths.host_socket(), metrics.clone());
    let counted = metrics.clone();
    handle.subscribe(Box::new(move |commit| counted.commit(commit)));
    let api = http::serve(listener, &handle, credentials, vault, metrics.clone(), config);
    let admin = Admin::new(&handle, plans, metrics, address);
    let scraped = metrics::serve(scraped(config).await?, admin.clone());
    let admin = admin.serve(unix(&paths.admin_socket())?);
    info!("region {} answers at http://{address}", config.region);
    let halted = tokio::task::spawn_blocking(move || running.wait());
    let why = tokio::select! {
        never = api => match never? {},
        never = admin => match never {},
        never = scraped => match never {},
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

/// The next connection. One that cannot be taken is waited out: its client went away, or there are so many that
/// descriptors are short, and some leave soon.
pub async fn taken<T>(mut accept: impl AsyncFnMut() -> io::Result<T>) -> T {
    loop {
        match accept().await {
            Ok(connection) => return connection,
            Err(error) => {
                error!("cannot take a connection: {error}");
                tokio::time::sleep(CROWDED).await;
            }
        }
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

/// Listens for Prometheus, if told so.
async fn scraped(config: &Config) -> Result<Option<TcpListener>> {
    let Some(address) = config.metrics_listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address}: end what has it, or name another --metrics-listen"))?;
    info!("metrics are at http://{}/metrics", listener.local_addr()?);
    Ok(Some(listener))
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
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    // Its folder is closed to all others as well, so nobody came in before this.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Where a new store's ids start.
fn seed() -> Result<Options> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).context("no random bytes from the system")?;
    Ok(Options::seeded(u64::from_ne_bytes(bytes)))
}
