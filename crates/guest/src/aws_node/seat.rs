//! Who answers plugins on a node: one daemon at a time, and one always, once there was one.
//!
//! A daemon has an open socket and, as long as it lives, a lock. Another one that is to take its place puts its own socket
//! there first, so that plugins that come from then on wait for it, asks the former to leave, and has the lock when that
//! has ended: only then does it look at what the former has left.

use crate::cni::daemon::{Question, read, write};
use anyhow::{Context as _, Result};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Between two looks at one who holds the lock and does not listen yet, which takes it some microseconds.
const GLANCE: Duration = Duration::from_millis(10);
/// A former daemon that has not ended so long after it was asked to is waited for without an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to answer plugins.
pub struct Seat {
    /// Where plugins ask.
    pub listener: UnixListener,
    _lock: File,
}

impl Seat {
    /// Takes it from whoever has it.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub fn take(socket: &Path) -> Result<Seat> {
        let at = || format!("listening at {}", socket.display());
        let lock = lock_file(socket).with_context(at)?;
        loop {
            match UnixStream::connect(socket) {
                Ok(former) => {
                    let listener = put(socket).with_context(at)?;
                    ask_to_leave(&former);
                    lock.lock().with_context(at)?;
                    return Ok(Seat { listener, _lock: lock });
                }
                // Left over by one that has ended, unless somebody is about to listen.
                Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                    if try_lock(&lock).with_context(at)? {
                        return Ok(Seat { listener: put(socket).with_context(at)?, _lock: lock });
                    }
                }
                Err(_) => {
                    if let Some(listener) = put_first(socket).with_context(at)? {
                        // Whoever has it finds that it came too late.
                        lock.lock().with_context(at)?;
                        return Ok(Seat { listener, _lock: lock });
                    }
                }
            }
            thread::sleep(GLANCE);
        }
    }

    /// Takes it if nobody has or had it.
    ///
    /// # Errors
    /// As above.
    pub fn claim(socket: &Path) -> Result<Option<Seat>> {
        let at = || format!("listening at {}", socket.display());
        let lock = lock_file(socket).with_context(at)?;
        if !try_lock(&lock).with_context(at)? {
            return Ok(None);
        }
        Ok(put_first(socket).with_context(at)?.map(|listener| Seat { listener, _lock: lock }))
    }
}

fn lock_file(socket: &Path) -> io::Result<File> {
    fs::create_dir_all(socket.parent().unwrap_or(Path::new("/")))?;
    File::options().create(true).truncate(false).write(true).open(socket.with_extension("lock"))
}

fn try_lock(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

/// Bound beside and renamed: a plugin never meets a socket that nobody listens at any more.
fn put(socket: &Path) -> io::Result<UnixListener> {
    let next = socket.with_extension("next");
    let _ = fs::remove_file(&next);
    let listener = UnixListener::bind(&next)?;
    fs::rename(&next, socket)?;
    Ok(listener)
}

/// Bound where nobody was before; none: somebody was.
fn put_first(socket: &Path) -> io::Result<Option<UnixListener>> {
    match UnixListener::bind(socket) {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => Ok(None),
        listener => listener.map(Some),
    }
}

/// Returns when it has left, or says something else: one of another version that does not know the question is about to
/// be ended by its kubelet.
fn ask_to_leave(former: &UnixStream) {
    let asked = former.set_read_timeout(Some(PATIENCE)).and_then(|()| write(former, &Question::Leave));
    if asked.is_ok() {
        let _ = read(former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cni::daemon::Envelope;
    use std::sync::mpsc::{TryRecvError, channel};

    #[test]
    fn a_seat_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/ipamd.sock");
        let seat = Seat::claim(&socket).unwrap();
        assert!(seat.is_some() && Seat::claim(&socket).unwrap().is_none());
        drop(seat);
        assert!(Seat::claim(&socket).unwrap().is_none(), "one was there: whoever comes takes its place");
        drop(Seat::take(&socket).unwrap());
        assert!(Seat::take(&socket).is_ok(), "its socket is left over");
    }

    #[test]
    fn a_former_daemon_is_asked_to_leave_and_plugins_wait_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("ipamd.sock");
        let former = Seat::claim(&socket).unwrap().unwrap();
        let (tell, told) = channel();
        let path = socket.clone();
        let taking = thread::spawn(move || {
            let seat = Seat::take(&path).unwrap();
            tell.send(()).unwrap();
            seat
        });
        let (stream, _) = former.listener.accept().unwrap();
        let question: Envelope = read(&stream).unwrap();
        assert!(matches!(question.body().unwrap(), Question::Leave));
        // What comes from now on is the other's, which has not begun.
        let plugin = UnixStream::connect(&socket).unwrap();
        write(&plugin, &Question::Status).unwrap();
        drop(stream);
        assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "it has not ended");
        drop(former);
        let seat = taking.join().unwrap();
        let (stream, _) = seat.listener.accept().unwrap();
        assert!(matches!(read(&stream).unwrap().body().unwrap(), Question::Status));
    }
}
