//! Network namespaces with a name: `/run/netns/NAME`, as `ip netns` makes and shows them.
//!
//! A namespace stays while its file is mounted, whatever process ends. Entering one is a matter of a thread: the
//! functions here use a short-lived thread of their own, so no thread of the agent ever stays in a foreign namespace.
//! All of them block for well under a millisecond, but for what a caller's closure does.

use super::netlink::Netlink;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, statfs};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{panic, thread};

const DIR: &str = "/run/netns";

/// `NSFS_MAGIC` of `linux/magic.h`: what a mounted namespace's file is on.
const NSFS: FsType = FsType(0x6e73_6673);

/// The file of the namespace `name`.
pub fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Makes the namespace `name` with its loopback up. One that exists is kept as it is.
pub fn create(name: &str) -> io::Result<()> {
    let path = path(name);
    prepare_dir()?;
    if is_mounted(&path)? {
        return Ok(());
    }
    // A file that is not mounted is what a crash between the two steps leaves.
    ignore(fs::remove_file(&path), io::ErrorKind::NotFound)?;
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o400).open(&path)?;
    on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netlink::open()?.set_up("lo")?;
        bind(Path::new("/proc/thread-self/ns/net"), &path)
    })
    .inspect_err(|_| drop(fs::remove_file(&path)))
}

/// Takes the name off the namespace; it ends, with its interfaces, when nobody is inside. One that is gone is fine.
pub fn delete(name: &str) -> io::Result<()> {
    let path = path(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    ignore(fs::remove_file(&path), io::ErrorKind::NotFound)
}

/// Names of the namespaces that begin with `prefix`, sorted.
pub fn list(prefix: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(DIR) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    Ok(names)
}

/// Runs `f` on a thread inside the namespace `name`. Sockets that it opens stay in the namespace, processes that it
/// starts begin there, `/proc/sys/net` is the namespace's. (`/proc/net` is not: that belongs to the process.)
pub fn run_in<T: Send>(name: &str, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    run_in_path(&path(name), f)
}

/// [`run_in`] for the namespace whose file is `path`.
pub fn run_in_path<T: Send>(path: &Path, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = open(path)?;
    on_own_thread(|| {
        setns(&namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(f())
    })
}

/// Opens the namespace whose file is `path`. It lives at least as long as the handle.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if !is_mounted(path)? {
        let why = format!("no network namespace stands at {}", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    File::open(path)
}

fn on_own_thread<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, f)?;
        thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}

fn is_mounted(path: &Path) -> io::Result<bool> {
    match statfs(path) {
        Ok(fs) => Ok(fs.filesystem_type() == NSFS),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes the folder a shared mount, as `ip netns add` does: what is mounted and unmounted in it shows in every mount
/// namespace that was copied from this one, so no copy keeps a deleted namespace alive.
fn prepare_dir() -> io::Result<()> {
    ignore(DirBuilder::new().mode(0o755).create(DIR), io::ErrorKind::AlreadyExists)?;
    let _lock = Flock::lock(File::open(DIR)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let share = || mount(None::<&str>, DIR, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    if share() == Err(Errno::EINVAL) {
        mount(Some(DIR), DIR, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        share()?;
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    Ok(mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
}

fn ignore(result: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        other => other,
    }
}
