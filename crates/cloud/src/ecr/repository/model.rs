use roadstead_store::{Key, Object};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};

/// A repository: images of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// E.g. `team/web`.
    pub name: String,
    /// Whose registry it is in.
    pub account: String,
    /// Whether tags may be moved.
    pub mutability: Mutability,
    /// Its tags: those of AWS, not of images.
    pub tags: Tags,
}

/// Whether a tag may be given to another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutability {
    /// It may.
    Mutable,
    /// It may not, while it is some image's.
    Immutable,
}

impl Object for Repository {
    const KIND: &'static str = "ecr/repository";
}

impl Repository {
    /// The key of an account's repository.
    pub fn key(account: &str, name: &str) -> Key<Repository> {
        Key::new(path(account, name))
    }

    /// What names of all that is in it begin with.
    pub fn path(&self) -> String {
        path(&self.account, &self.name)
    }
}

/// `ACCOUNT/NAME`.
pub fn path(account: &str, name: &str) -> String {
    format!("{account}/{name}")
}
