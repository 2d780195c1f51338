//! Building one program.

use super::go::{self, Toolchain};
use super::manifest::Item;
use super::progress::Progress;
use super::{c, cache};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// One program, and all that decides what its bytes are.
pub struct Recipe<'a> {
    /// What to build.
    pub item: Item<'a>,
    /// With what.
    pub toolchain: Toolchain,
    /// The set's folder, with its go.mod and go.sum.
    folder: PathBuf,
}

impl<'a> Recipe<'a> {
    /// The recipe for a program of the manifest in the folder `components`.
    ///
    /// # Errors
    /// There is no Go, or not one that the set accepts.
    pub fn new(components: &Path, item: Item<'a>) -> Result<Self> {
        let folder = components.join(&item.set.name);
        Ok(Self { toolchain: Toolchain::of(&folder)?, folder, item })
    }

    /// `kubernetes-1.36.3/kube-apiserver`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.item.set.view(), self.item.program.name)
    }

    /// Changes whenever the program would.
    ///
    /// # Errors
    /// The set's go.mod or go.sum can't be read.
    pub fn key(&self) -> Result<String> {
        let read = |name| fs::read(self.folder.join(name)).with_context(|| format!("{}/{name}", self.folder.display()));
        let (go_mod, go_sum) = (read("go.mod")?, read("go.sum")?);
        let (toolchain, arguments) = (self.toolchain.fingerprint(), self.arguments().join("\n"));
        let c = match &self.item.program.c {
            Some(_) => c::fingerprint(),
            None => self.cgo().to_owned(),
        };
        Ok(cache::key([&go_mod, &go_sum, toolchain.as_bytes(), arguments.as_bytes(), c.as_bytes()]))
    }

    fn cgo(&self) -> &'static str {
        if self.item.family.cgo { "1" } else { "0" }
    }

    fn arguments(&self) -> Vec<String> {
        let Item { family, program, .. } = self.item;
        if let Some(c) = &program.c {
            return c::arguments(c);
        }
        let mut arguments = vec!["-trimpath".to_owned(), "-buildvcs=false".to_owned()];
        if !family.tags.is_empty() {
            arguments.push(format!("-tags={}", family.tags.join(",")));
        }
        arguments.extend([format!("-ldflags={}", self.item.ldflags()), program.package.clone()]);
        arguments
    }

    /// Builds it to `path`, showing how far it is.
    ///
    /// # Errors
    /// What Go said, and what to do about it.
    pub fn build(&self, path: &Path) -> Result<()> {
        let mut progress = Progress::start(&self.name());
        let result = match &self.item.program.c {
            Some(c) => c::build(&self.folder, &self.item, c, path),
            None => {
                let mut command = go::command(&self.folder);
                command.env("CGO_ENABLED", self.cgo()).args(["build", "-v", "-o"]).arg(path).args(self.arguments());
                watch(&mut command, &mut progress)
            }
        };
        progress.end(result.is_ok());
        result.with_context(|| format!("building {}", self.name()))
    }
}

/// Runs Go, feeding what it prints to `progress`.
fn watch(command: &mut Command, progress: &mut Progress) -> Result<()> {
    let mut go = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context(go::INSTALL)?;
    let lines = lines_of(go.stderr.take().expect("it is piped"));
    let mut said = String::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                progress.line(&line);
                said += &line;
                said.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.tick();
    }
    if !go.wait()?.success() {
        bail!("{}", go::explain(&said));
    }
    Ok(())
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
