//! The repository operations.

use super::{Mutability, Repository, find, tags};
use crate::ecr::{self, image, invalid, layer};
use roadstead_kernel::Caller;
use roadstead_shapes::ecr as api;
use roadstead_shapes::ecr::{REPOSITORY_ALREADY_EXISTS_EXCEPTION, REPOSITORY_NOT_EMPTY_EXCEPTION};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// ECR CreateRepository.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateRepositoryRequest,
) -> Result<api::CreateRepositoryResponse, Fault> {
    let (account, name) = (ecr::registry(caller, input.registry_id.as_deref()).to_owned(), input.repository_name);
    let mutability = mutability(input.image_tag_mutability, input.image_tag_mutability_exclusion_filters.as_deref())?;
    if input.image_scanning_configuration.is_some_and(|scanning| scanning.scan_on_push == Some(true)) {
        return Err(invalid("Images are not scanned in this region: leave scanOnPush false"));
    }
    if input
        .encryption_configuration
        .is_some_and(|encryption| encryption.encryption_type != api::EncryptionType::Aes256)
    {
        return Err(invalid(
            "Repositories are not encrypted with keys of KMS in this region: leave encryptionType AES256",
        ));
    }
    let tags = tags::given(input.tags)?;
    let key = Repository::key(&account, &name);
    if tx.shared(&key).is_some() {
        return Err(REPOSITORY_ALREADY_EXISTS_EXCEPTION
            .fault(format!("The repository with name '{name}' already exists in the registry with id '{account}'")));
    }
    let record = tx.create(key, None, Repository { name, account, mutability, tags });
    Ok(api::CreateRepositoryResponse { repository: Some(show(&record, &caller.region)) })
}

/// ECR DescribeRepositories: by name, those of the names.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeRepositoriesRequest,
) -> Result<api::DescribeRepositoriesResponse, Fault> {
    let account = ecr::registry(caller, input.registry_id.as_deref());
    if let Some(names) = input.repository_names {
        if input.next_token.is_some() || input.max_results.is_some() {
            return Err(invalid("nextToken and maxResults cannot be used when repositoryNames are given"));
        }
        let found = names.iter().map(|name| Ok(show(&*find(view, account, name)?, &caller.region)));
        let repositories = Some(found.collect::<Result<_, Fault>>()?);
        return Ok(api::DescribeRepositoriesResponse { repositories, next_token: None });
    }
    let prefix = format!("{account}/");
    let rest = |after: Option<String>| {
        let names = view.names_after::<Repository>(&prefix, &after.unwrap_or_default());
        names.filter_map(|name| {
            let record = view.shared(&Repository::key(account, name.strip_prefix(&prefix)?))?;
            Some((record.body.name.clone(), show(&record, &caller.region)))
        })
    };
    let scope = format!("ecr:DescribeRepositories/{account}");
    let page = ecr::page(&scope, rest, input.max_results, input.next_token.as_deref())?;
    Ok(api::DescribeRepositoriesResponse { repositories: Some(page.items), next_token: page.next })
}

/// ECR DeleteRepository: with its images only by force.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteRepositoryRequest,
) -> Result<api::DeleteRepositoryResponse, Fault> {
    let account = ecr::registry(caller, input.registry_id.as_deref());
    let record = find(tx, account, &input.repository_name)?;
    if image::any(tx, &record.body) && input.force != Some(true) {
        return Err(REPOSITORY_NOT_EMPTY_EXCEPTION.fault(format!(
            "The repository with name '{}' in registry with id '{account}' cannot be deleted because it still contains images",
            record.body.name
        )));
    }
    image::forget(tx, &record.body);
    layer::forget(tx, &record.body);
    tx.remove(&record.key);
    Ok(api::DeleteRepositoryResponse { repository: Some(show(&record, &caller.region)) })
}

/// ECR PutImageTagMutability: counts for tags that are given from now on.
pub fn put_image_tag_mutability(
    tx: &mut Tx,
    caller: &Caller,
    input: api::PutImageTagMutabilityRequest,
) -> Result<api::PutImageTagMutabilityResponse, Fault> {
    let account = ecr::registry(caller, input.registry_id.as_deref());
    let mut record = Record::clone(&*find(tx, account, &input.repository_name)?);
    let asked = Some(input.image_tag_mutability);
    record.body.mutability = mutability(asked, input.image_tag_mutability_exclusion_filters.as_deref())?;
    let answer = api::PutImageTagMutabilityResponse {
        registry_id: Some(account.to_owned()),
        repository_name: Some(record.body.name.clone()),
        image_tag_mutability: Some(shown(record.body.mutability)),
        ..Default::default()
    };
    tx.put(record);
    Ok(answer)
}

/// What is asked for, of that which there is.
fn mutability(
    asked: Option<api::ImageTagMutability>,
    exclusions: Option<&[api::ImageTagMutabilityExclusionFilter]>,
) -> Result<Mutability, Fault> {
    match (asked, exclusions.unwrap_or_default()) {
        (None | Some(api::ImageTagMutability::Mutable), []) => Ok(Mutability::Mutable),
        (Some(api::ImageTagMutability::Immutable), []) => Ok(Mutability::Immutable),
        _ => Err(invalid("Tags have no exclusions in this region: imageTagMutability is MUTABLE or IMMUTABLE")),
    }
}

fn shown(mutability: Mutability) -> api::ImageTagMutability {
    match mutability {
        Mutability::Mutable => api::ImageTagMutability::Mutable,
        Mutability::Immutable => api::ImageTagMutability::Immutable,
    }
}

fn show(record: &Record<Repository>, region: &str) -> api::Repository {
    let Repository { name, account, mutability, .. } = &record.body;
    api::Repository {
        repository_arn: Some(ecr::arn(region, account, name).to_string()),
        registry_id: Some(account.clone()),
        repository_name: Some(name.clone()),
        repository_uri: Some(format!("{}/{name}", ecr::host(region, account))),
        created_at: Some(record.created),
        image_tag_mutability: Some(shown(*mutability)),
        image_scanning_configuration: Some(api::ImageScanningConfiguration { scan_on_push: Some(false) }),
        encryption_configuration: Some(api::EncryptionConfiguration {
            encryption_type: api::EncryptionType::Aes256,
            kms_key: None,
        }),
        ..Default::default()
    }
}
