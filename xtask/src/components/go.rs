//! The Go toolchain: how it is called, which one it is, what its failures mean.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The toolchain that builds a set, as `go env` says in the set's folder.
#[derive(Clone, Debug, Deserialize)]
pub struct Toolchain {
    /// E.g. `go1.26.8`.
    #[serde(rename = "GOVERSION")]
    pub version: String,
    #[serde(rename = "GOOS")]
    os: String,
    #[serde(rename = "GOARCH")]
    arch: String,
    #[serde(rename = "GOAMD64", default)]
    amd64: String,
    #[serde(rename = "GOARM64", default)]
    arm64: String,
    #[serde(rename = "GOEXPERIMENT", default)]
    experiment: String,
    /// Where it keeps compiled packages.
    #[serde(rename = "GOCACHE")]
    pub cache: PathBuf,
}

/// `go`, in a folder, with the settings under which the same inputs give the same program everywhere.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    for from_outside in ["GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "CGO_CFLAGS", "CGO_LDFLAGS"] {
        command.env_remove(from_outside);
    }
    command
}

/// Runs it to its end and gives what it printed.
///
/// # Errors
/// It could not be started, or failed: with its last words and what to do.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context(INSTALL)?;
    if !output.status.success() {
        let said = [output.stderr, output.stdout].concat(); // with -json it complains on standard output
        bail!("{}", explain(&String::from_utf8_lossy(&said)));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What to do when there is no Go.
pub const INSTALL: &str =
    "`go` can't be started: install Go (https://go.dev/doc/install) and put its bin folder on PATH";

impl Toolchain {
    /// The toolchain that Go itself chooses for the set in `folder`.
    ///
    /// # Errors
    /// There is no Go, or it is older than the set's `go.mod` asks.
    pub fn of(folder: &Path) -> Result<Self> {
        let said = run(command(folder).args(["env", "-json"]))?;
        serde_json::from_str(&said).context("go env -json")
    }

    /// All that makes one toolchain's output differ from another's.
    pub fn fingerprint(&self) -> String {
        let Self { version, os, arch, amd64, arm64, experiment, .. } = self;
        let parts = [version, os, arch, amd64, arm64, experiment];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    }
}

/// Go's complaint, and what to do about it.
pub fn explain(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().filter(|l| !l.starts_with("go: downloading ")).collect();
    let words = lines[lines.len().saturating_sub(20)..].join("\n");
    match remedy(stderr) {
        Some(remedy) => format!("{words}\n\n{remedy}"),
        None => words,
    }
}

fn remedy(stderr: &str) -> Option<&'static str> {
    let says = |(phrases, _): &&(&[&str], _)| phrases.iter().any(|phrase| stderr.contains(phrase));
    REMEDIES.iter().find(says).map(|(_, remedy)| *remedy)
}

/// What Go says when something fails, and what to do then.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["no space left on device"],
        "The disk is full. A cold build needs about 6 GB: free some, or point ROADSTEAD_CACHE and GOCACHE elsewhere.",
    ),
    (
        &["running go 1", "requires go >= ", "toolchain not available"],
        "This Go is too old for what is pinned: install the version that it names, or newer.",
    ),
    (
        &["checksum mismatch", "SECURITY ERROR"],
        "A downloaded module is not the one pinned in go.sum. Don't go on before you know why; `go clean -modcache` \
         removes a damaged download.",
    ),
    (
        &["dial tcp", "no such host", "i/o timeout", "connection refused", "TLS handshake", "module lookup disabled"],
        "The Go module proxy can't be reached. Look at the network and at GOPROXY (`go env GOPROXY`), then run this \
         again: what was built stays.",
    ),
    (
        &["updates to go.mod needed", "missing go.sum entry"],
        "components/ is not as it was committed: `git status components`, or pin the set again (`cargo xtask \
         components --pin NAME=VERSION`).",
    ),
];
