//! Programs in C that upstream keeps beside its Go: how they are compiled.

use super::go;
use super::manifest::{C, Item};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `$CC`, or the system's compiler.
pub fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

/// Which compiler it is: the first line of its `--version`; empty if there is none.
pub fn fingerprint() -> String {
    let output = Command::new(compiler()).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.lines().next().unwrap_or_default().to_owned()
}

/// The compiler's arguments but for the files: as upstream's Makefiles have them. Static, so that an image holds nothing
/// but the program.
pub fn arguments(c: &C) -> Vec<String> {
    let ours = ["-Os", "-Wall", "-Werror", "-static", "-s"].map(str::to_owned);
    ours.into_iter().chain(c.flags.iter().cloned()).chain(c.files.iter().cloned()).collect()
}

/// Compiles a program of the set in `folder` to `path`.
///
/// # Errors
/// What the compiler said.
pub fn build(folder: &Path, item: &Item<'_>, c: &C, path: &Path) -> Result<()> {
    let module = &item.family.modules[0];
    let inside = item.program.package.strip_prefix(module.as_str()).map(|path| path.trim_start_matches('/'));
    let sources = source(folder, module)?.join(inside.with_context(|| format!("not a folder of {module}"))?);
    let mut command = Command::new(compiler());
    let output = command.current_dir(sources).args(arguments(c)).arg("-o").arg(path).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {}", compiler()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Where Go keeps the module's source, downloaded and checked against go.sum.
fn source(folder: &Path, module: &str) -> Result<PathBuf> {
    go::run(go::command(folder).args(["mod", "download", module]))?;
    let said = go::run(go::command(folder).args(["list", "-m", "-f", "{{.Dir}}", module]))?;
    Ok(PathBuf::from(said.trim()))
}
