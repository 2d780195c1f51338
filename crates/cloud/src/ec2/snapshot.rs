//! Snapshots of volumes: nothing makes one, so there are none to be found.

use crate::ec2::describe::{Query, at_least, select};
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// EC2 DescribeSnapshots.
pub fn describe(
    _: &View,
    caller: &Caller,
    input: api::DescribeSnapshotsRequest,
) -> Result<api::DescribeSnapshotsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    at_least(5, input.max_results)?;
    let query = Query {
        scope: format!("ec2:DescribeSnapshots/{}", caller.identity.account),
        ids: input.snapshot_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let missing = |id: &str| api::INVALID_SNAPSHOT_NOT_FOUND.fault(format!("The snapshot '{id}' does not exist."));
    let page = select(&query, Vec::<(String, api::Snapshot)>::new(), |_, _| None, missing)?;
    Ok(api::DescribeSnapshotsResult { next_token: page.next, snapshots: Some(page.items) })
}
