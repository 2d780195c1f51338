//! One node's drain: evicts its pods, again and again those that a budget protects, and tells how far it is.

use super::Heard;
use crate::Dial;
use crate::api::{Api, status};
use crate::follow::{Collection, Event, follow};
use crate::https::Refusal;
use anyhow::Result;
use hyper::StatusCode;
use roadstead_cloud::eks::node::{Blocker, Draining, Fate, blocker, fate};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Before an eviction is asked for again that was refused. (`kubectl drain` waits 5 s.)
const RETRY: Duration = Duration::from_secs(2);

/// Drains a node until nobody listens.
pub async fn run<D: Dial>(api: Api<D>, node: String, force: bool, to: Sender<Heard>) {
    let (tell, mut heard) = channel(64);
    let mut teller = JoinSet::new();
    let pods = Collection { path: "/api/v1/pods".into(), query: format!("fieldSelector=spec.nodeName%3D{node}") };
    teller.spawn(follow(api.clone(), pods, tell, |event| event));
    let mut pods =
        Pods { api, force, listed: false, all: BTreeMap::new(), asked: BTreeSet::new(), blocked: BTreeMap::new() };
    let mut told = None;
    loop {
        let next = match pods.draining().left {
            0 => Some(heard.recv().await),
            _ => timeout(RETRY, heard.recv()).await.ok(),
        };
        match next {
            Some(Some(event)) => pods.learn(event),
            Some(None) => return,
            None => {}
        }
        while let Ok(more) = heard.try_recv() {
            pods.learn(more);
        }
        pods.evict().await;
        let draining = pods.draining();
        if pods.listed && told.as_ref() != Some(&draining) {
            told = Some(draining.clone());
            if to.send(Heard::Drain(node.clone(), draining)).await.is_err() {
                return;
            }
        }
    }
}

/// The pods of the node, by uid.
struct Pods<D> {
    api: Api<D>,
    force: bool,
    listed: bool,
    all: BTreeMap<String, Value>,
    /// Those whose eviction the API has taken.
    asked: BTreeSet<String>,
    /// Those whose eviction it refused, and why.
    blocked: BTreeMap<String, Blocker>,
}

impl<D: Dial> Pods<D> {
    fn learn(&mut self, event: Event) {
        let by_uid = |pod: Value| (pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned(), pod);
        match event {
            Event::All(all) => {
                self.all = all.into_iter().map(by_uid).collect();
                self.listed = true;
            }
            Event::Put(pod) => self.all.extend([by_uid(pod)]),
            Event::Gone(pod) => drop(self.all.remove(&by_uid(pod).0)),
            Event::Lost(_) => {}
        }
        self.blocked.retain(|uid, _| self.all.contains_key(uid));
    }

    fn draining(&self) -> Draining {
        let (mut left, mut leaving) = (0, 0);
        for (uid, pod) in &self.all {
            match fate(pod) {
                Fate::Stays => {}
                Fate::Goes if !self.asked.contains(uid) => left += 1,
                Fate::Goes | Fate::Leaving => leaving += 1,
            }
        }
        let mut blocked_by: Vec<_> = self.blocked.values().cloned().collect();
        blocked_by.sort();
        Draining { left, leaving, blocked_by }
    }

    async fn evict(&mut self) {
        let due = self.all.iter().filter(|(uid, pod)| fate(pod) == Fate::Goes && !self.asked.contains(*uid));
        let due: Vec<_> = due.map(|(uid, pod)| (uid.clone(), pod.clone())).collect();
        for (uid, pod) in due {
            match self.evict_one(&uid, &pod).await {
                Ok(None) => {
                    self.blocked.remove(&uid);
                    self.asked.insert(uid);
                }
                Ok(Some(blocker)) => drop(self.blocked.insert(uid, blocker)),
                // Not known: asked again.
                Err(_) => {}
            }
        }
    }

    /// Evicts a pod; says what keeps it, if something does.
    async fn evict_one(&mut self, uid: &str, pod: &Value) -> Result<Option<Blocker>> {
        let metadata = &pod["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default();
        let path = format!("/api/v1/namespaces/{}/pods/{}", text("namespace"), text("name"));
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            // Not another pod of the same name.
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let Err(error) = self.api.post(&format!("{path}/eviction"), &eviction).await else { return Ok(None) };
        match status(&error) {
            // Gone already, or another one of its name.
            Some(StatusCode::NOT_FOUND | StatusCode::CONFLICT) => Ok(None),
            // A budget is used up; or several protect it, which the API does not decide.
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::INTERNAL_SERVER_ERROR) if self.force => {
                self.api.delete(&path).await.map(|()| None)
            }
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::INTERNAL_SERVER_ERROR) => {
                let body = error.downcast_ref::<Refusal>().map(|refusal| refusal.body.clone());
                Ok(Some(blocker(pod, &body.unwrap_or_default())))
            }
            _ => Err(error),
        }
    }
}
