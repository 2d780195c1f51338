//! Repositories.

mod model;
pub mod ops;
pub mod tags;

pub use model::{Mutability, Repository, path};

use roadstead_shapes::ecr::REPOSITORY_NOT_FOUND_EXCEPTION;
use roadstead_store::{Read, Record};
use roadstead_wire::fault::Fault;
use std::sync::Arc;

/// The repository of that name in an account's registry.
///
/// # Errors
/// `RepositoryNotFoundException`.
pub fn find(read: &impl Read, account: &str, name: &str) -> Result<Arc<Record<Repository>>, Fault> {
    read.shared(&Repository::key(account, name)).ok_or_else(|| {
        REPOSITORY_NOT_FOUND_EXCEPTION
            .fault(format!("The repository with name '{name}' does not exist in the registry with id '{account}'"))
    })
}
