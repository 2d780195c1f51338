//! What there is of images, and how they go.

use super::{Image, find, manifest, remove};
use crate::ecr::repository::{self, Repository};
use crate::ecr::{invalid, page, registry};
use roadstead_kernel::Caller;
use roadstead_shapes::ecr as api;
use roadstead_shapes::ecr::IMAGE_NOT_FOUND_EXCEPTION;
use roadstead_store::{Index, Read as _, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// ECR ListImages: an identifier per tag, and one for an image without.
pub fn list(view: &View, caller: &Caller, input: api::ListImagesRequest) -> Result<api::ListImagesResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let repository = &repository::find(view, account, &input.repository_name)?.body;
    let (status, state) = input.filter.map(|filter| (filter.tag_status, filter.image_status)).unwrap_or_default();
    let wanted = |image: &Image| is_wanted(image, status.as_ref(), state.as_ref());
    let images = view.list(Index::<Image>::prefix(Image::prefix(repository)));
    let ids = images.into_iter().filter(|image| wanted(&image.body)).flat_map(|image| identifiers(&image.body));
    let ids: Vec<_> = ids.map(|id| (key(&id), id)).collect();
    let scope = format!("ecr:ListImages/{}/{status:?}/{state:?}", repository.path());
    let rest = |after: Option<String>| ids.into_iter().filter(move |(key, _)| after.as_ref().is_none_or(|a| key > a));
    let page = page(&scope, rest, input.max_results, input.next_token.as_deref())?;
    Ok(api::ListImagesResponse { image_ids: Some(page.items), next_token: page.next })
}

/// ECR DescribeImages: those that are named, or all.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeImagesRequest,
) -> Result<api::DescribeImagesResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let repository = &repository::find(view, account, &input.repository_name)?.body;
    if let Some(ids) = input.image_ids {
        if input.next_token.is_some() || input.max_results.is_some() {
            return Err(invalid("nextToken and maxResults cannot be used when imageIds are given"));
        }
        let found = ids.iter().map(|id| match find(view, repository, id) {
            Ok(image) => Ok(show(repository, &image.body)),
            Err(_) => Err(not_found(repository, id)),
        });
        let image_details = Some(found.collect::<Result<_, Fault>>()?);
        return Ok(api::DescribeImagesResponse { image_details, next_token: None });
    }
    let (status, state) = input.filter.map(|filter| (filter.tag_status, filter.image_status)).unwrap_or_default();
    let prefix = Image::prefix(repository);
    let rest = |after: Option<String>| {
        let names = view.names_after::<Image>(&prefix, &after.unwrap_or_default());
        names.filter_map(|name| {
            let digest = name.strip_prefix(&prefix)?;
            let image = view.shared(&Image::key(repository, digest))?;
            let wanted = is_wanted(&image.body, status.as_ref(), state.as_ref());
            wanted.then(|| (digest.to_owned(), show(repository, &image.body)))
        })
    };
    let scope = format!("ecr:DescribeImages/{}/{status:?}/{state:?}", repository.path());
    let page = page(&scope, rest, input.max_results, input.next_token.as_deref())?;
    Ok(api::DescribeImagesResponse { image_details: Some(page.items), next_token: page.next })
}

/// ECR BatchGetImage: manifests, as they were put. Whatever types the caller accepts, there is only that one.
pub fn batch_get(
    view: &View,
    caller: &Caller,
    input: api::BatchGetImageRequest,
) -> Result<api::BatchGetImageResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let repository = &repository::find(view, account, &input.repository_name)?.body;
    let (mut images, mut failures) = (vec![], vec![]);
    for id in input.image_ids {
        match find(view, repository, &id) {
            Ok(image) => images.push(api::Image {
                registry_id: Some(account.to_owned()),
                repository_name: Some(repository.name.clone()),
                image_manifest: manifest(view, repository, &image.body.digest),
                image_manifest_media_type: Some(image.body.media_type.clone()),
                image_id: Some(api::ImageIdentifier { image_digest: Some(image.body.digest), ..id }),
            }),
            Err(why) => failures.push(failure(id, why.code, why.reason)),
        }
    }
    Ok(api::BatchGetImageResponse { images: Some(images), failures: Some(failures) })
}

