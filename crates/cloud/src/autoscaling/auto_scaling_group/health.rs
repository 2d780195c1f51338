//! Whether an instance of a group is well.

use super::model::{Lifecycle, Member};
use crate::ec2::instance::{self, State};
use roadstead_store::Read;
use roadstead_types::Millis;

/// An instance that does not run after this time never will.
pub const LAUNCH_LIMIT: Millis = Millis::mins(10);

/// Why an instance must be replaced, as the EC2 health check has it; None: it may be well.
pub fn ill(read: &impl Read, id: &str, member: &Member) -> Option<String> {
    let state = instance::state(read, id);
    let why = match (member.state, state) {
        (_, State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped) => {
            "the instance was terminated or stopped outside of the group"
        }
        (Lifecycle::Pending, State::Pending) if read.now().since(member.since) >= LAUNCH_LIMIT => {
            "the instance did not start: see its state reason in EC2 DescribeInstances"
        }
        (_, State::Pending | State::Running) => return None,
    };
    Some(format!("an instance was taken out of service in response to an EC2 health check: {why}."))
}
