//! The tag operations.

use super::resource::{self, Row};
use super::{checked, fit, not_dry};
use crate::ec2::describe::{Query, at_least, select};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// EC2 CreateTags: a key that a resource has gets the new value.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateTagsRequest) -> Result<(), Fault> {
    let tags = checked(input.tags)?;
    for id in &input.resources {
        resource::change(tx, &caller.identity.account, id, |has| {
            has.extend(tags.clone());
            fit(has)
        })?;
    }
    not_dry(input.dry_run)
}

/// EC2 DeleteTags: a tag with a value goes only if it has that; without tags, all go but the services' own.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteTagsRequest) -> Result<(), Fault> {
    let named = input.tags.unwrap_or_default();
    if let Some(tag) = named.iter().find(|tag| tag.key.as_ref().is_some_and(|key| key.starts_with("aws:"))) {
        let key = tag.key.as_deref().unwrap_or_default();
        let why = format!("Tag keys starting with 'aws:' are reserved for internal use: {key}");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    let goes = |key: &str, value: &str| {
        let fits = |tag: &api::Tag| {
            tag.key.as_deref() == Some(key) && tag.value.as_deref().is_none_or(|wanted| wanted == value)
        };
        if named.is_empty() { !key.starts_with("aws:") } else { named.iter().any(fits) }
    };
    for id in &input.resources {
        resource::change(tx, &caller.identity.account, id, |has| {
            has.retain(|key, value| !goes(key, value));
            Ok(())
        })?;
    }
    not_dry(input.dry_run)
}

/// EC2 DescribeTags.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeTagsRequest,
) -> Result<api::DescribeTagsResult, Fault> {
    not_dry(input.dry_run)?;
    at_least(5, input.max_results)?;
    let account = &caller.identity.account;
    let rows: Vec<(String, Row)> = resource::rows(view, account)
        .into_iter()
        .map(|row| (format!("{}/{}/{}", row.kind.as_str(), row.id, row.key), row))
        .collect();
    let query = Query {
        scope: format!("ec2:DescribeTags/{account}"),
        ids: &[],
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let page = select(&query, rows, values, |id| api::INVALID_ID.fault(id))?;
    let shown = |row: Row| api::TagDescription {
        key: Some(row.key),
        resource_id: Some(row.id),
        resource_type: Some(row.kind),
        value: Some(row.value),
    };
    let tags = page.items.into_iter().map(shown).collect();
    Ok(api::DescribeTagsResult { tags: Some(tags), next_token: page.next })
}

fn values(row: &Row, filter: &str) -> Option<Vec<String>> {
    Some(match filter {
        "key" => vec![row.key.clone()],
        "value" => vec![row.value.clone()],
        "resource-id" => vec![row.id.clone()],
        "resource-type" => vec![row.kind.as_str().to_owned()],
        _ => {
            let key = filter.strip_prefix("tag:")?;
            if key == row.key { vec![row.value.clone()] } else { vec![] }
        }
    })
}
