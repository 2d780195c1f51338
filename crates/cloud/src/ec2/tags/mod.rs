//! Tags of EC2 resources.

use roadstead_shapes::ec2 as api;
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
        tags.extend(
            specification
                .tags
                .unwrap_or_default()
                .into_iter()
                .map(|t| (t.key.unwrap_or_default(), t.value.unwrap_or_default())),
        );
    }
    match tags.keys().find(|k| k.starts_with("aws:") || k.is_empty() || k.len() > 127) {
        Some(key) => Err(Common::InvalidParameterValue
            .fault(format!("Tag key '{key}' is not valid: keys have 1 to 127 characters and do not begin with aws:"))),
        None => Ok(tags),
    }
}

/// As EC2 shows them.
pub fn shown(tags: &Tags) -> Option<Vec<api::Tag>> {
    let tag = |(key, value): (&String, &String)| api::Tag { key: Some(key.clone()), value: Some(value.clone()) };
    Some(tags.iter().map(tag).collect())
}
