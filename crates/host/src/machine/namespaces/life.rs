//! Listens to a running machine: its reports, and its end.

use super::super::driver::{Life, News};
use super::super::pulse::Pulse;
use super::turn::Line;
use super::{Init, wait};
use anyhow::{Context as _, Result, ensure};
use roadstead_guest::Report;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Name of init's status socket.
pub const SOCKET: &str = "init.sock";
/// Between tries to reach an init that runs and does not take a connection.
const AGAIN: Duration = Duration::from_millis(200);
/// A report is some hundred bytes per process; whoever is root inside could send anything.
const LONGEST_LINE: u64 = 1 << 20;

/// Begins to listen to the machine of this first process, whose socket is in `folder`.
pub(super) fn listen(init: Init, folder: PathBuf, patience: Duration) -> Life {
    let Init { pid, pidfd, marks } = init;
    let (tell, news) = mpsc::channel(8);
    let machine = marks.machine.clone();
    tokio::spawn(async move {
        // The pidfd does not keep the number, but who is told of its end below listens no more.
        let line = Line::of(pid);
        if let Err(why) = follow(Arc::new(pidfd), line, &folder, patience, &tell).await {
            tracing::warn!(machine, "watching PID 1: {why:#}");
        }
    });
    Life { marks, news }
}

/// Passes reports on, over as many connections as it takes, until the machine ends, does not answer, or nobody listens.
/// PID 1's end closes its socket; so might a slow reader's, and then PID 1 is still there.
async fn follow(
    pidfd: Arc<OwnedFd>,
    mut line: Line,
    folder: &Path,
    patience: Duration,
    tell: &mpsc::Sender<News>,
) -> Result<()> {
    let mut pulse = Pulse::new(patience);
    while !tell.is_closed() {
        if let Err(why) = read(folder, &mut pulse, &mut line, tell).await {
            tracing::debug!(folder = %folder.display(), "init's socket: {why:#}");
        }
        if pulse.is_lost() {
            let why = format!("PID 1 did not answer for {} s", patience.as_secs());
            // Nobody listens any more if this fails.
            let _ = tell.send(News::Silent(why)).await;
            return Ok(());
        }
        let pidfd = pidfd.clone();
        // A pidfd is readable when its process has ended: pidfd_open(2).
        if tokio::task::spawn_blocking(move || wait(&*pidfd, AGAIN)).await?? {
            let why = "PID 1 ended; its log is roadstead/init.log".to_owned();
            let _ = tell.send(News::Ended(why)).await;
            return Ok(());
        }
    }
    Ok(())
}

/// Reads reports, and asks for one now and then, until the connection ends or PID 1 is lost.
async fn read(folder: &Path, pulse: &mut Pulse, turns: &mut Line, tell: &mpsc::Sender<News>) -> Result<()> {
    let (reader, mut writer) = connect(folder).await?.into_split();
    let (mut reader, mut line) = (BufReader::new(reader), Vec::new());
    // Whoever connects is greeted.
    pulse.asked();
    while !pulse.is_lost() {
        let (began, pause) = (Instant::now(), pulse.pause());
        let mut rest = (&mut reader).take(LONGEST_LINE - line.len() as u64);
        tokio::select! {
            biased;
            // What was read of a line stays in `line` when the time is over first.
            read = rest.read_until(b'\n', &mut line) => {
                read?;
                ensure!(line.ends_with(b"\n"), "it closed, or sent a line without end");
                let report: Report = serde_json::from_slice(&line).context("a report of another version")?;
                line.clear();
                pulse.answered(report.answers);
                if tell.send(News::Report(report.processes)).await.is_err() {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(pause) => {
                let took = began.elapsed();
                // Who is not let to answer owes nothing.
                let stood = turns.stood(took);
                if pulse.passed(pause.saturating_sub(stood), took) {
                    writer.write_all(b"\n").await?;
                    pulse.asked();
                }
            }
        }
    }
    Ok(())
}

/// A socket's path has at most 107 bytes, so the folder is opened and named by its descriptor.
async fn connect(folder: &Path) -> Result<UnixStream> {
    let handle = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let path = Path::new("/proc/self/fd").join(handle.as_raw_fd().to_string()).join(SOCKET);
    UnixStream::connect(path).await.with_context(|| format!("connecting to {SOCKET} in {}", folder.display()))
}
