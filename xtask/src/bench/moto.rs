//! moto, an emulator to compare with, in a venv of its own: `bench/moto.txt` pins it.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the folder of the venvs, whose names begin alike: `make clean-cache` removes them all.
const NAME: &str = "venv-moto-";
/// Written last.
const MARK: &str = "whole";

/// A Python that has it, from the cache or installed there.
///
/// # Errors
/// It can't be had, which pip has said why.
pub fn python(cache: &Path) -> Result<PathBuf> {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/moto.txt");
    let text = fs::read(&pins).with_context(|| pins.display().to_string())?;
    let version = Command::new("python3").arg("-VV").output().context("python3 is missing")?.stdout;
    let key: String =
        Sha256::digest([text, version].concat()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let venv = cache.join(format!("{NAME}{key}"));
    let python = venv.join("bin/python");
    if !venv.join(MARK).exists() {
        eprintln!("installing moto into {}", venv.display());
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
        run(Command::new(&python).args(install).args(["--only-binary", ":all:", "--requirement"]).arg(&pins))?;
        fs::write(venv.join(MARK), "")?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
