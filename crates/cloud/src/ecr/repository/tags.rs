//! Tags of repositories.

use super::Repository;
use super::find;
use crate::ecr::invalid;
use roadstead_kernel::Caller;
use roadstead_shapes::ecr as api;
use roadstead_shapes::ecr::{INVALID_TAG_PARAMETER_EXCEPTION, TOO_MANY_TAGS_EXCEPTION};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_types::{Arn, Tags};
use roadstead_wire::fault::Fault;
use std::sync::Arc;

/// ECR user guide, "Tag basics".
const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// Those that a create gives.
pub fn given(tags: Option<Vec<api::Tag>>) -> Result<Tags, Fault> {
    with(Tags::new(), tags.unwrap_or_default())
}

/// ECR TagResource: adds to the tags that are there.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagResourceRequest) -> Result<api::TagResourceResponse, Fault> {
    let mut record = Record::clone(&*by_arn(tx, caller, &input.resource_arn)?);
    record.body.tags = with(record.body.tags, input.tags)?;
    tx.put(record);
    Ok(api::TagResourceResponse {})
}

/// ECR UntagResource: keys that are not there are fine.
pub fn untag(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UntagResourceRequest,
) -> Result<api::UntagResourceResponse, Fault> {
    let mut record = Record::clone(&*by_arn(tx, caller, &input.resource_arn)?);
    record.body.tags.retain(|key, _| !input.tag_keys.contains(key));
    tx.put(record);
    Ok(api::UntagResourceResponse {})
}

/// ECR ListTagsForResource.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListTagsForResourceRequest,
) -> Result<api::ListTagsForResourceResponse, Fault> {
    let record = by_arn(view, caller, &input.resource_arn)?;
    let tags = record.body.tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() });
    Ok(api::ListTagsForResourceResponse { tags: Some(tags.collect()) })
}

fn by_arn(read: &impl Read, caller: &Caller, text: &str) -> Result<Arc<Record<Repository>>, Fault> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.service == "ecr" && arn.region == caller.region);
    let name = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("repository/"));
    let (Some(arn), Some(name)) = (&arn, name) else {
        return Err(invalid(format!(
            "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN': '{text}' is no repository's of this region"
        )));
    };
    find(read, &arn.account, name)
}

fn with(mut tags: Tags, more: Vec<api::Tag>) -> Result<Tags, Fault> {
    let bad = |why: String| Err(INVALID_TAG_PARAMETER_EXCEPTION.fault(why));
    for api::Tag { key, value } in more {
        if key.is_empty() || key.chars().count() > KEY_MAX || value.chars().count() > VALUE_MAX {
            return bad(format!(
                "A tag's key has 1 to {KEY_MAX} characters and its value {VALUE_MAX} at most: '{key}'"
            ));
        }
        if key.to_lowercase().starts_with("aws:") {
            return bad(format!("Tag key '{key}' is reserved: keys may not begin with aws:"));
        }
        tags.insert(key, value);
    }
    match tags.len() > TAGS_MAX {
        true => Err(TOO_MANY_TAGS_EXCEPTION.fault(format!("A repository may have no more than {TAGS_MAX} tags"))),
        false => Ok(tags),
    }
}
