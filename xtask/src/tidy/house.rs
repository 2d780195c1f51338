//! House rules about the text of the repository: `house.toml` against every file that git keeps.

use super::metadata::Metadata;
use super::source::{File, Source};
use anyhow::{Context, Result};
use serde::Deserialize;

/// `house.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct House {
    generated: Vec<String>,
    longest: usize,
    largest: usize,
    binary: Vec<String>,
    leftovers: Vec<String>,
    unfinished: Vec<String>,
    forbidden: Vec<Forbidden>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forbidden {
    parts: Vec<String>,
    why: String,
    #[serde(default)]
    but: Vec<String>,
}

impl House {
    /// The rules of this repository.
    ///
    /// # Errors
    /// They are not well formed.
    pub fn committed() -> Result<Self> {
        toml::from_str(include_str!("house.toml")).context("xtask/src/tidy/house.toml")
    }

    /// A sentence for each breach.
    pub fn violations(&self, source: &Source) -> Vec<String> {
        source.files.iter().flat_map(|file| self.violations_of(file)).collect()
    }

    /// A sentence for each breach in one file.
    pub fn violations_of(&self, file: &File) -> Vec<String> {
        let mut found = Vec::new();
        let name = &file.name;
        if self.leftovers.iter().any(|end| name.ends_with(end)) {
            found.push(format!("{name}: looks like something an editor or a merge left behind"));
        }
        if file.bytes.len() > self.largest {
            found.push(format!("{name}: {} bytes, {} at most", file.bytes.len(), self.largest));
        }
        if self.binary.iter().any(|end| name.ends_with(&format!(".{end}"))) {
            return found;
        }
        if std::str::from_utf8(&file.bytes).is_err() || file.bytes.contains(&0) {
            found.push(format!("{name}: is not text; if it must be here, add its ending to house.toml"));
        }
        found.extend(self.of_text(file));
        if file.is_rust() && !self.generated.iter().any(|folder| name.starts_with(folder)) {
            found.extend(self.of_code(file));
        }
        found.extend(of_script(file));
        found
    }

    fn of_text(&self, file: &File) -> Vec<String> {
        let mut found = Vec::new();
        for (index, line) in file.text().lines().enumerate() {
            let place = format!("{}:{}", file.name, index + 1);
            if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
                found.push(format!("{place}: an unresolved merge"));
            }
            for rule in self.forbidden.iter().filter(|rule| !rule.but.contains(&file.name)) {
                let word = rule.parts.concat();
                if names(line, &word) {
                    found.push(format!("{place}: names {word} ({})", rule.why));
                }
            }
        }
        found
    }

    fn of_code(&self, file: &File) -> Vec<String> {
        let mut found = Vec::new();
        if file.lines() > self.longest {
            found.push(format!("{}: {} lines, {} at most: split it", file.name, file.lines(), self.longest));
        }
        for (line, text) in file.code() {
            for word in self.unfinished.iter().filter(|word| text.contains(&format!("{word}("))) {
                found.push(format!("{}:{line}: {word} is unfinished work", file.name));
            }
        }
        found
    }
}

/// Whether the line names the word: a path only where a path begins.
fn names(line: &str, word: &str) -> bool {
    let goes_on = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || "_-./}$*>~".contains(c));
    line.match_indices(word).any(|(at, _)| !word.starts_with('/') || !goes_on(&line[..at]))
}

fn of_script(file: &File) -> Option<String> {
    let name = &file.name;
    let first = file.text().lines().next().unwrap_or_default();
    match (first.starts_with("#!"), file.executable) {
        (false, true) => Some(format!("{name}: may be run, and does not say by what (`#!`)")),
        (true, false) if !file.is_rust() => Some(format!("{name}: begins with #!, and may not be run (chmod +x)")),
        (true, true) if first.contains("sh") && !file.text().contains("\nset -euo pipefail\n") => {
            Some(format!("{name}: a shell script without `set -euo pipefail`"))
        }
        _ => None,
    }
}

/// A sentence for each crate that does not take over the workspace's lints.
pub fn without_lints(metadata: &Metadata, source: &Source) -> Vec<String> {
    let takes_over = |text: &str| {
        let manifest: toml::Table = text.parse().unwrap_or_default();
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let manifest = |package: &super::metadata::Package| {
        let file = source.under(&package.manifest_path).next()?;
        (!takes_over(file.text())).then(|| format!("{}: must have `[lints] workspace = true`", file.name))
    };
    metadata.members().filter_map(manifest).collect()
}
