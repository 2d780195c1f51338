//! Tags of log groups.

use super::{find, find_by_arn};
use crate::logs::invalid;
use roadstead_kernel::Caller;
use roadstead_shapes::logs as api;
use roadstead_shapes::logs::TOO_MANY_TAGS_EXCEPTION;
use roadstead_store::{Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;
use std::collections::BTreeMap;

/// CloudWatch Logs API reference, TagResource.
const TAGS_MAX: usize = 50;

/// Those that a create gives.
pub fn given(tags: Option<BTreeMap<String, String>>) -> Result<Tags, Fault> {
    let tags = with(Tags::new(), tags.unwrap_or_default())?;
    match tags.len() > TAGS_MAX {
        true => Err(invalid(format!("A log group may have no more than {TAGS_MAX} tags"))),
        false => Ok(tags),
    }
}

/// CloudWatch Logs TagResource: adds to the tags that are there.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagResourceRequest) -> Result<(), Fault> {
    let mut record = find_by_arn(tx, caller, &input.resource_arn)?;
    record.body.tags = with(record.body.tags, input.tags)?;
    if record.body.tags.len() > TAGS_MAX {
        let why = format!("A log group may have no more than {TAGS_MAX} tags");
        return Err(TOO_MANY_TAGS_EXCEPTION.fault(why));
    }
    tx.put(record);
    Ok(())
}

/// CloudWatch Logs UntagResource: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagResourceRequest) -> Result<(), Fault> {
    let mut record = find_by_arn(tx, caller, &input.resource_arn)?;
    record.body.tags.retain(|key, _| !input.tag_keys.contains(key));
    tx.put(record);
    Ok(())
}

/// CloudWatch Logs ListTagsForResource.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListTagsForResourceRequest,
) -> Result<api::ListTagsForResourceResponse, Fault> {
    let record = find_by_arn(view, caller, &input.resource_arn)?;
    Ok(api::ListTagsForResourceResponse { tags: Some(record.body.tags) })
}

/// CloudWatch Logs ListTagsLogGroup: as older clients ask.
pub fn list_by_name(
    view: &View,
    caller: &Caller,
    input: api::ListTagsLogGroupRequest,
) -> Result<api::ListTagsLogGroupResponse, Fault> {
    let record = find(view, caller, &input.log_group_name)?;
    Ok(api::ListTagsLogGroupResponse { tags: Some(record.body.tags) })
}

fn with(mut tags: Tags, more: BTreeMap<String, String>) -> Result<Tags, Fault> {
    if let Some(key) = more.keys().find(|key| key.to_lowercase().starts_with("aws:")) {
        return Err(invalid(format!("Tag keys that begin with aws: are AWS's own: name another than {key}")));
    }
    tags.extend(more);
    Ok(tags)
}
