//! The way to a cluster's etcd: one numbered step of its membership at a time, and what was seen of it.
//!
//! etcd has no compare-and-set on its membership, so a change is a [`Step`] with the members that it presumes: the etcd
//! driver asks for the membership as a quorum knows it, refuses the step if it is another one or if somebody who must
//! answer does not, acts, and looks again. A step that was taken already is not taken twice, since its effect is seen.

use roadstead_store::{AnyKey, Key, Object, Tx};
use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// TCP port of members for clients.
pub const CLIENT_PORT: u16 = 2379;
/// TCP port of members for each other.
pub const PEER_PORT: u16 = 2380;

/// How to reach a cluster's etcd, and the step to take there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSpec {
    /// The network to dial in.
    pub network: String,
    /// Addresses of the members' places, member or not.
    pub addresses: Vec<Ipv4Addr>,
    /// PEM of etcd's authority.
    pub authority: String,
    /// PEM of the service's own client certificate.
    pub certificate: String,
    /// Its key, PKCS #8 PEM.
    pub key: Sealed,
    /// The newest step.
    pub step: Step,
    /// A change is under way: look often.
    pub watch: bool,
}

/// One step of a membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Grows with each step of the cluster; an older one is not taken any more.
    pub number: u64,
    /// What to do.
    pub action: Action,
    /// The whole membership that it was decided for.
    pub presumed: Vec<Presumed>,
}

/// A member that a step presumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presumed {
    /// etcd's id of the member.
    pub id: u64,
    /// It has no vote yet.
    pub learner: bool,
    /// The step must not be taken unless this member answers and knows a leader.
    pub answers: bool,
}

/// What a step does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Looks, and changes nothing.
    #[default]
    Look,
    /// Takes a member out.
    Remove(u64),
    /// Adds a member without a vote, by its peer URL.
    AddLearner(String),
    /// Gives a learner its vote; etcd refuses that while it lags behind.
    Promote(u64),
}

/// What was seen of a cluster's etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdState {
    /// The number of the step that was the newest by then.
    pub step: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// When this was seen.
    pub observed: Millis,
    /// The membership as a quorum knows it; None: no quorum answered, so it is not known.
    pub members: Option<Vec<MemberSeen>>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Not taken yet, and tried again; why, for people.
    Pending(String),
    /// Its effect was seen.
    Done,
    /// It is not taken; why, for people.
    Refused(String),
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSeen {
    /// etcd's id of it.
    pub id: u64,
    /// Its name; empty before it has started for the first time.
    pub name: String,
    /// Where its peers find it.
    pub peer_url: String,
    /// It has no vote.
    pub learner: bool,
    /// What it said of itself; None: it did not answer, or knows no leader.
    pub answer: Option<Answer>,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whom it takes for the leader, by id.
    pub leader: u64,
    /// The store's revision.
    pub revision: u64,
    /// How far it has applied the log of changes.
    pub applied: u64,
}

impl Object for EtcdSpec {
    const KIND: &'static str = "eks/etcd-spec";
}

impl Object for EtcdState {
    const KIND: &'static str = "eks/etcd-state";
}

/// The key of a cluster's etcd, `id` being the cluster's unique id.
pub fn key(id: &str) -> Key<EtcdSpec> {
    Key::new(id)
}

/// The key of what was seen of it.
pub fn state_key(id: &str) -> Key<EtcdState> {
    Key::new(id)
}

/// Where the peers of the member at an address find it.
pub fn peer_url(address: Ipv4Addr) -> String {
    format!("https://{address}:{PEER_PORT}")
}

/// States how to reach it, and its step.
pub fn ensure(tx: &mut Tx, owner: &AnyKey, id: &str, spec: EtcdSpec) {
    tx.set(&key(id), Some(owner.clone()), spec);
}

/// Forgets it.
pub fn remove(tx: &mut Tx, id: &str) {
    tx.remove(&key(id));
    tx.remove(&state_key(id));
}

