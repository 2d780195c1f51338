use crate::ecr::repository::Repository;
use roadstead_store::{Key, Object};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `ACCOUNT/NAME`.
    pub repository: String,
    /// Of its manifest: `sha256:…`.
    pub digest: String,
    /// Of its manifest.
    pub media_type: String,
    /// What it is, if it is no container image: of its configuration, or as its manifest says.
    pub artifact_media_type: Option<String>,
    /// Bytes of its blobs; of an index those of its largest image.
    pub size: u64,
    /// When its manifest was put.
    pub pushed: Millis,
    /// Names that it goes by.
    pub tags: BTreeSet<String>,
    /// Digests of its blobs, its configuration among them.
    pub layers: Vec<String>,
    /// Digests of the images that it is an index of.
    pub members: Vec<String>,
    /// Digest of the image that it is about: a signature, a bill of materials.
    pub subject: Option<String>,
}

/// An image's manifest, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// JSON.
    pub text: String,
}

impl Object for Image {
    const KIND: &'static str = "ecr/image";

    fn index(&self) -> Vec<(&'static str, String)> {
        let within = |digest: &String| format!("{}@{digest}", self.repository);
        let tags = self.tags.iter().map(|tag| ("tag", format!("{}:{tag}", self.repository)));
        let layers = self.layers.iter().map(|digest| ("layer", within(digest)));
        let members = self.members.iter().map(|digest| ("member", within(digest)));
        let subject = self.subject.iter().map(|digest| ("subject", within(digest)));
        tags.chain(layers).chain(members).chain(subject).collect()
    }
}

impl Object for Manifest {
    const KIND: &'static str = "ecr/manifest";
}

impl Image {
    /// The key of a repository's.
    pub fn key(repository: &Repository, digest: &str) -> Key<Image> {
        Key::new(format!("{}{digest}", Image::prefix(repository)))
    }

    /// What keys of a repository's begin with: no name has an `@`.
    pub fn prefix(repository: &Repository) -> String {
        format!("{}@", repository.path())
    }
}

impl Manifest {
    /// The key of an image's.
    pub fn key(repository: &Repository, digest: &str) -> Key<Manifest> {
        Key::new(format!("{}{digest}", Image::prefix(repository)))
    }
}
