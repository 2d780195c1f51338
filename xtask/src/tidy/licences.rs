//! What we link, by licence and by name: `deny.toml`'s lists against `cargo metadata`.
//!
//! cargo-deny does this too and more, but takes minutes to compile: this is what `tidy --fast` has of it.

use super::metadata::{Metadata, Package};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// What tidy reads of `deny.toml`.
#[derive(Deserialize)]
pub struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

impl Deny {
    /// Reads `deny.toml`.
    ///
    /// # Errors
    /// It is not well formed.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("deny.toml")
    }

    /// A sentence for each package that we may not link.
    pub fn violations(&self, metadata: &Metadata) -> Vec<String> {
        let others = metadata.packages.iter().filter(|package| !metadata.is_ours(package));
        let mut found: Vec<_> = others.flat_map(|package| self.violations_of(package)).collect();
        for package in metadata.members() {
            let wild = package.dependencies.iter().filter(|d| d.req == "*" && d.source.is_some());
            found.extend(wild.map(|d| format!("{} takes any version of {}: name one", package.name, d.name)));
        }
        found
    }

    fn violations_of(&self, package: &Package) -> Vec<String> {
        let Package { name, version, license, .. } = package;
        let banned = self.bans.deny.iter().find(|ban| ban.name == *name);
        let mut found: Vec<_> =
            banned.map(|ban| format!("{name} {version} is not wanted: {}", ban.reason)).into_iter().collect();
        if package.source.as_deref().is_some_and(|source| !source.starts_with("registry+")) {
            found.push(format!("{name} {version} does not come from the registry"));
        }
        match license.as_deref().map(|license| self.permits(license)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => {
                let license = license.as_deref().unwrap_or_default();
                found.push(format!("{name} {version} is under {license}, which deny.toml does not allow"));
            }
            Some(Err(error)) => found.push(format!("{name} {version}: {error:#}")),
            None => found.push(format!("{name} {version} names no licence")),
        }
        found
    }

    /// Whether the allowed licences satisfy an SPDX expression.
    ///
    /// # Errors
    /// It is no such expression.
    pub fn permits(&self, expression: &str) -> Result<bool> {
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut words = spaced.split_whitespace().peekable();
        let permits = self.any(&mut words).with_context(|| format!("licence {expression:?}"))?;
        ensure!(words.next().is_none(), "licence {expression:?} goes on after its end");
        Ok(permits)
    }

    fn any<'a>(&self, words: &mut Words<impl Iterator<Item = &'a str>>) -> Result<bool> {
        let mut permits = self.every(words)?;
        while words.next_if_eq(&"OR").is_some() {
            permits |= self.every(words)?;
        }
        Ok(permits)
    }

    fn every<'a>(&self, words: &mut Words<impl Iterator<Item = &'a str>>) -> Result<bool> {
        let mut permits = self.one(words)?;
        while words.next_if_eq(&"AND").is_some() {
            permits &= self.one(words)?;
        }
        Ok(permits)
    }

    fn one<'a>(&self, words: &mut Words<impl Iterator<Item = &'a str>>) -> Result<bool> {
        match words.next() {
            Some("(") => {
                let permits = self.any(words)?;
                ensure!(words.next() == Some(")"), "a bracket is not closed");
                Ok(permits)
            }
            Some("OR" | "AND" | "WITH" | ")") | None => bail!("a licence's name is missing"),
            Some(name) => {
                let exception = match words.next_if_eq(&"WITH") {
                    Some(_) => format!(" WITH {}", words.next().context("an exception's name is missing")?),
                    None => String::new(),
                };
                Ok(self.licenses.allow.contains(&format!("{}{exception}", name.trim_end_matches('+'))))
            }
        }
    }
}

type Words<I> = std::iter::Peekable<I>;
