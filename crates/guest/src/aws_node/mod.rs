//! `guest aws-node`: the VPC CNI's daemon on a node (amazon-vpc-cni-k8s's ipamd, in the DaemonSet `aws-node`).
//!
//! ```text
//!  plugin ──ipamd.sock──▶ daemon: Ipam (who has what) ──▶ store: ipam.json, written before the plugin hears
//!                            │ keeper
//!            pool: how many, what next? (pure) ──▶ cloud: EC2, signed by the instance's role
//!                            └──────────────────▶ node: interfaces, their tables, rules, nftables
//! ```

mod cloud;
mod daemon;
mod ec2;
mod install;
mod ipam;
mod node;
mod pool;
mod ruleset;
mod seat;
mod serve;
mod settings;
mod store;
mod straight;
mod xml;

use anyhow::{Context as _, Result, anyhow};
use cloud::Api;
use daemon::{Daemon, Snapshot};
use node::{Linux, Node as _};
use ruleset::Ruleset;
use seat::Seat;
use settings::Settings;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::io::{Read as _, pipe};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{process, thread};
use store::Store;
use tracing_subscriber::EnvFilter;

/// Pauses between two tries to start: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// `guest aws-node`: runs until SIGTERM. The network's configuration stays behind, as amazon-vpc-cni-k8s leaves it: a
/// daemon that is replaced does not make its node unready.
pub fn run() -> Result<()> {
    log();
    exit_on_signals()?;
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let running = Arc::new(OnceLock::new());
    serve::serve(&settings, &running)?;
    let plugins = settings.plugins.clone();
    let installing = thread::Builder::new().name("install".into()).spawn(move || install::plugins(&plugins))?;
    let (daemon, seat, mut script) = started(&settings);
    // Before the network's configuration, which names them, is written.
    installing.join().map_err(|_| anyhow!("installing the plugins panicked"))??;
    let _ = running.set(daemon.clone());
    let (keeper, keeping) = (daemon.clone(), settings.clone());
    thread::Builder::new().name("keeper".into()).spawn(move || {
        keeper.keep(|snapshot| after_round(&keeping, &mut script, snapshot));
    })?;
    daemon.serve(&seat)
}

/// Serves in the place of the pod of a DaemonSet that is on its way, until that asks it to leave: `environment` is the
/// pod's. From the first addresses on pods can come; how many more there are to be is left to the pod. Returns only if
/// another daemon is there already.
///
/// # Errors
/// A setting can't be read, or something that is needed does not answer: the pod will say so, too.
pub fn ahead(environment: &BTreeMap<String, String>) -> Result<()> {
    log();
    let settings = Settings::read(|name| environment.get(name).cloned())?;
    let Some(seat) = Seat::claim(&settings.socket)? else { return Ok(()) };
    install::links(&settings.plugins)?;
    let (daemon, seat, mut script) = start(&settings, || Ok(seat))?;
    daemon.begin()?;
    after_round(&settings, &mut script, &daemon.snapshot());
    daemon.serve(&seat)
}

fn log() {
    let filter = EnvFilter::try_from_env("AWS_VPC_K8S_CNI_LOGLEVEL").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(false);
    log.with_writer(std::io::stderr).init();
}

/// Tries until all that is needed answers: at the boot of a node, some of it comes later than this.
fn started(settings: &Settings) -> (Arc<Daemon>, Seat, Script) {
    let mut pause = PAUSES.0;
    loop {
        match start(settings, || Seat::take(&settings.socket)) {
            Ok(started) => return started,
            Err(why) => tracing::warn!("cannot start yet: {why:#}; trying again in {pause:?}"),
        }
        thread::sleep(pause);
        pause = (2 * pause).min(PAUSES.1);
    }
}

/// `sit` is called once everybody is known to answer: who is there already goes on until then.
fn start(settings: &Settings, sit: impl FnOnce() -> Result<Seat>) -> Result<(Arc<Daemon>, Seat, Script)> {
    let api = Api::connect(settings)?;
    let identity = api.identity.clone();
    let (instance, limits) = (&identity.instance, identity.limits);
    tracing::info!("node {}, {instance} ({}): {limits:?}", settings.node, identity.instance_type);
    let straight = Default::default();
    let linux = Arc::new(Linux { mtu: settings.mtu, prefix: settings.prefix.clone(), straight });
    let (seat, store) = (sit()?, Store::new(&settings.state));
    let daemon = Daemon::start(Box::new(api), linux.clone(), (settings.targets, limits), store)?;
    let interfaces = daemon.snapshot().interfaces;
    let primary =
        interfaces.iter().find(|interface| interface.device == 0).context("EC2 knows no primary interface")?;
    let ruleset = Ruleset {
        primary: "",
        address: identity.primary,
        inside: identity.vpc.iter().chain(&settings.exclude_snat).copied().collect(),
        prefix: &settings.prefix,
        snat: settings.snat,
        node_port: settings.node_port,
    };
    let text = linux.ruleset(primary, &ruleset)?;
    let mut script = Script { text, linux, applied: None };
    script.apply();
    Ok((daemon, seat, script))
}

/// The rules that all pods share.
struct Script {
    text: String,
    linux: Arc<Linux>,
    applied: Option<Instant>,
}

impl Script {
    /// Makes the rules, also where somebody flushed them. Pods of a node without them reach each other and the VPC, only
    /// not the outside: no reason to have none.
    fn apply(&mut self) {
        if self.applied.is_some_and(|applied| applied.elapsed() < daemon::RECONCILE) {
            return;
        }
        self.applied = Some(Instant::now());
        if let Err(why) = self.linux.apply(&self.text) {
            tracing::error!("pods do not reach what is outside the VPC: {why:#}");
        }
    }
}

/// The node is ready once there is an address to give.
fn after_round(settings: &Settings, script: &mut Script, snapshot: &Snapshot) {
    script.apply();
    if snapshot.count.total > 0 {
        install::conflist(settings).unwrap_or_else(|why| tracing::error!("{why:#}"));
    }
}

/// PID 1 of a container is not ended by a signal that it does not catch.
fn exit_on_signals() -> Result<()> {
    let (mut reader, writer) = pipe()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, OwnedFd::from(writer.try_clone()?))?;
    }
    thread::Builder::new().name("signals".into()).spawn(move || {
        let _ = reader.read(&mut [0]);
        // Nothing is to be put in order: what counts is written down.
        process::exit(0);
    })?;
    Ok(())
}
