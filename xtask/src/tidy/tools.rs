//! The checks that other programs make: formatting, generated files, lints, advisories.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// A check by running something.
struct Tool {
    name: &'static str,
    /// `cargo`, or with an empty name this program itself.
    program: &'static str,
    arguments: &'static [&'static str],
    /// What to do when it fails.
    remedy: &'static str,
    /// Whether it compiles the workspace.
    slow: bool,
    /// Whether to go on without it where it is not installed.
    optional: bool,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "formatting",
        program: "cargo",
        arguments: &["fmt", "--all", "--", "--check", "-l"],
        remedy: "run `cargo fmt --all`",
        slow: false,
        optional: false,
    },
    Tool {
        name: "generated files",
        program: "",
        arguments: &["gen", "--check"],
        remedy: "run `cargo xtask gen` and commit what it writes",
        slow: false,
        optional: false,
    },
    Tool {
        name: "lints",
        program: "cargo",
        arguments: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        remedy: "see what clippy says above",
        slow: true,
        optional: false,
    },
    Tool {
        name: "cargo-deny",
        program: "cargo",
        arguments: &["deny", "--log-level=error", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"],
        remedy: "see what it says above, and deny.toml",
        slow: true,
        optional: true,
    },
];

/// A sentence for each tool that is not content; their own words go to the terminal.
///
/// # Errors
/// A tool can't be started.
pub fn violations(root: &Path, fast: bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for tool in TOOLS.iter().filter(|tool| !(fast && tool.slow)) {
        if tool.optional && !tool.is_installed(root)? {
            println!("tidy: {} is not installed: what only it checks is not checked", tool.name);
        } else if !tool.command(root, tool.arguments)?.status().context("starting cargo")?.success() {
            found.push(format!("{}: {}", tool.name, tool.remedy));
        }
    }
    Ok(found)
}

impl Tool {
    fn is_installed(&self, root: &Path) -> Result<bool> {
        let mut command = self.command(root, &[self.arguments[0], "--version"])?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("starting cargo")?.success())
    }

    fn command(&self, root: &Path, arguments: &[&str]) -> Result<Command> {
        let program = match self.program {
            "" => std::env::current_exe()?,
            program => program.into(),
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(root).stdin(Stdio::null());
        Ok(command)
    }
}
