//! Tags of groups, which instances may get, too.

use super::model::{AutoScalingGroup, Tag};
use super::ops::{Sizes, groups, invalid, paged};
use roadstead_kernel::Caller;
use roadstead_shapes::autoscaling as api;
use roadstead_store::{Record, Tx, View};
use roadstead_wire::fault::Fault;
use std::collections::BTreeMap;

/// Auto Scaling quota "tags per resource".
const TAGS_MAX: usize = 50;
/// The only type of resource that has tags.
const GROUP: &str = "auto-scaling-group";

/// A new group's tags.
pub fn given(tags: Vec<api::Tag>) -> Result<BTreeMap<String, Tag>, Fault> {
    let mut all = BTreeMap::new();
    for tag in tags {
        let (key, tag) = parse(tag)?;
        all.insert(key, tag);
    }
    check_number(&all)?;
    Ok(all)
}

fn parse(tag: api::Tag) -> Result<(String, Tag), Fault> {
    if tag.key.to_lowercase().starts_with("aws:") {
        return Err(invalid("Tag keys may not begin with aws:: that prefix is reserved."));
    }
    let propagate = tag.propagate_at_launch.unwrap_or(false);
    Ok((tag.key, Tag { value: tag.value.unwrap_or_default(), propagate }))
}

fn check_number(tags: &BTreeMap<String, Tag>) -> Result<(), Fault> {
    match tags.len() {
        0..=TAGS_MAX => Ok(()),
        _ => Err(api::LIMIT_EXCEEDED_FAULT.fault(format!("A group may have no more than {TAGS_MAX} tags."))),
    }
}

/// Auto Scaling CreateOrUpdateTags.
pub fn create_or_update(tx: &mut Tx, caller: &Caller, input: api::CreateOrUpdateTagsType) -> Result<(), Fault> {
    change(tx, caller, input.tags, |tags, tag| {
        let (key, tag) = parse(tag)?;
        tags.insert(key, tag);
        check_number(tags)
    })
}

/// Auto Scaling DeleteTags: what is not there is fine.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteTagsType) -> Result<(), Fault> {
    change(tx, caller, input.tags, |tags, tag| {
        tags.remove(&tag.key);
        Ok(())
    })
}

fn change(
    tx: &mut Tx,
    caller: &Caller,
    tags: Vec<api::Tag>,
    mut apply: impl FnMut(&mut BTreeMap<String, Tag>, api::Tag) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut changed: BTreeMap<String, Record<AutoScalingGroup>> = BTreeMap::new();
    for tag in tags {
        let name = tag.resource_id.clone().ok_or_else(|| invalid("Tag should have a ResourceId"))?;
        if tag.resource_type.as_deref().is_some_and(|kind| kind != GROUP) {
            return Err(invalid(format!("The only supported resource type is {GROUP}")));
        }
        let record = match changed.get_mut(&name) {
            Some(record) => record,
            None => {
                let record = super::ops::find(tx, caller, &name)?;
                changed.entry(name).or_insert(record)
            }
        };
        apply(&mut record.body.tags, tag)?;
    }
    changed.into_values().for_each(|record| tx.put(record));
    Ok(())
}

/// Auto Scaling DescribeTags.
pub fn describe(view: &View, caller: &Caller, input: api::DescribeTagsType) -> Result<api::TagsType, Fault> {
    let filters = input.filters.unwrap_or_default();
    let mut all = vec![];
    for record in groups(view, caller) {
        for tag in of(&record.body) {
            if matches(&filters, &tag)? {
                let key = tag.key.as_deref().unwrap_or_default();
                all.push((format!("{}/{key}", record.body.spec.name), tag));
            }
        }
    }
    let page = paged(caller, "DescribeTags", Sizes(50, 100), all, input.max_records, input.next_token)?;
    Ok(api::TagsType { tags: Some(page.items), next_token: page.next })
}

fn matches(filters: &[api::Filter], tag: &api::TagDescription) -> Result<bool, Fault> {
    for filter in filters {
        let has = match filter.name.as_deref().unwrap_or_default() {
            "auto-scaling-group" => tag.resource_id.clone(),
            "key" => tag.key.clone(),
            "value" => tag.value.clone(),
            "propagate-at-launch" => tag.propagate_at_launch.map(|p| p.to_string()),
            other => {
                return Err(invalid(format!(
                    "Filter type {other} is not correct. Allowed Filter types are: auto-scaling-group key value propagate-at-launch"
                )));
            }
        };
        let wanted = filter.values.as_deref().unwrap_or_default();
        if !has.is_some_and(|has| wanted.contains(&has)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a group's tags match the filters of DescribeAutoScalingGroups: `tag-key`, `tag-value` and `tag:KEY`.
pub fn match_group(filters: &[api::Filter], group: &AutoScalingGroup) -> Result<bool, Fault> {
    for filter in filters {
        let wanted = filter.values.as_deref().unwrap_or_default();
        let name = filter.name.as_deref().unwrap_or_default();
        let fits = match (name, name.strip_prefix("tag:")) {
            ("tag-key", _) => group.tags.keys().any(|key| wanted.contains(key)),
            ("tag-value", _) => group.tags.values().any(|tag| wanted.contains(&tag.value)),
            (_, Some(key)) => group.tags.get(key).is_some_and(|tag| wanted.contains(&tag.value)),
            _ => {
                let why =
                    format!("Filter type {name} is not correct. Allowed Filter types are: tag-key tag-value tag:<key>");
                return Err(invalid(why));
            }
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A group's tags, as Auto Scaling shows them.
pub fn of(group: &AutoScalingGroup) -> Vec<api::TagDescription> {
    let describe = |(key, tag): (&String, &Tag)| api::TagDescription {
        resource_id: Some(group.spec.name.clone()),
        resource_type: Some(GROUP.into()),
        key: Some(key.clone()),
        value: Some(tag.value.clone()),
        propagate_at_launch: Some(tag.propagate),
    };
    group.tags.iter().map(describe).collect()
}
