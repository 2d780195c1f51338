//! etcd, as far as its membership and its promises go: who is a member, who has a vote, what a quorum has acknowledged,
//! and what stands on which disk.
//!
//! It does what etcd 3.6 does: changes of the membership and lists of it need a quorum; an added member gets another id
//! than one that was there before at its place; a learner has no vote until it is promoted, which is refused while it
//! lags behind; one that founds a cluster on an empty disk is refused if a peer answers that has known it, and **is not
//! refused if none does**; one that was taken out ends. What must never happen is told as an [`Event`].

use super::items::{Data, Held, Items};
use super::machine::{Member, Role, State, is_alive};
use super::{Event, Host};
use roadstead_cloud::eks::etcd::{Action, Answer, EtcdSpec, MemberSeen, peer_url};
use roadstead_hostspec::Machine;
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

type Running = Held<Machine, State>;

/// A peer counts that has been connected for so long (etcdserver `HealthInterval`).
const HEALTH_INTERVAL: Millis = Millis::secs(5);
const UNHEALTHY: &str = "etcdserver: unhealthy cluster";

/// What the members of one etcd agree on.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// By id.
    pub members: BTreeMap<u64, Peer>,
    /// The newest write that was acknowledged.
    acknowledged: u64,
    /// How many members were ever added.
    added: u64,
}

/// A member, as all know it.
#[derive(Clone, Debug)]
pub struct Peer {
    address: Ipv4Addr,
    name: String,
    learner: bool,
    /// It has begun a data directory: it may have voted.
    begun: bool,
    /// It has told all where it serves.
    published: bool,
}

impl Cluster {
    fn at(&self, address: Ipv4Addr) -> Option<(u64, &Peer)> {
        self.members.iter().find(|(_, peer)| peer.address == address).map(|(id, peer)| (*id, peer))
    }

    fn voters(&self) -> impl Iterator<Item = u64> {
        self.members.iter().filter(|(_, peer)| !peer.learner).map(|(id, _)| *id)
    }
}

impl Items {
    /// More than half of the votes of a cluster answer.
    pub fn has_quorum(&self, token: &str) -> bool {
        let Some(cluster) = self.etcds.get(token) else { return false };
        let votes: Vec<u64> = cluster.voters().collect();
        2 * votes.iter().filter(|id| self.is_live(token, **id)).count() > votes.len()
    }

    /// Nobody can give a quorum of a cluster back its data.
    pub fn is_beyond_help(&self, token: &str) -> bool {
        let Some(cluster) = self.etcds.get(token) else { return false };
        let kept = |id: &u64| self.disks.values().any(|d| !d.state.lost && is_of(d.state.data.as_ref(), token, *id));
        let votes: Vec<u64> = cluster.voters().collect();
        2 * votes.iter().filter(|id| kept(id)).count() <= votes.len()
    }

    /// More than etcd's `HealthInterval` ago others have reached the member, and do so now.
    fn is_connected(&self, token: &str, id: u64, now: Millis) -> bool {
        self.live_since(token, id).is_some_and(|since| now.since(since) >= HEALTH_INTERVAL)
    }

    fn is_live(&self, token: &str, id: u64) -> bool {
        self.live_since(token, id).is_some()
    }

    /// Since when the member runs on its data, and others reach it. One that never gets ready has no say: an etcd that votes and
    /// hears of what others vote is ready by its own account (`/readyz` is a read through a quorum).
    fn live_since(&self, token: &str, id: u64) -> Option<Millis> {
        let is_well = |id: &String, machine: &Running| !self.wedged.contains(id) && !self.is_stalled(machine);
        let mut well = self.machines.iter().filter(|(id, machine)| is_well(id, machine));
        well.find_map(|(_, machine)| {
            machine.state.with_roles().find_map(|(process, role)| match role {
                Role::Etcd(member) if member.token == token && is_alive(process) => {
                    let reached =
                        is_of(self.data_of(machine), token, id) && self.leg(machine, member.address).is_some();
                    reached.then_some(process.since)
                }
                _ => None,
            })
        })
    }

