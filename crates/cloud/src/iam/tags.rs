//! Tags of IAM's resources. A key is the same in any case, and keeps the case that it was last given in.

use crate::iam::listing;
use roadstead_kernel::page::Page;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{INVALID_INPUT_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;
use std::collections::BTreeSet;

/// IAM quota "tags per resource".
const TAGS_MAX: usize = 50;

/// Those that a create gives.
pub fn given(tags: Option<Vec<api::Tag>>) -> Result<Tags, Fault> {
    add(&Tags::new(), tags.unwrap_or_default())
}

/// With more; what has the same key is replaced.
pub fn add(tags: &Tags, more: Vec<api::Tag>) -> Result<Tags, Fault> {
    let keys: BTreeSet<String> = more.iter().map(|tag| tag.key.to_lowercase()).collect();
    if keys.len() < more.len() {
        let why = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
        return Err(INVALID_INPUT_EXCEPTION.fault(why));
    }
    if keys.iter().any(|key| key.starts_with("aws:")) {
        return Err(INVALID_INPUT_EXCEPTION.fault("Tag keys that begin with aws: are AWS's own: name another."));
    }
    let mut all: Tags = tags.clone().into_iter().filter(|(key, _)| !keys.contains(&key.to_lowercase())).collect();
    all.extend(more.into_iter().map(|tag| (tag.key, tag.value)));
    if all.len() > TAGS_MAX {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("Cannot exceed quota for TagsPerResource: {TAGS_MAX}")));
    }
    Ok(all)
}

/// Without those.
pub fn remove(tags: &Tags, keys: &[String]) -> Tags {
    let keys: BTreeSet<String> = keys.iter().map(|key| key.to_lowercase()).collect();
    tags.clone().into_iter().filter(|(key, _)| !keys.contains(&key.to_lowercase())).collect()
}

/// As IAM shows them.
pub fn shown(tags: &Tags) -> Vec<api::Tag> {
    tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// A page of them, by key.
pub fn page(scope: &str, tags: &Tags, max_items: Option<i32>, marker: Option<&str>) -> Result<Page<api::Tag>, Fault> {
    let sorted = shown(tags).into_iter().map(|tag| (tag.key.clone(), tag)).collect();
    listing::page(scope, sorted, max_items, marker)
}
