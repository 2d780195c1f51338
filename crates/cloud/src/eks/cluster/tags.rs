//! Tags of a cluster. These operations have errors of their own (`BadRequestException`, `NotFoundException`).

use super::model::Cluster;
use roadstead_kernel::Caller;
use roadstead_shapes::eks::{
    BAD_REQUEST_EXCEPTION, ListTagsForResourceRequest, ListTagsForResourceResponse, NOT_FOUND_EXCEPTION,
    TagResourceRequest, TagResourceResponse, UntagResourceRequest, UntagResourceResponse,
};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_types::{Arn, Tags};
use roadstead_wire::fault::Fault;

/// EKS quota "tags per resource".
const TAGS_MAX: usize = 50;

/// Refuses what no resource may be tagged with.
pub fn check_new(tags: &Tags) -> Result<(), String> {
    if tags.len() > TAGS_MAX {
        return Err(format!("A resource may have no more than {TAGS_MAX} tags"));
    }
    match tags.keys().find(|k| k.to_lowercase().starts_with("aws:")) {
        Some(key) => Err(format!("Tag key '{key}' is reserved: keys may not begin with aws:")),
        None => Ok(()),
    }
}

/// EKS TagResource: adds to the tags that are there.
pub fn tag(tx: &mut Tx, caller: &Caller, input: TagResourceRequest) -> Result<TagResourceResponse, Fault> {
    let mut record = find(tx, caller, &input.resource_arn)?;
    let new: Tags = input.tags.into_iter().collect();
    record.body.tags.extend(new.clone());
    check_new(&new).and_then(|()| check_new(&record.body.tags)).map_err(|why| BAD_REQUEST_EXCEPTION.fault(why))?;
    tx.put(record);
    Ok(TagResourceResponse {})
}

/// EKS UntagResource: keys that are not there are fine.
pub fn untag(tx: &mut Tx, caller: &Caller, input: UntagResourceRequest) -> Result<UntagResourceResponse, Fault> {
    let mut record = find(tx, caller, &input.resource_arn)?;
    record.body.tags.retain(|key, _| !input.tag_keys.contains(key));
    tx.put(record);
    Ok(UntagResourceResponse {})
}

/// EKS ListTagsForResource.
pub fn list(
    view: &View,
    caller: &Caller,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Fault> {
    let record = find(view, caller, &input.resource_arn)?;
    Ok(ListTagsForResourceResponse { tags: Some(record.body.tags.into_iter().collect()) })
}

fn find(read: &impl Read, caller: &Caller, arn: &str) -> Result<Record<Cluster>, Fault> {
    let bad = || BAD_REQUEST_EXCEPTION.fault(format!("Invalid parameter: resourceArn '{arn}' is not an ARN of EKS"));
    let parsed: Arn = arn.parse().map_err(|_| bad())?;
    if parsed.service != "eks" || parsed.region != caller.region {
        return Err(bad());
    }
    let missing = || NOT_FOUND_EXCEPTION.fault(format!("Resource not found: {arn}"));
    let name = parsed.resource.strip_prefix("cluster/").ok_or_else(missing)?;
    read.get(&Cluster::key(&parsed.account, name)).ok_or_else(missing)
}
