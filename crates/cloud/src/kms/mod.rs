//! Key Management Service: keys as records with states, policies and aliases. They hold no key material yet, so nothing
//! is encrypted with them: those operations are not there.

pub mod alias;
pub mod key;

use roadstead_kernel::Service;
use roadstead_kernel::page::{self, Page};
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::INVALID_MARKER_EXCEPTION;
use roadstead_wire::fault::Fault;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_KEY, key::ops::create)
        .read(&api::DESCRIBE_KEY, key::ops::describe)
        .read(&api::LIST_KEYS, key::ops::list)
        .write(&api::UPDATE_KEY_DESCRIPTION, key::ops::update_description)
        .write(&api::ENABLE_KEY, key::state::enable)
        .write(&api::DISABLE_KEY, key::state::disable)
        .write(&api::SCHEDULE_KEY_DELETION, key::state::schedule_deletion)
        .write(&api::CANCEL_KEY_DELETION, key::state::cancel_deletion)
        .write(&api::ENABLE_KEY_ROTATION, key::rotation::enable)
        .write(&api::DISABLE_KEY_ROTATION, key::rotation::disable)
        .read(&api::GET_KEY_ROTATION_STATUS, key::rotation::status)
        .read(&api::GET_KEY_POLICY, key::policy::get)
        .write(&api::PUT_KEY_POLICY, key::policy::put)
        .read(&api::LIST_KEY_POLICIES, key::policy::list)
        .write(&api::TAG_RESOURCE, key::tags::tag)
        .write(&api::UNTAG_RESOURCE, key::tags::untag)
        .read(&api::LIST_RESOURCE_TAGS, key::tags::list)
        .write(&api::CREATE_ALIAS, alias::ops::create)
        .read(&api::LIST_ALIASES, alias::ops::list)
        .write(&api::UPDATE_ALIAS, alias::ops::update)
        .write(&api::DELETE_ALIAS, alias::ops::delete)
}

/// A page of `sorted`; `usual` is its size if nobody says another.
fn paged<T>(
    scope: &str,
    sorted: Vec<(String, T)>,
    usual: usize,
    limit: Option<i32>,
    marker: Option<&str>,
) -> Result<Page<T>, Fault> {
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual);
    page::page(scope, sorted, limit, marker)
        .map_err(|_| INVALID_MARKER_EXCEPTION.fault("The marker is not one that this list gave."))
}
