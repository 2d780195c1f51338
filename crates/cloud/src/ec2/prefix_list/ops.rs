//! The prefix list operations.

use super::asked::{self, invalid};
use super::{Entry, PrefixList, State, users, view};
use crate::ec2::block::Block;
use crate::ec2::describe::{Query, select};
use crate::ec2::offered::nothing_left;
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};
use std::collections::BTreeMap;
use std::mem::take;

/// VPC quota "prefix lists per Region".
const LISTS_MAX: usize = 100;
/// Of the resources that are in the way, so many are named (API reference, ModifyManagedPrefixList).
const NAMED_MAX: usize = 10;

/// EC2 CreateManagedPrefixList.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateManagedPrefixListRequest,
) -> Result<api::CreateManagedPrefixListResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications, api::ResourceType::PrefixList)?;
    let (name, family) = (asked::name(input.prefix_list_name)?, asked::family(&input.address_family)?);
    let max_entries = asked::max_entries(input.max_entries, 0)?;
    let entries = asked::entries(family, input.entries.unwrap_or_default())?;
    asked::fit(&entries, max_entries)?;
    if tx.count(Index::<PrefixList>::prefix(format!("{account}/"))) >= LISTS_MAX {
        let why = "The maximum number of prefix lists has been reached.";
        return Err(api::PREFIX_LIST_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let list = PrefixList {
        id: tx.fresh_id("pl-"),
        account: account.clone(),
        name,
        family,
        max_entries,
        version: 1,
        entries,
        older: BTreeMap::new(),
        state: State::Created,
        tags,
    };
    tx.create(PrefixList::key(account, &list.id), None, list.clone());
    Ok(api::CreateManagedPrefixListResult { prefix_list: Some(view::show(&caller.region, &list)) })
}

/// EC2 DescribeManagedPrefixLists.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeManagedPrefixListsRequest,
) -> Result<api::DescribeManagedPrefixListsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeManagedPrefixLists/{account}"),
        ids: input.prefix_list_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<PrefixList>::prefix(format!("{account}/"))).into_iter();
    let all = all.map(|record| (record.body.id.clone(), record.body)).collect();
    let page = select(&query, all, view::values, missing)?;
    let lists = page.items.iter().map(|list| view::show(&caller.region, list)).collect();
    Ok(api::DescribeManagedPrefixListsResult { prefix_lists: Some(lists), next_token: page.next })
}

/// EC2 GetManagedPrefixListEntries, of the newest or of an older version.
pub fn entries(
    view: &View,
    caller: &Caller,
    input: api::GetManagedPrefixListEntriesRequest,
) -> Result<api::GetManagedPrefixListEntriesResult, Fault> {
    let list = find(view, &caller.identity.account, &input.prefix_list_id)?.body;
    let asked = input.target_version;
    let entries = match asked {
        None => &list.entries,
        Some(version) => version_of(&list, version)?,
    };
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: format!("ec2:GetManagedPrefixListEntries/{}/{asked:?}", list.id),
        ids: &[],
        filters: &[],
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let shown = |entry: &Entry| {
        let (cidr, description) = (entry.block.to_string(), entry.description.clone());
        (cidr.clone(), api::PrefixListEntry { cidr: Some(cidr), description })
    };
    let page = select(&query, entries.iter().map(shown).collect(), |_, _| None, missing)?;
    Ok(api::GetManagedPrefixListEntriesResult { entries: Some(page.items), next_token: page.next })
}

/// EC2 GetManagedPrefixListAssociations: the security groups and the route tables that name it.
pub fn associations(
    view: &View,
    caller: &Caller,
    input: api::GetManagedPrefixListAssociationsRequest,
) -> Result<api::GetManagedPrefixListAssociationsResult, Fault> {
    let list = find(view, &caller.identity.account, &input.prefix_list_id)?.body;
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: format!("ec2:GetManagedPrefixListAssociations/{}", list.id),
        ids: &[],
        filters: &[],
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = users::of(view, &list).into_iter().map(|id| (id.clone(), id)).collect();
    let page = select(&query, all, |_, _| None, missing)?;
    let association =
        |id| api::PrefixListAssociation { resource_id: Some(id), resource_owner: Some(list.account.clone()) };
    let associations = page.items.into_iter().map(association).collect();
    Ok(api::GetManagedPrefixListAssociationsResult {
        prefix_list_associations: Some(associations),
        next_token: page.next,
    })
}

