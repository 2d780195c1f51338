//! A network namespace that plays the outside of a region's VPCs: one server, that tells its clients who they are there.

use crate::process::{run, try_run};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{Shutdown, shutdown};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long `ip` may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An outside. Removed when it is dropped.
pub struct Outside {
    namespace: String,
    listener: TcpListener,
    server: Option<JoinHandle<()>>,
}

impl Outside {
    /// Where its server is, over HTTP at port 80.
    pub const SERVER: &str = "198.51.100.1";
    /// Addresses that VPCs have there.
    const ADDRESSES: &str = "203.0.113.0/24";

    /// Makes it.
    #[track_caller]
    pub fn start() -> Outside {
        let namespace = format!("e2e-outside-{}", std::process::id());
        ip(&["netns", "add", &namespace]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&["-n", &namespace, "address", "add", &format!("{}/32", Outside::SERVER), "dev", "lo"]);
        let listener = listen(&path(&namespace)).expect("a server can listen in a new namespace");
        let accepts = listener.try_clone().expect("a handle can be copied");
        let server = thread::spawn(move || {
            while let Ok((stream, client)) = accepts.accept() {
                // Whoever does not wait for the answer does not want it.
                thread::spawn(move || drop(answer(stream, client)));
            }
        });
        Outside { namespace, listener, server: Some(server) }
    }

    /// What a region is started with that leads there.
    pub fn flags(&self) -> Vec<String> {
        let path = path(&self.namespace);
        ["--outside", &path, "--outside-addresses", Outside::ADDRESSES].map(str::to_owned).to_vec()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let mut command = Command::new("ip");
        command.args(["netns", "delete", &self.namespace]);
        let _ = try_run(command, None, PATIENCE);
    }
}

fn path(namespace: &str) -> String {
    format!("/run/netns/{namespace}")
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command, None, PATIENCE).text();
}

/// A socket stays in the namespace of the thread that made it.
fn listen(namespace: &str) -> io::Result<TcpListener> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
            TcpListener::bind((Outside::SERVER, 80))
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// Reads a request's head, and says whom it came from.
fn answer(mut stream: TcpStream, client: SocketAddr) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
    let body = client.ip().to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
