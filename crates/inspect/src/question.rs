use crate::names::Target;
use roadstead_store::{AnyKey, Commit};
use serde::{Deserialize, Serialize};

/// What may be asked on the region's own socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Question {
    /// The region at a glance: a [`crate::Report`], and with `watch` another whenever it changes.
    Status {
        /// Go on.
        watch: bool,
    },
    /// Every kind and how many records of it there are.
    Kinds,
    /// A [`crate::Row`] for the record, or for each record of the kind; with `watch` another for each change.
    Records {
        /// A kind or a record.
        what: String,
        /// Go on.
        watch: bool,
    },
    /// A [`crate::Story`].
    Explain {
        /// A record.
        key: String,
    },
    /// What the planners would do with the record now: a [`crate::Rehearsed`] each.
    Rehearse {
        /// A record.
        key: String,
    },
    /// A [`roadstead_kernel::planner::PlanEvent`] for each thing that planners did lately; with `follow` also what they
    /// do from now on.
    Events {
        /// Only what concerns this record.
        key: Option<String>,
        /// Go on.
        follow: bool,
    },
    /// A [`crate::Machine`] for each machine of a cluster.
    Machines {
        /// The cluster.
        cluster: String,
        /// Only machines of this one of [`crate::ROLES`].
        role: Option<String>,
    },
    /// The metrics as text, in one line of JSON.
    Metrics,
}

impl Question {
    /// Whether its answers go on until somebody hangs up.
    pub fn follows(&self) -> bool {
        matches!(
            self,
            Question::Status { watch: true }
                | Question::Records { watch: true, .. }
                | Question::Events { follow: true, .. }
        )
    }
}

impl Target {
    /// The records that a commit changed, as far as they are meant: what a host saw of one changes it too.
    pub fn changed(&self, commit: &Commit) -> Vec<AnyKey> {
        let meant = |key: &AnyKey| match self {
            Target::Kind(kind) => key.kind() == *kind,
            Target::Record(record) => key == record,
        };
        let wanted = |key: &AnyKey| {
            let kind = key.kind().strip_suffix("-status")?;
            format!("{kind}/{}", key.name()).parse::<AnyKey>().ok()
        };
        let keys = commit.changes.iter().map(|change| &change.key);
        let keys = keys.flat_map(|key| [Some(key.clone()), wanted(key)].into_iter().flatten());
        let mut keys: Vec<AnyKey> = keys.filter(meant).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}
