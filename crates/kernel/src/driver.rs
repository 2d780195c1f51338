//! Drivers: the only code that does I/O to the outside, and all it may do is make the outside look like a record.

use roadstead_store::{Object, Record};
use std::future::Future;

/// Makes one thing outside (a machine, a member of etcd, an object in a cluster) look like its record, and says what
/// it saw. The only async trait there is.
///
/// The contract:
/// - **States, not commands.** `desired` says how the thing should be, never what to do. Calling `converge` again with
///   the same record changes nothing; after a crash it is simply called again.
/// - **Decides nothing.** No retries with meaning, no fallbacks, no timeouts that change what is wanted: what can't be
///   done is observed as such, and a planner decides. Retrying the I/O itself is the caller's loop.
/// - **Writes nothing but what it saw.** `saw` hands an observation to the region's writer, which records it under the
///   `Observed` kind; no one else writes that kind. It may be called at any time and any number of times, and last
///   counts most. What isn't known is left out of the observation, which differs from "is not there".
/// - **May be dropped at any await**, when the record changed or the process stops, and must leave nothing that the
///   next call can't take over. The next call then comes with the newer record.
/// - **Refuses the stale.** A record whose (epoch, generation) is older than one already applied is not applied.
pub trait Driver: Send + Sync {
    /// The record of how it should be.
    type Desired: Object;
    /// The record of how it was seen to be.
    type Observed: Object;

    /// Works until the thing looks like `desired` (or can't, and that was observed). A driver that keeps watching for
    /// changes of its own accord returns only when it is dropped.
    fn converge(
        &self,
        desired: &Record<Self::Desired>,
        saw: &(dyn Fn(Self::Observed) + Send + Sync),
    ) -> impl Future<Output = ()> + Send;
}
