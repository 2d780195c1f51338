//! models/ops.toml.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The whole file.
#[derive(Debug, Deserialize)]
pub struct Ops {
    /// Where the models come from.
    pub botocore: Pin,
    /// Services by the name of their module.
    #[serde(flatten)]
    pub services: BTreeMap<String, Service>,
}

/// One exact archive.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its version.
    pub version: String,
    /// Hex.
    pub sha256: String,
}

/// What we serve of a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Folder of its model: `eks/2017-11-01`.
    pub model: String,
    /// Where its resources live.
    #[serde(default)]
    pub scope: Scope,
    /// The error that answers an input which breaks the model.
    pub invalid: Option<String>,
    /// Error bodies name all members.
    #[serde(default)]
    pub null_error_members: bool,
    /// Errors that the model does not declare, and their HTTP status.
    #[serde(default)]
    pub errors: BTreeMap<String, u16>,
    /// What differs from AWS in all of its operations.
    pub differs: Option<String>,
    /// Shapes that hold secrets, beside those that the model says.
    #[serde(default)]
    pub sensitive: BTreeSet<String>,
    /// By shape: values that AWS answers and its model does not know, or spells otherwise.
    #[serde(default)]
    pub values: BTreeMap<String, Vec<String>>,
    /// The operations.
    pub operations: BTreeMap<String, Operation>,
}

/// Where a service's resources live.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// In one region.
    #[default]
    Regional,
    /// In the whole partition.
    Global,
}

/// What the model does not say of an operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Operation {
    /// IAM action.
    pub action: Option<String>,
    /// Whether IAM is asked.
    pub open: bool,
    /// ARN templates.
    pub resources: Vec<String>,
    /// Members that name a passed role.
    pub pass_role: Vec<String>,
    /// Codes from the service's own errors, or from its model's for other operations.
    pub errors: Vec<String>,
    /// The error that answers an input which breaks the model.
    pub invalid: Option<String>,
    /// Whether it changes nothing.
    pub readonly: Option<bool>,
    /// What works of it, if not all.
    pub works: Option<String>,
    /// What differs from AWS.
    pub differs: Option<String>,
}

/// Reads the file.
pub fn read(path: &Path) -> Result<Ops> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
}
