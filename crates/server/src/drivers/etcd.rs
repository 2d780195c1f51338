//! The etcd driver: takes the newest step of a cluster's membership, once and only if the membership is the one that the
//! step presumes, and says what it sees. It speaks etcd's JSON gateway
//! (<https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>) as a client of its own.

use super::host::Dialer;
use anyhow::{Context as _, Result, anyhow};
use futures::future::{join_all, select_ok};
use hyper::{Method, StatusCode};
use roadstead_cloud::eks::etcd::{Action, Answer, CLIENT_PORT, EtcdSpec, EtcdState, MemberSeen, Outcome, peer_url};
use roadstead_kernel::driver::Driver;
use roadstead_kube::https::{self, Client, Refusal};
use roadstead_store::Record;
use roadstead_types::Millis;
use roadstead_vault::Vault;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between looks while a change is under way.
const WATCHFUL: Duration = Duration::from_millis(500);
/// Between looks at a membership in which nothing is to be changed.
const IDLE: Duration = Duration::from_secs(30);
/// Before a step is tried again that met no quorum.
const RETRY: Duration = Duration::from_millis(500);
/// One question to one member. A change waits for a quorum, whose election may take a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reaches the clusters' etcds.
pub struct Etcd {
    /// The way into networks.
    pub dialer: Dialer,
    /// Opens the service's client keys.
    pub vault: Arc<Vault>,
    /// The clock.
    pub now: fn() -> Millis,
    /// The newest step of each cluster that this process has been asked for.
    pub newest: Mutex<BTreeMap<String, u64>>,
}

impl Driver for Etcd {
    type Desired = EtcdSpec;
    type Observed = EtcdState;

    async fn converge(&self, desired: &Record<EtcdSpec>, saw: &(dyn Fn(EtcdState) + Send + Sync)) {
        let spec = &desired.body;
        let step = spec.step.number;
        if !self.is_newest(desired.key.name(), step) {
            return;
        }
        let say = |outcome: &Outcome, members| {
            saw(EtcdState { step, outcome: outcome.clone(), observed: (self.now)(), members });
        };
        let outcome = loop {
            match self.take(spec).await {
                Ok((outcome, members)) => {
                    say(&outcome, Some(members));
                    break outcome;
                }
                Err(why) => say(&Outcome::Pending(format!("{why:#}")), None),
            }
            sleep(RETRY).await;
        };
        loop {
            sleep(if spec.watch { WATCHFUL } else { IDLE }).await;
            let members = match self.door(spec) {
                Ok(door) => door.members().await.ok(),
                Err(_) => None,
            };
            say(&outcome, members);
        }
    }
}

impl Etcd {
    /// A record that was read late must not bring an older step back.
    fn is_newest(&self, cluster: &str, step: u64) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.entry(cluster.to_owned()).or_default();
        *known = step.max(*known);
        step == *known
    }

    fn door<'a>(&'a self, spec: &'a EtcdSpec) -> Result<Door<'a>> {
        let key = self.vault.unseal(&spec.key)?;
        let tls = https::tls(&spec.authority, Some((&spec.certificate, &key)))?;
        Ok(Door { dialer: &self.dialer, spec, tls })
    }

    /// Takes the step, and says what the membership is then.
    ///
    /// # Errors
    /// No quorum answered: it is not known whether the step was taken.
    async fn take(&self, spec: &EtcdSpec) -> Result<(Outcome, Vec<MemberSeen>)> {
        let door = self.door(spec)?;
        let members = door.members().await?;
        let step = &spec.step;
        if step.is_seen(&members) {
            return Ok((Outcome::Done, members));
        }
        if let Err(why) = step.check(&members) {
            return Ok((Outcome::Refused(why), members));
        }
        if let Err(error) = door.act(&step.action, &members).await {
            let refused = error.downcast_ref::<Refusal>().filter(|refusal| is_final(refusal.status));
            let refused = refused.map(|refusal| refusal.message.clone().unwrap_or_else(|| refusal.to_string()));
            return Ok((Outcome::Refused(refused.ok_or(error)?), members));
        }
        let members = door.members().await?;
        match step.is_seen(&members) {
            true => Ok((Outcome::Done, members)),
            false => Err(anyhow!("the step was acknowledged and is not seen yet")),
        }
    }
}

