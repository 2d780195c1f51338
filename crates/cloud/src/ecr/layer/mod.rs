//! Layers: that a repository has a blob. The bytes are a file of the registry's, one for all repositories that have it;
//! it stays as long as any of these records does.

mod model;
pub mod ops;
mod plan;

pub use model::Layer;
pub use plan::LayerPlanner;

use super::repository::{self, Repository};
use roadstead_store::{Index, Read, Tx, View};
use roadstead_wire::fault::Fault;

/// Size in bytes of a blob that the repository has.
pub fn size(read: &impl Read, repository: &Repository, digest: &str) -> Option<u64> {
    read.shared(&Layer::key(repository, digest)).map(|record| record.body.size)
}

/// The repository has a blob from now on: it was uploaded, or is mounted from another one.
///
/// # Errors
/// There is no such repository.
pub fn add(tx: &mut Tx, account: &str, repository: &str, digest: &str, size: u64) -> Result<(), Fault> {
    let record = repository::find(tx, account, repository)?;
    let layer = Layer { repository: record.body.path(), digest: digest.to_owned(), size, given: tx.now() };
    tx.set(&Layer::key(&record.body, digest), Some(record.key.any()), layer);
    Ok(())
}

/// Whether any repository has the blob.
pub fn is_kept(view: &View, digest: &str) -> bool {
    view.any(Index::<Layer>::by("digest", digest))
}

/// Forgets all of a repository's.
pub fn forget(tx: &mut Tx, repository: &Repository) {
    for layer in tx.list(Index::<Layer>::prefix(Layer::prefix(repository))) {
        tx.remove(&layer.key);
    }
}
