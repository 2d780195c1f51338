//! Not written yet.

use anyhow::{Result, bail};

/// Options.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the task.
pub fn run(_: &Args) -> Result<()> {
    bail!("not written yet")
}