/// etcd has judged the request, and would judge it so again.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// The way to one cluster's members.
struct Door<'a> {
    dialer: &'a Dialer,
    spec: &'a EtcdSpec,
    tls: Arc<ClientConfig>,
}

impl Door<'_> {
    /// The membership as a quorum knows it, and what each member says of itself.
    async fn members(&self) -> Result<Vec<MemberSeen>> {
        let list =
            |address: &Ipv4Addr| Box::pin(self.ask(*address, "/v3/cluster/member/list", json!({"linearizable": true})));
        let (list, _) = select_ok(self.spec.addresses.iter().map(list)).await.context("no quorum of etcd answers")?;
        let members = list["members"].as_array().context("etcd's list of members has no members")?;
        let mut members = members.iter().map(member).collect::<Result<Vec<_>>>()?;
        let answers = join_all(members.iter().map(|member| self.answer(member))).await;
        for (member, answer) in members.iter_mut().zip(answers) {
            member.answer = answer;
        }
        Ok(members)
    }

    /// What a member says of itself, if it does and knows a leader.
    async fn answer(&self, member: &MemberSeen) -> Option<Answer> {
        let address = self.address(member)?;
        let status = self.ask(address, "/v3/maintenance/status", json!({})).await.ok()?;
        let leader = number(&status["leader"]).filter(|leader| *leader != 0)?;
        let revision = number(&status["header"]["revision"]).unwrap_or_default();
        Some(Answer { leader, revision, applied: number(&status["raftAppliedIndex"]).unwrap_or_default() })
    }

    /// Asks somebody whom the change does not take away.
    async fn act(&self, action: &Action, members: &[MemberSeen]) -> Result<()> {
        let (path, body) = match action {
            Action::Look => return Ok(()),
            Action::Remove(id) => ("/v3/cluster/member/remove", json!({"ID": id.to_string()})),
            Action::AddLearner(url) => ("/v3/cluster/member/add", json!({"peerURLs": [url], "isLearner": true})),
            Action::Promote(id) => ("/v3/cluster/member/promote", json!({"ID": id.to_string()})),
        };
        let serves = |m: &&MemberSeen| !m.learner && m.answer.is_some() && *action != Action::Remove(m.id);
        let through = members.iter().find(serves).and_then(|m| self.address(m));
        let through = through.context("no member answers that could take the change")?;
        self.ask(through, path, body).await.map(drop)
    }

    fn address(&self, member: &MemberSeen) -> Option<Ipv4Addr> {
        self.spec.addresses.iter().copied().find(|address| peer_url(*address) == member.peer_url)
    }

    async fn ask(&self, address: Ipv4Addr, path: &str, body: Value) -> Result<Value> {
        let answer = async {
            let tls = self.tls.clone();
            let mut client = Client::connect(self.dialer, &self.spec.network, address, CLIENT_PORT, tls).await?;
            client.call(Method::POST, path, "application/json", &body).await
        };
        let answer = timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| Err(anyhow!("{address} gave no answer within {PATIENCE:?}")))
    }
}

fn member(listed: &Value) -> Result<MemberSeen> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(MemberSeen {
        id: number(&listed["ID"]).context("a member of etcd has no id")?,
        name: text(&listed["name"]),
        peer_url: text(&listed["peerURLs"][0]),
        learner: listed["isLearner"].as_bool().unwrap_or(false),
        answer: None,
    })
}

/// The gateway writes 64-bit numbers as text (proto3's JSON mapping).
fn number(value: &Value) -> Option<u64> {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_etcd_writes_them() {
        let listed = json!({"ID": "10276657743932975437", "name": "etcd-1", "peerURLs": ["https://198.19.1.4:2380"],
            "clientURLs": ["https://198.19.1.4:2379"]});
        let seen = member(&listed).unwrap();
        assert_eq!((seen.id, seen.learner, seen.answer), (10_276_657_743_932_975_437, false, None));
        // One that was added and has not started yet.
        let added = json!({"ID": "7", "peerURLs": ["https://198.19.3.4:2380"], "isLearner": true});
        let seen = member(&added).unwrap();
        assert_eq!((seen.name.as_str(), seen.learner), ("", true));
        assert!(member(&json!({"name": "x"})).is_err());
    }

    #[test]
    fn only_what_etcd_has_judged_is_final() {
        assert!(is_final(StatusCode::BAD_REQUEST) && is_final(StatusCode::NOT_FOUND));
        let passing = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        assert!(!passing.into_iter().any(is_final));
    }
}
