//! What a build needs of the machine, looked at before it starts rather than minutes into it.

use super::c;
use super::cache::Cache;
use super::go::Toolchain;
use super::manifest::{CLibrary, Item};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// Go's cache after a build of everything for one Kubernetes minor, and the programs themselves.
const COLD_BUILD_BYTES: u64 = 6 << 30;
/// What a program and the linker's temporary files take at most, with a warm cache.
const WARM_BUILD_BYTES: u64 = 1 << 30;

/// Checks that these programs can be built here.
///
/// # Errors
/// What is missing and how to get it.
pub fn check(items: &[&Item<'_>], toolchain: &Toolchain, cache: &Cache) -> Result<()> {
    let c: Vec<_> = items.iter().filter(|item| item.has_c()).collect();
    if let Some(item) = c.first() {
        let words = format!("{} needs a C compiler: apt-get install gcc libc6-dev (or set CC)", item.program.name);
        ensure!(succeeds(&c::compiler(), &["--version"]), words);
    }
    for library in c.iter().flat_map(|item| &item.family.c_libraries) {
        check_library(library)?;
    }
    check_space(&toolchain.cache, COLD_BUILD_BYTES.saturating_sub(size(&toolchain.cache)?).max(WARM_BUILD_BYTES))?;
    check_space(cache.root(), WARM_BUILD_BYTES)
}

fn check_library(library: &CLibrary) -> Result<()> {
    let CLibrary { pkg_config, debian } = library;
    ensure!(succeeds("pkg-config", &["--version"]), "pkg-config is missing: apt-get install pkg-config {debian}");
    ensure!(
        succeeds("pkg-config", &["--exists", pkg_config]),
        "the headers of {pkg_config} are missing: apt-get install {debian}"
    );
    Ok(())
}

fn check_space(folder: &Path, needed: u64) -> Result<()> {
    let existing = folder.ancestors().find(|f| f.exists()).context("no such folder")?;
    let free = number(Command::new("df").args(["--output=avail", "--block-size=1"]).arg(existing))?;
    if free < needed {
        let gib = |bytes: u64| format!("{}.{} GiB", bytes >> 30, (bytes >> 20) % 1024 * 10 / 1024);
        bail!(
            "{} has {} free, this build needs {}: free some, or point ROADSTEAD_CACHE and GOCACHE to a larger disk",
            existing.display(),
            gib(free),
            gib(needed)
        );
    }
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    if folder.exists() { number(Command::new("du").args(["--summarize", "--block-size=1"]).arg(folder)) } else { Ok(0) }
}

/// The first number that a command prints.
fn number(command: &mut Command) -> Result<u64> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().find_map(|word| word.parse().ok()).with_context(|| format!("{command:?} printed no number"))
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let quiet = |c: &mut Command| c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new(program).args(arguments)).is_ok_and(|status| status.success())
}
