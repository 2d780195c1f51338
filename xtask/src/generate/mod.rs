//! `cargo xtask gen`: crates/shapes from models/ops.toml and the AWS models that botocore ships.
//!
//! ```text
//! ops.toml ─▶ source (pinned archive → models) ─▶ reach (what operations need) ─▶ emit ─▶ rustfmt ─▶ shapes/src
//! ```
//! The output is committed; `--check` says whether it is what this would write.

mod emit;
mod model;
mod names;
mod ops;
mod reach;
mod source;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Writes nothing; fails if crates/shapes is not what would be written.
    #[arg(long)]
    check: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let root = root();
    let ops = ops::read(&root.join("models/ops.toml"))?;
    let files = generate(&ops, &root)?;
    let folder = root.join("crates/shapes/src");
    if args.check { check(&folder, &files) } else { write(&folder, &files) }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").to_owned()
}

/// File names and texts.
fn generate(ops: &ops::Ops, root: &Path) -> Result<BTreeMap<String, String>> {
    let archive = source::fetch(&ops.botocore)?;
    let models = archive.unpack(ops.services.values().map(|s| s.model.as_str()))?;
    let mut files = BTreeMap::new();
    for (name, service) in &ops.services {
        let model = models.read(&service.model)?;
        let text = emit::service(name, service, &model).with_context(|| format!("generating {name}"))?;
        files.insert(format!("{name}.rs"), rustfmt(&text, root).with_context(|| format!("formatting {name}"))?);
    }
    files.insert("lib.rs".into(), rustfmt(&emit::library(ops), root)?);
    Ok(files)
}

fn rustfmt(text: &str, root: &Path) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt can't be run: rustup component add rustfmt")?;
    // It reads all before it writes, so that the pipes can't block each other.
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt refuses the text");
    Ok(String::from_utf8(output.stdout)?)
}

fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    for stale in strangers(folder, files)? {
        fs::remove_file(folder.join(stale))?;
    }
    for (name, text) in files {
        let path = folder.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("wrote {name}: {} lines", text.lines().count());
        }
    }
    Ok(())
}

fn check(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    let differs = |name: &String| fs::read_to_string(folder.join(name)).ok().as_ref() != files.get(name);
    let mut wrong: Vec<String> = files.keys().filter(|name| differs(name)).cloned().collect();
    wrong.extend(strangers(folder, files)?);
    if !wrong.is_empty() {
        bail!("crates/shapes is not what the models say ({}): run `cargo xtask gen`", wrong.join(", "));
    }
    Ok(())
}

/// Files that stand in the folder and are not ours.
fn strangers(folder: &Path, files: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names: Vec<String> =
        entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    Ok(names.into_iter().filter(|name| !files.contains_key(name)).collect())
}
