//! The floor: the programs that a cluster's machines run, with their flags, as plain processes on loopback. No machines,
//! no networks, no balancer, nobody who looks after them: nothing that starts the same programs can be faster by much.

mod flags;
pub mod pki;
mod site;

use crate::api::Access;
use crate::http::Client;
use crate::process::{Process, with_last_words};
use crate::running::{self, Running};
use crate::space::Space;
use crate::wait::Wait;
use anyhow::{Context as _, Result};
use site::Site;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ten times what it takes.
const LIMIT: Duration = Duration::from_secs(90);
const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";

/// What it is made of.
pub struct Floor<'a> {
    /// The folder of the etcd set.
    pub etcd: &'a Path,
    /// The folder of the Kubernetes set.
    pub kubernetes: &'a Path,
    /// Its data come into a folder of their own in here.
    pub place: &'a Path,
}

/// A floor that others stand on: its control plane in a network namespace, which is removed when this is dropped.
pub struct ControlPlane {
    standing: Standing,
    /// Its keys: `NAME.crt` and `NAME.key`.
    pub keys: PathBuf,
    _folder: TempDir,
}

/// What one start of it measured.
pub struct Measured {
    /// Until both API servers said that they are ready.
    pub ready: Duration,
    /// Until the default service account existed.
    pub account: Duration,
    /// What ran when it had come to rest.
    pub running: Vec<Running>,
    /// How often a program ended by itself and was started again.
    pub restarts: usize,
}

/// The floor while it stands.
struct Standing {
    client: Client,
    processes: Vec<Process>,
    /// Per server: whether it was seen ready.
    ready: Vec<bool>,
    restarts: usize,
    site: Site,
}

/// What runs on both sides.
pub fn programs(etcd: &Path, kubernetes: &Path) -> Vec<PathBuf> {
    let controllers = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    std::iter::once(etcd.join("etcd")).chain(controllers.map(|program| kubernetes.join(program))).collect()
}

impl Floor<'_> {
    /// Starts it, takes the times, lets it rest, and removes it.
    ///
    /// # Errors
    /// It does not start; the message has its last words.
    pub fn measure(&self, wait: &Wait, rest: Duration) -> Result<Measured> {
        let folder = TempDir::with_prefix_in("roadstead-floor-", self.place)
            .with_context(|| format!("making a folder in {}", self.place.display()))?;
        let measured = self.measure_in(folder.path(), wait, rest);
        let measured = with_last_words(measured, "the floor", folder.path());
        folder.close()?;
        measured
    }

    /// Starts it in a network namespace, for nodes.
    ///
    /// # Errors
    /// It does not start; the message has its last words.
    pub fn stand(&self, space: &Space, wait: &Wait) -> Result<ControlPlane> {
        let folder = TempDir::with_prefix_in("roadstead-floor-", self.place)
            .with_context(|| format!("making a folder in {}", self.place.display()))?;
        let stood = (|| {
            let (site, client) = self.prepare(folder.path(), Some(space.file()))?;
            let mut standing = Standing::start(site, client)?;
            wait.until("/readyz of both API servers", LIMIT, || standing.look_for_servers())?;
            wait.until("the default service account", LIMIT, || standing.look_for_account())?;
            Ok(standing)
        })();
        let standing = with_last_words(stood, "the floor", folder.path())?;
        Ok(ControlPlane { keys: standing.site.pki().into(), standing, _folder: folder })
    }

    /// All that is there before the clock starts.
    fn prepare(&self, folder: &Path, space: Option<PathBuf>) -> Result<(Site, Client)> {
        let site = Site { space: space.clone(), ..Site::new(folder.to_owned(), self.etcd, self.kubernetes)? };
        fs::create_dir(site.pki())?;
        let client = Client::new(pki::write(Path::new(&site.pki()), site.address)?, space)?;
        flags::write_files(&site)?;
        Ok((site, client))
    }

    fn measure_in(&self, folder: &Path, wait: &Wait, rest: Duration) -> Result<Measured> {
        let (site, client) = self.prepare(folder, None)?;

        let began = Instant::now();
        let mut standing = Standing::start(site, client)?;
        wait.until("/readyz of both API servers", LIMIT, || standing.look_for_servers())?;
        let ready = began.elapsed();
        wait.until("the default service account", LIMIT, || standing.look_for_account())?;
        let account = began.elapsed();
        wait.rest(rest)?;
        let running = standing.processes.iter().map(|process| running::look(process.id())).collect::<Result<_>>()?;
        Ok(Measured { ready, account, running, restarts: standing.restarts })
    }
}

impl ControlPlane {
    /// Where it is, and how its administrator gets in.
    pub fn access(&self) -> Access {
        let site = &self.standing.site;
        let space = site.space.clone().unwrap_or_default();
        Access::certified(self.standing.client.config.clone(), site.servers[0].api, space)
    }
}

impl Standing {
    fn start(site: Site, client: Client) -> Result<Self> {
        let ready = vec![false; site.servers.len()];
        let mut standing = Self { client, processes: vec![], ready, restarts: 0, site };
        for index in 0..standing.site.members.len() {
            standing.run(&format!("etcd-{index}"), flags::etcd(&standing.site, index))?;
        }
        for index in 0..standing.site.servers.len() {
            let argv = flags::apiserver(&standing.site, &standing.site.servers[index]);
            standing.run(&format!("kube-apiserver-{index}"), argv)?;
        }
        Ok(standing)
    }

    fn run(&mut self, name: &str, argv: Vec<String>) -> Result<()> {
        let enter = self.site.space.iter().flat_map(|space| ["nsenter".into(), format!("--net={}", space.display())]);
        let argv = enter.chain(argv).collect();
        self.processes.push(Process::start(&self.site.folder, name, argv)?);
        Ok(())
    }

    /// As machines do it: controllers need the bootstrap roles, so they start once the server beside them is ready.
    fn look_for_servers(&mut self) -> Result<Option<()>> {
        self.keep()?;
        for index in 0..self.ready.len() {
            let server = &self.site.servers[index];
            if !self.ready[index] && self.client.has(server.api, "/readyz") {
                self.ready[index] = true;
                let manager = flags::controller_manager(&self.site, server);
                let scheduler = flags::scheduler(&self.site, server);
                self.run(&format!("kube-controller-manager-{index}"), manager)?;
                self.run(&format!("kube-scheduler-{index}"), scheduler)?;
            }
        }
        Ok(self.ready.iter().all(|ready| *ready).then_some(()))
    }

    fn look_for_account(&mut self) -> Result<Option<()>> {
        self.keep()?;
        Ok(self.client.has(self.site.servers[0].api, ACCOUNT).then_some(()))
    }

    fn keep(&mut self) -> Result<()> {
        for process in &mut self.processes {
            self.restarts += usize::from(process.keep()?);
        }
        Ok(())
    }
}
