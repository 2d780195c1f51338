//! Nodes: ours, of a cluster in a region of the harness's own, and bare ones on a floor.

mod bare;
mod cgroup;
mod overhead;
mod pod;

pub use bare::{Bare, Cni, Recipe};
pub use overhead::{Overhead, memory};

use crate::api::Access;
use crate::floor::{ControlPlane, Floor};
use crate::machines::{self, Process};
use crate::objects::{self, Change, follow};
use crate::region::{Client, Parts, Region};
use crate::space::Space;
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};

/// Ten times what a node takes.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two looks whether a process runs.
const GLANCE: Duration = Duration::from_millis(10);
/// The Node objects of a cluster.
const NODES: &str = "/api/v1/nodes";
/// What would keep the pods of a last node, and so the node.
const BUDGETS: &str = "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets";

/// What both sides are made of, beside the region.
#[derive(clap::Args)]
pub struct Sets {
    /// The etcd set in the component cache, e.g. etcd-3.6.16.
    #[arg(long)]
    pub etcd: String,
    /// The Kubernetes set in it.
    #[arg(long)]
    pub kubernetes: String,
    /// The set of upstream's CNI plugins in it.
    #[arg(long)]
    pub plugins: String,
}

/// A cluster without nodes.
pub struct Cluster<'a> {
    /// Its region.
    pub region: &'a Region<'a>,
    /// Whoever asks the region.
    pub client: Client,
    /// The way to its API.
    pub access: Access,
    /// Runs what waits for an API.
    pub runtime: Runtime,
    mark: String,
    wait: &'a Wait,
}

/// How a node came.
pub struct Arrival {
    /// Its Node object's name.
    pub name: String,
    /// When its Node object appeared.
    pub registered: SystemTime,
    /// When that first said Ready.
    pub ready: SystemTime,
}

/// A control plane for bare nodes.
pub struct Ground {
    /// It.
    pub plane: ControlPlane,
    /// Where it and its nodes are.
    pub space: Space,
}

impl<'a> Cluster<'a> {
    /// Makes one in a region that is up.
    ///
    /// # Errors
    /// It does not get active.
    pub fn new(region: &'a Region<'a>, wait: &'a Wait) -> Result<Cluster<'a>> {
        let mut client = region.client()?;
        client.tell(wait, "prepare")?;
        client.tell(wait, "create")?;
        let access = Access::new(&client.tell(wait, "access")?)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Cluster { region, client, access, runtime, mark: region.cgroup()?, wait })
    }

    /// The image for tests that its nodes have.
    ///
    /// # Errors
    /// No node says that it has it.
    pub fn image(&self) -> Result<String> {
        let image = follow(&self.access, NODES, |_, node| objects::agnhost(node));
        self.runtime.block_on(self.wait.on("a node says that it has agnhost", LIMIT, image))
    }

    /// Asks for a node group and waits until so many nodes more are Ready: when it was asked, and how they came.
    ///
    /// # Errors
    /// They don't.
    pub fn add(&mut self, group: &str, kind: &str, count: usize) -> Result<(SystemTime, Vec<Arrival>)> {
        let known = self.runtime.block_on(names(&self.access))?;
        let asked = self.client.tell(self.wait, &format!("nodes {group} {kind} {count}"))?;
        let asked = asked.as_f64().context("a time was promised")?;
        let arrivals = arrive(&self.access, &known, count);
        let arrivals = self.runtime.block_on(self.wait.on("our nodes are Ready", LIMIT, arrivals))?;
        Ok((SystemTime::UNIX_EPOCH + Duration::from_secs_f64(asked), arrivals))
    }

    /// Deletes a node group: how long that took.
    ///
    /// # Errors
    /// It stays.
    pub fn remove(&mut self, group: &str) -> Result<Duration> {
        let forget = async { self.access.connect().await?.ask(Method::DELETE, BUDGETS, &Value::Null).await };
        self.runtime.block_on(self.wait.on("no budget keeps pods", LIMIT, forget))?;
        let took = self.client.time(self.wait, &format!("no_nodes {group}"))?;
        self.runtime.block_on(self.wait.on("no node leaves pods", LIMIT, forget_pods(&self.access, group)))?;
        Ok(took)
    }

    /// The processes of a node, those in its pods among them.
    ///
    /// # Errors
    /// It runs none.
    pub fn processes(&self, node: &str) -> Result<Vec<Process>> {
        let all = machines::processes(&self.mark);
        let is_kubelet = |process: &&Process| {
            process.program == "kubelet" && process.flag("hostname-override").is_ok_and(|name| name == node)
        };
        let kubelet = all.iter().find(is_kubelet).with_context(|| format!("no kubelet runs on {node}"))?;
        let machine = kubelet.machine.clone();
        Ok(all.into_iter().filter(|process| process.machine == machine).collect())
    }
}

