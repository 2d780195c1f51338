//! Tags of keys.

use super::{find, find_usable};
use crate::kms::paged;
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::TAG_EXCEPTION;
use roadstead_store::{Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;

/// Tags of a page, and of a key (KMS API reference, TagResource).
const TAGS_MAX: usize = 50;

/// Those that a create gives.
pub fn given(tags: Option<Vec<api::Tag>>) -> Result<Tags, Fault> {
    with(Tags::new(), tags.unwrap_or_default())
}

/// KMS TagResource: adds to the tags that are there.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagResourceRequest) -> Result<(), Fault> {
    let mut record = find_usable(tx, caller, &input.key_id)?;
    record.body.tags = with(record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// KMS UntagResource: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagResourceRequest) -> Result<(), Fault> {
    let mut record = find_usable(tx, caller, &input.key_id)?;
    record.body.tags.retain(|key, _| !input.tag_keys.contains(key));
    tx.put(record);
    Ok(())
}

/// KMS ListResourceTags, by tag key.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListResourceTagsRequest,
) -> Result<api::ListResourceTagsResponse, Fault> {
    let record = find(view, caller, &input.key_id)?;
    let tags = record.body.tags.into_iter();
    let tags = tags.map(|(key, value)| (key.clone(), api::Tag { tag_key: key, tag_value: value })).collect();
    let scope = format!("kms:ListResourceTags/{}", record.key.name());
    let page = paged(&scope, tags, TAGS_MAX, input.limit, input.marker.as_deref())?;
    Ok(api::ListResourceTagsResponse {
        tags: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

fn with(mut tags: Tags, more: Vec<api::Tag>) -> Result<Tags, Fault> {
    for api::Tag { tag_key, tag_value } in more {
        if tag_key.to_lowercase().starts_with("aws:") {
            return Err(TAG_EXCEPTION.fault("Tag keys that begin with aws: are AWS's own: name another."));
        }
        tags.insert(tag_key, tag_value);
    }
    match tags.len() > TAGS_MAX {
        true => Err(TAG_EXCEPTION.fault("Too many tags")),
        false => Ok(tags),
    }
}
