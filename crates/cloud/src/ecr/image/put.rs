//! PutImage: what a push ends with.

use super::{Image, Manifest, Parsed, by_digest, by_tag, digest_of, is_tag};
use crate::ecr::repository::{self, Mutability, Repository};
use crate::ecr::{invalid, layer, registry};
use roadstead_kernel::Caller;
use roadstead_shapes::ecr as api;
use roadstead_shapes::ecr::{
    IMAGE_ALREADY_EXISTS_EXCEPTION, IMAGE_DIGEST_DOES_NOT_MATCH_EXCEPTION, IMAGE_TAG_ALREADY_EXISTS_EXCEPTION,
    LAYERS_NOT_FOUND_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, REFERENCED_IMAGES_NOT_FOUND_EXCEPTION,
};
use roadstead_store::{Read, Record, Tx};
use roadstead_wire::fault::Fault;

/// ECR quota "tags per image".
const TAGS_MAX: usize = 1000;

/// ECR PutImage.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutImageRequest) -> Result<api::PutImageResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let owner = repository::find(tx, account, &input.repository_name)?;
    let (repository, text, tag) = (&owner.body, input.image_manifest, input.image_tag);
    let parsed = Parsed::of(&text, input.image_manifest_media_type.as_deref()).map_err(|why| {
        invalid(format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{why}'"))
    })?;
    let digest = digest_of(&text);
    check_names(&digest, input.image_digest.as_deref(), tag.as_deref())?;
    let size = check_references(tx, repository, &parsed)?;
    let known = by_digest(tx, repository, &digest);
    check_tag(tx, repository, known.as_ref(), &digest, tag.as_deref())?;
    if let Some(tag) = &tag {
        untag(tx, repository, tag);
    }
    let answer = api::Image {
        registry_id: Some(account.to_owned()),
        repository_name: Some(repository.name.clone()),
        image_id: Some(api::ImageIdentifier { image_digest: Some(digest.clone()), image_tag: tag.clone() }),
        image_manifest: Some(text.clone()),
        image_manifest_media_type: Some(parsed.media_type.clone()),
    };
    match known {
        Some(mut known) => {
            known.body.tags.extend(tag);
            tx.put(known);
        }
        None => {
            let image = image(tx, repository, &digest, parsed, size, tag);
            tx.create(Image::key(repository, &digest), Some(owner.key.any()), image);
            tx.create(Manifest::key(repository, &digest), Some(owner.key.any()), Manifest { text });
        }
    }
    Ok(api::PutImageResponse { image: Some(answer) })
}

fn image(tx: &Tx, repository: &Repository, digest: &str, parsed: Parsed, size: u64, tag: Option<String>) -> Image {
    Image {
        repository: repository.path(),
        digest: digest.to_owned(),
        media_type: parsed.media_type,
        artifact_media_type: parsed.artifact_media_type,
        size,
        pushed: tx.now(),
        tags: tag.into_iter().collect(),
        layers: parsed.layers.into_iter().map(|layer| layer.digest).collect(),
        members: parsed.members.into_iter().map(|member| member.digest).collect(),
        subject: parsed.subject,
    }
}

fn check_names(digest: &str, said: Option<&str>, tag: Option<&str>) -> Result<(), Fault> {
    if let Some(said) = said.filter(|said| *said != digest) {
        return Err(IMAGE_DIGEST_DOES_NOT_MATCH_EXCEPTION.fault(format!(
            "The provided digest '{said}' does not match the digest of the provided manifest, which is '{digest}'"
        )));
    }
    match tag.filter(|tag| !is_tag(tag)) {
        Some(_) => Err(invalid(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''",
        )),
        None => Ok(()),
    }
}

/// Everything that the manifest refers to is there; says how large that is, bytes.
fn check_references(tx: &Tx, repository: &Repository, parsed: &Parsed) -> Result<u64, Fault> {
    let place =
        format!("in the repository with name '{}' in the registry with id '{}'", repository.name, repository.account);
    let missing: Vec<&str> = parsed
        .layers
        .iter()
        .filter(|layer| layer::size(tx, repository, &layer.digest) != Some(layer.size))
        .map(|layer| layer.digest.as_str())
        .collect();
    if !missing.is_empty() {
        let digests = missing.join(", ");
        let why = format!("Layers with digests '[{digests}]' required for pushing image do not exist {place}");
        return Err(LAYERS_NOT_FOUND_EXCEPTION.fault(why));
    }
    let mut largest = 0;
    for member in &parsed.members {
        let Some(image) = by_digest(tx, repository, &member.digest) else {
            let why =
                format!("Images with digests '[{}]' required for pushing image do not exist {place}", member.digest);
            return Err(REFERENCED_IMAGES_NOT_FOUND_EXCEPTION.fault(why));
        };
        largest = image.body.size.max(largest);
    }
    Ok(parsed.layers.iter().map(|layer| layer.size).sum::<u64>().max(largest))
}

/// The image may have the tag, and does not have it yet.
fn check_tag(
    tx: &Tx,
    repository: &Repository,
    known: Option<&Record<Image>>,
    digest: &str,
    tag: Option<&str>,
) -> Result<(), Fault> {
    let Repository { name, account, .. } = repository;
    if known.is_some_and(|image| tag.is_none_or(|tag| image.body.tags.contains(tag))) {
        let called = tag.map_or(String::new(), |tag| format!(" and tag '{tag}'"));
        let why = format!(
            "Image with digest '{digest}'{called} already exists in the repository with name '{name}' in registry with id '{account}'"
        );
        return Err(IMAGE_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    let Some(tag) = tag else { return Ok(()) };
    if repository.mutability == Mutability::Immutable && by_tag(tx, repository, tag).is_some() {
        let why = format!(
            "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
        );
        return Err(IMAGE_TAG_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    match known.is_some_and(|image| image.body.tags.len() >= TAGS_MAX) {
        true => Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("An image may have no more than {TAGS_MAX} tags"))),
        false => Ok(()),
    }
}

/// Nothing has the tag any more.
fn untag(tx: &mut Tx, repository: &Repository, tag: &str) {
    if let Some(mut image) = by_tag(tx, repository, tag) {
        image.body.tags.remove(tag);
        tx.put(image);
    }
}
