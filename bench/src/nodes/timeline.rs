//! Where the time of a node goes: what was there when, by the region's events, by the machine's processes and files, and
//! by the cluster's API.

use crate::machines::Process;
use crate::node::{Arrival, Cluster};
use anyhow::{Context as _, Result};
use serde_json::{Deserializer, Value};
use std::time::{Duration, SystemTime};

/// Something that was reached.
pub struct Step {
    /// For people.
    pub what: &'static str,
    /// When, from the beginning.
    pub at: Duration,
}

/// The steps of a node that became Ready a moment ago, in order.
///
/// # Errors
/// Something of it is not there.
pub fn of(cluster: &Cluster<'_>, asked: SystemTime, arrival: &Arrival) -> Result<Vec<Step>> {
    let processes = cluster.processes(&arrival.name)?;
    let program = |name: &str| {
        let found = processes.iter().find(|process| process.program == name);
        found.with_context(|| format!("no {name} runs on {}", arrival.name))
    };
    // Containers have a PID 1 each, too.
    let with = |word: &'static str| processes.iter().filter(move |process| process.arguments.iter().any(|w| w == word));
    let first = with("init").next().context("the machine has no PID 1")?;
    let agent = with("aws-node");
    let agent = agent.map(Process::started).collect::<Result<Vec<_>>>()?.into_iter().min();
    let events = Events::of(cluster, &first.machine)?;
    let reached = [
        ("its instance is launched", events.first(|_| true)?),
        ("PID 1 of its machine is started", first.started()?),
        ("EC2 says running", events.first(|event| event["planner"] == "fabric/machine" && is_running(event))?),
        ("containerd listens", first.written("run/containerd/containerd.sock")?),
        ("kubelet knows its cluster and starts", program("kubelet")?.written("etc/kubernetes/kubelet/config.json")?),
        ("it is registered", arrival.registered),
        ("the container of aws-node is started", agent.context("no aws-node runs on it")?),
        ("the CNI serves (its conflist is there)", first.written("etc/cni/net.d/10-aws.conflist")?),
        ("it is Ready", arrival.ready),
    ];
    let mut steps: Vec<Step> =
        reached.into_iter().map(|(what, at)| Step { what, at: at.duration_since(asked).unwrap_or_default() }).collect();
    steps.sort_by_key(|step| step.at);
    Ok(steps)
}

/// Its machine's PID 1 has reported: that is when its instance is `running`.
fn is_running(event: &Value) -> bool {
    let before = ["launching", "no host has reported", "waits for"];
    event["why"].as_str().is_some_and(|why| before.iter().all(|word| !why.contains(word)))
}

/// What planners did for an instance.
struct Events(Vec<Value>);

impl Events {
    fn of(cluster: &Cluster<'_>, instance: &str) -> Result<Events> {
        let said = cluster.region.run(&["admin", "events", "--output", "json", &format!("instance/{instance}")])?;
        let events = Deserializer::from_str(&said).into_iter::<Value>().collect::<Result<Vec<_>, _>>()?;
        Ok(Events(events))
    }

    fn first(&self, which: impl Fn(&Value) -> bool) -> Result<SystemTime> {
        let event = self.0.iter().find(|event| which(event)).context("the region's events don't have it")?;
        let time = event["time"].as_u64().context("an event has a time")?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(time))
    }
}
