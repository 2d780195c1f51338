//! What a node's containerd begins with: the images of its machine image, unpacked. EC2 makes a root volume from its AMI's
//! snapshot; here the agent has the snapshot made once for all nodes of a kind (`guest node snapshot`) and shows it to
//! them, and each lays it under its own `/var/lib/containerd`: databases and manifests are copied, some hundred
//! kilobytes; layers are mounted read-only. So no node spends time or disk on them, and all share one page cache.

use super::{say, write};
use crate::{ImageArchive, SnapshotOrder};
use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_hostspec::SystemImage;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where a node sees its snapshot.
const FOLDER: &str = "/opt/images";
/// Names the snapshot: in its folder, and in what was begun from it.
const KEY: &str = SnapshotOrder::KEY;
/// Containerd's folders and files, below its root.
const DATABASES: [&str; 2] =
    ["io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db"];
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
const LAYERS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";

/// On an image that has it, kubelet's garbage collection leaves it alone: nothing brings these back.
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// Where `ctr` finds containerd, if nobody says.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// Blobs up to so many bytes are copied: configurations and manifests, and what containerd's garbage collection may want
/// to remove, as it cannot what is mounted. Layers, which images refer to, are larger.
const SMALL: u64 = 64 << 10;
/// For containerd to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lays the snapshot under containerd's root, before containerd starts. What was begun from another snapshot is begun
/// anew: its layers are not there any more, and kubelet makes its containers again as after any restart of a machine.
pub fn lay(root: &Path) -> Result<()> {
    let folder = Path::new(FOLDER);
    let Ok(key) = fs::read_to_string(folder.join(KEY)) else {
        say(&format!("there is no snapshot at {FOLDER}: every image must be pulled"));
        return Ok(());
    };
    if fs::read_to_string(root.join(KEY)).ok().as_ref() != Some(&key) {
        begin(folder, root).with_context(|| format!("beginning {} from {FOLDER}", root.display()))?;
        write(&root.join(KEY), 0o644, key.as_bytes())?;
    }
    for blob in entries(&folder.join(BLOBS))? {
        if fs::metadata(&blob)?.len() > SMALL {
            share(&blob, &root.join(BLOBS).join(name(&blob)?))?;
        }
    }
    for layer in entries(&folder.join(LAYERS))? {
        let target = root.join(LAYERS).join(name(&layer)?);
        fs::create_dir_all(target.join("work")).with_context(|| target.display().to_string())?;
        share(&layer.join("fs"), &target.join("fs"))?;
    }
    Ok(())
}

fn begin(folder: &Path, root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    for database in DATABASES {
        let target = root.join(database);
        fs::create_dir_all(target.parent().context("it has no folder")?)?;
        fs::copy(folder.join(database), target)?;
    }
    for path in [BLOBS, LAYERS] {
        fs::create_dir_all(root.join(path))?;
    }
    for blob in entries(&folder.join(BLOBS))? {
        if fs::metadata(&blob)?.len() <= SMALL {
            fs::copy(&blob, root.join(BLOBS).join(name(&blob)?))?;
        }
    }
    Ok(())
}

fn name(path: &Path) -> Result<&OsStr> {
    path.file_name().with_context(|| format!("{} has no name", path.display()))
}

/// Mounts what the agent shows, which nobody may write to, unless it is there already.
fn share(source: &Path, target: &Path) -> Result<()> {
    let is_folder = fs::metadata(source).with_context(|| source.display().to_string())?.is_dir();
    match (fs::metadata(target), is_folder) {
        (Ok(there), _) if is_same(&there, &fs::metadata(source)?) => return Ok(()),
        (Ok(_), _) => {}
        (Err(_), true) => fs::create_dir_all(target).with_context(|| format!("making {}", target.display()))?,
        (Err(_), false) => write(target, 0o444, b"")?,
    }
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("mounting {} on {}", source.display(), target.display()))
}

fn is_same(one: &fs::Metadata, two: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (two.dev(), two.ino())
}

/// `guest node snapshot`: makes one, as the agent orders on standard input. In namespaces of its own, so that nothing of
/// it is left but the folder, whatever happens.
pub fn make() -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context("reading the order")?;
    let order: SnapshotOrder = serde_json::from_slice(&text).context("reading the order")?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC)
        .context("making namespaces (this needs root)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts private")?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, none)
        .context("mounting /run")?;
    let mut containerd = start(&order)?;
    let imported = wait_for(&mut containerd).and_then(|()| import(&order));
    kill(Pid::from_raw(i32::try_from(containerd.id())?), Signal::SIGTERM).context("ending containerd")?;
    containerd.wait().context("ending containerd")?;
    imported
}

/// Containerd with as little of it as imports images.
fn start(order: &SnapshotOrder) -> Result<Child> {
    const CONFIG: &str = "/run/containerd.toml";
    let root = order.folder.display();
    let config = format!(
        "version = 4
root = '{root}'
state = '/run/containerd'
disabled_plugins = [
  'io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime',
  'io.containerd.nri.v1.nri', 'io.containerd.internal.v1.restart', 'io.containerd.monitor.container.v1.restart',
]
"
    );
    write(Path::new(CONFIG), 0o600, config.as_bytes())?;
    let mut command = Command::new(order.programs.join("containerd"));
    command.args(["--config", CONFIG, "--log-level", "error"]).env("TMPDIR", "/run").stdin(Stdio::null());
    command.spawn().with_context(|| format!("running {}", order.programs.join("containerd").display()))
}

fn wait_for(containerd: &mut Child) -> Result<()> {
    let began = Instant::now();
    while UnixStream::connect(SOCKET).is_err() {
        if let Some(status) = containerd.try_wait()? {
            bail!("containerd ended: {status}");
        }
        ensure!(began.elapsed() < PATIENCE, "containerd does not come up");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Imports all images, side by side.
fn import(order: &SnapshotOrder) -> Result<()> {
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let imports: Vec<_> = order
            .archives
            .iter()
            .map(|archive| scope.spawn(|| import_one(&order.programs, &order.region, archive)))
            .collect();
        imports.into_iter().map(|import| import.join().unwrap_or_else(|_| bail!("an import panicked"))).collect()
    });
    results.into_iter().collect()
}

/// Imports an image, with the `ctr` in that folder, under its name in a region's registry.
pub fn import_one(programs: &Path, region: &str, archive: &ImageArchive) -> Result<()> {
    let repository = format!("{}/{}", SystemImage::registry(region), archive.repository);
    let name = format!("{repository}:{}", archive.tag);
    let path = archive.path.display().to_string();
    ctr(programs, &["import", "--base-name", &repository, &path]).with_context(|| format!("importing {name}"))?;
    ctr(programs, &["label", &name, PINNED]).with_context(|| format!("pinning {name}"))
}

/// Runs `ctr images` in the namespace that kubelet's images are in.
fn ctr(programs: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new(programs.join("ctr"));
    command.args(["--namespace", "k8s.io", "images"]).args(args).env("TMPDIR", "/run").stdin(Stdio::null());
    let output = command.output().context("running ctr")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ctr images {}: {}", args.join(" "), said.trim());
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}
