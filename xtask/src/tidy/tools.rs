//! The checks that other programs make: formatting, generated files, lints, advisories.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// A check by running something.
struct Tool {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What to do when it fails.
    remedy: &'static str,
    /// Whether it compiles the workspace.
    slow: bool,
}

const TOOLS: &[Tool] = &[
    Tool { name: "formatting", arguments: &["fmt", "--all", "--check"], remedy: "run `cargo fmt --all`", slow: false },
    Tool {
        name: "generated files",
        arguments: &["run", "--quiet", "--package", "xtask", "--", "gen", "--check"],
        remedy: "run `cargo xtask gen` and commit what it writes",
        slow: false,
    },
    Tool {
        name: "lints",
        arguments: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        remedy: "see above",
        slow: true,
    },
    Tool { name: "cargo-deny", arguments: &["deny", "check"], remedy: "see above and deny.toml", slow: true },
];

/// A sentence for each tool that is not content; their own words go to the terminal.
///
/// # Errors
/// Cargo can't be started.
pub fn violations(root: &Path, fast: bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for tool in TOOLS.iter().filter(|tool| !(fast && tool.slow)) {
        if tool.name == "cargo-deny"
            && !cargo(root, &["deny", "--version"]).stderr(Stdio::null()).stdout(Stdio::null()).status()?.success()
        {
            println!("tidy: cargo-deny is not installed: advisories are not checked (licences are)");
            continue;
        }
        let status = cargo(root, tool.arguments).status().context("starting cargo")?;
        if !status.success() {
            found.push(format!("{}: {}", tool.name, tool.remedy));
        }
    }
    Ok(found)
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments).current_dir(root).stdin(Stdio::null());
    command
}
