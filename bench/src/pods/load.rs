//! Pods that do nothing: made, awaited, deleted, alike on both sides.

use crate::api::Access;
use crate::objects::{self, Change, follow};
use crate::wait::Wait;
use anyhow::{Context as _, Result};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Much longer than 110 pods take.
const LIMIT: Duration = Duration::from_secs(180);
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A cluster with one node that takes pods.
pub struct Side<'a> {
    /// The way to its API.
    pub access: Access,
    /// Runs what waits.
    pub runtime: &'a Runtime,
    /// Ends waits.
    pub wait: &'a Wait,
    /// The image that every node has.
    pub image: String,
}

impl<'a> Side<'a> {
    /// By its API.
    ///
    /// # Errors
    /// Its node does not say which images it has.
    pub fn new(access: Access, runtime: &'a Runtime, wait: &'a Wait) -> Result<Side<'a>> {
        let image = follow(&access, "/api/v1/nodes", |_, node| objects::agnhost(node));
        let image = runtime.block_on(wait.on("the node says that it has agnhost", LIMIT, image))?;
        Ok(Side { access, runtime, wait, image })
    }

    /// Makes a pod and waits until it is Running: how long that took. It is deleted again.
    ///
    /// # Errors
    /// It does not run.
    pub fn one(&self, name: &str) -> Result<Duration> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": self.spec()});
        let began = Instant::now();
        self.ask(Method::POST, PODS, &pod)?;
        let runs = follow(&self.access, PODS, |_, pod| (objects::name(pod) == name && is_running(pod)).then_some(()));
        self.block_on("a pod runs", runs)?;
        let took = began.elapsed();
        self.ask(Method::DELETE, &format!("{PODS}/{name}"), &Value::Null)?;
        self.none_left()?;
        Ok(took)
    }

    /// Makes a Deployment and waits until all of it is available: how long that took. It stays.
    ///
    /// # Errors
    /// It does not come up.
    pub fn deployment(&self, name: &str, replicas: usize) -> Result<Duration> {
        let labels = json!({"app": name});
        let template = json!({"metadata": {"labels": labels}, "spec": self.spec()});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": template});
        let deployment =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
        let began = Instant::now();
        self.ask(Method::POST, DEPLOYMENTS, &deployment)?;
        let whole = |deployment: &Value| {
            objects::name(deployment) == name && deployment["status"]["availableReplicas"] == json!(replicas)
        };
        let available = follow(&self.access, DEPLOYMENTS, |_, deployment| whole(deployment).then_some(()));
        self.block_on("a Deployment is available", available)?;
        Ok(began.elapsed())
    }

    /// Deletes a Deployment and waits until its pods are gone.
    ///
    /// # Errors
    /// They stay.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("{DEPLOYMENTS}/{name}"), &json!({"propagationPolicy": "Foreground"}))?;
        self.none_left()
    }

    /// How many pods more its node takes.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn room(&self) -> Result<usize> {
        let nodes = self.ask(Method::GET, "/api/v1/nodes", &Value::Null)?;
        let node = objects::items(&nodes).next().context("there is no node")?;
        let most = node["status"]["allocatable"]["pods"].as_str().context("it says how many pods it takes")?;
        let pods = self.ask(Method::GET, "/api/v1/pods", &Value::Null)?;
        Ok(most.parse::<usize>()?.saturating_sub(objects::items(&pods).count()))
    }

    fn spec(&self) -> Value {
        let container = json!({"name": "pause", "image": self.image, "args": ["pause"]});
        json!({"terminationGracePeriodSeconds": 0, "containers": [container]})
    }

    /// Returns when no pod is left in the namespace.
    fn none_left(&self) -> Result<()> {
        let pods = self.ask(Method::GET, PODS, &Value::Null)?;
        let mut left: BTreeSet<String> = objects::items(&pods).map(|pod| objects::name(pod).to_owned()).collect();
        if left.is_empty() {
            return Ok(());
        }
        // The list and the watch may be of different moments: asked again until the list is empty.
        let gone = follow(&self.access, PODS, |change, pod| {
            match change {
                Change::Gone => left.remove(objects::name(pod)),
                Change::Is => left.insert(objects::name(pod).to_owned()),
            };
            left.is_empty().then_some(())
        });
        match self.runtime.block_on(self.wait.on("pods go", Duration::from_secs(2), gone)) {
            Err(error) if error.is::<crate::wait::Interrupted>() => Err(error),
            _ => self.none_left(),
        }
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let asked = async { self.access.connect().await?.ask(method, path, body).await };
        self.block_on(path, asked)
    }

    fn block_on<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(self.wait.on(what, LIMIT, work))
    }
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && objects::is(pod, "Ready")
}
