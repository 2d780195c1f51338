//! Drivers: the only code that reaches outside. Each makes the outside look like its records and writes back what it
//! saw; none decides anything.

mod etcd;
pub mod host;
mod keys;
mod run;

pub use run::start;

use anyhow::{Context as _, Result};
use roadstead_kernel::region::Handle;
use roadstead_store::Tx;
use std::convert::Infallible;

/// Takes what was seen into the store; what cannot be written will be seen again.
pub fn observe(handle: &Handle, work: impl FnOnce(&mut Tx) + Send + 'static) {
    let work = move |tx: &mut Tx| {
        work(tx);
        Ok::<(), Infallible>(())
    };
    handle.write(work, |_| {});
}

/// Writes, and returns once it is durable.
pub async fn write(handle: &Handle, work: impl FnOnce(&mut Tx) + Send + 'static) -> Result<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = move |result: Result<(), _>| drop(sender.send(result));
    let work = move |tx: &mut Tx| {
        work(tx);
        Ok::<(), Infallible>(())
    };
    handle.write(work, move |result| done(result.map_err(|e| e.to_string())));
    receiver.await.context("the region stopped")?.map_err(anyhow::Error::msg)
}
