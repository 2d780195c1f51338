//! A region of the harness's own, and what it is asked through boto3. Nothing is left of it.

mod client;

pub use client::Client;

use crate::process::with_last_words;
use crate::running;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a region is made of.
#[derive(clap::Args)]
pub struct Parts {
    /// The `roadstead` program.
    #[arg(long)]
    pub roadstead: PathBuf,
    /// The component cache.
    #[arg(long)]
    pub components: PathBuf,
    /// A Python that has boto3.
    #[arg(long)]
    pub python: PathBuf,
    /// A folder on the disk to use; everything put there is removed again.
    #[arg(long, default_value = "/var/tmp")]
    pub place: PathBuf,
}

/// A region; stopped and removed when it is dropped.
pub struct Region<'a> {
    parts: &'a Parts,
    folder: TempDir,
    up: bool,
}

/// What a region keeps of its place on this machine.
#[derive(Deserialize)]
struct Local {
    slot: u8,
}

impl<'a> Region<'a> {
    /// Does something with a region of its own, which is removed afterwards.
    ///
    /// # Errors
    /// What went wrong, with the last words in the region's logs, which are `whose`; or something of it is left.
    pub fn used<T>(parts: &'a Parts, whose: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut region = Self::new(parts)?;
        let done = work(&mut region);
        let done = with_last_words(done, whose, &region.logs())?;
        region.down().context("removing the region")?;
        Ok(done)
    }

    /// One that has not been started.
    ///
    /// # Errors
    /// There is no room for its folder.
    pub fn new(parts: &'a Parts) -> Result<Self> {
        let place = parts.place.canonicalize().with_context(|| format!("the place {}", parts.place.display()))?;
        let folder = TempDir::with_prefix_in("roadstead-bench-", &place)
            .with_context(|| format!("making a folder in {}", place.display()))?;
        fs::write(folder.path().join("roadstead.toml"), "")?; // in the place of the user's
        Ok(Self { parts, folder, up: false })
    }

    /// Where its data are.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("region")
    }

    /// Where its logs are.
    pub fn logs(&self) -> PathBuf {
        self.data().join("log")
    }

    /// Its program with the options that mean this region.
    pub fn roadstead(&self) -> Command {
        let mut command = Command::new(&self.parts.roadstead);
        command.arg("--config").arg(self.folder.path().join("roadstead.toml"));
        command.arg("--data-dir").arg(self.data()).args(["--listen", "127.0.0.1:0"]);
        command.arg("--components").arg(&self.parts.components);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROADSTEAD_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts it, or starts it again.
    ///
    /// # Errors
    /// What it says.
    pub fn up(&mut self) -> Result<()> {
        self.up = true; // from here on there may be something to remove
        self.run(&["up", "--detach"]).map(drop)
    }

    /// Runs one of its commands; what that prints.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.roadstead().args(arguments).output();
        let output = output.with_context(|| format!("starting {}", self.parts.roadstead.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "roadstead {}: {}: {said}", arguments.join(" "), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A boto3 program that speaks with it, as its admin.
    ///
    /// # Errors
    /// It can't be started.
    pub fn client(&self) -> Result<Client> {
        self.client_of(client::PROGRAM)
    }

    /// Another program of that kind.
    ///
    /// # Errors
    /// It can't be started.
    pub fn client_of(&self, program: &str) -> Result<Client> {
        Client::start(program, &self.parts.python, &self.roadstead(), self.folder.path())
    }

    /// What the paths of its machines' cgroups contain.
    ///
    /// # Errors
    /// The region never ran.
    pub fn cgroup(&self) -> Result<String> {
        let local = fs::read(self.data().join("local.json")).context("which slot of this machine the region has")?;
        let local: Local = serde_json::from_slice(&local)?;
        Ok(format!("/roadstead/rs{}/", local.slot))
    }

    /// Stops it and removes all of it.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn down(&mut self) -> Result<()> {
        let cgroup = self.cgroup()?;
        self.run(&["down", "--purge"])?;
        self.up = false;
        let left = running::of_region(&self.data(), &cgroup)?;
        ensure!(left.is_empty(), "{} processes are left after `roadstead down --purge`", left.len());
        Ok(())
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        if self.up
            && let Err(error) = self.run(&["down", "--purge"])
        {
            eprintln!("the region in {} could not be removed: {error:#}", self.data().display());
            eprintln!("try again: roadstead --data-dir {} down --purge", self.data().display());
            self.folder.disable_cleanup(true);
        }
    }
}
