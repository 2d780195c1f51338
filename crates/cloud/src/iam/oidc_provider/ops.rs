//! The operations on identity providers of OpenID Connect.

use super::OidcProvider;
use crate::iam::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    ENTITY_ALREADY_EXISTS_EXCEPTION, INVALID_INPUT_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Index, Key, Read, Record, Tx, View};
use roadstead_types::Arn;
use roadstead_wire::fault::{Common, Fault};

/// IAM quota "OpenID Connect providers per account".
const PROVIDERS_MAX: usize = 100;
/// IAM quota "client IDs per OpenID Connect provider".
const CLIENT_IDS_MAX: usize = 100;
/// IAM API reference, CreateOpenIDConnectProvider.
const THUMBPRINTS_MAX: usize = 5;

/// IAM CreateOpenIDConnectProvider.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateOpenIDConnectProviderRequest,
) -> Result<api::CreateOpenIDConnectProviderResponse, Fault> {
    let account = &caller.identity.account;
    let url = issuer(&input.url)?.to_owned();
    let thumbprints = input.thumbprint_list.unwrap_or_default();
    check_thumbprints(&thumbprints)?;
    let mut client_ids = vec![];
    input.client_id_list.unwrap_or_default().into_iter().try_for_each(|id| add(&mut client_ids, id))?;
    let tags = tags::given(input.tags)?;
    let key = OidcProvider::key(account, &url);
    if tx.shared(&key).is_some() {
        let why = format!("Provider with url {} already exists.", input.url);
        return Err(ENTITY_ALREADY_EXISTS_EXCEPTION.fault(why));
    }
    if tx.count(Index::<OidcProvider>::prefix(format!("{account}/"))) >= PROVIDERS_MAX {
        let why = format!("Cannot exceed quota for OpenIdConnectProvidersPerAccount: {PROVIDERS_MAX}");
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    let created = tx.now();
    let provider = OidcProvider { url, account: account.clone(), client_ids, thumbprints, tags, created };
    let record = tx.create(key, None, provider);
    Ok(api::CreateOpenIDConnectProviderResponse {
        open_id_connect_provider_arn: Some(record.body.arn().to_string()),
        tags: Some(tags::shown(&record.body.tags)),
    })
}

/// IAM GetOpenIDConnectProvider.
pub fn get(
    view: &View,
    caller: &Caller,
    input: api::GetOpenIDConnectProviderRequest,
) -> Result<api::GetOpenIDConnectProviderResponse, Fault> {
    let provider = find(view, caller, &input.open_id_connect_provider_arn)?.body;
    Ok(api::GetOpenIDConnectProviderResponse {
        tags: Some(tags::shown(&provider.tags)),
        url: Some(provider.url),
        client_id_list: Some(provider.client_ids),
        thumbprint_list: Some(provider.thumbprints),
        create_date: Some(provider.created),
    })
}

/// IAM ListOpenIDConnectProviders, by issuer.
pub fn list(
    view: &View,
    caller: &Caller,
    _: api::ListOpenIDConnectProvidersRequest,
) -> Result<api::ListOpenIDConnectProvidersResponse, Fault> {
    let all = view.list(Index::<OidcProvider>::prefix(format!("{}/", caller.identity.account))).into_iter();
    let shown = all.map(|record| api::OpenIDConnectProviderListEntry { arn: Some(record.body.arn().to_string()) });
    Ok(api::ListOpenIDConnectProvidersResponse { open_id_connect_provider_list: Some(shown.collect()) })
}

/// IAM DeleteOpenIDConnectProvider: one that is not there is no error. Roles that trust it stay as they are.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteOpenIDConnectProviderRequest) -> Result<(), Fault> {
    tx.remove(&key(caller, &input.open_id_connect_provider_arn)?);
    Ok(())
}

/// IAM UpdateOpenIDConnectProviderThumbprint: these, and no others.
pub fn update_thumbprint(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateOpenIDConnectProviderThumbprintRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.open_id_connect_provider_arn)?;
    check_thumbprints(&input.thumbprint_list)?;
    record.body.thumbprints = input.thumbprint_list;
    tx.put(record);
    Ok(())
}

