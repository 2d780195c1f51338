use crate::ecr::repository::Repository;
use roadstead_store::{Key, Object};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};

/// That a repository has a blob: a layer, or an image's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `ACCOUNT/NAME`.
    pub repository: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// When it was last uploaded or mounted.
    pub given: Millis,
}

impl Object for Layer {
    const KIND: &'static str = "ecr/layer";

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("digest", self.digest.clone())]
    }
}

impl Layer {
    /// The key of a repository's.
    pub fn key(repository: &Repository, digest: &str) -> Key<Layer> {
        Key::new(format!("{}{digest}", Layer::prefix(repository)))
    }

    /// What keys of a repository's begin with: no name has an `@`.
    pub(super) fn prefix(repository: &Repository) -> String {
        format!("{}@", repository.path())
    }
}
