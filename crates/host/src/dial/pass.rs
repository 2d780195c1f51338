//! Descriptors over a unix socket (`SCM_RIGHTS`, unix(7)).

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sends the bytes; `passed` rides on the first.
pub(super) async fn send(stream: &UnixStream, mut bytes: &[u8], passed: OwnedFd) -> io::Result<()> {
    let mut riding = Some([passed.as_raw_fd()]);
    while !bytes.is_empty() {
        let rights = riding.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        let rights = rights.as_slice();
        let send = || {
            let flags = MsgFlags::MSG_NOSIGNAL;
            Ok(sendmsg::<UnixAddr>(stream.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None)?)
        };
        let sent = stream.async_io(Interest::WRITABLE, send).await?;
        bytes = &bytes[sent..];
        riding = None;
    }
    Ok(())
}

/// Receives one byte and the descriptor that rides on it, if any.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    stream.async_io(Interest::READABLE, || receive_now(stream.as_raw_fd())).await
}

#[expect(unsafe_code, reason = "nix hands received descriptors over as plain numbers")]
fn receive_now(stream: RawFd) -> io::Result<(u8, Option<OwnedFd>)> {
    let (mut byte, mut control) = ([0], cmsg_space!(RawFd));
    let mut into = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<UnixAddr>(stream, &mut into, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let received = message.bytes;
    let mut passed = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just made these descriptors for this process, and nothing else knows them.
            passed = fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).next();
        }
    }
    match received {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the host agent closed the connection")),
        _ => Ok((byte[0], passed)),
    }
}