/// EC2 ModifyManagedPrefixList: in force at once wherever it is named. A size that something there does not bear changes
/// nothing, and is told by the list's state.
pub fn modify(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::ModifyManagedPrefixListRequest,
) -> Result<api::ModifyManagedPrefixListResult, Fault> {
    let mut record = find(tx, &caller.identity.account, &take(&mut input.prefix_list_id))?;
    let (current, dry_run) = (input.current_version.take(), input.dry_run.take());
    let (name, max) = (input.prefix_list_name.take(), input.max_entries.take());
    let (add, remove) = (input.add_entries.take().unwrap_or_default(), input.remove_entries.take().unwrap_or_default());
    nothing_left(&input, "A prefix list")?;
    let list = &mut record.body;
    check_version(list, current)?;
    let changes = !(add.is_empty() && remove.is_empty());
    if changes && max.is_some() {
        let why = "You cannot modify the entries and the maximum entries for the prefix list in the same request.";
        return Err(Common::InvalidParameterCombination.fault(why));
    }
    if name.is_none() && max.is_none() && !changes {
        return Err(Common::MissingParameter.fault("The request must contain what is to be modified."));
    }
    let before = list.name.clone();
    list.name = name.map(asked::name).transpose()?.unwrap_or_else(|| before.clone());
    list.state = State::Modified;
    if changes {
        let mut entries = without(list, &remove)?;
        entries.extend(asked::entries(list.family, add)?);
        asked::fit(&entries, list.max_entries)?;
        list.renew(entries);
    }
    if let Some(max) = max {
        let max = asked::max_entries(max, list.entries.len())?;
        let over = users::overburdened(tx, list, max.saturating_sub(list.max_entries));
        if over.is_empty() {
            list.max_entries = max;
        } else {
            let why = format!("The following resources do not support the new maximum size: {}", some(&over));
            (list.name, list.state) = (before, State::ModifyFailed(why));
        }
    }
    tags::not_dry(dry_run)?;
    let shown = view::show(&caller.region, list);
    tx.put(record);
    Ok(api::ModifyManagedPrefixListResult { prefix_list: Some(shown) })
}

/// EC2 RestoreManagedPrefixListVersion: the entries of an older version, by a new one.
pub fn restore(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RestoreManagedPrefixListVersionRequest,
) -> Result<api::RestoreManagedPrefixListVersionResult, Fault> {
    let mut record = find(tx, &caller.identity.account, &input.prefix_list_id)?;
    let list = &mut record.body;
    check_version(list, Some(input.current_version))?;
    let entries = version_of(list, input.previous_version)?.clone();
    asked::fit(&entries, list.max_entries)?;
    tags::not_dry(input.dry_run)?;
    list.renew(entries);
    list.state = State::Restored;
    let shown = view::show(&caller.region, list);
    tx.put(record);
    Ok(api::RestoreManagedPrefixListVersionResult { prefix_list: Some(shown) })
}

/// EC2 DeleteManagedPrefixList. As at AWS, that something names it is not this answer's to say but the list's, whose
/// deletion fails.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteManagedPrefixListRequest,
) -> Result<api::DeleteManagedPrefixListResult, Fault> {
    let mut record = find(tx, &caller.identity.account, &input.prefix_list_id)?;
    tags::not_dry(input.dry_run)?;
    let state = Some(api::PrefixListState::DeleteInProgress);
    let shown = view::show(&caller.region, &record.body);
    let shown = api::ManagedPrefixList { state, state_message: None, ..shown };
    let naming = users::of(tx, &record.body);
    if naming.is_empty() {
        tx.remove(&record.key);
    } else {
        let why = format!("The prefix list is referenced by the following resources: {}", some(&naming));
        record.body.state = State::DeleteFailed(why);
        tx.put(record);
    }
    Ok(api::DeleteManagedPrefixListResult { prefix_list: Some(shown) })
}

/// EC2 DescribePrefixLists: those of AWS's own services that a VPC reaches by a gateway, of which none is here.
pub fn describe_of_services(
    _: &View,
    caller: &Caller,
    input: api::DescribePrefixListsRequest,
) -> Result<api::DescribePrefixListsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: format!("ec2:DescribePrefixLists/{}", caller.identity.account),
        ids: input.prefix_list_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let page = select(&query, Vec::<(String, api::PrefixList)>::new(), |_, _| None, missing)?;
    Ok(api::DescribePrefixListsResult { prefix_lists: Some(page.items), next_token: page.next })
}

/// The account's list of that id.
pub(in crate::ec2) fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<PrefixList>, Fault> {
    read.get(&PrefixList::key(account, id)).ok_or_else(|| missing(id))
}

/// Its entries without those of the named blocks, each of which it must have.
fn without(list: &PrefixList, named: &[api::RemovePrefixListEntry]) -> Result<Vec<Entry>, Fault> {
    let named: Vec<Block> =
        named.iter().map(|entry| asked::block_of(list.family, &entry.cidr)).collect::<Result<_, _>>()?;
    if let Some(none) = named.iter().find(|block| list.entries.iter().all(|entry| entry.block != **block)) {
        return Err(invalid(format!("The prefix list has no entry with the CIDR {none}.")));
    }
    Ok(list.entries.iter().filter(|entry| !named.contains(&entry.block)).cloned().collect())
}

fn check_version(list: &PrefixList, current: Option<i64>) -> Result<(), Fault> {
    match current {
        Some(current) if u64::try_from(current) != Ok(list.version) => {
            Err(api::PREFIX_LIST_VERSION_MISMATCH.fault("The prefix list has the incorrect version number."))
        }
        _ => Ok(()),
    }
}

fn version_of(list: &PrefixList, version: i64) -> Result<&Vec<Entry>, Fault> {
    let found = u64::try_from(version).ok().and_then(|version| list.entries_of(version));
    found.ok_or_else(|| invalid(format!("The prefix list {} has no version {version}.", list.id)))
}

fn some(ids: &[String]) -> String {
    ids.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn missing(id: &str) -> Fault {
    api::INVALID_PREFIX_LIST_ID_NOT_FOUND.fault(format!("The prefix list ID '{id}' does not exist"))
}
