//! `cargo xtask bench` and `cargo xtask chaos`: build what the `bench` crate runs, and become it.

mod moto;

use crate::components::Cache;
use anyhow::{Context as _, Result, bail, ensure};
use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(clap::Subcommand)]
enum Benchmark {
    /// Requests per second and what each takes: reads, a list, durable writes, at 1 and at 32 clients, against a bare
    /// server on the same HTTP library and moto's server; what a region takes to start and at rest (needs root).
    Api(OfApi),
    /// CreateCluster to ACTIVE, and DeleteCluster, against the same programs started bare, in turns (needs root).
    ///
    /// The environment's ROADSTEAD_PROGRAM names another `roadstead` than the release build.
    Cluster {
        /// How often each side runs.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Only this side: `floor` or `ours`.
        #[arg(long, value_name = "SIDE", value_parser = ["floor", "ours"])]
        only: Option<String>,
        /// A folder on the disk to use.
        #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
        place: PathBuf,
    },
    /// Clusters made and deleted one after another in one region, then several at once: does it leave anything behind,
    /// slow down, grow? (Needs root.)
    Wear {
        /// How many, one after another.
        #[arg(long, default_value_t = 20)]
        runs: usize,
        /// How many at once, afterwards.
        #[arg(long, default_value_t = 5)]
        together: usize,
        /// A folder on the disk to use.
        #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
        place: PathBuf,
    },
    /// A region with very many clusters, in virtual time and without machines: what the API takes to answer, and what
    /// planners do for one cluster among them.
    Scale {
        /// Measures are taken when there are so many.
        #[arg(long, value_name = "NUMBER,…", value_delimiter = ',', default_value = "1,500,10000")]
        clusters: Vec<usize>,
    },
    /// Requests, connections and bytes per second through the balancer, against direct routing and, where it is
    /// installed, HAProxy in TCP mode (needs root).
    Balancer {
        /// How often each way is measured.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// HAProxy's program.
        #[arg(long, value_name = "FILE", default_value = "/usr/sbin/haproxy")]
        haproxy: PathBuf,
        /// A folder on the disk to use.
        #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
        place: PathBuf,
    },
    /// How long a pod waits for its network: our CNI plugin with its daemon against upstream's `ptp` and `bridge`
    /// (needs root).
    Cni {
        /// How often each plugin is measured, with 30 pods one after another and 30 at once.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// A folder on the disk to use.
        #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
        place: PathBuf,
    },
    /// CreateNodegroup to Node Ready against the same kubelet and containerd started bare, in turns; where the time goes,
    /// and the memory that a node takes beside them (needs root).
    Nodes(OfNodes),
    /// Pods on a node that is Ready, one after another, twenty at once and as many as it may have, against the same
    /// kubelet and containerd started bare with upstream's `ptp` (needs root).
    Pods(OfNodes),
    /// Pod to pod, on one node and across two, against two namespaces with a veth pair between them (needs root).
    Network {
        #[command(flatten)]
        of: OfNodes,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
}

/// Of `bench api`.
#[derive(clap::Args)]
struct OfApi {
    /// How often each side is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Another endpoint to compare with, on this machine: http://127.0.0.1:4566.
    #[arg(long, value_name = "URL")]
    peer: Option<String>,
    /// A folder on the disk to use.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    place: PathBuf,
}

/// What the benchmarks of nodes and pods share.
#[derive(clap::Args)]
struct OfNodes {
    /// How often each side is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// A folder on the disk to use.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    place: PathBuf,
}

/// Options of `chaos`.
#[derive(clap::Args)]
pub struct Chaos {
    /// How often each fault is made.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Only this fault, e.g. `kill-etcd-leader`; may be given again. One that is not there lists those that are.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// A folder on the disk to use.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    place: PathBuf,
}

/// Runs a benchmark.
///
/// # Errors
/// Something that it needs can't be built or is not there.
pub fn run(args: &Args) -> Result<()> {
    let target = Target::find()?;
    let mut command = match &args.benchmark {
        Benchmark::Api(of) => api(&target, of)?,
        Benchmark::Scale { clusters } => scale(&target, clusters)?,
        Benchmark::Cluster { runs, only, place } => cluster(&target, *runs, only.as_deref(), place)?,
        Benchmark::Wear { runs, together, place } => {
            let mut command = target.harness("wear", *runs, place)?;
            command.arg("--together").arg(together.to_string()).arg("--roadstead").arg(roadstead(&target)?);
            command
        }
        Benchmark::Balancer { runs, seconds, haproxy, place } => {
            let mut command = target.harness("balancer", *runs, place)?;
            command.arg("--seconds").arg(seconds.to_string()).arg("--haproxy").arg(haproxy);
            command.arg("--roadstead").arg(roadstead(&target)?);
            command
        }
        Benchmark::Cni { runs, place } => {
            let mut command = target.harness("cni", *runs, place)?;
            command.arg("--plugins").arg(target.plugins()?).arg("--roadstead").arg(roadstead(&target)?);
            command
        }
        Benchmark::Nodes(of) => nodes(&target, "nodes", of)?,
        Benchmark::Pods(of) => nodes(&target, "pods", of)?,
        Benchmark::Network { of, seconds } => {
            let mut command = target.harness("network", of.runs, &of.place)?;
            command.arg("--seconds").arg(seconds.to_string()).arg("--roadstead").arg(roadstead(&target)?);
            command
        }
    };
    // Becomes the benchmark, so that Ctrl-C is its own affair and the shell waits until it has cleaned up.
    Err(command.exec()).context("starting the benchmark")
}

/// Without components: the cluster that is asked for never starts a program. The harness is a release build, because its
/// floor is a server.
fn api(target: &Target, of: &OfApi) -> Result<Command> {
    let cache = Cache::of_user()?;
    let mut command = as_root(&target.build("release", "bench", "bench")?);
    command.arg("api").arg("--runs").arg(of.runs.to_string()).arg("--seconds").arg(of.seconds.to_string());
    command.arg("--place").arg(&of.place).arg("--components").arg(target.folder.join("no-components"));
    command.arg("--python").arg(python(cache.root())?).arg("--roadstead").arg(roadstead(target)?);
    match moto::python(cache.root().parent().context("the cache is a folder in one")?) {
        Ok(python) => drop(command.arg("--moto").arg(python)),
        Err(why) => eprintln!("without moto, which can't be had: {why:#}"),
    }
    command.args(of.peer.iter().flat_map(|peer| ["--peer", peer]));
    Ok(command)
}

/// The one that has the AWS clients.
fn python(components: &Path) -> Result<PathBuf> {
    let python = components.with_file_name("venv").join("bin/python");
    ensure!(python.exists(), "{} is missing: run scripts/setup", python.display());
    Ok(python)
}

fn cluster(target: &Target, runs: usize, only: Option<&str>, place: &Path) -> Result<Command> {
    let mut command = target.harness("cluster", runs, place)?;
    let (etcd, kubernetes) = (target.set_of("etcd")?, target.set_of("kube-apiserver")?);
    command.args(["--etcd", &etcd.name, "--kubernetes", &kubernetes.name]);
    match only {
        Some("floor") => {}
        side => {
            command.arg("--roadstead").arg(roadstead(target)?).args(side.map(|_| "--no-floor"));
        }
    }
    Ok(command)
}

/// With a bare node beside ours.
fn nodes(target: &Target, what: &str, of: &OfNodes) -> Result<Command> {
    let mut command = target.harness(what, of.runs, &of.place)?;
    let (etcd, kubernetes) = (target.set_of("etcd")?, target.set_of("kube-apiserver")?);
    command.args(["--etcd", &etcd.name, "--kubernetes", &kubernetes.name, "--plugins", &target.plugins()?]);
    command.arg("--roadstead").arg(roadstead(target)?);
    Ok(command)
}

/// Within one process: it needs neither root nor components.
fn scale(target: &Target, clusters: &[usize]) -> Result<Command> {
    let mut command = Command::new(target.build("release", "roadstead-sim", "crowd")?);
    command.args(clusters.iter().flat_map(|number| ["--clusters".to_owned(), number.to_string()]));
    Ok(command)
}

/// Makes faults.
///
/// # Errors
/// Something that it needs can't be built or is not there.
pub fn chaos(args: &Chaos) -> Result<()> {
    let target = Target::find()?;
    let mut command = target.harness("chaos", args.runs, &args.place)?;
    command.arg("--roadstead").arg(roadstead(&target)?);
    for fault in &args.faults {
        command.args(["--fault", fault]);
    }
    Err(command.exec()).context("starting the faults")
}

fn roadstead(target: &Target) -> Result<PathBuf> {
    match env::var_os("ROADSTEAD_PROGRAM") {
        Some(program) => {
            std::fs::canonicalize(&program).with_context(|| format!("ROADSTEAD_PROGRAM {}", program.display()))
        }
        None => target.build("release", "roadstead-server", "roadstead"),
    }
}

/// The program as a command of root's.
fn as_root(program: &Path) -> Command {
    // Files under /proc/self belong to who runs the process.
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// Where cargo's programs come to stand, this one among them.
struct Target {
    xtask: PathBuf,
    folder: PathBuf,
}

/// A set of components that has been built.
struct Set {
    cache: PathBuf,
    name: String,
}

impl Target {
    fn find() -> Result<Self> {
        let xtask = env::current_exe()?;
        let folder = xtask.ancestors().nth(2).context("this program stands in target/PROFILE")?.to_owned();
        Ok(Self { xtask, folder })
    }

    /// The harness, with what all of it is told, once what it needs is there.
    fn harness(&self, what: &str, runs: usize, place: &Path) -> Result<Command> {
        let built = Command::new(&self.xtask).arg("components").status()?;
        ensure!(built.success(), "the components can't be built, see above");
        let cache = self.set_of("etcd")?.cache;
        let python = python(&cache)?;
        let mut command = as_root(&self.build("dev", "bench", "bench")?);
        command.arg(what).arg("--runs").arg(runs.to_string()).arg("--place").arg(place);
        command.arg("--components").arg(&cache).arg("--python").arg(&python);
        Ok(command)
    }

    fn build(&self, profile: &str, package: &str, program: &str) -> Result<PathBuf> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).args(["build", "--package", package, "--profile", profile]).status()?;
        ensure!(status.success(), "{package} can't be built, see above");
        let folder = if profile == "dev" { "debug" } else { profile };
        Ok(self.folder.join(folder).join(program))
    }

    /// Upstream's CNI plugins, which nothing else needs: the name of their set.
    fn plugins(&self) -> Result<String> {
        const SET: &str = "cni-plugins";
        let built = Command::new(&self.xtask).args(["components", SET]).status()?;
        ensure!(built.success(), "{SET} can't be built, see above");
        Ok(self.listed(&[SET])?.name)
    }

    /// The default set that has this program: `components --list` says `ready SET/PROGRAM`, and last `in CACHE`.
    fn set_of(&self, program: &str) -> Result<Set> {
        self.listed(&["--only", program])
    }

    fn listed(&self, which: &[&str]) -> Result<Set> {
        let output = Command::new(&self.xtask).args(["components", "--list"]).args(which).output()?;
        let said = String::from_utf8(output.stdout)?;
        let mut lines = said.lines().map(str::trim);
        let name = lines.next().and_then(|line| Some(line.strip_prefix("ready")?.trim().split_once('/')?.0));
        match (name, lines.next_back().and_then(|line| line.strip_prefix("in "))) {
            (Some(name), Some(cache)) => Ok(Set { cache: cache.into(), name: name.to_owned() }),
            _ => bail!("the components are not there: {said}"),
        }
    }
}
