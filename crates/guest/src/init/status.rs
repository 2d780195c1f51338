//! Tells whoever connects how the processes are.

use crate::Report;
use anyhow::Result;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

/// Those who listen, and what they were told last.
pub struct Status {
    listener: UnixListener,
    listeners: Vec<UnixStream>,
    last: Report,
}

impl Status {
    /// Nobody listens yet.
    pub fn new(listener: UnixListener) -> Result<Status> {
        listener.set_nonblocking(true)?;
        Ok(Status { listener, listeners: Vec::new(), last: Report { processes: Vec::new(), answers: true } })
    }

    /// Becomes readable when somebody connects or leaves.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.listeners.iter().map(|l| l.as_fd()))
    }

    /// Greets those who came, answers those who ask, forgets those who went. Who came too late to hear `last` is told it.
    pub fn attend(&mut self) {
        let line = line(&self.last);
        self.listeners.retain_mut(|listener| match hear(listener) {
            Heard::Nothing => true,
            Heard::Question => listener.write_all(&line).is_ok(),
            Heard::End => false,
        });
        while let Ok((mut came, _)) = self.listener.accept() {
            if came.set_nonblocking(true).is_ok() && came.write_all(&line).is_ok() {
                self.listeners.push(came);
            }
        }
    }

    /// Tells everybody, if it is news. Who is too slow to take it is dropped: it must connect again.
    pub fn tell(&mut self, report: Report) {
        if report != self.last {
            let line = line(&report);
            self.listeners.retain_mut(|l| l.write_all(&line).is_ok());
            self.last = report;
        }
    }
}

/// What somebody at the other end has said.
enum Heard {
    Nothing,
    /// Whatever it was.
    Question,
    End,
}

fn hear(stream: &mut UnixStream) -> Heard {
    match stream.read(&mut [0; 64]) {
        Ok(0) => Heard::End,
        Ok(_) => Heard::Question,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
        Err(_) => Heard::End,
    }
}

fn line(report: &Report) -> Vec<u8> {
    let mut line = serde_json::to_vec(report).expect("a report has no map keys but strings");
    line.push(b'\n');
    line
}
