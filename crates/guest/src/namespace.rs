//! Network namespaces of others: those that a container runtime makes for its pods.

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{FsType, statfs};
use std::fs::File;
use std::path::Path;
use std::{io, panic, thread};

/// `NSFS_MAGIC` of `linux/magic.h`: what a mounted namespace's file is on. (A file of `/proc` is on it, too.)
const NSFS: FsType = FsType(0x6e73_6673);

/// Opens the namespace whose file is `path`. It lives at least as long as the handle.
///
/// # Errors
/// Nothing is there, or what is there is no namespace: what a crash between making the file and mounting it leaves.
pub fn open(path: &Path) -> io::Result<File> {
    if statfs(path)?.filesystem_type() != NSFS {
        let why = format!("{} is no network namespace", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    File::open(path)
}

/// Runs `f` on a short-lived thread inside the namespace: sockets that it opens stay there.
///
/// # Errors
/// The thread can't enter, or `f`'s own.
pub fn run_in<T: Send>(namespace: &File, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let inside = || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        f()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, inside)?;
        thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}
