//! What memory a node takes that is not upstream's: our own programs on it, and what the region and the host agent grow by.

use super::Cluster;
use crate::machines::Process;
use crate::running;
use anyhow::Result;
use std::collections::BTreeMap;

/// Memory of a node, bytes (PSS).
#[derive(Clone, Debug, Default)]
pub struct Overhead {
    /// Of our programs on it, by what each is.
    pub own: BTreeMap<String, u64>,
    /// Of everything else on it, by program.
    pub upstream: BTreeMap<String, u64>,
    /// What the region's two processes have more than without the node.
    pub region: i64,
}

impl Overhead {
    /// Looks at a node. `before`: the region's memory without it.
    ///
    /// # Errors
    /// The region is gone.
    pub fn of(cluster: &Cluster<'_>, node: &str, before: u64) -> Result<Overhead> {
        let mut found = Overhead::default();
        for process in cluster.processes(node)? {
            // What ends meanwhile is not at rest, and not counted.
            let Ok(running) = running::look(process.pid.unsigned_abs()) else { continue };
            let (side, name) = match ours(&process) {
                Some(name) => (&mut found.own, name),
                None => (&mut found.upstream, process.program.clone()),
            };
            *side.entry(name).or_default() += running.share;
        }
        found.region = memory(cluster)?.cast_signed() - before.cast_signed();
        Ok(found)
    }

    /// All that there would not be with a bare kubelet, bytes.
    pub fn sum(&self) -> i64 {
        self.own.values().sum::<u64>().cast_signed() + self.region
    }
}

/// Memory of a region's own processes, bytes (PSS).
///
/// # Errors
/// One is gone.
pub fn memory(cluster: &Cluster<'_>) -> Result<u64> {
    let ids = running::ids_of(&cluster.region.data());
    ids.into_iter().map(|id| Ok(running::look(id)?.share)).sum()
}

/// What it is, if it is this repository's: `guest init` of the one program, whatever that is called in an image.
fn ours(process: &Process) -> Option<String> {
    let mut words = process.arguments.iter().skip_while(|word| *word != "guest").skip(1);
    words.next().map(|what| format!("guest {what}"))
}
