//! Builds a machine's root: a tmpfs with the host's `/usr` read-only in it, and nothing else of the host's.
//!
//! The root is entered first and filled then, with the host's file system at [`HOST`] until all is in place: so every
//! path that is written to is resolved inside the machine, whatever links a disk of an earlier life holds.

use super::{PROGRAM, node};
use crate::Launch;
use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Where the host's file system is while the root is built.
const HOST: &str = "/.host";

/// No set-user-id programs, no devices: for every mount but `/dev`.
pub(super) const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// What a root in a namespace could reach the host through, as far as /proc shows it: writable settings of the kernel.
const READ_ONLY: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
/// And what it could read there about others on the host.
const HIDDEN: [&str; 7] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/latency_stats",
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
];

/// Builds the root of `launch` in a new mount namespace and makes it the root of this process.
pub fn build(launch: &Launch) -> Result<()> {
    umask(Mode::empty());
    enter(&launch.root)?;
    folders()?;
    system()?;
    devices()?;
    kernel()?;
    cgroups()?;
    copies()?;
    bind(&launch.logs, Path::new("/var/log"), PLAIN)?;
    program(&launch.program)?;
    for b in &launch.binds {
        bind(&b.source, &b.target, flags(b.writable, launch.node.is_some()))?;
    }
    if let Some(spec) = &launch.node {
        alternatives()?;
        node::furnish(spec, launch)?;
    }
    umount2(HOST, MntFlags::MNT_DETACH).context("leaving the host's file system")?;
    fs::remove_dir(HOST).context("leaving the host's file system")?;
    if launch.node.is_some() {
        node::share()?;
    }
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}

/// How a folder of the host is mounted. On a node's disk are its containers' volumes, which may hold set-user-id programs.
fn flags(writable: bool, is_node: bool) -> MsFlags {
    match (writable, is_node) {
        (false, _) => PLAIN | MsFlags::MS_RDONLY,
        (true, false) => PLAIN,
        (true, true) => MsFlags::empty(),
    }
}

/// Makes a tmpfs on `root` the root of this process; the old one is then at [`HOST`].
fn enter(root: &Path) -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts private")?;
    let tmpfs = |options| mount(Some("tmpfs"), root, Some("tmpfs"), PLAIN, Some(options));
    // It holds secrets, which swap would carry to a disk; Linux before 6.4 knows no such option.
    tmpfs("mode=0755,noswap")
        .or_else(|_| tmpfs("mode=0755"))
        .with_context(|| format!("mounting the root on {}", root.display()))?;
    let host = root.join(HOST.trim_start_matches('/'));
    fs::create_dir(&host)?;
    nix::unistd::pivot_root(root, &host).context("entering the root")?;
    std::env::set_current_dir("/").context("entering the root")
}

fn folders() -> Result<()> {
    for path in
        ["/usr", "/etc", "/dev", "/proc", "/sys", "/run", "/run/roadstead", "/opt", "/var", "/var/lib", "/var/log"]
    {
        folder(Path::new(path), 0o755)?;
    }
    folder(Path::new("/root"), 0o700)?;
    folder(Path::new("/tmp"), 0o1777)?;
    folder(Path::new("/var/tmp"), 0o1777)?;
    symlink("/run", "/var/run").context("/var/run")
}

/// The programs and libraries of the host. Where `/bin` and its like are folders and no links into `/usr`, they come too.
fn system() -> Result<()> {
    const READ_ONLY: MsFlags = PLAIN.union(MsFlags::MS_RDONLY);
    bind(Path::new("/usr"), Path::new("/usr"), READ_ONLY)?;
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let (host, here) = (Path::new(HOST).join(name), Path::new("/").join(name));
        match fs::symlink_metadata(&host) {
            Ok(meta) if meta.is_symlink() => symlink(fs::read_link(&host)?, &here)?,
            Ok(_) => bind(&here, &here, READ_ONLY)?,
            Err(_) => {}
        }
    }
    Ok(())
}

/// `/dev`, with device nodes of our own: on the host's, root inside could change owner and mode outside.
fn devices() -> Result<()> {
    let options = Some("mode=0755,size=64k");
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), MsFlags::MS_NOSUID, options).context("mounting /dev")?;
    // What reads the kernel's messages reads nothing: they are the host's.
    let nodes = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
        ("kmsg", 1, 3),
    ];
    for (name, major, minor) in nodes {
        device(name, major, minor)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        folder(&Path::new("/dev").join(name), 0o755)?;
    }
    let quiet = PLAIN | MsFlags::MS_NOEXEC;
    let terminals = Some("newinstance,ptmxmode=0666,mode=0620,gid=5");
    mount(Some("devpts"), "/dev/pts", Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, terminals)
        .context("mounting /dev/pts")?;
    mount(Some("shm"), "/dev/shm", Some("tmpfs"), quiet, Some("mode=1777")).context("mounting /dev/shm")?;
    mount(Some("mqueue"), "/dev/mqueue", Some("mqueue"), quiet, None::<&str>).context("mounting /dev/mqueue")?;
    let links =
        [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (name, to) in links {
        symlink(to, Path::new("/dev").join(name)).with_context(|| format!("/dev/{name}"))?;
    }
    Ok(())
}

/// A device of characters that everybody may use.
pub(super) fn device(name: &str, major: u64, minor: u64) -> Result<()> {
    let path = Path::new("/dev").join(name);
    let mode = Mode::from_bits_truncate(0o666);
    mknod(&path, SFlag::S_IFCHR, mode, makedev(major, minor)).with_context(|| path.display().to_string())
}

