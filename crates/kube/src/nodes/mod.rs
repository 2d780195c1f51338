//! The nodes driver: signs kubelets' certificates for the instances that they run on, takes away the nodes of instances
//! that are gone, keeps cordons, labels and taints, drains, and says how every node is.

mod drain;

use crate::Dial;
use crate::api::{Api, status};
use crate::follow::{Collection, Event, follow};
use anyhow::Result;
use hyper::StatusCode;
use roadstead_cloud::eks::node::{self, Draining, Edit, NodesSpec, NodesState, SERVING_SIGNER, Verdict};
use roadstead_kernel::driver::Driver;
use roadstead_store::Record;
use roadstead_vault::Vault;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

/// Before what the API did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// What was heard and not looked at yet; whoever tells more waits.
const BACKLOG: usize = 64;

/// Keeps the nodes of clusters.
pub struct Nodes<D> {
    /// The way into VPCs.
    pub dialer: D,
    /// Opens the service's client keys.
    pub vault: Arc<Vault>,
}

/// What the driver hears.
enum Heard {
    Nodes(Event),
    Requests(Event),
    Drain(String, Draining),
}

/// What is to be done with a Node object.
enum Due {
    Delete,
    Edit(Edit),
}

impl<D: Dial> Driver for Nodes<D> {
    type Desired = NodesSpec;
    type Observed = NodesState;

    async fn converge(&self, desired: &Record<NodesSpec>, saw: &(dyn Fn(NodesState) + Send + Sync)) {
        let spec = &desired.body;
        let api = Api::new(self.dialer.clone(), self.vault.clone(), spec.access.clone());
        let (to, mut heard) = channel(BACKLOG);
        // Everybody who tells something ends with this.
        let mut tellers = JoinSet::new();
        let nodes = Collection { path: "/api/v1/nodes".into(), query: String::new() };
        tellers.spawn(follow(api.clone(), nodes, to.clone(), Heard::Nodes));
        let query = format!("fieldSelector=spec.signerName%3D{}", SERVING_SIGNER.replace('/', "%2F"));
        let requests = Collection { path: REQUESTS.into(), query };
        tellers.spawn(follow(api.clone(), requests, to.clone(), Heard::Requests));
        for node in spec.nodes.values() {
            if let Some(drain) = &node.drain {
                tellers.spawn(drain::run(api.clone(), node.name.clone(), drain.force, to.clone()));
            }
        }
        let known = Known { spec, api, nodes: None, requests: BTreeMap::new(), drains: BTreeMap::new() };
        known.follow(&mut heard, saw).await;
    }
}

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// What is known of a cluster's nodes.
struct Known<'a, D> {
    spec: &'a NodesSpec,
    api: Api<D>,
    /// Node objects by name; None: not listed yet.
    nodes: Option<BTreeMap<String, Value>>,
    /// Certificate signing requests by name that are not decided, as far as is known.
    requests: BTreeMap<String, Value>,
    drains: BTreeMap<String, Draining>,
}

