//! How EC2 shows a list.

use super::{PrefixList, State};
use crate::ec2::describe::tag_values;
use crate::ec2::tags;
use roadstead_shapes::ec2 as api;
use roadstead_types::Arn;

/// A list, as DescribeManagedPrefixLists has it.
pub(super) fn show(region: &str, list: &PrefixList) -> api::ManagedPrefixList {
    let (state, message) = match &list.state {
        State::Created => (api::PrefixListState::CreateComplete, None),
        State::Modified => (api::PrefixListState::ModifyComplete, None),
        State::Restored => (api::PrefixListState::RestoreComplete, None),
        State::ModifyFailed(why) => (api::PrefixListState::ModifyFailed, Some(why.clone())),
        State::DeleteFailed(why) => (api::PrefixListState::DeleteFailed, Some(why.clone())),
    };
    api::ManagedPrefixList {
        prefix_list_id: Some(list.id.clone()),
        address_family: Some(list.family.name().into()),
        state: Some(state),
        state_message: message,
        prefix_list_arn: Some(Arn::new("ec2", region, &list.account, format!("prefix-list/{}", list.id)).to_string()),
        prefix_list_name: Some(list.name.clone()),
        max_entries: i32::try_from(list.max_entries).ok(),
        version: i64::try_from(list.version).ok(),
        tags: tags::shown(&list.tags),
        owner_id: Some(list.account.clone()),
        ..Default::default()
    }
}

/// What a list has under a filter's name.
pub(super) fn values(list: &PrefixList, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "owner-id" => list.account.clone(),
        "prefix-list-id" => list.id.clone(),
        "prefix-list-name" => list.name.clone(),
        _ => return tag_values(&list.tags, filter),
    }])
}