    /// The voters that a voter reaches which is asked to change a member, itself included; and how many there are.
    fn connected(&self, token: &str, target: Option<u64>, now: Millis) -> (usize, usize) {
        let voters: Vec<u64> = self.etcds.get(token).into_iter().flat_map(Cluster::voters).collect();
        let asked = voters.iter().copied().find(|id| Some(*id) != target && self.is_live(token, *id));
        let connected = voters.iter().filter(|id| Some(**id) == asked || self.is_connected(token, **id, now));
        (connected.count(), voters.len())
    }

    fn data_of(&self, machine: &Running) -> Option<&Data> {
        self.disks.get(&machine.spec.disks.first()?.disk)?.state.data.as_ref()
    }

    /// A ready member reads through a quorum, and has a vote.
    pub fn is_ready_member(&self, machine: &Running, member: &Member) -> bool {
        let id = self.data_of(machine).map(|data| data.id);
        let votes = self.etcds.get(&member.token).is_some_and(|c| c.voters().any(|voter| Some(voter) == id));
        votes && self.has_quorum(&member.token)
    }

    /// A learner runs that has not got all yet.
    pub fn lags(&self, machine: &Running, member: &Member) -> bool {
        let Some(data) = self.data_of(machine) else { return false };
        let cluster = self.etcds.get(&member.token);
        let learner = cluster.and_then(|cluster| cluster.members.get(&data.id)).is_some_and(|peer| peer.learner);
        learner && !data.level && self.has_quorum(&member.token) && self.is_live(&member.token, data.id)
    }

    /// Why a member can't go on with what its disk holds.
    pub fn bad_data(&self, machine: &Running, member: &Member) -> Option<String> {
        let cluster = self.etcds.get(&member.token);
        match self.data_of(machine) {
            None => Some(format!("member {} can't begin: it is known already, or nobody knows it", member.name)),
            Some(data) if (&data.token, &data.member) != (&member.token, &member.name) => {
                Some(format!("the data directory belongs to {} of {}", data.member, data.token))
            }
            Some(data) if cluster.is_some_and(|cluster| !cluster.members.contains_key(&data.id)) => {
                Some("the member has been permanently removed from the cluster".to_owned())
            }
            Some(_) => None,
        }
    }
}

fn is_of(data: Option<&Data>, token: &str, id: u64) -> bool {
    data.is_some_and(|data| data.token == token && data.id == id)
}

/// As etcd makes the id of a founder: of token and address, so that it is the same again for an emptied disk.
fn founder_id(address: Ipv4Addr) -> u64 {
    u64::from(address.to_bits())
}

impl Host {
    /// A member starts: on its data, or it begins a data directory if etcd lets it.
    pub(super) fn open_data(&mut self, id: &str, n: usize) {
        let machine = &self.items.machines[id];
        let Some(Role::Etcd(member)) = machine.state.roles.get(n).cloned() else { return };
        let Some(disk) = machine.spec.disks.first().map(|disk| disk.disk.clone()) else { return };
        let Some(storage) = self.items.disks.get_mut(&disk).map(|disk| &mut disk.state) else { return };
        if storage.lost {
            // What ran before on what it had open ran on; this one finds nothing, and PID 1 does not start it.
            storage.data = None;
            return;
        }
        // It waits for the disk, and begins when that goes on.
        if storage.data.is_some() || self.items.stalled.contains(&disk) {
            return;
        }
        let Some(member_id) = self.begin(&member) else { return };
        self.counter += 1;
        let (token, name, marker) = (member.token, member.name, self.counter);
        let data = Data { token, member: name, marker, id: member_id, revision: 0, level: false };
        if let Some(disk) = self.items.disks.get_mut(&disk) {
            disk.state.data = Some(data);
        }
    }

    /// The id under which a member begins on an empty disk, if etcd lets it.
    fn begin(&mut self, member: &Member) -> Option<u64> {
        let token = &member.token;
        let quorum = self.items.has_quorum(token);
        let peer_answers = self.items.etcds.get(token).is_some_and(|cluster| {
            cluster.members.iter().any(|(id, peer)| peer.address != member.address && self.items.is_live(token, *id))
        });
        let cluster = self.items.etcds.entry(token.clone()).or_default();
        if !member.existing && cluster.members.is_empty() {
            for (name, address) in &member.peers {
                let (address, name) = (*address, name.clone());
                let peer = Peer { address, name, learner: false, begun: false, published: false };
                cluster.members.insert(founder_id(address), peer);
            }
        }
        let id = cluster.at(member.address).map(|(id, _)| id);
        let id = if member.existing { id.filter(|_| quorum)? } else { founder_id(member.address) };
        let Some(peer) = cluster.members.get_mut(&id) else { return (!peer_answers).then_some(id) };
        if peer.published && !member.existing && peer_answers {
            return None;
        }
        peer.name.clone_from(&member.name);
        if std::mem::replace(&mut peer.begun, true) {
            self.events.push(Event::Forgot { member: member.name.clone() });
        }
        Some(id)
    }