impl Ground {
    /// Starts one.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(parts: &Parts, sets: &Sets, wait: &Wait) -> Result<Ground> {
        let space = Space::new("floor")?;
        let (etcd, kubernetes) = (parts.components.join(&sets.etcd), parts.components.join(&sets.kubernetes));
        let place: PathBuf = parts.place.canonicalize()?;
        let plane = Floor { etcd: &etcd, kubernetes: &kubernetes, place: &place }.stand(&space, wait)?;
        Ok(Ground { plane, space })
    }

    /// Starts a bare node and waits until it is Ready: it, when it was started, and how it came.
    ///
    /// # Errors
    /// It does not get Ready; the message has its last words.
    pub fn add(
        &self,
        recipe: &Recipe,
        place: &Path,
        cni: Cni,
        cluster: &Cluster<'_>,
    ) -> Result<(Bare, SystemTime, Arrival)> {
        let bare = recipe.prepare(&self.plane, &self.space, &place.canonicalize()?, cni)?;
        let access = self.plane.access();
        let nobody = BTreeSet::new();
        let started = SystemTime::now();
        let bare = bare.start()?;
        let bring = async {
            while cni == Cni::ByDaemonSet && !bare.bring_network()? {
                tokio::time::sleep(GLANCE).await;
            }
            Ok(())
        };
        let arrivals = async { tokio::try_join!(arrive(&access, &nobody, 1), bring) };
        let arrivals = cluster.runtime.block_on(cluster.wait.on("the bare node is Ready", LIMIT, arrivals));
        let (mut arrivals, ()) = bare.with_last_words(arrivals)?;
        Ok((bare, started, arrivals.pop().context("one node was waited for")?))
    }

    /// Has a DaemonSet bring the network of nodes from now on, or no longer.
    ///
    /// # Errors
    /// The API does not take it.
    pub fn bring_networks(&self, image: &str, bring: bool, cluster: &Cluster<'_>) -> Result<()> {
        const ALL: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets";
        let access = self.plane.access();
        let ask = async {
            let mut connection = access.connect().await?;
            match bring {
                true => connection.ask(Method::POST, ALL, &bare::daemon_set(image)).await,
                false => connection.ask(Method::DELETE, &format!("{ALL}/cni"), &Value::Null).await,
            }
        };
        cluster.runtime.block_on(cluster.wait.on("the DaemonSet of the bare nodes' network", LIMIT, ask)).map(drop)
    }

    /// Takes the Node object of a bare node away that has ended.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn forget(&self, node: &str, cluster: &Cluster<'_>) -> Result<()> {
        let access = self.plane.access();
        let path = format!("{NODES}/{node}");
        let delete = async { access.connect().await?.ask(Method::DELETE, &path, &Value::Null).await };
        cluster.runtime.block_on(cluster.wait.on("the bare node is forgotten", LIMIT, delete)).map(drop)
    }
}

/// Returns when no node of the group is left, and no pod that was bound to one. Kubernetes deletes those some time later:
/// another node that comes by the same name would find them there.
async fn forget_pods(access: &Access, group: &str) -> Result<()> {
    const PODS: &str = "/api/v1/namespaces/kube-system/pods";
    let mut connection = access.connect().await?;
    loop {
        let nodes = connection.ask(Method::GET, NODES, &Value::Null).await?;
        let stays =
            objects::items(&nodes).any(|node| node["metadata"]["labels"]["eks.amazonaws.com/nodegroup"] == group);
        let known: BTreeSet<&str> = objects::items(&nodes).map(objects::name).collect();
        let pods = connection.ask(Method::GET, PODS, &Value::Null).await?;
        let is_lost = |pod: &&Value| pod["spec"]["nodeName"].as_str().is_some_and(|node| !known.contains(node));
        let lost: Vec<&str> = objects::items(&pods).filter(is_lost).map(objects::name).collect();
        if !stays && lost.is_empty() {
            return Ok(());
        }
        for pod in lost {
            // Fails if it has gone meanwhile.
            let _ = connection.ask(Method::DELETE, &format!("{PODS}/{pod}?gracePeriodSeconds=0"), &Value::Null).await;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn names(access: &Access) -> Result<BTreeSet<String>> {
    let list = access.connect().await?.ask(Method::GET, NODES, &Value::Null).await?;
    Ok(objects::items(&list).map(|node| objects::name(node).to_owned()).collect())
}

/// Waits until so many nodes that were not known are Ready.
async fn arrive(access: &Access, known: &BTreeSet<String>, count: usize) -> Result<Vec<Arrival>> {
    let (mut seen, mut arrived) = (vec![], vec![]);
    let arrivals = follow(access, NODES, |change, node| {
        let name = objects::name(node);
        if change == Change::Gone || known.contains(name) || arrived.iter().any(|a: &Arrival| a.name == name) {
            return None;
        }
        let now = SystemTime::now();
        if !seen.iter().any(|(seen, _)| seen == name) {
            seen.push((name.to_owned(), now));
        }
        if objects::is(node, "Ready") {
            let registered = seen.iter().find(|(seen, _)| seen == name).map_or(now, |(_, at)| *at);
            arrived.push(Arrival { name: name.to_owned(), registered, ready: now });
        }
        (arrived.len() == count).then(|| std::mem::take(&mut arrived))
    });
    let arrivals = arrivals.await?;
    ensure!(arrivals.len() == count, "{} of {count} nodes came", arrivals.len());
    Ok(arrivals)
}
