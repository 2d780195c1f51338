//! `up` and `down`: one supervisor keeps the region and the host agent running, each of which may die at any time.
//!
//! ```text
//! up ─┬─ serve   the API, the store, planners and drivers; needs no privilege
//!     └─ host    the root agent; machines outlive it
//! ```
//! The supervisor holds a lock on the data directory, so a second `up` is refused. Its children die with it (a machine
//! does not); the next `up` carries on with what is there.

use crate::config::Config;
use crate::local::{Local, Paths};
use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// How long the parts get to stop by themselves.
const GRACE: Duration = Duration::from_secs(15);
/// The pause before a part that ended is started again; doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A part that ran so long could run.
const STEADY: Duration = Duration::from_secs(30);
/// How a part ends that says why it cannot run: as every command of ours that fails.
const CANNOT_RUN: i32 = 1;
/// How long `up --detach` waits for the API, and `down` for the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the region until it is told to stop; then stops everything of it. One that cannot start leaves the machine as it
/// found it: clusters that an earlier `up` left running go on serving.
pub async fn up(config: &Config) -> Result<()> {
    need_root("up")?;
    make_private(&config.data_dir)?;
    let _lock = lock(config)?;
    let paths = Local::claim(config)?.paths();
    // What vanishes with the power is there: an earlier `up` was killed, and machines outlive that.
    let carried_on = paths.run_dir.exists();
    make_private(&paths.run_dir)?;
    make_private(&config.logs())?;
    fs::write(paths.pid(), std::process::id().to_string())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parts = async { tokio::try_join!(keep(config, "host"), keep(config, "serve")).map(drop) };
    let ended = tokio::select! {
        ended = parts => ended,
        _ = terminate.recv() => { info!("told to stop"); Ok(()) }
        _ = interrupt.recv() => { info!("interrupted"); Ok(()) }
    };
    // Its futures dropped, the parts were told to end.
    match ended {
        Err(why) if carried_on => {
            bail!("{why:#}; what an earlier `up` left running was left as it is (`roadstead down` stops it)")
        }
        ended => clear(config, &paths).and(ended),
    }
}

/// Keeps one part running. Ends only if the part cannot run here at all: it could not be started, or said so itself the
/// first time that it was.
async fn keep(config: &Config, part: &str) -> Result<()> {
    let log = config.logs().join(format!("{part}.log"));
    let (mut pause, mut first) = (PAUSE.0, true);
    loop {
        let started = Instant::now();
        let mut child = Part(spawn(config, part)?);
        let status = child.0.wait().await?;
        let steady = started.elapsed() > STEADY;
        if first && !steady && status.code() == Some(CANNOT_RUN) {
            let said = last_line(&log);
            bail!("{}", said.strip_prefix("roadstead: ").unwrap_or(&said));
        }
        warn!("{part} ended ({status}); see {}", log.display());
        pause = if steady { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        first = false;
        tokio::time::sleep(pause).await;
    }
}

/// A part that is told to end, and awaited, when its keeper is dropped.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        let Some(pid) = self.0.id().and_then(|id| i32::try_from(id).ok()) else { return };
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn spawn(config: &Config, part: &str) -> Result<Child> {
    let path = config.logs().join(format!("{part}.log"));
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(part).args(arguments(config)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: prctl(PR_SET_PDEATHSIG) is async-signal-safe, and nothing else runs between fork and exec.
    #[expect(unsafe_code, reason = "a part must not outlive its supervisor")]
    unsafe {
        command.as_std_mut().pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?));
    }
    command.spawn().with_context(|| format!("cannot start {part}"))
}

/// The configuration as flags: the parts read nothing else.
pub fn arguments(config: &Config) -> Vec<String> {
    let said = config.settings().into_iter().filter_map(|(name, value)| Some([format!("--{name}"), value?]));
    said.flatten().collect()
}

/// Starts `up` on its own and returns once the API answers.
pub fn detach(config: &Config) -> Result<()> {
    need_root("up")?;
    make_private(&config.data_dir)?;
    drop(lock(config)?);
    make_private(&config.logs())?;
    let path = config.logs().join("up.log");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("up").args(arguments(config)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.process_group(0).spawn()?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            bail!("the region did not start ({status}): {}", last_line(&path));
        }
        if Local::read(config).is_some_and(|l| answers(&l.paths())) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the API does not answer after {PATIENCE:?}; look into {}", config.logs().display())
}

fn answers(paths: &Paths) -> bool {
    std::os::unix::net::UnixStream::connect(paths.admin_socket()).is_ok()
}

fn last_line(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}

/// Stops the region and everything of it; with `purge` forgets it as well.
pub fn down(config: &Config, purge: bool) -> Result<()> {
    need_root("down")?;
    let Some(local) = Local::recorded(config) else {
        if purge {
            return forget(config);
        }
        println!("No region has run on {}.", config.data_dir.display());
        return Ok(());
    };
    let paths = local.paths();
    if let Some(pid) = supervisor(config, &paths)? {
        kill(pid, Signal::SIGTERM)?;
    }
    let _lock = await_lock(config)?;
    // A slot that was given to another region meanwhile (this data directory was moved here, or was away when the power
    // came back) has that one's machines in it, and none of ours.
    if local.take(config)? {
        clear(config, &paths)?;
    }
    if purge {
        local.release(config)?;
        forget(config)?;
    }
    Ok(())
}

/// The supervisor's process, if one runs: the lock says whether, the file says which.
fn supervisor(config: &Config, paths: &Paths) -> Result<Option<Pid>> {
    if lock(config).is_ok() {
        return Ok(None);
    }
    let text =
        fs::read_to_string(paths.pid()).context("a region runs on this data directory, but not as root's here")?;
    Ok(Some(Pid::from_raw(text.trim().parse()?)))
}

fn await_lock(config: &Config) -> Result<Flock<File>> {
    let until = Instant::now() + PATIENCE;
    loop {
        match lock(config) {
            Ok(lock) => return Ok(lock),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Removes all that the region's agent made on this machine, and what may vanish with the power.
fn clear(config: &Config, paths: &Paths) -> Result<()> {
    roadstead_host::agent::purge(&paths.host(config)?).context("cannot clear this machine of the region's parts")?;
    match fs::remove_dir_all(&paths.run_dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn forget(config: &Config) -> Result<()> {
    for path in [&config.data_dir, &config.root_key] {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn lock(config: &Config) -> Result<Flock<File>> {
    let path = config.data_dir.join("up.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot use data directory {}", config.data_dir.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        let dir = config.data_dir.display();
        anyhow::anyhow!("a region already runs on {dir}: use it, stop it with `roadstead down --data-dir {dir}`, or name another --data-dir")
    })
}

fn need_root(command: &str) -> Result<()> {
    let why = "it makes and removes network namespaces, mounts and cgroups. Run it with sudo.";
    ensure!(nix::unistd::geteuid().is_root(), "roadstead {command} needs root: {why}");
    Ok(())
}

fn make_private(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}
