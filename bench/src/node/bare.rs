//! A bare node: the programs of one of ours, with its very files and flags, started by the harness in namespaces. No
//! machine, no VPC, no DaemonSets; its pods are wired by upstream's `ptp`, whose configuration stands there beforehand,
//! as do the images. It joins a floor in the same network namespace.

use super::cgroup::Cgroup;
use crate::floor::ControlPlane;
use crate::floor::pki::NODE;
use crate::machines::{self, Process as Seen};
use crate::process::{Process, with_last_words};
use crate::region::Region;
use crate::space::Space;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What the container of the CNI's DaemonSet runs; nothing else in a bare node does then.
const DAEMON: &str = "pause";
const SCRIPT: &str = include_str!("bare.sh");
/// The node's address, on its loopback.
const ADDRESS: &str = "10.77.0.1";
/// Its pods'.
const PODS: &str = "10.78.0.0/23";
const CONTAINERD: &str = "etc/containerd/config.toml";
const KUBELET: &str = "etc/kubernetes/kubelet/config.json";
const AUTHORITY: &str = "etc/kubernetes/pki/ca.crt";
const CONFLIST: &str = "etc/cni/net.d/10-ptp.conflist";
const KUBECONFIG: &str = "/var/lib/kubelet/kubeconfig";

/// How the configuration of a bare node's network comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cni {
    /// It is there before the node is started.
    Beforehand,
    /// A DaemonSet's pod brings it, behind an init container, as `aws-node` does on every EKS node.
    ByDaemonSet,
}

/// What one of our nodes is started from, as it was found there.
pub struct Recipe {
    containerd: Vec<String>,
    containerd_config: String,
    /// Where containerd finds its shim.
    path: String,
    kubelet: Vec<String>,
    kubelet_config: Value,
    /// A root of containerd's with the images.
    images: PathBuf,
    /// The component cache.
    components: PathBuf,
    /// The set with upstream's CNI plugins.
    plugins: String,
}

/// A bare node that was not started yet.
pub struct Prepared {
    argv: Vec<String>,
    cgroup: Cgroup,
    folder: TempDir,
}

/// A bare node while it runs. What it is made of goes in this order.
pub struct Bare {
    process: Process,
    cgroup: Cgroup,
    folder: TempDir,
}

impl Recipe {
    /// By a node's programs.
    ///
    /// # Errors
    /// It has none.
    pub fn of(node: &[Seen], region: &Region<'_>, components: &Path, plugins: &str) -> Result<Recipe> {
        let found = |program: &str| {
            let found = node.iter().find(|process| process.program == program);
            found.with_context(|| format!("no {program} runs on our node"))
        };
        let (containerd, kubelet) = (found("containerd")?, found("kubelet")?);
        let kubelet_config = serde_json::from_str(&kubelet.read(KUBELET)?)?;
        Ok(Recipe {
            containerd: containerd.arguments.clone(),
            containerd_config: containerd.read(CONTAINERD)?,
            path: containerd.variable("PATH")?,
            kubelet: kubelet.arguments.clone(),
            kubelet_config,
            images: images(&region.data())?,
            components: components.to_owned(),
            plugins: plugins.to_owned(),
        })
    }

