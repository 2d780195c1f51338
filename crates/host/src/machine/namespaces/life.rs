//! Listens to a running machine: its reports, and its end.

use super::super::driver::{Life, News};
use super::wait;
use anyhow::{Context as _, Result, ensure};
use roadstead_guest::{Marks, Report};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Name of init's status socket.
pub const SOCKET: &str = "init.sock";
/// Between tries to reach an init that runs and does not take a connection.
const AGAIN: Duration = Duration::from_millis(200);
/// A report is some hundred bytes per process; whoever is root inside could send anything.
const LONGEST_LINE: u64 = 1 << 20;

/// Begins to listen to the machine whose first process is `pidfd` and whose socket is in `folder`.
pub fn listen(pidfd: OwnedFd, marks: Marks, folder: PathBuf) -> Life {
    let (tell, news) = mpsc::channel(8);
    let machine = marks.machine.clone();
    tokio::spawn(async move {
        if let Err(why) = follow(Arc::new(pidfd), &folder, &tell).await {
            tracing::warn!(machine, "watching PID 1: {why:#}");
        }
    });
    Life { marks, news }
}

/// Passes reports on, over as many connections as it takes, until the machine ends or nobody listens. PID 1's end closes
/// its socket; so might a slow reader's, and then PID 1 is still there.
async fn follow(pidfd: Arc<OwnedFd>, folder: &Path, tell: &mpsc::Sender<News>) -> Result<()> {
    while !tell.is_closed() {
        if let Err(why) = read(folder, tell).await {
            tracing::debug!(folder = %folder.display(), "init's socket: {why:#}");
        }
        let pidfd = pidfd.clone();
        // A pidfd is readable when its process has ended: pidfd_open(2).
        if tokio::task::spawn_blocking(move || wait(&*pidfd, AGAIN)).await?? {
            let why = "PID 1 ended; its log is roadstead/init.log".to_owned();
            // Nobody listens any more if this fails.
            let _ = tell.send(News::Ended(why)).await;
            return Ok(());
        }
    }
    Ok(())
}

async fn read(folder: &Path, tell: &mpsc::Sender<News>) -> Result<()> {
    let mut stream = BufReader::new(connect(folder).await?);
    loop {
        let mut line = Vec::new();
        (&mut stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        ensure!(line.ends_with(b"\n"), "it closed, or sent a line without end");
        let report: Report = serde_json::from_slice(&line).context("a report of another version")?;
        if tell.send(News::Report(report.processes)).await.is_err() {
            return Ok(());
        }
    }
}

/// A socket's path has at most 107 bytes, so the folder is opened and named by its descriptor.
async fn connect(folder: &Path) -> Result<UnixStream> {
    let handle = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let path = Path::new("/proc/self/fd").join(handle.as_raw_fd().to_string()).join(SOCKET);
    UnixStream::connect(path).await.with_context(|| format!("connecting to {SOCKET} in {}", folder.display()))
}
