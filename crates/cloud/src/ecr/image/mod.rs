//! Images: what a manifest names, under its digest and its tags.

mod manifest;
mod model;
pub mod ops;
pub mod put;

pub use manifest::{INDEX, LONGEST, Parsed, digest_of, is_digest, is_tag, written};
pub use model::{Image, Manifest};

use super::repository::Repository;
use roadstead_shapes::ecr as api;
use roadstead_store::{Index, Read, Record, Tx};
use std::collections::BTreeSet;

/// Whether the repository has any image.
pub fn any(read: &impl Read, repository: &Repository) -> bool {
    read.any(Index::<Image>::prefix(Image::prefix(repository)))
}

/// Whether an image of the repository (`ACCOUNT/NAME`) has the blob.
pub fn has_layer(read: &impl Read, repository: &str, digest: &str) -> bool {
    read.any(Index::<Image>::by("layer", format!("{repository}@{digest}")))
}

/// The images of the repository that say they are about that one.
pub fn referrers(read: &impl Read, repository: &Repository, subject: &str) -> Vec<Record<Image>> {
    read.list(Index::<Image>::by("subject", format!("{}@{subject}", repository.path())))
}

/// The manifest of an image, as it was put.
pub fn manifest(read: &impl Read, repository: &Repository, digest: &str) -> Option<String> {
    read.shared(&Manifest::key(repository, digest)).map(|record| record.body.text.clone())
}

/// All tags of the repository's images, in order.
pub fn tags(read: &impl Read, repository: &Repository) -> BTreeSet<String> {
    let images = read.list(Index::<Image>::prefix(Image::prefix(repository)));
    images.into_iter().flat_map(|image| image.body.tags).collect()
}

/// Forgets all images of a repository.
pub fn forget(tx: &mut Tx, repository: &Repository) {
    for image in tx.list(Index::<Image>::prefix(Image::prefix(repository))) {
        remove(tx, repository, &image.body.digest);
    }
}

fn remove(tx: &mut Tx, repository: &Repository, digest: &str) {
    tx.remove(&Image::key(repository, digest));
    tx.remove(&Manifest::key(repository, digest));
}

fn by_tag(read: &impl Read, repository: &Repository, tag: &str) -> Option<Record<Image>> {
    read.list(Index::<Image>::by("tag", format!("{}:{tag}", repository.path()))).pop()
}

fn by_digest(read: &impl Read, repository: &Repository, digest: &str) -> Option<Record<Image>> {
    read.get(&Image::key(repository, digest))
}

/// What an image was looked for by, and why it was not found.
struct NotFound {
    code: api::ImageFailureCode,
    reason: &'static str,
}

/// The image of an identifier: by digest, by tag, or by both, which must agree.
fn find(read: &impl Read, repository: &Repository, id: &api::ImageIdentifier) -> Result<Record<Image>, NotFound> {
    use api::ImageFailureCode::{ImageNotFound, ImageTagDoesNotMatchDigest, InvalidImageDigest, MissingDigestAndTag};
    let failed = |code, reason| Err(NotFound { code, reason });
    if id.image_digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
        let reason =
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
        return failed(InvalidImageDigest, reason);
    }
    let found = match (&id.image_digest, &id.image_tag) {
        (None, None) => {
            return failed(MissingDigestAndTag, "Invalid request parameters: both tag and digest cannot be null");
        }
        (Some(digest), None) => by_digest(read, repository, digest),
        (None, Some(tag)) => by_tag(read, repository, tag),
        (Some(digest), Some(tag)) => match by_tag(read, repository, tag) {
            Some(image) if image.body.digest == *digest => Some(image),
            Some(_) => {
                return failed(ImageTagDoesNotMatchDigest, "Requested image tag does not match the image digest");
            }
            None => None,
        },
    };
    found.map_or_else(|| failed(ImageNotFound, "Requested image not found"), Ok)
}
