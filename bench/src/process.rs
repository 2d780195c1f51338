//! Programs that the harness runs: they end with it, however it ends.

use crate::wait::Interrupted;
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that runs until this is dropped.
pub struct Process {
    argv: Vec<String>,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts it; what it says goes to `FOLDER/NAME.log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(folder: &Path, name: &str, argv: Vec<String>) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        Ok(Self { child: spawn(&argv, &log)?, argv, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again if it ended, as an init would; true if it had.
    ///
    /// # Errors
    /// It can't be started.
    pub fn keep(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_none() {
            return Ok(false);
        }
        self.child = spawn(&self.argv, &self.log)?;
        Ok(true)
    }
}

impl Drop for Process {
    /// Its data are removed next, so there is nothing to end gently.
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `setpriv` asks the kernel to kill the program when the harness ends, should that come without a farewell. A process
/// group of its own keeps the terminal's Ctrl-C from it: the harness stops things in its own order.
fn spawn(argv: &[String], log: &Path) -> Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL").args(argv).process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start setpriv, which is a part of util-linux")
}

/// Lets nobody wait for the disk on another's behalf: writes what is still to be written, and reads the programs once.
///
/// # Errors
/// One can't be read.
pub fn settle(programs: &[PathBuf]) -> Result<()> {
    Command::new("sync").status().context("starting sync")?;
    for path in programs {
        let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        std::io::copy(&mut file, &mut std::io::sink())?;
    }
    Ok(())
}

/// Puts what the logs in `folder` end with in front of an error, unless it is that the user wants to stop.
///
/// # Errors
/// The result's own.
pub fn with_last_words<T>(result: Result<T>, what: &str, folder: &Path) -> Result<T> {
    match result {
        Err(error) if !error.is::<Interrupted>() => Err(error.context(format!("{what}:\n{}", last_words(folder)))),
        result => result,
    }
}

fn last_words(folder: &Path) -> String {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.sort();
    let words = |path: &PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().rev().take(4).collect();
        let lines: String = lines.into_iter().rev().map(|line| format!("    {line}\n")).collect();
        format!("  {}\n{lines}", path.file_name().unwrap_or_default().display())
    };
    logs.iter().map(words).collect()
}
