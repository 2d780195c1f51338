//! The key pair operations.

use super::model::{Algorithm, KeyPair, PublicKey};
use super::{named, ssh};
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::tags;
use roadstead_kernel::{Caller, Mint};
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::{Common, Fault};

/// The longest name.
const NAME_MAX: usize = 255;

/// EC2 CreateKeyPair: the private key is shown here and never again, for nothing keeps it.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateKeyPairRequest,
    mint: Mint<'_>,
) -> Result<api::KeyPair, Fault> {
    let tags = checked(tx, caller, &input.key_name, input.tag_specifications)?;
    if input.key_type == Some(api::KeyType::Rsa) {
        let why = "KeyType rsa is not available in this region: use ed25519, or make the key yourself and import it";
        return Err(api::UNSUPPORTED.fault(why));
    }
    if input.key_format == Some(api::KeyFormat::Ppk) {
        return Err(api::UNSUPPORTED.fault("KeyFormat ppk is not available in this region: use pem, and puttygen"));
    }
    tags::not_dry(input.dry_run)?;
    let (public, private) = ssh::generate(&mint.secret()?.plain, &input.key_name).map_err(Fault::internal)?;
    let pair = insert(tx, caller, input.key_name, public, tags);
    Ok(api::KeyPair {
        key_pair_id: Some(pair.id),
        tags: tags::shown(&pair.tags),
        key_name: Some(pair.name),
        key_fingerprint: Some(pair.public.fingerprint),
        key_material: Some(private),
    })
}

/// EC2 ImportKeyPair.
pub fn import(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ImportKeyPairRequest,
) -> Result<api::ImportKeyPairResult, Fault> {
    let tags = checked(tx, caller, &input.key_name, input.tag_specifications)?;
    let public = std::str::from_utf8(&input.public_key_material).ok().and_then(ssh::parse);
    let public = public.ok_or_else(|| {
        api::INVALID_KEY_FORMAT
            .fault("Key is not in valid OpenSSH public key format: RSA of 1024, 2048 or 4096 bits, or Ed25519")
    })?;
    tags::not_dry(input.dry_run)?;
    let pair = insert(tx, caller, input.key_name, public, tags);
    Ok(api::ImportKeyPairResult {
        key_fingerprint: Some(pair.public.fingerprint),
        key_name: Some(pair.name),
        key_pair_id: Some(pair.id),
        tags: tags::shown(&pair.tags),
    })
}

/// The tags of a new pair, if its name is free.
fn checked(
    read: &impl Read,
    caller: &Caller,
    name: &str,
    specifications: Option<Vec<api::TagSpecification>>,
) -> Result<Tags, Fault> {
    if name.len() > NAME_MAX || !name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        let why =
            format!("Value ({name}) for parameter KeyName is invalid. It has at most {NAME_MAX} ASCII characters.");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if named(read, &caller.identity.account, name).is_some() {
        return Err(api::INVALID_KEY_PAIR_DUPLICATE.fault("The keypair already exists"));
    }
    tags::given(specifications, api::ResourceType::KeyPair)
}

fn insert(tx: &mut Tx, caller: &Caller, name: String, public: PublicKey, tags: Tags) -> KeyPair {
    let (id, account, created) = (tx.fresh_id("key-"), caller.identity.account.clone(), tx.now());
    let pair = KeyPair { id, account, name, public, created, tags };
    tx.create(KeyPair::key(&pair.account, &pair.id), None, pair.clone());
    pair
}

/// EC2 DescribeKeyPairs.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeKeyPairsRequest,
) -> Result<api::DescribeKeyPairsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let mut ids = input.key_pair_ids.unwrap_or_default();
    for name in input.key_names.unwrap_or_default() {
        ids.push(named(view, account, &name).ok_or_else(|| missing(&name))?.id);
    }
    let query = Query {
        scope: format!("ec2:DescribeKeyPairs/{account}"),
        ids: &ids,
        filters: input.filters.as_deref().unwrap_or_default(),
        max: None,
        token: None,
    };
    let all = view.list(Index::<KeyPair>::prefix(format!("{account}/"))).into_iter();
    let found = select(&query, all.map(|record| (record.body.id.clone(), record.body)).collect(), values, missing)?;
    let with_key = input.include_public_key == Some(true);
    Ok(api::DescribeKeyPairsResult { key_pairs: Some(found.items.iter().map(|pair| show(pair, with_key)).collect()) })
}

fn values(pair: &KeyPair, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "key-pair-id" => pair.id.clone(),
        "fingerprint" => pair.public.fingerprint.clone(),
        "key-name" => pair.name.clone(),
        _ => return tag_values(&pair.tags, filter),
    }])
}

fn show(pair: &KeyPair, with_key: bool) -> api::KeyPairInfo {
    api::KeyPairInfo {
        key_pair_id: Some(pair.id.clone()),
        key_type: Some(match pair.public.algorithm {
            Algorithm::Ed25519 => api::KeyType::Ed25519,
            Algorithm::Rsa => api::KeyType::Rsa,
        }),
        tags: tags::shown(&pair.tags),
        public_key: with_key.then(|| pair.public.text.clone()),
        create_time: Some(pair.created),
        key_name: Some(pair.name.clone()),
        key_fingerprint: Some(pair.public.fingerprint.clone()),
    }
}

/// EC2 DeleteKeyPair: a name that no pair has is fine, an id is not.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteKeyPairRequest,
) -> Result<api::DeleteKeyPairResult, Fault> {
    let account = &caller.identity.account;
    let found = match (input.key_pair_id, input.key_name) {
        (Some(id), _) => Some(tx.get(&KeyPair::key(account, &id)).ok_or_else(|| missing(&id))?.body),
        (None, Some(name)) => named(tx, account, &name),
        (None, None) => {
            let why = "The request must contain the parameter KeyName or KeyPairId";
            return Err(Common::MissingParameter.fault(why));
        }
    };
    tags::not_dry(input.dry_run)?;
    if let Some(pair) = &found {
        tx.remove(&KeyPair::key(account, &pair.id));
    }
    Ok(api::DeleteKeyPairResult { r#return: Some(true), key_pair_id: found.map(|pair| pair.id) })
}

/// The fault for a name or an id that no key pair has.
pub(crate) fn missing(name: &str) -> Fault {
    api::INVALID_KEY_PAIR_NOT_FOUND.fault(format!("The key pair '{name}' does not exist"))
}
