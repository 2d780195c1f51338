//! Tags of clusters and of what belongs to them. These operations have errors of their own (`BadRequestException`, `NotFoundException`).

use super::model::Cluster;
use crate::eks::access_entry::AccessEntry;
use crate::eks::addon::Addon;
use crate::eks::nodegroup::Nodegroup;
use crate::eks::registered_cluster::{self, RegisteredCluster};
use roadstead_kernel::Caller;
use roadstead_shapes::eks::{
    BAD_REQUEST_EXCEPTION, ListTagsForResourceRequest, ListTagsForResourceResponse, NOT_FOUND_EXCEPTION,
    TagResourceRequest, TagResourceResponse, UntagResourceRequest, UntagResourceResponse,
};
use roadstead_store::{Index, Read, Record, Tx, View};
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
    let mut tagged = find(tx, caller, &input.resource_arn)?;
    let new: Tags = input.tags.into_iter().collect();
    tagged.tags().extend(new.clone());
    check_new(&new).and_then(|()| check_new(tagged.tags())).map_err(|why| BAD_REQUEST_EXCEPTION.fault(why))?;
    tagged.put(tx);
    Ok(TagResourceResponse {})
}

/// EKS UntagResource: keys that are not there are fine.
pub fn untag(tx: &mut Tx, caller: &Caller, input: UntagResourceRequest) -> Result<UntagResourceResponse, Fault> {
    let mut tagged = find(tx, caller, &input.resource_arn)?;
    tagged.tags().retain(|key, _| !input.tag_keys.contains(key));
    tagged.put(tx);
    Ok(UntagResourceResponse {})
}

/// EKS ListTagsForResource.
pub fn list(
    view: &View,
    caller: &Caller,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Fault> {
    let mut tagged = find(view, caller, &input.resource_arn)?;
    Ok(ListTagsForResourceResponse { tags: Some(tagged.tags().clone().into_iter().collect()) })
}

/// What an ARN stands for.
enum Tagged {
    Cluster(Box<Record<Cluster>>),
    Registered(Box<Record<RegisteredCluster>>),
    Nodegroup(Box<Record<Nodegroup>>),
    Addon(Box<Record<Addon>>),
    AccessEntry(Box<Record<AccessEntry>>),
}

impl Tagged {
    fn tags(&mut self) -> &mut Tags {
        match self {
            Tagged::Cluster(record) => &mut record.body.tags,
            Tagged::Registered(record) => &mut record.body.tags,
            Tagged::Nodegroup(record) => &mut record.body.tags,
            Tagged::Addon(record) => &mut record.body.spec.tags,
            Tagged::AccessEntry(record) => &mut record.body.tags,
        }
    }

    fn put(self, tx: &mut Tx) {
        match self {
            Tagged::Cluster(record) => tx.put(*record),
            Tagged::Registered(record) => tx.put(*record),
            Tagged::Nodegroup(record) => tx.put(*record),
            Tagged::Addon(record) => tx.put(*record),
            Tagged::AccessEntry(record) => tx.put(*record),
        }
    }
}

/// The tags of what that ARN stands for.
pub fn of(read: &impl Read, arn: &Arn) -> Option<Tags> {
    find_by_arn(read, arn).map(|mut tagged| tagged.tags().clone())
}

fn find(read: &impl Read, caller: &Caller, arn: &str) -> Result<Tagged, Fault> {
    let bad = || BAD_REQUEST_EXCEPTION.fault(format!("Invalid parameter: resourceArn '{arn}' is not an ARN of EKS"));
    let parsed: Arn = arn.parse().map_err(|_| bad())?;
    if parsed.service != "eks" || parsed.region != caller.region {
        return Err(bad());
    }
    find_by_arn(read, &parsed).ok_or_else(|| NOT_FOUND_EXCEPTION.fault(format!("Resource not found: {arn}")))
}

fn find_by_arn(read: &impl Read, arn: &Arn) -> Option<Tagged> {
    let (account, text) = (&arn.account, arn.to_string());
    let id = |cluster: &str| read.shared(&Cluster::key(account, cluster)).map(|record| record.body.spec.id.clone());
    match arn.resource.split('/').collect::<Vec<_>>()[..] {
        ["cluster", name] => {
            let registered = || registered_cluster::find(read, account, name).map(Box::new).map(Tagged::Registered);
            read.get(&Cluster::key(account, name)).map(Box::new).map(Tagged::Cluster).or_else(registered)
        }
        ["nodegroup", cluster, name, id] => {
            let found = read.get(&Nodegroup::key(account, cluster, name));
            found.filter(|record| record.body.spec.id == id).map(Box::new).map(Tagged::Nodegroup)
        }
        ["addon", cluster, name, _] => {
            let found = id(cluster).and_then(|id| read.get(&Addon::key(&id, name)));
            found.filter(|record| record.body.spec.arn == text).map(Box::new).map(Tagged::Addon)
        }
        ["access-entry", cluster, _, _, _, _] => {
            let all = id(cluster).map(|id| read.list(Index::<AccessEntry>::by("cluster", id))).unwrap_or_default();
            all.into_iter().find(|record| record.body.arn == text).map(Box::new).map(Tagged::AccessEntry)
        }
        _ => None,
    }
}
