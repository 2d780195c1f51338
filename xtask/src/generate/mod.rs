//! `cargo xtask gen`: crates/shapes and docs/api.md from models/ops.toml and the AWS models that botocore ships.
//!
//! ```text
//! ops.toml ─▶ source (pinned archive → models) ─┬▶ reach (what operations need) ─▶ emit ─▶ rustfmt ─▶ shapes/src
//!                                               └▶ api ─▶ docs/api.md
//! ```
//! The output is committed; `--check` says whether it is what this would write.

mod api;
mod declared;
mod emit;
mod model;
mod names;
mod ops;
mod reach;
mod source;
#[cfg(test)]
mod tests;

pub use declared::Declared;

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Writes nothing; fails if crates/shapes and docs/api.md are not what would be written.
    #[arg(long)]
    check: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let root = root();
    let (ops, models) = read(&root)?;
    let files = generate(&ops, &models, &root)?;
    let folder = root.join("crates/shapes/src");
    let page = (root.join("docs/api.md"), page(&ops, &models)?);
    if args.check {
        check(&folder, &files)?;
        ensure!(is_same(&page.0, &page.1), "docs/api.md is not what models/ops.toml says: run `cargo xtask gen`");
        return Ok(());
    }
    write(&folder, &files)?;
    put(&page.0, &page.1)
}

/// The operations that we serve, and the errors of their own that they declare.
///
/// # Errors
/// The models can't be had.
pub fn declared() -> Result<Vec<Declared>> {
    let (ops, models) = read(&root())?;
    declared::all(&ops, &models)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").to_owned()
}

fn read(root: &Path) -> Result<(ops::Ops, source::Models)> {
    let ops = ops::read(&root.join("models/ops.toml"))?;
    let archive = source::fetch(&ops.botocore)?;
    let models = archive.unpack(ops.services.values().map(|s| s.model.as_str()))?;
    Ok((ops, models))
}

/// File names and texts.
fn generate(ops: &ops::Ops, models: &source::Models, root: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (name, service) in &ops.services {
        let mut model = models.read(&service.model)?;
        for (shape, values) in &service.values {
            let known = model.shapes.get_mut(shape).with_context(|| format!("{name} has no shape {shape}"))?;
            known.values.retain(|known| values.iter().all(|ours| names::variant(ours) != names::variant(known)));
            known.values.extend(values.iter().cloned());
        }
        let text = emit::service(name, service, &model).with_context(|| format!("generating {name}"))?;
        files.insert(format!("{name}.rs"), rustfmt(&text, root).with_context(|| format!("formatting {name}"))?);
    }
    files.insert("lib.rs".into(), rustfmt(&emit::library(ops), root)?);
    Ok(files)
}

/// The text of docs/api.md.
fn page(ops: &ops::Ops, models: &source::Models) -> Result<String> {
    let mut text = api::head();
    for (name, service) in &ops.services {
        text += &api::service(name, service, &models.read(&service.model)?);
    }
    Ok(text)
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
    files.iter().try_for_each(|(name, text)| put(&folder.join(name), text))
}

fn put(path: &Path, text: &str) -> Result<()> {
    if !is_same(path, text) {
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}: {} lines", path.display(), text.lines().count());
    }
    Ok(())
}

fn is_same(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

fn check(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    let differs = |(name, text): &(&String, &String)| !is_same(&folder.join(name), text);
    let mut wrong: Vec<String> = files.iter().filter(differs).map(|(name, _)| name.clone()).collect();
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