    /// A member serves, and tells all so.
    pub(super) fn publish(&mut self, machine: &str, token: &str) {
        let id = self.items.data_of(&self.items.machines[machine]).map(|data| data.id);
        let cluster = self.items.etcds.get_mut(token);
        if let Some(peer) = cluster.zip(id).and_then(|(cluster, id)| cluster.members.get_mut(&id)) {
            peer.published = true;
        }
    }

    /// A learner has got all there was when it asked.
    pub(super) fn catch_up(&mut self, machine: &str) {
        let disk = self.items.machines[machine].spec.disks.first().map(|disk| disk.disk.clone());
        let data = disk.and_then(|disk| self.items.disks.get_mut(&disk)?.state.data.as_mut());
        if let Some(data) = data {
            data.level = true;
            data.revision = self.items.etcds.get(&data.token).map_or(0, |cluster| cluster.acknowledged);
        }
    }

    /// Every cluster that has a quorum acknowledges one more write. The quorum must know all that was acknowledged
    /// before.
    pub(super) fn acknowledge(&mut self) {
        let tokens: Vec<String> = self.items.etcds.keys().cloned().collect();
        for token in tokens.iter().filter(|token| self.items.has_quorum(token)).cloned().collect::<Vec<_>>() {
            let cluster = &self.items.etcds[&token];
            let live: Vec<u64> = cluster.voters().filter(|id| self.items.is_live(&token, *id)).collect();
            let (last, next) = (cluster.acknowledged, cluster.acknowledged + 1);
            let mut known = 0;
            for data in self.items.disks.values_mut().filter_map(|disk| disk.state.data.as_mut()) {
                if data.token == token && live.contains(&data.id) {
                    known = known.max(data.revision);
                    data.revision = next;
                }
            }
            if known < last {
                self.events.push(Event::WriteLost { cluster: token.clone() });
            }
            if let Some(cluster) = self.items.etcds.get_mut(&token) {
                cluster.acknowledged = next;
            }
        }
    }

    /// Has the cluster of an address lost what nobody can give back?
    pub fn is_beyond_help(&self, token: &str) -> bool {
        self.items.is_beyond_help(token)
    }

    /// More than half of the votes of an etcd answer.
    pub fn has_quorum(&self, token: &str) -> bool {
        self.items.has_quorum(token)
    }

    /// The members that have a vote and serve, if all members do.
    pub fn whole_members(&self, token: &str) -> Option<usize> {
        let cluster = self.items.etcds.get(token)?;
        let all = cluster.members.iter().all(|(id, peer)| !peer.learner && self.items.is_live(token, *id));
        all.then_some(cluster.members.len())
    }

    /// The membership, read through a quorum; none if none answers.
    pub fn etcd_members(&self, token: &str, spec: &EtcdSpec) -> Option<Vec<MemberSeen>> {
        let network = self.items.networks.get(&spec.network).is_some_and(|network| network.state.ready);
        if !self.is_there() || !network || !self.items.has_quorum(token) {
            return None;
        }
        let cluster = self.items.etcds.get(token)?;
        let leader = cluster.voters().find(|id| self.items.is_live(token, *id))?;
        let level = |id: u64, peer: &Peer| {
            let mut data = self.items.disks.values().filter_map(|disk| disk.state.data.as_ref());
            !peer.learner || data.any(|data| is_of(Some(data), token, id) && data.level)
        };
        let seen = |(id, peer): (&u64, &Peer)| MemberSeen {
            id: *id,
            name: if peer.begun { peer.name.clone() } else { String::new() },
            peer_url: peer_url(peer.address),
            learner: peer.learner,
            answer: self.items.is_live(token, *id).then(|| {
                let applied = if level(*id, peer) { 100 } else { 0 };
                Answer { leader, revision: 1, applied }
            }),
        };
        Some(cluster.members.iter().map(seen).collect())
    }

