//! What `cargo metadata` and `cargo tree` say, as far as tidy asks.
//!
//! The graph is taken from `cargo tree`: metadata's also has edges of features that nobody enabled.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of the workspace and all that they depend on.
#[derive(Deserialize)]
pub struct Metadata {
    /// Ours and others'.
    pub packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    #[serde(skip)]
    trees: BTreeMap<String, Tree>,
}

/// A package at a version.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its id in the graph.
    pub id: String,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// Where it comes from; none: a path.
    pub source: Option<String>,
    /// Where its Cargo.toml stands.
    pub manifest_path: PathBuf,
    /// What it asks for.
    pub dependencies: Vec<Dependency>,
}

/// A line of a Cargo.toml.
#[derive(Deserialize)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// Which versions.
    pub req: String,
    /// Where from; none: a path.
    pub source: Option<String>,
    /// `dev`, `build` or, for what is linked, none.
    pub kind: Option<String>,
}

const TREE: &[&str] = &["tree", "--target=all", "--prefix=depth", "--format={p}"];

/// What a package reaches, each with the way to it: names, beginning with one of the package's own dependencies.
pub type Tree = BTreeMap<String, Vec<String>>;

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// Cargo fails, e.g. since a Cargo.toml is wrong.
    pub fn load(root: &Path) -> Result<Self> {
        Self::read(|arguments| cargo(root, arguments))
    }

    /// Reads what `cargo` prints for the arguments it is called with.
    ///
    /// # Errors
    /// It fails, or prints something else than cargo does.
    pub fn read(cargo: impl Fn(&[&str]) -> Result<String>) -> Result<Self> {
        let mut metadata: Self =
            serde_json::from_str(&cargo(&["metadata", "--format-version=1"])?).context("cargo metadata")?;
        let used = tree(&cargo(&[TREE, &["--workspace", "--edges=all"]].concat())?);
        let names: Vec<_> = metadata.members().map(|package| package.name.clone()).collect();
        metadata.packages.retain(|package| names.contains(&package.name) || used.contains_key(&package.name));
        for name in names {
            let said = cargo(&[TREE, &["--edges=normal,build", "--package", &name]].concat())?;
            metadata.trees.insert(name, tree(&said));
        }
        Ok(metadata)
    }

    /// Our packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.is_ours(package))
    }

    /// Whether the package is one of ours.
    pub fn is_ours(&self, package: &Package) -> bool {
        self.workspace_members.contains(&package.id)
    }

    /// All that is linked into one of our packages, or builds it. What only tests need is not followed.
    pub fn reached(&self, package: &Package) -> &Tree {
        &self.trees[&package.name]
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).args(arguments).current_dir(root).output().context("starting cargo")?;
    ensure!(output.status.success(), "cargo {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// Reads `cargo tree --prefix depth`: `2serde v1.0.0`.
fn tree(text: &str) -> Tree {
    let mut way: Vec<String> = Vec::new();
    let mut tree = Tree::new();
    for line in text.lines() {
        let name_at = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
        let (Ok(depth), Some(name)) = (line[..name_at].parse::<usize>(), line[name_at..].split(' ').next()) else {
            continue; // an empty line between two trees
        };
        way.truncate(depth.saturating_sub(1));
        if depth > 0 {
            way.push(name.to_owned());
            tree.entry(name.to_owned()).or_insert_with(|| way.clone());
        }
    }
    tree
}
