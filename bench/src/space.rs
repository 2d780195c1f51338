//! Network namespaces of the harness's own.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A network namespace with its loopback up; removed when this is dropped.
pub struct Space {
    /// What `ip netns` knows it by.
    pub name: String,
}

impl Space {
    /// A new one. `what` tells it from the others of this harness.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(what: &str) -> Result<Space> {
        let space = Space { name: format!("bench{}-{what}", std::process::id()) };
        ip(&["netns", "add", &space.name])?;
        ip(&["-n", &space.name, "link", "set", "lo", "up"])?;
        Ok(space)
    }

    /// Its file.
    pub fn file(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// What it says.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.name], arguments].concat())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It fails only if it is gone already.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

/// Runs `ip`.
///
/// # Errors
/// What it says.
pub fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("starting ip, which is a part of iproute2")?;
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
