//! Ours: a region of its own, a cluster in it made and deleted through its API, and nothing left of either.

mod client;

use crate::process::with_last_words;
use crate::running::{self, Running};
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use client::Client;
use serde::Deserialize;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What it is made of.
pub struct Ours<'a> {
    /// The `roadstead` program.
    pub roadstead: &'a Path,
    /// The component cache.
    pub components: &'a Path,
    /// A Python that has boto3.
    pub python: &'a Path,
    /// Its data come into a folder of their own in here.
    pub place: &'a Path,
}

/// What one cluster's life measured.
pub struct Measured {
    /// From CreateCluster until DescribeCluster said ACTIVE.
    pub active: Duration,
    /// From DeleteCluster until DescribeCluster said ResourceNotFoundException.
    pub deleted: Duration,
    /// What ran, of the region too, when the cluster had come to rest.
    pub running: Vec<Running>,
}

/// A region; stopped and removed when it is dropped.
struct Region<'a> {
    ours: &'a Ours<'a>,
    folder: TempDir,
    up: bool,
}

/// What a region keeps of its place on this machine.
#[derive(Deserialize)]
struct Local {
    slot: u8,
}

impl Ours<'_> {
    /// Starts a region, makes a cluster, lets it rest, deletes it, and removes the region.
    ///
    /// # Errors
    /// What went wrong, with the region's last words.
    pub fn measure(&self, wait: &Wait, rest: Duration) -> Result<Measured> {
        let mut region = Region::new(self)?;
        let measured = region.measure(wait, rest);
        let measured = with_last_words(measured, "the region", &region.data().join("log"))?;
        region.down().context("removing the region")?;
        Ok(measured)
    }
}

impl<'a> Region<'a> {
    fn new(ours: &'a Ours<'a>) -> Result<Self> {
        let folder = TempDir::with_prefix_in("roadstead-bench-", ours.place)
            .with_context(|| format!("making a folder in {}", ours.place.display()))?;
        fs::write(folder.path().join("roadstead.toml"), "")?; // in the place of the user's
        Ok(Self { ours, folder, up: false })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("region")
    }

    fn roadstead(&self) -> Command {
        let mut command = Command::new(self.ours.roadstead);
        command.arg("--config").arg(self.folder.path().join("roadstead.toml"));
        command.arg("--data-dir").arg(self.data()).args(["--listen", "127.0.0.1:0"]);
        command.arg("--components").arg(self.ours.components);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROADSTEAD_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = self.roadstead().args(arguments).output();
        let output = output.with_context(|| format!("starting {}", self.ours.roadstead.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "roadstead {}: {}: {said}", arguments.join(" "), output.status);
        Ok(())
    }

    fn measure(&mut self, wait: &Wait, rest: Duration) -> Result<Measured> {
        self.up = true; // from here on there may be something to remove
        self.run(&["up", "--detach"])?;
        let mut client = Client::start(self.ours.python, &self.roadstead(), self.folder.path())?;
        client.tell(wait, "prepare")?;
        let active = client.tell(wait, "create")?;
        client.tell(wait, "answer")?;
        wait.rest(rest)?;
        let running = running::of_region(&self.data(), &self.cgroup()?)?;
        let deleted = client.tell(wait, "delete")?;
        Ok(Measured { active, deleted, running })
    }

    /// What the paths of its machines' cgroups contain.
    fn cgroup(&self) -> Result<String> {
        let local = fs::read(self.data().join("local.json")).context("which slot of this machine the region has")?;
        let local: Local = serde_json::from_slice(&local)?;
        Ok(format!("/roadstead/rs{}/", local.slot))
    }

    fn down(&mut self) -> Result<()> {
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
