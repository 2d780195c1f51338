//! What a node has that a service's machine has not: folders and mounts that a container runtime expects, and hardware
//! of its own size.
//!
//! What the kernel keeps only once for all its namespaces is shadowed: a private file lies over the one of `/proc` or
//! `/sys`, holds what the node's programs want to read, and takes what they write. (A privileged container mounts a
//! `/proc` of its own and gets past that. ADR 8.)

use super::mounts::{PLAIN, device, folder, remount};
use crate::hardware::{self, Usage};
use crate::{Launch, Node};
use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where the files stand that lie over others.
const SHADOWS: &str = "/run/roadstead/shadows";
const PROCESSORS: &str = "/sys/devices/system/cpu";
const MEMORIES: &str = "/sys/devices/system/node";

/// Settings of the whole kernel that a kubelet makes, with the values that it wants: they must not become the host's.
/// (k8s.io/component-helpers/node/util/sysctl)
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// What programs mount or write without making it first.
const FOLDERS: [&str; 4] = ["/run/netns", "/opt/cni/bin", "/etc/cni/net.d", "/mnt"];

/// Completes the root of a node; all but the host's own file system is in its place.
pub fn furnish(node: &Node, launch: &Launch) -> Result<()> {
    FOLDERS.into_iter().try_for_each(|path| folder(Path::new(path), 0o755))?;
    folder(Path::new(SHADOWS), 0o755)?;
    devices()?;
    settings()?;
    identity(&launch.machine_id)?;
    processors(&node.cpus)?;
    memory(node)
}

/// Mounts of a node show in its containers, and theirs in the node where they ask for that: `mountPropagation`.
pub fn share() -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>).context("sharing mounts")
}

/// File systems and tunnels of programs: both are of the namespace of who opens them.
fn devices() -> Result<()> {
    if Path::new("/sys/class/misc/fuse").exists() {
        device("fuse", 10, 229)?;
    }
    if Path::new("/sys/class/misc/tun").exists() {
        folder(Path::new("/dev/net"), 0o755)?;
        device("net/tun", 10, 200)?;
    }
    Ok(())
}

/// The network's settings are the node's own to change, the kernel's are not.
fn settings() -> Result<()> {
    let net = Path::new("/proc/sys/net");
    mount(Some(net), net, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .and_then(|()| remount(net, PLAIN | MsFlags::MS_NOEXEC))
        .with_context(|| format!("opening {}", net.display()))?;
    SETTINGS.into_iter().try_for_each(|(name, value)| shadow(&Path::new("/proc/sys").join(name), &format!("{value}\n")))
}

/// The ids by which a kubelet tells a node and its boots from others.
fn identity(machine_id: &str) -> Result<()> {
    let random = "/proc/sys/kernel/random";
    let boot = fs::read_to_string(format!("{random}/uuid")).context("reading a random UUID")?;
    shadow(&Path::new(random).join("boot_id"), &boot)?;
    // EC2's begin so: EC2 user guide, "Detect whether a host is an EC2 instance".
    let tail = |from: usize, to: usize| machine_id.get(from..to).unwrap_or_default();
    let uuid = format!("ec2{}-{}-{}-{}-{}", tail(3, 8), tail(8, 12), tail(12, 16), tail(16, 20), tail(20, 32));
    shadow(Path::new("/sys/class/dmi/id/product_uuid"), &format!("{uuid}\n"))
}

fn processors(cpus: &[u32]) -> Result<()> {
    let path = "/proc/cpuinfo";
    let host = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let places = cpus.iter().map(|cpu| Topology::read(*cpu, cpus)).collect::<Result<Vec<_>>>()?;
    shadow(Path::new(path), &hardware::cpuinfo(&host, cpus))?;
    let list = format!("{}\n", hardware::format_cpus(cpus));
    replace(Path::new(PROCESSORS), |top| {
        ["possible", "present", "online"].into_iter().try_for_each(|name| write(&top.join(name), &list))?;
        write(&top.join("offline"), "\n")?;
        places.iter().try_for_each(|place| place.write(top))
    })
}

/// All memory is near all processors.
fn memory(node: &Node) -> Result<()> {
    let text = hardware::meminfo(node.memory_bytes, Usage::default());
    let of_node: String = text.lines().map(|line| format!("Node 0 {line}\n")).collect();
    shadow(Path::new("/proc/meminfo"), &text)?;
    if !Path::new(MEMORIES).exists() {
        return Ok(());
    }
    replace(Path::new(MEMORIES), |top| {
        ["possible", "online", "has_cpu", "has_memory"]
            .into_iter()
            .try_for_each(|name| write(&top.join(name), "0\n"))?;
        let first = top.join("node0");
        write(&first.join("cpulist"), &format!("{}\n", hardware::format_cpus(&node.cpus)))?;
        write(&first.join("distance"), "10\n")?;
        write(&first.join("meminfo"), &of_node)?;
        for cpu in &node.cpus {
            symlink(format!("../../cpu/cpu{cpu}"), first.join(format!("cpu{cpu}")))?;
        }
        Ok(())
    })
}

/// Where a processor sits.
struct Topology {
    cpu: u32,
    /// By name of the file in `topology`.
    files: Vec<(&'static str, String)>,
}

impl Topology {
    /// That of the host's; of its neighbours only those among `seen`.
    fn read(cpu: u32, seen: &[u32]) -> Result<Topology> {
        let folder = Path::new(PROCESSORS).join(format!("cpu{cpu}/topology"));
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let mut files = Vec::new();
        for name in ["core_id", "physical_package_id"] {
            files.push((name, read(name)?));
        }
        for name in ["thread_siblings_list", "core_siblings_list"] {
            let mut cpus = hardware::parse_cpus(&read(name)?).with_context(|| format!("{name} is no list"))?;
            cpus.retain(|cpu| seen.contains(cpu));
            files.push((name, format!("{}\n", hardware::format_cpus(&cpus))));
        }
        Ok(Topology { cpu, files })
    }

    fn write(&self, top: &Path) -> Result<()> {
        let folder = top.join(format!("cpu{}/topology", self.cpu));
        self.files.iter().try_for_each(|(name, text)| write(&folder.join(name), text))
    }
}

/// Lays a file with this text over another. One that this kernel does not have is not missed.
fn shadow(path: &Path, text: &str) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let name = path.to_string_lossy().trim_start_matches('/').replace('/', "-");
    let file = Path::new(SHADOWS).join(name);
    write(&file, text)?;
    mount(Some(&file), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("shadowing {}", path.display()))
}

/// Lays a folder over another, filled by `fill` and then read-only.
fn replace(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let flags = PLAIN | MsFlags::MS_NOEXEC;
    let replaced = || -> Result<()> {
        mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0755"))?;
        fill(path)?;
        Ok(remount(path, flags | MsFlags::MS_RDONLY)?)
    };
    replaced().with_context(|| format!("replacing {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    folder(path.parent().context("it has no folder")?, 0o755)?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
