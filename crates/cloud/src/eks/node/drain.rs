//! Draining: which pods of a node are to go, and what keeps one.

use super::model::Blocker;
use serde_json::Value;

/// How far a drain is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draining {
    /// Pods that were not told to go yet.
    pub left: usize,
    /// Pods that were, and are still there.
    pub leaving: usize,
    /// What keeps those that are left.
    pub blocked_by: Vec<Blocker>,
}

/// What a drain means for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the node's own, or has ended already.
    Stays,
    /// It is to be evicted.
    Goes,
    /// It is on its way.
    Leaving,
}

/// What a drain of its node means for a pod: as `kubectl drain --ignore-daemonsets`.
pub fn fate(pod: &Value) -> Fate {
    let metadata = &pod["metadata"];
    let owners = metadata["ownerReferences"].as_array();
    let of_daemon_set = owners.is_some_and(|o| o.iter().any(|o| o["kind"] == "DaemonSet" && o["controller"] == true));
    // kubelet's own, from a file: what stands in the API is its mirror.
    let mirror = !metadata["annotations"]["kubernetes.io/config.mirror"].is_null();
    let ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
    match (of_daemon_set || mirror || ended, metadata["deletionTimestamp"].is_null()) {
        (true, _) => Fate::Stays,
        (false, true) => Fate::Goes,
        (false, false) => Fate::Leaving,
    }
}

/// Who keeps a pod, by the answer to its eviction: the cause names the PodDisruptionBudget (upstream
/// `pkg/registry/core/pod/storage/eviction.go`).
pub fn blocker(pod: &Value, answer: &Value) -> Blocker {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let none = vec![];
    let causes = answer["details"]["causes"].as_array().unwrap_or(&none).iter();
    let named = causes.filter_map(|cause| cause["message"].as_str()?.strip_prefix("The disruption budget "));
    let named = named.filter_map(|rest| rest.split(' ').next()).next();
    // Several budgets at once are refused in a sentence that names none.
    let pdb = named.map_or_else(|| text(&answer["message"]), str::to_owned);
    Blocker { namespace: text(&pod["metadata"]["namespace"]), pod: text(&pod["metadata"]["name"]), pdb }
}
