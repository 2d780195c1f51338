//! Pinning: writes a set's `go.mod` and `go.sum`, and its version and date in the manifest.

use super::go;
use super::manifest::{Family, Manifest, Set};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What `go mod download -json` says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
    info: PathBuf,
}

/// What upstream's module proxy knows of a version.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    time: String,
}

/// Moves the set `name` to `version`; `components` is the folder of the manifest, `text` what stands in it.
///
/// # Errors
/// There is no such set or version, or its dependencies don't resolve.
pub fn pin(components: &Path, text: &str, name: &str, version: &str) -> Result<()> {
    let date = release_date(components, text, name, version)?;
    let text = rewritten(text, name, version, &date)?;
    let manifest = Manifest::parse(&text)?;
    let set = manifest.set(name)?;
    let folder = components.join(name);
    fs::create_dir_all(&folder)?;
    let upstream =
        fs::read_to_string(download(components, &manifest.family(set).modules[0], version)?.dir.join("go.mod"))?;
    fs::write(folder.join("go.mod"), go_mod(set, manifest.family(set), &upstream)?)?;
    go::run(go::command(&folder).env("GOFLAGS", "-mod=mod").args(["mod", "tidy"]))?;
    fs::write(components.join("components.toml"), text)?;
    println!("components/{name} is at {version}, released {date}: look at the diff, then build and test it");
    Ok(())
}

fn release_date(components: &Path, text: &str, name: &str, version: &str) -> Result<String> {
    let manifest = Manifest::parse(text)?;
    let module = &manifest.family(manifest.set(name)?).modules[0];
    let info = fs::read_to_string(download(components, module, version)?.info)?;
    Ok(serde_json::from_str::<Info>(&info)?.time)
}

fn download(components: &Path, module: &str, version: &str) -> Result<Downloaded> {
    let at = format!("{module}@v{version}");
    let said = go::run(go::command(components).env("GOFLAGS", "-mod=mod").args(["mod", "download", "-json", &at]))?;
    serde_json::from_str(&said).with_context(|| format!("go mod download {at}"))
}

/// A `go.mod` that builds the set's programs as upstream does: its Go version, its replacements, its own dependencies.
///
/// # Errors
/// The set's version is not three numbers.
pub fn go_mod(set: &Set, family: &Family, upstream: &str) -> Result<String> {
    let mut text = format!("module roadstead/components/{}\n\n", set.name);
    for line in upstream.lines().filter(|l| l.starts_with("go ") || l.starts_with("godebug ")) {
        writeln!(text, "{line}\n")?;
    }
    let required: Vec<_> = family.modules.iter().map(|module| format!("{module} v{}", set.version)).collect();
    let go = family.programs.iter().filter(|program| program.c.is_none());
    let tools: Vec<_> = go.map(|program| program.package.clone()).collect();
    let mut replaced = Vec::new();
    for (module, by) in replacements(upstream) {
        replaced.extend(replacement(set, family, module, by)?.map(|by| format!("{module} => {by}")));
    }
    for (directive, lines) in [("require", required), ("tool", tools), ("replace", replaced)] {
        if !lines.is_empty() {
            writeln!(text, "{directive} (\n\t{}\n)\n", lines.join("\n\t"))?;
        }
    }
    Ok(text)
}

/// `module => by`, from single lines and blocks alike.
fn replacements(go_mod: &str) -> impl Iterator<Item = (&str, &str)> {
    go_mod.lines().filter_map(|line| line.trim().trim_start_matches("replace ").split_once(" => "))
}

/// What stands for upstream's `module => by`. A folder of its own repository is published: either as a twin, or at the
/// version that upstream's requirements name anyway.
fn replacement(set: &Set, family: &Family, module: &str, by: &str) -> Result<Option<String>> {
    let [_, minor, patch] = set.numbers()?;
    Ok(match (by.starts_with('.'), family.twins) {
        (true, true) => Some(format!("{module} v0.{minor}.{patch}")),
        (true, false) => None,
        (false, _) => Some(by.to_owned()),
    })
}

/// The manifest's text with another version and date for one set; comments and order stay.
///
/// # Errors
/// There is no such set.
pub fn rewritten(text: &str, name: &str, version: &str, date: &str) -> Result<String> {
    let start = text.find(&format!("name = \"{name}\"\n")).with_context(|| format!("no set {name}"))?;
    let (before, from) = text.split_at(start);
    let (set, after) = from.split_at(from.find("\n[").unwrap_or(from.len()));
    let line = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
        Some("version") => format!("version = \"{version}\"\n"),
        Some("date") => format!("date = \"{date}\"\n"),
        _ => line.to_owned(),
    };
    let set: String = set.split_inclusive('\n').map(line).collect();
    Ok(format!("{before}{set}{after}"))
}
