//! Who may import whom: `imports.toml` against `cargo metadata` and against the sources.

use super::metadata::{Metadata, Package};
use super::source::{File, Source};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// `imports.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    groups: BTreeMap<String, BTreeSet<String>>,
    crates: BTreeMap<String, Rule>,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    may: BTreeSet<String>,
    #[serde(default)]
    dev: BTreeSet<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    modules: BTreeMap<String, BTreeSet<String>>,
    lines: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Services {
    folder: String,
    uses: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// The table of this repository.
    ///
    /// # Errors
    /// It is not well formed.
    pub fn committed() -> Result<Self> {
        toml::from_str(include_str!("imports.toml")).context("xtask/src/tidy/imports.toml")
    }

    /// A sentence for each import that the table forbids.
    pub fn violations(&self, metadata: &Metadata, source: &Source) -> Vec<String> {
        let mut found = Vec::new();
        for package in metadata.members() {
            match self.crates.get(&package.name) {
                None => found.push(format!(
                    "crate {} is not in xtask/src/tidy/imports.toml: say whom it may import",
                    package.name
                )),
                Some(rule) => {
                    found.extend(direct(rule, package, metadata));
                    found.extend(self.transitive(rule, package, metadata));
                    found.extend(in_sources(rule, package, source));
                }
            }
        }
        found.extend(self.services.violations(source));
        found
    }

    fn transitive(&self, rule: &Rule, package: &Package, metadata: &Metadata) -> Vec<String> {
        let forbidden = |name: &str| rule.never.iter().find(|group| self.groups[*group].contains(name));
        let sentence = |(name, way): (&String, &Vec<String>)| {
            let group = forbidden(name)?;
            Some(format!("{} reaches {name} ({group}), through {}", package.name, way.join(" -> ")))
        };
        metadata.reached(package).iter().filter_map(sentence).collect()
    }
}

fn direct(rule: &Rule, package: &Package, metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<_> = metadata.members().map(|p| p.name.as_str()).collect();
    let mut found = Vec::new();
    for dependency in package.dependencies.iter().filter(|d| ours.contains(d.name.as_str())) {
        let for_tests = dependency.kind.as_deref() == Some("dev");
        let name = short(&dependency.name);
        if !(rule.may.contains(name) || for_tests && rule.dev.contains(name)) {
            let what = if for_tests { "its tests depend" } else { "it depends" };
            found.push(format!("{} may not import {name}, and {what} on it", package.name));
        }
    }
    found
}

fn in_sources(rule: &Rule, package: &Package, source: &Source) -> Vec<String> {
    let folder = package.manifest_path.parent().expect("a manifest stands in a folder").join("src");
    let files: Vec<_> = source.under(&folder).collect();
    let mut found = Vec::new();
    for (import, modules) in &rule.modules {
        for file in &files {
            found.extend(file.paths_into(&format!("roadstead_{import}")).into_iter().filter_map(|(line, module)| {
                let sentence = || format!("{}:{line}: {} may not use {import}::{module}", file.name, package.name);
                (!modules.contains(&module)).then(sentence)
            }));
        }
    }
    let lines: usize = files.iter().filter(|f| !f.is_test()).map(|f| f.lines()).sum();
    if let Some(most) = rule.lines.filter(|most| lines > *most) {
        found
            .push(format!("{} has {lines} lines, {most} at most: what has rules in it belongs in cloud", package.name));
    }
    found
}

fn short(name: &str) -> &str {
    name.trim_start_matches("roadstead-")
}

impl Services {
    fn violations(&self, source: &Source) -> Vec<String> {
        let folder = source.root().join(&self.folder);
        source.under(&folder).flat_map(|file| self.violations_of(file)).collect()
    }

    fn violations_of(&self, file: &File) -> Vec<String> {
        let Some((service, _)) = file.name[self.folder.len()..].trim_start_matches('/').split_once('/') else {
            return Vec::new(); // lib.rs and its like know all services
        };
        if !self.uses.contains_key(service) {
            return vec![format!("{}: service {service} is not in xtask/src/tidy/imports.toml", file.name)];
        }
        let allowed = self.reached(service);
        let forbidden = |module: &str| self.uses.contains_key(module) && !allowed.contains(module);
        let uses = file.paths_into("crate").into_iter().filter(|(_, module)| forbidden(module));
        uses.map(|(line, module)| format!("{}:{line}: service {service} may not use {module}", file.name)).collect()
    }

    /// The service, those it uses, and those that they use.
    fn reached<'a>(&'a self, service: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut left = vec![service];
        while let Some(service) = left.pop() {
            if reached.insert(service) {
                left.extend(self.uses.get(service).into_iter().flatten().map(String::as_str));
            }
        }
        reached
    }
}