    /// Puts everything in its place; the control plane and the node are in `space`.
    ///
    /// # Errors
    /// Something can't be made.
    pub fn prepare(&self, floor: &ControlPlane, space: &Space, place: &Path, cni: Cni) -> Result<Prepared> {
        let folder = TempDir::with_prefix_in("roadstead-bare-", place)?;
        let cgroup = Cgroup::new(&space.name)?;
        self.lay(floor, folder.path(), &cgroup)?;
        if cni == Cni::Beforehand {
            write(&folder.path().join(CONFLIST), &network().to_string())?;
        }
        // Once is enough: the floor's first node has it already.
        let _ = space.ip(&["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
        let set = |name: &str, value: &str| format!("{name}={value}");
        let environment = [
            set("FOLDER", &folder.path().display().to_string()),
            set("COMPONENTS", &self.components.display().to_string()),
            set("CONTAINERD", &self.containerd.join(" ")),
            set("PATH", &self.path),
        ];
        let enter = format!("--net={}", space.file().display());
        let mut argv = vec!["nsenter".to_owned(), enter, "unshare".to_owned()];
        argv.extend(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", "env"].map(str::to_owned));
        argv.extend(environment);
        argv.extend(["sh", "-c", SCRIPT, "sh"].map(str::to_owned));
        argv.extend(self.kubelet_flags());
        Ok(Prepared { argv, cgroup, folder })
    }

    /// Everything that our node's clock does not count either: its image, and what it is told.
    fn lay(&self, floor: &ControlPlane, folder: &Path, cgroup: &Cgroup) -> Result<()> {
        for name in ["cni", "kubelet", "log", "work"] {
            fs::create_dir(folder.join(name))?;
        }
        copy(&self.images, &folder.join("containerd"))?;
        for plugin in ["ptp", "host-local"] {
            let source = self.components.join(&self.plugins).join(plugin);
            fs::copy(&source, folder.join("cni").join(plugin)).with_context(|| source.display().to_string())?;
        }
        write(&folder.join(CONTAINERD), &self.containerd_config)?;
        write(&folder.join(KUBELET), &self.kubelet_config(cgroup).to_string())?;
        write(&folder.join(AUTHORITY), &fs::read_to_string(floor.keys.join("ca.crt"))?)?;
        fs::create_dir_all(folder.join(CONFLIST).with_file_name(""))?;
        let kubeconfig = kubeconfig(floor, &folder.join("kubelet"))?;
        write(&folder.join("kubelet").join(Path::new(KUBECONFIG).file_name().unwrap_or_default()), &kubeconfig)
    }

    /// Ours, but for whom it knows and where its cgroups are.
    fn kubelet_config(&self, cgroup: &Cgroup) -> Value {
        let mut config = self.kubelet_config.clone();
        config["cgroupRoot"] = json!(format!("/{}", cgroup.name));
        // Nobody would sign it.
        config["serverTLSBootstrap"] = json!(false);
        config
    }

    /// Ours, but for who and where it is, and without what logs in to ECR: it pulls nothing.
    fn kubelet_flags(&self) -> Vec<String> {
        let own = [("--node-ip", ADDRESS), ("--hostname-override", NODE)];
        let flag = |flag: &String| match own.iter().find(|(name, _)| flag.starts_with(&format!("{name}="))) {
            Some((name, value)) => format!("{name}={value}"),
            None => flag.clone(),
        };
        let is_login = |flag: &&String| flag.starts_with("--image-credential-provider-");
        self.kubelet.iter().filter(|flag| !is_login(flag)).map(flag).collect()
    }
}

impl Prepared {
    /// Starts it.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(self) -> Result<Bare> {
        let Prepared { argv, cgroup, folder } = self;
        Ok(Bare { process: Process::start(folder.path(), "node", argv)?, cgroup, folder })
    }
}

impl Bare {
    /// Plays the DaemonSet's part as soon as its container runs; false: it does not yet.
    ///
    /// # Errors
    /// The configuration can't be written.
    pub fn bring_network(&self) -> Result<bool> {
        let all = machines::processes(&format!("/{}/", self.cgroup.name));
        let runs = |process: &Seen| process.arguments.iter().any(|word| word == DAEMON);
        if !all.iter().any(runs) {
            return Ok(false);
        }
        let parent = self.process.id();
        let first = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let root = Path::new("/proc").join(first.trim()).join("root");
        write(&root.join(CONFLIST), &network().to_string())?;
        Ok(true)
    }

    /// Puts what it said in front of an error.
    ///
    /// # Errors
    /// The result's own.
    pub fn with_last_words<T>(&self, result: Result<T>) -> Result<T> {
        with_last_words(result, "the bare node", self.folder.path())
    }

    /// Stops it; nothing of it is left.
    ///
    /// # Errors
    /// Something is.
    pub fn stop(self) -> Result<()> {
        let Bare { process, cgroup, folder } = self;
        drop(process);
        cgroup.remove()?;
        Ok(folder.close()?)
    }
}

/// What the agent keeps for its nodes.
fn images(data: &Path) -> Result<PathBuf> {
    let folder = data.join("host/images/nodes");
    let mut found = fs::read_dir(&folder).with_context(|| format!("the images in {}", folder.display()))?;
    Ok(found.next().with_context(|| format!("{} is empty", folder.display()))??.path())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").args(["--archive", "--reflink=auto"]).arg(from).arg(to).status()?;
    if !copied.success() {
        bail!("{} can't be copied to {}", from.display(), to.display());
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("it has a folder")?)?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The DaemonSet that brings the network's configuration.
pub fn daemon_set(image: &str) -> Value {
    let container = |name: &str, what: &str| json!({"name": name, "image": image, "args": [what]});
    let labels = json!({"app": "cni"});
    let pod = json!({"hostNetwork": true, "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "system-node-critical", "terminationGracePeriodSeconds": 0,
        "initContainers": [container("install", "help")], "containers": [container("daemon", DAEMON)]});
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cni"}, "spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}})
}

fn network() -> Value {
    let ipam = json!({"type": "host-local", "dataDir": "/run/host-local", "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}]});
    json!({"cniVersion": "1.0.0", "name": "bare", "plugins": [{"type": "ptp", "mtu": 9001, "ipam": ipam}]})
}

/// With the keys beside it, where kubelet's folder is in the node.
fn kubeconfig(floor: &ControlPlane, folder: &Path) -> Result<String> {
    for name in ["kubelet.crt", "kubelet.key"] {
        fs::copy(floor.keys.join(name), folder.join(name))?;
    }
    let cluster = json!({"server": format!("https://{}", floor.access().address),
        "certificate-authority": Path::new("/").join(AUTHORITY)});
    let user = json!({"client-certificate": "/var/lib/kubelet/kubelet.crt",
        "client-key": "/var/lib/kubelet/kubelet.key"});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "kubelet",
        "clusters": [{"name": "floor", "cluster": cluster}],
        "users": [{"name": "kubelet", "user": user}],
        "contexts": [{"name": "kubelet", "context": {"cluster": "floor", "user": "kubelet"}}],
    });
    Ok(config.to_string())
}
