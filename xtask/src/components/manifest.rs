//! `components/components.toml`: what is pinned, at which version, built how, needed when.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The manifest as it stands in the repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// In the order of need.
    #[serde(rename = "set")]
    pub sets: Vec<Set>,
    /// By name.
    #[serde(rename = "family")]
    pub families: BTreeMap<String, Family>,
}

/// One family at one version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Set {
    /// Its folder under `components/`, e.g. `kubernetes-1.36`.
    pub name: String,
    /// How it is built.
    pub family: String,
    /// Upstream's, without the `v`: `1.36.3`.
    pub version: String,
    /// When upstream released it (RFC 3339).
    pub date: String,
    /// When upstream released the first of its minor (RFC 3339), where users are told: of Kubernetes.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "for the region, which tells its users; read here so that nothing unknown stands there"
    )]
    minor_date: Option<String>,
    /// The version of its family that is used when nobody names one.
    #[serde(default)]
    pub default: bool,
}

/// How programs of one upstream project are built.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Go modules, all required at the set's version.
    pub modules: Vec<String>,
    /// Upstream's local replacements are published as v0.MINOR.PATCH: Kubernetes' staging modules.
    #[serde(default)]
    pub twins: bool,
    /// For the linker, with `{version}`, `{major}`, `{minor}` and `{date}`.
    #[serde(default)]
    pub ldflags: Vec<String>,
    /// Build tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where a mirror (`--mirror`) has upstream's release of a program, with `{version}`, `{arch}` and `{program}`.
    #[serde(default)]
    pub release: Option<String>,
    /// Needs a C compiler.
    #[serde(default)]
    pub cgo: bool,
    /// C libraries whose headers it needs.
    #[serde(default)]
    pub c_libraries: Vec<CLibrary>,
    /// In the order of need.
    pub programs: Vec<Program>,
}

/// A C library, as it is asked for and as it is installed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CLibrary {
    /// Its pkg-config name.
    pub pkg_config: String,
    /// The Debian package that holds its headers.
    pub debian: String,
}

/// One program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its file's name.
    pub name: String,
    /// Its Go package; of C, the folder.
    pub package: String,
    /// What is compiled, if it is C.
    #[serde(default)]
    pub c: Option<C>,
    /// Who needs it.
    pub stage: Stage,
}

/// A program in C, linked statically.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct C {
    /// In the program's folder.
    pub files: Vec<String>,
    /// For the compiler.
    pub flags: Vec<String>,
}

/// Who needs a program, in the order in which they are built.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A cluster's own machines.
    ControlPlane,
    /// A person at the keyboard.
    #[default]
    Client,
    /// The machines that run pods.
    Node,
    /// Add-ons that a cluster does not begin with.
    AddOn,
    /// People who look after clusters.
    Operations,
}

/// What the command line asks for.
#[derive(Debug, Default)]
pub struct Selection<'a> {
    /// Sets by name; empty: those that a first cluster needs.
    pub sets: &'a [String],
    /// Only the program of this name.
    pub only: Option<&'a str>,
    /// Of the default sets: what is needed until then.
    pub last: Stage,
    /// Everything.
    pub all: bool,
}

/// A program of a set: the unit of building.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The set.
    pub set: &'a Set,
    /// Its family.
    pub family: &'a Family,
    /// The program.
    pub program: &'a Program,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// What is wrong in it, with the line where the parser knows it.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).context("components/components.toml")?;
        for set in &manifest.sets {
            set.numbers()?;
            ensure!(manifest.families.contains_key(&set.family), "set {}: no family {}", set.name, set.family);
        }
        Ok(manifest)
    }

    /// The set of that name.
    ///
    /// # Errors
    /// None has it; the message lists those there are.
    pub fn set(&self, name: &str) -> Result<&Set> {
        let known = || self.sets.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        self.sets.iter().find(|s| s.name == name).with_context(|| format!("no set {name}; there are {}", known()))
    }

    /// A set's family.
    pub fn family(&self, set: &Set) -> &Family {
        &self.families[&set.family]
    }

    /// All programs, those that are needed first in front: of the default sets by stage, then of the others set by set.
    pub fn items(&self) -> Vec<Item<'_>> {
        let mut items = Vec::new();
        for (place, set) in self.sets.iter().enumerate() {
            let family = self.family(set);
            let rank = |stage| if set.default { (0, stage, place) } else { (1 + place, stage, place) };
            items.extend(family.programs.iter().map(|p| (rank(p.stage), Item { set, family, program: p })));
        }
        items.sort_by_key(|(rank, _)| *rank); // stable: within a stage of a set, the manifest's order
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// The programs that are asked for, in the order of need.
    ///
    /// # Errors
    /// A name that the manifest does not have.
    pub fn select(&self, selection: &Selection<'_>) -> Result<Vec<Item<'_>>> {
        for name in selection.sets {
            self.set(name)?;
        }
        let in_sets = |item: &Item<'_>| match selection {
            Selection { all: true, .. } => true,
            Selection { sets: [], only: Some(_), .. } => item.set.default,
            Selection { sets: [], .. } => item.set.default && item.program.stage <= selection.last,
            Selection { sets, .. } => sets.contains(&item.set.name),
        };
        let named = |item: &Item<'_>| selection.only.is_none_or(|name| name == item.program.name);
        let items: Vec<_> = self.items().into_iter().filter(|i| in_sets(i) && named(i)).collect();
        if let (true, Some(name)) = (items.is_empty(), selection.only) {
            bail!("no program {name} in these sets; `cargo xtask components --list` shows what there is");
        }
        Ok(items)
    }
}

impl Set {
    /// The folder in which machines find its programs: `kubernetes-1.36.3`.
    pub fn view(&self) -> String {
        format!("{}-{}", self.family, self.version)
    }

    /// Major, minor and patch.
    ///
    /// # Errors
    /// The version is not three numbers.
    pub fn numbers(&self) -> Result<[u32; 3]> {
        let numbers: Vec<u32> = self.version.split('.').map(str::parse).collect::<Result<_, _>>().unwrap_or_default();
        numbers.try_into().ok().with_context(|| format!("set {}: version {} is not X.Y.Z", self.name, self.version))
    }
}

impl Item<'_> {
    /// Whether a C compiler takes part.
    pub fn has_c(&self) -> bool {
        self.family.cgo || self.program.c.is_some()
    }

    /// The linker's flags, without symbol tables (`-s -w`), as upstream's releases are.
    pub fn ldflags(&self) -> String {
        let [major, minor, _] = self.set.numbers().expect("checked when the manifest was read");
        let fill = |flag: &String| {
            flag.replace("{version}", &self.set.version)
                .replace("{major}", &major.to_string())
                .replace("{minor}", &minor.to_string())
                .replace("{date}", &self.set.date)
        };
        let flags = self.family.ldflags.iter().map(fill);
        ["-s", "-w"].into_iter().map(str::to_owned).chain(flags).collect::<Vec<_>>().join(" ")
    }
}
