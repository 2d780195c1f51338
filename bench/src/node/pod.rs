//! Pods of the harness's own on our nodes.

use super::Cluster;
use crate::machines::Process;
use crate::objects::{self, follow};
use anyhow::{Context as _, Result};
use hyper::Method;
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// Ten times what a pod takes.
const LIMIT: Duration = Duration::from_secs(60);
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A pod that runs.
pub struct Pod {
    /// Its network namespace.
    pub namespace: PathBuf,
    /// Its own.
    pub address: Ipv4Addr,
}

impl Cluster<'_> {
    /// Runs a pod on a node.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn pod(&self, name: &str, node: &str) -> Result<Pod> {
        let access = &self.access;
        let container = json!({"name": "pause", "image": self.image()?, "args": ["pause"]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": node, "containers": [container]}});
        let make = async {
            access.connect().await?.ask(Method::POST, PODS, &pod).await?;
            let running = |pod: &Value| objects::name(pod) == name && objects::is(pod, "Ready");
            follow(access, PODS, |_, pod| running(pod).then(|| pod.clone())).await
        };
        let pod = self.runtime.block_on(self.wait.on("a pod runs", LIMIT, make))?;
        let address = pod["status"]["podIP"].as_str().context("a pod has an address")?.parse()?;
        let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
        let processes = self.processes(node)?;
        let inside = processes.iter().find(|process| is_of(process, uid));
        let inside = inside.with_context(|| format!("no process of the pod {name} runs"))?;
        Ok(Pod { namespace: format!("/proc/{}/ns/net", inside.pid).into(), address })
    }

    /// Deletes a pod.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn no_pod(&self, name: &str) -> Result<()> {
        let path = format!("{PODS}/{name}?gracePeriodSeconds=0");
        let delete = async { self.access.connect().await?.ask(Method::DELETE, &path, &Value::Null).await };
        self.runtime.block_on(self.wait.on("a pod is deleted", LIMIT, delete)).map(drop)
    }
}

/// A pod's cgroups are named after it.
fn is_of(process: &Process, uid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).is_ok_and(|cgroups| cgroups.contains(uid))
}
