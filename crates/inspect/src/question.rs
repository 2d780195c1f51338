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
    /// A [`crate::Machine`] for each machine of a cluster; with `watch` also for each that joins them.
    Machines {
        /// The cluster.
        cluster: String,
        /// Only machines of this one of [`crate::ROLES`].
        role: Option<String>,
        /// Go on.
        #[serde(default)]
        watch: bool,
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
                | Question::Machines { watch: true, .. }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;
    use roadstead_store::Change;

    #[test]
    fn a_record_changes_when_what_a_host_saw_of_it_does() {
        let change = |key: &str| Change { key: key.parse().unwrap(), before: true, after: true };
        let changes = vec![change("host/machine-status/i-1"), change("host/machine/i-1"), change("iam/user/u")];
        let commit = Commit { revision: 1, view: world::small(), changes };
        let machine: AnyKey = "host/machine/i-1".parse().unwrap();
        for target in [Target::Kind("host/machine"), Target::Record(machine.clone())] {
            assert_eq!(target.changed(&commit), std::slice::from_ref(&machine));
        }
        assert_eq!(Target::Kind("host/machine-status").changed(&commit).len(), 1);
        assert!(Target::Kind("eks/cluster").changed(&commit).is_empty());
    }

    #[test]
    fn a_question_is_one_line_and_nothing_more_than_what_it_says() {
        let line = serde_json::to_string(&Question::Explain { key: "x".into() }).unwrap();
        assert_eq!(line, r#"{"Explain":{"key":"x"}}"#);
        assert!(serde_json::from_str::<Question>(r#"{"Explain":{"key":"x","as":"root"}}"#).is_err());
        assert!(Question::Status { watch: true }.follows() && !Question::Kinds.follows());
    }
}