    /// A request to change the membership arrives. Refused, for people; or there is no quorum, and nobody answers.
    pub fn change_etcd(&mut self, token: &str, action: &Action) -> Option<Result<(), String>> {
        if let (Action::AddLearner(_), (connected, voters @ 1..)) =
            (action, self.items.connected(token, None, self.now))
            && (1..voters).contains(&connected)
        {
            // `--strict-reconfig-check`, before a quorum is asked; without a vote or with one.
            return Some(Err(UNHEALTHY.to_owned()));
        }
        if !self.items.has_quorum(token) {
            return None;
        }
        let done = match action {
            Action::Look => Ok(()),
            Action::Remove(id) => self.remove_member(token, *id),
            Action::AddLearner(url) => self.add_learner(token, url),
            Action::Promote(id) => self.promote(token, *id),
        };
        if matches!(action, Action::Promote(_)) && done.is_ok() && !self.items.has_quorum(token) {
            let by = format!("{action:?}");
            self.events.push(Event::QuorumLost { cluster: token.to_owned(), by });
        }
        self.stale = true;
        Some(done)
    }

    /// A disk is made anew under its old name, or has an older copy put in its place: what no host may ever do.
    #[cfg(test)]
    pub fn set_back(&mut self, disk: &str, empty: bool) {
        let disk = self.items.disks.get_mut(disk).expect("there is this disk");
        match &mut disk.state.data {
            Some(data) if !empty => data.revision = 0,
            data => *data = None,
        }
        self.stale = true;
    }

    fn remove_member(&mut self, token: &str, id: u64) -> Result<(), String> {
        let live = self.items.is_live(token, id);
        let (connected, voters) = self.items.connected(token, Some(id), self.now);
        let cluster = self.items.etcds.get_mut(token).ok_or("no such cluster")?;
        let peer = cluster.members.get(&id).ok_or("etcdserver: member not found")?;
        if live {
            // Asked for by mistake, whether etcd lets it happen or not.
            self.events.push(Event::HealthyRemoved { member: peer.name.clone() });
        }
        let guarded = live && !peer.learner && connected.saturating_sub(1) < 1 + (voters - 1) / 2;
        let before = self.items.etcds.get(token).cloned();
        self.items.etcds.get_mut(token).and_then(|cluster| cluster.members.remove(&id));
        if !self.items.has_quorum(token) {
            // Which says more than that a healthy member is gone.
            self.events.insert(0, Event::QuorumLost { cluster: token.to_owned(), by: format!("to remove {id:x}") });
        }
        if guarded {
            self.items.etcds.extend(before.map(|cluster| (token.to_owned(), cluster)));
            return Err(UNHEALTHY.to_owned());
        }
        Ok(())
    }

    fn add_learner(&mut self, token: &str, url: &str) -> Result<(), String> {
        let cluster = self.items.etcds.get_mut(token).ok_or("no such cluster")?;
        let address = url.trim_start_matches("https://").split(':').next().and_then(|a| a.parse().ok());
        let address: Ipv4Addr = address.ok_or("etcdserver: given member URLs are invalid")?;
        if cluster.at(address).is_some() {
            return Err("etcdserver: Peer URLs already exists".to_owned());
        }
        if cluster.members.values().any(|peer| peer.learner) {
            return Err("etcdserver: too many learner members in cluster".to_owned());
        }
        cluster.added += 1;
        let (id, name) = (founder_id(address) << 16 | cluster.added, format!("at {address}"));
        cluster.members.insert(id, Peer { address, name, learner: true, begun: false, published: false });
        Ok(())
    }

    fn promote(&mut self, token: &str, id: u64) -> Result<(), String> {
        let mut data = self.items.disks.values().filter_map(|disk| disk.state.data.as_ref());
        let level = data.any(|data| is_of(Some(data), token, id) && data.level) && self.items.is_live(token, id);
        let cluster = self.items.etcds.get_mut(token).ok_or("no such cluster")?;
        let peer = cluster.members.get_mut(&id).ok_or("etcdserver: member not found")?;
        if !peer.learner {
            return Err("etcdserver: can only promote a learner member".to_owned());
        }
        if !level {
            return Err("etcdserver: can only promote a learner member which is in sync with leader".to_owned());
        }
        peer.learner = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