/// ECR BatchDeleteImage: by tag the tag, and the image with its last one; by digest the image with all of them.
pub fn batch_delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::BatchDeleteImageRequest,
) -> Result<api::BatchDeleteImageResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let owner = repository::find(tx, account, &input.repository_name)?;
    let (mut deleted, mut failures) = (vec![], vec![]);
    for id in input.image_ids {
        let image = match find(tx, &owner.body, &id) {
            Ok(image) => image,
            Err(why) => {
                failures.push(failure(id, why.code, why.reason));
                continue;
            }
        };
        let goes = id.image_tag.as_ref().is_none_or(|tag| image.body.tags.iter().all(|other| other == tag));
        let indexes = if goes { indexes(tx, &owner.body, &image.body.digest) } else { vec![] };
        if !indexes.is_empty() {
            let why = format!("Requested image referenced by manifest list: [{}]", indexes.join(", "));
            failures.push(failure(id, api::ImageFailureCode::ImageReferencedByManifestList, why));
            continue;
        }
        deleted.extend(delete(tx, &owner.body, image, id.image_tag));
    }
    Ok(api::BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
}

/// Takes the tag away, or the image.
fn delete(
    tx: &mut Tx,
    repository: &Repository,
    mut image: Record<Image>,
    tag: Option<String>,
) -> Vec<api::ImageIdentifier> {
    let digest = image.body.digest.clone();
    let Some(tag) = tag else {
        remove(tx, repository, &digest);
        return identifiers(&image.body);
    };
    image.body.tags.remove(&tag);
    match image.body.tags.is_empty() {
        true => remove(tx, repository, &digest),
        false => tx.put(image),
    }
    vec![api::ImageIdentifier { image_digest: Some(digest), image_tag: Some(tag) }]
}

/// Digests of the indexes that the image is a member of.
fn indexes(tx: &Tx, repository: &Repository, digest: &str) -> Vec<String> {
    let found = tx.list(Index::<Image>::by("member", format!("{}@{digest}", repository.path())));
    found.into_iter().map(|index| index.body.digest).collect()
}

fn identifiers(image: &Image) -> Vec<api::ImageIdentifier> {
    let id = |tag: Option<&String>| api::ImageIdentifier {
        image_digest: Some(image.digest.clone()),
        image_tag: tag.cloned(),
    };
    match image.tags.is_empty() {
        true => vec![id(None)],
        false => image.tags.iter().map(|tag| id(Some(tag))).collect(),
    }
}

/// Sorts identifiers by digest and tag.
fn key(id: &api::ImageIdentifier) -> String {
    format!("{}:{}", id.image_digest.as_deref().unwrap_or_default(), id.image_tag.as_deref().unwrap_or_default())
}

/// Every image here is active: none is archived.
fn is_wanted(image: &Image, tags: Option<&api::TagStatus>, state: Option<&api::ImageStatusFilter>) -> bool {
    let by_tags = match tags {
        Some(api::TagStatus::Tagged) => !image.tags.is_empty(),
        Some(api::TagStatus::Untagged) => image.tags.is_empty(),
        Some(_) | None => true,
    };
    by_tags && matches!(state, None | Some(api::ImageStatusFilter::Active | api::ImageStatusFilter::Any))
}

fn failure(id: api::ImageIdentifier, code: api::ImageFailureCode, why: impl Into<String>) -> api::ImageFailure {
    api::ImageFailure { image_id: Some(id), failure_code: Some(code), failure_reason: Some(why.into()) }
}

fn not_found(repository: &Repository, id: &api::ImageIdentifier) -> Fault {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".into());
    let (digest, tag) = (shown(&id.image_digest), shown(&id.image_tag));
    let Repository { name, account, .. } = repository;
    IMAGE_NOT_FOUND_EXCEPTION.fault(format!(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository with name '{name}' in the registry with id '{account}'"
    ))
}

fn show(repository: &Repository, image: &Image) -> api::ImageDetail {
    api::ImageDetail {
        registry_id: Some(repository.account.clone()),
        repository_name: Some(repository.name.clone()),
        image_digest: Some(image.digest.clone()),
        image_tags: Some(image.tags.iter().cloned().collect::<Vec<_>>()).filter(|tags| !tags.is_empty()),
        image_size_in_bytes: image.size.try_into().ok(),
        image_pushed_at: Some(image.pushed),
        image_manifest_media_type: Some(image.media_type.clone()),
        artifact_media_type: image.artifact_media_type.clone(),
        subject_manifest_digest: image.subject.clone(),
        image_status: Some(api::ImageStatus::Active),
        ..Default::default()
    }
}
