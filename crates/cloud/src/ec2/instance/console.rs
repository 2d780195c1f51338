//! Console output: what an instance's processes said, as its host posted it after the last turn of its state. It stays
//! for as long as the instance is shown.

use roadstead_hostspec as hostspec;
use roadstead_store::{AnyKey, Key, Object, Tx};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};

/// The console output of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleOutput {
    /// When it was posted.
    pub at: Millis,
    /// Lines of its processes.
    pub text: String,
}

impl Object for ConsoleOutput {
    const KIND: &'static str = "ec2/console-output";
}

impl ConsoleOutput {
    /// The key of an instance's.
    pub fn key(instance: &str) -> Key<ConsoleOutput> {
        Key::new(instance)
    }
}

/// Takes over what a host posted.
pub fn post(tx: &mut Tx, owner: &AnyKey, instance: &str, console: hostspec::Console) {
    let hostspec::Console { at, text } = console;
    tx.set(&ConsoleOutput::key(instance), Some(owner.clone()), ConsoleOutput { at, text });
}

/// The instance is not shown any more.
pub fn forget(tx: &mut Tx, instance: &str) {
    tx.remove(&ConsoleOutput::key(instance));
}
