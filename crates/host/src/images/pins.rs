//! Which upstream versions stand in the images: `components/components.toml`, as it was when this program was built.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The pinned sets.
#[derive(Deserialize)]
pub struct Pins {
    set: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    family: String,
    version: String,
    #[serde(default)]
    default: bool,
}

impl Pins {
    /// Those of the repository.
    ///
    /// # Errors
    /// It is not as it was committed.
    pub fn committed() -> Result<Pins> {
        toml::from_str(include_str!("../../../../components/components.toml")).context("components/components.toml")
    }

    /// The version of a family that is used when nobody names one.
    ///
    /// # Errors
    /// There is no such family.
    pub fn version(&self, family: &str) -> Result<&str> {
        let set = self.set.iter().find(|set| set.family == family && set.default);
        Ok(&set.with_context(|| format!("no {family} among the components"))?.version)
    }
}
