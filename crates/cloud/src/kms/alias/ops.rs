//! The alias operations.

use super::{Alias, arn, of};
use crate::kms::{key, paged};
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::{
    ALREADY_EXISTS_EXCEPTION, INVALID_ALIAS_NAME_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, NOT_FOUND_EXCEPTION,
};
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// KMS quota "aliases per key".
const ALIASES_MAX: usize = 50;
/// Aliases of a page, if nobody says how many.
const PAGE: usize = 50;

/// KMS CreateAlias.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateAliasRequest) -> Result<(), Fault> {
    let (account, name) = (&caller.identity.account, input.alias_name);
    check_name(&name)?;
    let target = target(tx, caller, &input.target_key_id)?;
    let key = Alias::key(account, &name);
    if tx.shared(&key).is_some() {
        let why = format!("An alias with the name {} already exists", arn(caller, &name));
        return Err(ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    let updated = tx.now();
    tx.create(key, None, Alias { name, account: account.clone(), target, updated });
    Ok(())
}

/// KMS ListAliases, by name: of a key, or all.
pub fn list(view: &View, caller: &Caller, input: api::ListAliasesRequest) -> Result<api::ListAliasesResponse, Fault> {
    let account = &caller.identity.account;
    let of_key = input.key_id.map(|named| Ok::<_, Fault>(key::find(view, caller, &named)?.body.id)).transpose()?;
    let aliases = match &of_key {
        Some(id) => of(view, account, id),
        None => view.list(Index::<Alias>::prefix(format!("{account}/"))),
    };
    let shown = aliases.into_iter().map(|record| (record.body.name.clone(), shown(caller, record))).collect();
    let scope = format!("kms:ListAliases/{account}/{}", of_key.unwrap_or_default());
    let page = paged(&scope, shown, PAGE, input.limit, input.marker.as_deref())?;
    Ok(api::ListAliasesResponse {
        aliases: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

/// KMS UpdateAlias: it is another key's name.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateAliasRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.alias_name)?;
    let target = target(tx, caller, &input.target_key_id)?;
    record.body.updated = tx.now();
    record.body.target = target;
    tx.put(record);
    Ok(())
}

/// KMS DeleteAlias: its key stays.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAliasRequest) -> Result<(), Fault> {
    let record = find(tx, caller, &input.alias_name)?;
    tx.remove(&record.key);
    Ok(())
}

fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Alias>, Fault> {
    let missing = || NOT_FOUND_EXCEPTION.fault(format!("Alias {} is not found.", arn(caller, name)));
    read.get(&Alias::key(&caller.identity.account, name)).ok_or_else(missing)
}

/// The id of a key that may have one more name.
fn target(read: &impl Read, caller: &Caller, named: &str) -> Result<String, Fault> {
    let key = key::find(read, caller, named)?.body;
    key::check_usable(&key, &caller.region)?;
    if of(read, &key.account, &key.id).len() >= ALIASES_MAX {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("A key has no more than {ALIASES_MAX} aliases")));
    }
    Ok(key.id)
}

fn check_name(name: &str) -> Result<(), Fault> {
    let bad = |why: &str| Err(INVALID_ALIAS_NAME_EXCEPTION.fault(why));
    match name.strip_prefix("alias/") {
        None => bad(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ),
        Some("") => bad("Alias must have a name after the prefix \"alias/\"."),
        Some(rest) if rest.starts_with("aws/") => {
            bad("Aliases that begin with alias/aws/ are AWS's own: name another.")
        }
        Some(rest) if rest.contains(':') => bad("Alias names have no colons after the prefix."),
        Some(_) => Ok(()),
    }
}

fn shown(caller: &Caller, record: Record<Alias>) -> api::AliasListEntry {
    api::AliasListEntry {
        alias_arn: Some(arn(caller, &record.body.name).to_string()),
        alias_name: Some(record.body.name),
        target_key_id: Some(record.body.target),
        creation_date: Some(record.created),
        last_updated_date: Some(record.body.updated),
    }
}
