//! The alias of an account: another name for it, in the address at which its users sign in.

use crate::iam::listing;
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{ENTITY_ALREADY_EXISTS_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Index, Key, Object, Read as _, Tx, View};
use roadstead_wire::fault::Fault;
use serde::{Deserialize, Serialize};

/// An account's alias; its key is the alias, which is one account's only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAlias {
    /// Whose it is.
    pub account: String,
}

impl Object for AccountAlias {
    const KIND: &'static str = "iam/account-alias";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("account", self.account.clone())]
    }
}

/// IAM CreateAccountAlias: it replaces the one that the account has.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateAccountAliasRequest) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let key = Key::<AccountAlias>::new(input.account_alias.clone());
    if tx.shared(&key).is_some() {
        let why = format!("The account alias {} already exists.", input.account_alias);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    for old in tx.list(Index::<AccountAlias>::by("account", account.clone())) {
        tx.remove(&old.key);
    }
    tx.create(key, None, AccountAlias { account: account.clone() });
    Ok(())
}

/// IAM ListAccountAliases: at most one.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListAccountAliasesRequest,
) -> Result<api::ListAccountAliasesResponse, Fault> {
    let account = &caller.identity.account;
    let aliases = view.list(Index::<AccountAlias>::by("account", account.clone())).into_iter();
    let aliases = aliases.map(|record| (record.key.name().to_owned(), record.key.name().to_owned())).collect();
    let scope = format!("iam:ListAccountAliases/{account}");
    let page = listing::page(&scope, aliases, input.max_items, input.marker.as_deref())?;
    Ok(api::ListAccountAliasesResponse {
        account_aliases: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteAccountAlias.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAccountAliasRequest) -> Result<(), Fault> {
    let key = Key::<AccountAlias>::new(input.account_alias.clone());
    let owned = tx.shared(&key).is_some_and(|record| record.body.account == caller.identity.account);
    if !owned {
        let why = format!("The account alias {} cannot be found.", input.account_alias);
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(why));
    }
    tx.remove(&key);
    Ok(())
}