/// IAM AddClientIDToOpenIDConnectProvider: twice is once.
pub fn add_client_id(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AddClientIDToOpenIDConnectProviderRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.open_id_connect_provider_arn)?;
    add(&mut record.body.client_ids, input.client_id)?;
    tx.put(record);
    Ok(())
}

/// IAM RemoveClientIDFromOpenIDConnectProvider: one that is not there is no error.
pub fn remove_client_id(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RemoveClientIDFromOpenIDConnectProviderRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.open_id_connect_provider_arn)?;
    record.body.client_ids.retain(|id| *id != input.client_id);
    tx.put(record);
    Ok(())
}

/// IAM TagOpenIDConnectProvider.
pub fn tag(tx: &mut Tx, caller: &Caller, input: api::TagOpenIDConnectProviderRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.open_id_connect_provider_arn)?;
    record.body.tags = tags::add(&record.body.tags, input.tags)?;
    tx.put(record);
    Ok(())
}

/// IAM UntagOpenIDConnectProvider: a key that is not there is no error.
pub fn untag(tx: &mut Tx, caller: &Caller, input: api::UntagOpenIDConnectProviderRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.open_id_connect_provider_arn)?;
    record.body.tags = tags::remove(&record.body.tags, &input.tag_keys);
    tx.put(record);
    Ok(())
}

/// IAM ListOpenIDConnectProviderTags, by key.
pub fn list_tags(
    view: &View,
    caller: &Caller,
    input: api::ListOpenIDConnectProviderTagsRequest,
) -> Result<api::ListOpenIDConnectProviderTagsResponse, Fault> {
    let record = find(view, caller, &input.open_id_connect_provider_arn)?;
    let scope = format!("iam:ListOpenIDConnectProviderTags/{}", record.key.name());
    let page = tags::page(&scope, &record.body.tags, input.max_items, input.marker.as_deref())?;
    Ok(api::ListOpenIDConnectProviderTagsResponse {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// An issuer's URL without its scheme. It is fetched over HTTPS, at its own port, and names one place.
fn issuer(url: &str) -> Result<&str, Fault> {
    let bad = || Common::Validation.fault("Invalid Open ID Connect Provider URL");
    let rest = url.strip_prefix("https://").ok_or_else(bad)?;
    let host = rest.split('/').next().unwrap_or_default();
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let is_plain = rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
    if is_host && is_plain { Ok(rest) } else { Err(bad()) }
}

fn check_thumbprints(thumbprints: &[String]) -> Result<(), Fault> {
    if thumbprints.len() > THUMBPRINTS_MAX {
        return Err(INVALID_INPUT_EXCEPTION.fault("Thumbprint list must contain fewer than 5 entries."));
    }
    match thumbprints.iter().all(|thumbprint| thumbprint.bytes().all(|b| b.is_ascii_hexdigit())) {
        true => Ok(()),
        false => {
            Err(INVALID_INPUT_EXCEPTION.fault("Thumbprints are SHA-1 hashes of certificates: 40 hexadecimal digits."))
        }
    }
}

fn add(client_ids: &mut Vec<String>, id: String) -> Result<(), Fault> {
    if client_ids.contains(&id) {
        return Ok(());
    }
    if client_ids.len() >= CLIENT_IDS_MAX {
        let why = format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS_MAX}");
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    client_ids.push(id);
    Ok(())
}

/// The account's provider of that ARN.
fn find(read: &impl Read, caller: &Caller, arn: &str) -> Result<Record<OidcProvider>, Fault> {
    let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("OpenIDConnect Provider not found for arn {arn}"));
    read.get(&key(caller, arn)?).ok_or_else(missing)
}

fn key(caller: &Caller, text: &str) -> Result<Key<OidcProvider>, Fault> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.service == "iam");
    let url = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("oidc-provider/"));
    let url = url.ok_or_else(|| INVALID_INPUT_EXCEPTION.fault(format!("ARN {text} is not valid.")))?;
    Ok(OidcProvider::key(&caller.identity.account, url))
}
