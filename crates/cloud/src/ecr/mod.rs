//! Elastic Container Registry: repositories, and the images in them.
//!
//! ```text
//! docker push ─OCI Distribution→ crates/registry ──layers──→ files, named by their digests; a [`layer::Layer`] says whose
//!                                       └──manifests──→ PutImage ─┐
//! aws ecr put-image ──────────────────────────────────────────────┴─→ [`image::Image`], [`image::Manifest`]
//! ```
//! The registry's protocol is another way to the same operations, with the same permissions: whoever may
//! `ecr:BatchGetImage` may get a manifest, and layers are asked for as `ecr:GetDownloadUrlForLayer`.

pub mod image;
pub mod layer;
pub mod repository;
pub mod token;

use roadstead_kernel::page::{Page, page_of};
use roadstead_kernel::{Caller, Service};
use roadstead_shapes::ecr as api;
use roadstead_shapes::ecr::INVALID_PARAMETER_EXCEPTION;
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;

/// Results of a page, if nobody says how many.
const PAGE: usize = 100;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_REPOSITORY, repository::ops::create)
        .read(&api::DESCRIBE_REPOSITORIES, repository::ops::describe)
        .write(&api::DELETE_REPOSITORY, repository::ops::delete)
        .write(&api::PUT_IMAGE_TAG_MUTABILITY, repository::ops::put_image_tag_mutability)
        .write(&api::TAG_RESOURCE, repository::tags::tag)
        .write(&api::UNTAG_RESOURCE, repository::tags::untag)
        .read(&api::LIST_TAGS_FOR_RESOURCE, repository::tags::list)
        .write(&api::PUT_IMAGE, image::put::put)
        .read(&api::LIST_IMAGES, image::ops::list)
        .read(&api::DESCRIBE_IMAGES, image::ops::describe)
        .read(&api::BATCH_GET_IMAGE, image::ops::batch_get)
        .write(&api::BATCH_DELETE_IMAGE, image::ops::batch_delete)
        .read(&api::BATCH_CHECK_LAYER_AVAILABILITY, layer::ops::batch_check_availability)
        .write_secret(&api::GET_AUTHORIZATION_TOKEN, token::get)
}

/// ARN of a repository.
pub fn arn(region: &str, account: &str, repository: &str) -> Arn {
    Arn::new("ecr", region, account, format!("repository/{repository}"))
}

/// The host name of an account's registry.
pub fn host(region: &str, account: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com")
}

/// The account whose registry has that host name.
pub fn account_of<'h>(region: &str, host: &'h str) -> Option<&'h str> {
    let account = host.strip_suffix(&format!(".dkr.ecr.{region}.amazonaws.com"))?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then_some(account)
}

/// The account whose registry is meant.
fn registry<'a>(caller: &'a Caller, asked: Option<&'a str>) -> &'a str {
    asked.unwrap_or(&caller.identity.account)
}

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// A page of the list `scope`; see [`page_of`].
fn page<T, I: Iterator<Item = (String, T)>>(
    scope: &str,
    rest: impl FnOnce(Option<String>) -> I,
    limit: Option<i32>,
    token: Option<&str>,
) -> Result<Page<T>, Fault> {
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
    let page = page_of(scope, rest, limit, token);
    page.map_err(|_| invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"))
}