impl Step {
    /// The membership shows that the step was taken.
    pub fn is_seen(&self, members: &[MemberSeen]) -> bool {
        let others = |but: u64| {
            let left = self.presumed.iter().filter(|p| p.id != but).all(|p| p.is_in(members));
            left && members.len() == self.presumed.len() - usize::from(self.presumed.iter().any(|p| p.id == but))
        };
        match &self.action {
            Action::Look => true,
            Action::Remove(id) => others(*id),
            Action::AddLearner(url) => {
                let added = members.iter().find(|m| m.peer_url == *url && !self.presumed.iter().any(|p| p.id == m.id));
                added.is_some()
                    && self.presumed.iter().all(|p| p.is_in(members))
                    && members.len() == self.presumed.len() + 1
            }
            Action::Promote(id) => {
                let has_vote = members.iter().any(|m| m.id == *id && !m.learner);
                let others = self.presumed.iter().filter(|p| p.id != *id).all(|p| p.is_in(members));
                has_vote && others && members.len() == self.presumed.len()
            }
        }
    }

    /// Why the step must not be taken with this membership, for people.
    ///
    /// # Errors
    /// The membership is another one than was presumed, or somebody who must answer does not.
    pub fn check(&self, members: &[MemberSeen]) -> Result<(), String> {
        if members.len() != self.presumed.len() || !self.presumed.iter().all(|p| p.is_in(members)) {
            return Err(format!("the membership is {}, and another one was presumed", describe(members)));
        }
        let silent = |p: &&Presumed| p.answers && !members.iter().any(|m| m.id == p.id && m.answer.is_some());
        match self.presumed.iter().find(silent) {
            Some(p) => Err(format!("member {:x} does not answer, and must while the membership changes", p.id)),
            None => Ok(()),
        }
    }
}

impl Presumed {
    fn is_in(&self, members: &[MemberSeen]) -> bool {
        members.iter().any(|m| m.id == self.id && m.learner == self.learner)
    }
}

/// A membership, for people.
fn describe(members: &[MemberSeen]) -> String {
    let each = members.iter().map(|m| format!("{:x} ({}{})", m.id, m.name, if m.learner { ", learner" } else { "" }));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, learner: bool) -> MemberSeen {
        let answer = Some(Answer { leader: 1, revision: 1, applied: 1 });
        let peer_url = format!("u{id}");
        MemberSeen { id, name: format!("m{id}"), peer_url, learner, answer }
    }

    fn step(action: Action, presumed: &[(u64, bool)]) -> Step {
        let presumed = presumed.iter().map(|(id, learner)| Presumed { id: *id, learner: *learner, answers: *id == 1 });
        Step { number: 1, action, presumed: presumed.collect() }
    }

    #[test]
    fn a_step_is_taken_once_and_only_with_the_members_it_presumes() {
        let three = [member(1, false), member(2, false), member(3, false)];
        let two = [member(1, false), member(2, false)];
        let added = [member(1, false), member(2, false), member(4, true)];
        let whole = [member(1, false), member(2, false), member(4, false)];
        let votes = [(1, false), (2, false), (3, false)];

        let remove = step(Action::Remove(3), &votes);
        assert!(remove.check(&three).is_ok() && !remove.is_seen(&three));
        assert!(remove.is_seen(&two) && !remove.is_seen(&added) && !remove.is_seen(&three[..1]));
        assert!(remove.check(&added).unwrap_err().contains("another one was presumed"));

        let add = step(Action::AddLearner("u4".into()), &votes[..2]);
        assert!(add.check(&two).is_ok() && !add.is_seen(&two));
        assert!(add.is_seen(&added) && !add.is_seen(&three) && !add.is_seen(&added[1..]));

        let promote = step(Action::Promote(4), &[(1, false), (2, false), (4, true)]);
        assert!(promote.check(&added).is_ok() && !promote.is_seen(&added));
        assert!(promote.is_seen(&whole) && promote.check(&whole).is_err() && !promote.is_seen(&three));
    }

    #[test]
    fn a_step_is_not_taken_while_somebody_who_must_answer_is_silent() {
        let mut members = [member(1, false), member(2, false)];
        let add = step(Action::AddLearner("u4".into()), &[(1, false), (2, false)]);
        members[1].answer = None;
        assert!(add.check(&members).is_ok(), "it need not answer");
        members[0].answer = None;
        assert!(add.check(&members).unwrap_err().contains("does not answer"));
    }
}
