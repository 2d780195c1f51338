//! Tags of EC2 resources.

pub mod ops;
mod resource;

use roadstead_shapes::ec2 as api;
use roadstead_store::Read;
use roadstead_types::Tags;
use roadstead_wire::fault::{Common, Fault};

/// Checks that the request is not a dry run: one that would succeed answers `DryRunOperation`.
pub fn not_dry(dry_run: Option<bool>) -> Result<(), Fault> {
    match dry_run {
        Some(true) => Err(Common::DryRun.fault("Request would have succeeded, but DryRun flag is set.")),
        _ => Ok(()),
    }
}

/// The tags that a create gives its resource of type `kind`.
pub fn given(specifications: Option<Vec<api::TagSpecification>>, kind: api::ResourceType) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for specification in specifications.unwrap_or_default() {
        if specification.resource_type != Some(kind) {
            let named = specification.resource_type.map_or("none", |t| t.as_str());
            let why = format!("'{named}' is not a valid taggable resource type for this operation.");
            return Err(Common::InvalidParameterValue.fault(why));
        }
        tags.extend(checked(specification.tags.unwrap_or_default())?);
    }
    Ok(tags)
}

/// Tags of one resource at most (EC2 user guide, "Tag restrictions").
const TAGS_MAX: usize = 50;

/// Tags that a user gives, if they may be.
pub fn checked(given: Vec<api::Tag>) -> Result<Tags, Fault> {
    let tags: Tags =
        given.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    if let Some(key) = tags.keys().find(|key| key.starts_with("aws:") || key.is_empty() || key.len() > 127) {
        return Err(Common::InvalidParameterValue
            .fault(format!("Tag key '{key}' is not valid: keys have 1 to 127 characters and do not begin with aws:")));
    }
    if let Some((key, _)) = tags.iter().find(|(_, value)| value.chars().count() > 255) {
        let why = format!("Tag value of '{key}' is not valid: values have at most 255 characters");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    fit(&tags)?;
    Ok(tags)
}

/// Checks that a resource may have these tags; a service's own do not count.
pub fn fit(tags: &Tags) -> Result<(), Fault> {
    let count = tags.keys().filter(|key| !key.starts_with("aws:")).count();
    if count > TAGS_MAX {
        let why = format!("The maximum number of tags of a resource has been reached: {TAGS_MAX}");
        return Err(api::TAG_LIMIT_EXCEEDED.fault(why));
    }
    Ok(())
}

/// The tags of an account's resource; none: it is not there, or has no tags.
pub fn of(read: &impl Read, account: &str, id: &str) -> Option<Tags> {
    resource::of(read, account, id)
}

/// What an id is of, as ARNs write it: `network-interface` of `eni-…`.
pub fn kind_of(id: &str) -> Option<&'static str> {
    resource::kind_of(id)
}

/// As EC2 shows them.
pub fn shown(tags: &Tags) -> Option<Vec<api::Tag>> {
    let tag = |(key, value): (&String, &String)| api::Tag { key: Some(key.clone()), value: Some(value.clone()) };
    Some(tags.iter().map(tag).collect())
}
