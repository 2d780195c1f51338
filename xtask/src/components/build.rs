//! Making one program.

use super::go::{self, Toolchain};
use super::manifest::Item;
use super::progress::{Progress, say};
use super::release::{Mirror, Release};
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
    /// What to make.
    pub item: Item<'a>,
    /// By what means.
    means: Means,
    /// The set's folder, with its go.mod and go.sum.
    folder: PathBuf,
}

enum Means {
    Build(Toolchain),
    Fetch(Release),
}

impl<'a> Recipe<'a> {
    /// The recipe for a program of the manifest in the folder `components`: fetched if a mirror is named that has
    /// releases of its family, else built.
    ///
    /// # Errors
    /// There is no Go, or not one that the set accepts; the mirror does not have it.
    pub fn new(components: &Path, mirror: Option<&Mirror>, item: Item<'a>) -> Result<Self> {
        let folder = components.join(&item.set.name);
        let release = mirror.map(|mirror| mirror.release(&item)).transpose()?.flatten();
        let means = match release {
            Some(release) => Means::Fetch(release),
            None => Means::Build(Toolchain::of(&folder)?),
        };
        Ok(Self { means, folder, item })
    }

    /// What builds it; none if it is fetched.
    pub fn toolchain(&self) -> Option<&Toolchain> {
        match &self.means {
            Means::Build(toolchain) => Some(toolchain),
            Means::Fetch(_) => None,
        }
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
        let toolchain = match &self.means {
            Means::Build(toolchain) => toolchain,
            Means::Fetch(release) => return Ok(release.key()),
        };
        let read = |name| fs::read(self.folder.join(name)).with_context(|| format!("{}/{name}", self.folder.display()));
        let (go_mod, go_sum) = (read("go.mod")?, read("go.sum")?);
        let (toolchain, arguments) = (toolchain.fingerprint(), self.arguments().join("\n"));
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

    /// Makes it at `path`, showing how far it is.
    ///
    /// # Errors
    /// What Go, or the mirror, said, and what to do about it.
    pub fn make(&self, path: &Path) -> Result<()> {
        match &self.means {
            Means::Build(_) => self.build(path),
            Means::Fetch(release) => {
                say("fetching", &format!("{} from {}", self.name(), release.place()));
                release.fetch(path)
            }
        }
    }

    fn build(&self, path: &Path) -> Result<()> {
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