/// `/proc` and `/sys` of the machine's own namespaces, without what reaches beyond them.
fn kernel() -> Result<()> {
    let quiet = PLAIN | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, None::<&str>).context("mounting /proc")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), quiet | MsFlags::MS_RDONLY, None::<&str>).context("mounting /sys")?;
    for path in READ_ONLY.map(Path::new).into_iter().filter(|p| p.exists()) {
        mount(Some(path), path, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .and_then(|()| remount(path, PLAIN | MsFlags::MS_RDONLY))
            .with_context(|| format!("protecting {}", path.display()))?;
    }
    for path in HIDDEN.map(Path::new).into_iter().filter(|p| p.exists()) {
        let hidden = match path.is_dir() {
            true => mount(Some("tmpfs"), path, Some("tmpfs"), quiet | MsFlags::MS_RDONLY, Some("size=0")),
            false => mount(Some("/dev/null"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>),
        };
        hidden.with_context(|| format!("hiding {}", path.display()))?;
    }
    Ok(())
}

/// The machine's cgroups, laid out as the host's: version 2 alone, or version 1 beside it (systemd's hybrid).
fn cgroups() -> Result<()> {
    let text = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
    let (two, one): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("0:"));
    let top = Path::new("/sys/fs/cgroup");
    if one.is_empty() {
        return cgroup(top, "cgroup2", None);
    }
    mount(Some("tmpfs"), top, Some("tmpfs"), PLAIN | MsFlags::MS_NOEXEC, Some("mode=0755,size=64k"))
        .context("mounting /sys/fs/cgroup")?;
    for line in one {
        let controllers = line.split(':').nth(1).with_context(|| format!("/proc/self/cgroup has '{line}'"))?;
        match controllers.strip_prefix("name=") {
            Some(name) => cgroup(&top.join(name), "cgroup", Some(&format!("none,{controllers}")))?,
            None => cgroup(&top.join(controllers), "cgroup", Some(controllers))?,
        }
        for alone in controllers.split(',').filter(|_| controllers.contains(',')) {
            symlink(controllers, top.join(alone))?;
        }
    }
    match two.is_empty() {
        true => Ok(()),
        false => cgroup(&top.join("unified"), "cgroup2", None),
    }
}

fn cgroup(at: &Path, kind: &str, options: Option<&str>) -> Result<()> {
    let mounted = || -> Result<()> {
        fs::create_dir_all(at)?;
        Ok(mount(Some("cgroup"), at, Some(kind), PLAIN | MsFlags::MS_NOEXEC, options)?)
    };
    mounted().with_context(|| format!("mounting {}", at.display()))
}

/// The two files of the host's `/etc` without which its programs don't run: where libraries are, and whom to trust.
fn copies() -> Result<()> {
    const CERTIFICATES: [&str; 3] =
        ["etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/ca-bundle.pem"];
    let copy = |from: &str, to: &str| -> Result<()> {
        let from = Path::new(HOST).join(from);
        folder(Path::new(to).parent().context("it has no folder")?, 0o755)?;
        // Read and written, not `fs::copy`: that takes the mode and the links along.
        let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
        fs::write(to, bytes).with_context(|| to.to_owned())
    };
    if let Some(bundle) = CERTIFICATES.into_iter().find(|path| Path::new(HOST).join(path).exists()) {
        copy(bundle, "/etc/ssl/certs/ca-certificates.crt")?;
    }
    match Path::new(HOST).join("etc/ld.so.cache").exists() {
        true => copy("etc/ld.so.cache", "/etc/ld.so.cache"),
        false => Ok(()),
    }
}

/// Where programs of the host's `/usr` are links into `/etc`, as Debian's iptables, which CNI plugins run.
fn alternatives() -> Result<()> {
    let path = Path::new("/etc/alternatives");
    match Path::new(HOST).join("etc/alternatives").is_dir() {
        true => bind(path, path, PLAIN | MsFlags::MS_RDONLY),
        false => Ok(()),
    }
}

/// The program that becomes PID 1: a bind of its file, so that an upgrade of the host leaves running machines theirs.
fn program(source: &Path) -> Result<()> {
    let target = Path::new(PROGRAM);
    folder(target.parent().context("the program has no folder")?, 0o755)?;
    File::create(target).with_context(|| format!("making {PROGRAM}"))?;
    mount_from_host(source, target, PLAIN | MsFlags::MS_RDONLY)
}

fn bind(source: &Path, target: &Path, flags: MsFlags) -> Result<()> {
    ensure!(target.is_absolute(), "{} is not an absolute path", target.display());
    fs::create_dir_all(target).with_context(|| format!("making {}", target.display()))?;
    mount_from_host(source, target, flags)
}

fn mount_from_host(source: &Path, target: &Path, flags: MsFlags) -> Result<()> {
    let source: PathBuf = Path::new(HOST).join(source.strip_prefix("/").unwrap_or(source));
    mount(Some(&source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .and_then(|()| remount(target, flags))
        .with_context(|| format!("mounting {} on {}", source.display(), target.display()))
}

/// A bind takes no flags; it gets them by being mounted again.
pub(super) fn remount(target: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, target, None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, None::<&str>)
}

pub(super) fn folder(path: &Path, mode: u32) -> Result<()> {
    let made = || -> std::io::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    made().with_context(|| format!("making {}", path.display()))
}