impl<D: Dial> Known<'_, D> {
    /// Does what is due, and says how the nodes are, whenever something new is heard.
    async fn follow(mut self, heard: &mut Receiver<Heard>, saw: &(dyn Fn(NodesState) + Send + Sync)) {
        let mut said = None;
        let mut undone = false;
        loop {
            let next = match undone {
                true => timeout(RETRY, heard.recv()).await.ok(),
                false => Some(heard.recv().await),
            };
            match next {
                Some(Some(first)) => self.learn(first),
                Some(None) => return,
                None => {}
            }
            while let Ok(more) = heard.try_recv() {
                self.learn(more);
            }
            if let Some(state) = self.state()
                && said.as_ref() != Some(&state)
            {
                saw(state.clone());
                said = Some(state);
            }
            undone = !self.work().await;
        }
    }

    fn learn(&mut self, heard: Heard) {
        match heard {
            Heard::Nodes(Event::All(all)) => self.nodes = Some(all.into_iter().map(named).collect()),
            Heard::Nodes(Event::Put(node)) => self.nodes.get_or_insert_default().extend([named(node)]),
            Heard::Nodes(Event::Gone(node)) => drop(self.nodes.get_or_insert_default().remove(&named(node).0)),
            Heard::Requests(Event::All(all)) => self.requests = all.into_iter().map(named).collect(),
            Heard::Requests(Event::Put(request)) => self.requests.extend([named(request)]),
            Heard::Requests(Event::Gone(request)) => drop(self.requests.remove(&named(request).0)),
            Heard::Drain(node, draining) => drop(self.drains.insert(node, draining)),
            // What was seen last is still the best there is; the cluster's own probe says that its API is away.
            Heard::Nodes(Event::Lost(why)) | Heard::Requests(Event::Lost(why)) => debug!("cluster API: {why}"),
        }
    }

    fn state(&self) -> Option<NodesState> {
        let objects = self.nodes.as_ref()?;
        let state = |node: &node::Node| {
            let seen = node::state(node, objects.get(&node.name), self.drains.get(&node.name));
            (node.name.clone(), seen)
        };
        let nodes = self.spec.nodes.values().map(state).collect();
        Some(NodesState { nodes, strangers: node::strangers(self.spec, objects.values()) })
    }

    /// Does all that is due; false if something is left that the API did not take.
    async fn work(&mut self) -> bool {
        let mut done = self.judge_requests().await;
        let due = self.nodes.iter().flatten().filter_map(|(name, object)| Some((name.clone(), self.due(object)?)));
        for (name, due) in due.collect::<Vec<_>>() {
            if let Err(error) = self.tend(&name, due).await {
                debug!("node {name}: {error:#}");
                done = false;
            }
        }
        done
    }

    /// What is due for a Node object.
    fn due(&self, object: &Value) -> Option<Due> {
        if node::is_left_over(self.spec, object) {
            return Some(Due::Delete);
        }
        let ours = self.spec.nodes.get(node::instance(object)?)?;
        node::edit(ours, object).map(Due::Edit)
    }

    async fn tend(&mut self, name: &str, due: Due) -> Result<()> {
        let path = format!("/api/v1/nodes/{name}");
        let edited = match due {
            Due::Delete => {
                self.api.delete(&path).await?;
                self.nodes.get_or_insert_default().remove(name);
                return Ok(());
            }
            Due::Edit(Edit::Apply(fields)) => self.api.apply(&path, &fields, true).await,
            Due::Edit(Edit::Merge(fields)) => self.api.merge(&path, &fields).await,
        };
        match edited {
            Ok(object) => self.nodes.get_or_insert_default().extend([named(object)]),
            // It was changed or went meanwhile, which is about to be heard.
            Err(error) if matches!(status(&error), Some(StatusCode::CONFLICT | StatusCode::NOT_FOUND)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Decides every request that nobody has decided.
    async fn judge_requests(&mut self) -> bool {
        let mut done = true;
        for (name, request) in std::mem::take(&mut self.requests) {
            let condition = match node::judge(self.spec, &request) {
                Verdict::Leave => continue,
                Verdict::Approve => json!({"type": "Approved", "status": "True", "reason": "AutoApproved",
                    "message": "The instance that asks has this name and these addresses."}),
                Verdict::Deny(why) => {
                    warn!("a serving certificate is refused to '{}': {why}", request["spec"]["username"]);
                    json!({"type": "Denied", "status": "True", "reason": "NotTheInstance", "message": why})
                }
            };
            if let Err(error) = self.decide(&name, &request, condition).await {
                debug!("certificate signing request {name}: {error:#}");
                self.requests.insert(name, request);
                done = false;
            }
        }
        done
    }

    async fn decide(&mut self, name: &str, request: &Value, condition: Value) -> Result<()> {
        let mut decided = request.clone();
        decided["status"]["conditions"] = json!([condition]);
        match self.api.put(&format!("{REQUESTS}/{name}/approval"), &decided).await {
            // Somebody was faster, or it is gone.
            Err(error) if matches!(status(&error), Some(StatusCode::CONFLICT | StatusCode::NOT_FOUND)) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn named(object: Value) -> (String, Value) {
    (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object)
}
