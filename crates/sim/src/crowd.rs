//! A region with very many clusters: does it stay as fast as with one?
//!
//! Everything above the drivers is the real thing; under them all goes well at once: a key that is asked for is there, a
//! machine that is wanted runs. So what is left to measure is the region itself, and what it does is the same each time.

use crate::api::Api;
use crate::disk::Disk;
use crate::setup::{self, ACCOUNT, START};
use roadstead_cloud::ec2::vpc::{self, Vpc};
use roadstead_cloud::ec2::{subnet, subnet::Subnet};
use roadstead_cloud::eks::cluster::State;
use roadstead_cloud::eks::etcd::{self, Answer, EtcdSpec, EtcdState, MemberSeen, Outcome};
use roadstead_cloud::eks::kube::{self, KubeSpec, KubeState};
use roadstead_cloud::fabric::{HostItem, Saw, Want};
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_cloud::settings::Settings;
use roadstead_hostspec as hostspec;
use roadstead_hostspec::{MachinePhase, MachineStatus, ProcessState};
use roadstead_kernel::region::{Limits, Region};
use roadstead_shapes::eks;
use roadstead_store::{AnyKey, Core, Index, Key, Object, Options, Read, Tx, View};
use roadstead_types::{Cidr, Millis, Sealed};
use roadstead_wire::fault::Fault;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, mpsc};

/// A region and all its clusters.
pub struct Crowd {
    region: Region,
    api: Api,
    now: Millis,
    /// What became durable and has had no answer yet.
    changed: Receiver<(Arc<View>, Vec<AnyKey>)>,
    clusters: usize,
    /// The machine that is disturbed: always the same.
    witness: Option<Key<Saw<hostspec::Machine>>>,
}

/// What the planners had to do for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Plans that ran.
    pub plans: u64,
    /// Records that they changed.
    pub writes: u64,
}

impl Crowd {
    /// A region without clusters, with room for more than ten thousand in one VPC.
    ///
    /// # Panics
    /// If it can't be set up.
    pub fn new() -> Crowd {
        let options = Options { compact_bytes_min: 64 << 20, ..Options::seeded(1) };
        let core = Core::open(Disk::default(), roadstead_cloud::registry(), options).expect("an empty disk is whole");
        let mut region = Region::new(core, roadstead_cloud::planners());
        region.limit(Limits { jobs: 1000, plans: 1000 });
        let (tell, changed) = channel();
        region.on_commit(move |commit| {
            let keys = commit.changes.iter().map(|change| change.key.clone()).collect();
            tell.send((commit.view.clone(), keys)).expect("invariant: both ends live in one value");
        });
        let mut crowd = Crowd { region, api: Api::new(), now: START, changed, clusters: 0, witness: None };
        crowd.submit(setup::region).expect("an empty region can be set up");
        crowd.submit(widen).expect("there is room for another VPC");
        crowd.settle();
        crowd
    }

    /// Makes another cluster, and lets it become ACTIVE; what the planners did for that.
    ///
    /// # Panics
    /// If the region refuses it, or if it does not become ACTIVE.
    pub fn add(&mut self) -> Work {
        let before = self.done();
        let name = self.create();
        self.settle();
        let cluster = self.region.view().get(&setup::cluster_key(&name)).map(|record| record.body.status.state);
        assert_eq!(cluster, Some(State::Active), "{name}");
        self.since(before)
    }

    /// Asks for another cluster, and plans nothing; its name.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn create(&mut self) -> String {
        let name = format!("cluster-{}", self.clusters);
        let request = request(&**self.region.view(), &name);
        self.submit(self.api.write(&eks::CREATE_CLUSTER, request)).unwrap_or_else(|why| panic!("{name}: {why}"));
        self.clusters += 1;
        name
    }

    /// How many clusters there are.
    pub fn len(&self) -> usize {
        self.clusters
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.clusters == 0
    }

    /// One machine, always the same, says that a process is not ready, and then that it is; what the planners did.
    ///
    /// # Panics
    /// If there is no cluster.
    pub fn disturb(&mut self) -> Work {
        let before = self.done();
        let view = self.region.view().clone();
        let first = || Key::new(view.names_after::<Saw<hostspec::Machine>>("", "").next().expect("there is a machine"));
        let key = self.witness.get_or_insert_with(first).clone();
        let seen = view.get(&key).expect("its host has told of it");
        for state in [ProcessState::Unready, ProcessState::Ready] {
            let (key, mut seen) = (key.clone(), seen.body.clone());
            let processes = seen.status.as_mut().map(|status| &mut status.processes);
            processes.into_iter().flatten().take(1).for_each(|process| process.state = state);
            self.submit(move |tx| {
                tx.set(&key, None, seen);
                Ok(())
            })
            .expect("an observation is never refused");
            self.settle();
        }
        self.since(before)
    }

    /// So much time passes in which nothing happens; what the planners did.
    pub fn idle(&mut self, span: Millis) -> Work {
        let before = self.done();
        let end = self.now + span;
        loop {
            match self.settle() {
                Some(next) if next <= end => self.now = next,
                _ => break,
            }
        }
        self.now = end;
        self.settle();
        self.since(before)
    }

    /// Describes a cluster through the API, as its user does.
    ///
    /// # Errors
    /// The API's.
    pub fn describe(&self, number: usize) -> Result<eks::DescribeClusterResponse, Fault> {
        let request = eks::DescribeClusterRequest { name: format!("cluster-{number}") };
        self.api.read(self.region.view(), &eks::DESCRIBE_CLUSTER, &request)
    }

    /// Lists a page of a hundred clusters.
    ///
    /// # Errors
    /// The API's.
    pub fn list(&self, next_token: Option<String>) -> Result<eks::ListClustersResponse, Fault> {
        let request = eks::ListClustersRequest { next_token, ..Default::default() };
        self.api.read(self.region.view(), &eks::LIST_CLUSTERS, &request)
    }

    fn submit<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        let (tell, told) = mpsc::channel();
        let done = move |result| drop(tell.send(result));
        self.region.submit(work, done);
        self.turn();
        told.recv().expect("a turn answers").map_err(|why| match why {
            roadstead_kernel::region::WriteError::Refused(fault) => fault,
            other => panic!("{other}"),
        })
    }

    /// Turns until nothing is due now; says when something will be.
    fn settle(&mut self) -> Option<Millis> {
        loop {
            let next = self.turn();
            let answers: Vec<_> = self.changed.try_iter().collect();
            if answers.is_empty() && next.is_none_or(|next| next > self.now) {
                return next;
            }
            for (view, keys) in answers {
                let now = self.now;
                keys.iter().filter_map(|key| answer(&view, key, now)).for_each(|work| self.observe(work));
            }
        }
    }

    fn observe(&mut self, work: Observation) {
        let work = move |tx: &mut Tx| {
            work(tx);
            Ok::<_, Fault>(())
        };
        self.region.submit(work, |result| result.expect("an observation is never refused"));
    }

    fn turn(&mut self) -> Option<Millis> {
        self.region.turn(self.now).expect("a disk in memory never fails").next_wake
    }

    fn done(&self) -> Work {
        let tallies = self.region.tallies().iter();
        tallies.fold(Work::default(), |sum, t| Work { plans: sum.plans + t.plans, writes: sum.writes + t.writes })
    }

    fn since(&self, before: Work) -> Work {
        let now = self.done();
        Work { plans: now.plans - before.plans, writes: now.writes - before.writes }
    }
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd::new()
    }
}

/// A VPC as large as they get, and addresses outside for all.
fn widen(tx: &mut Tx) -> Result<(), Fault> {
    let mut settings = tx.get(&Settings::key()).expect("settings are the first record");
    settings.body.public_pool = Cidr::containing(Ipv4Addr::new(127, 64, 0, 0), 16);
    let zones = settings.body.zones.clone();
    tx.put(settings);
    let vpc = vpc::create(tx, ACCOUNT, Cidr::containing(Ipv4Addr::new(10, 64, 0, 0), 16), false);
    for (half, zone) in (0..).zip(zones.iter().take(2)) {
        let block = Cidr::containing(Ipv4Addr::new(10, 64, half * 128, 0), 17);
        subnet::create(tx, None, &vpc, block, zone, false);
    }
    Ok(())
}

fn request(read: &impl Read, name: &str) -> eks::CreateClusterRequest {
    let vpcs = read.list(Index::<Vpc>::prefix(format!("{ACCOUNT}/"))).into_iter();
    let wide = vpcs.map(|record| record.body).find(|vpc| vpc.cidr.contains(Ipv4Addr::new(10, 64, 0, 0)));
    let subnets = read.list(Index::<Subnet>::by("vpc", wide.expect("it was made first").id));
    let subnets = subnets.into_iter().map(|record| record.body.id).collect();
    let mut request = setup::request(read, name, setup::Ground::Wide);
    request.resources_vpc_config.subnet_ids = Some(subnets);
    request
}

type Observation = Box<dyn FnOnce(&mut Tx) + Send>;

/// What a driver answers to a change, where all goes well.
fn answer(view: &View, key: &AnyKey, now: Millis) -> Option<Observation> {
    let name = key.name().to_owned();
    match key.kind() {
        KeySpec::KIND => view.contains(key).then(|| made(&name)),
        EtcdSpec::KIND => view.get(&etcd::key(&name)).map(|spec| looked(&name, &spec.body, now)),
        KubeSpec::KIND => view.contains(key).then(|| probed(&name, now)),
        hostspec::Network::WANT => saw::<hostspec::Network>(view, &name, |_| Some(ready_network())),
        hostspec::Port::WANT => {
            saw::<hostspec::Port>(view, &name, |_| Some(hostspec::PortStatus { ready: true, why: None }))
        }
        hostspec::Disk::WANT => saw::<hostspec::Disk>(view, &name, |disk| {
            Some(hostspec::DiskStatus::Ready { mark: format!("mark of {}", disk.id) })
        }),
        hostspec::Machine::WANT => saw::<hostspec::Machine>(view, &name, |machine| Some(running(machine, START))),
        hostspec::Balancer::WANT => saw::<hostspec::Balancer>(view, &name, |balancer| Some(healthy(balancer))),
        hostspec::Endpoint::WANT => {
            saw::<hostspec::Endpoint>(view, &name, |_| Some(hostspec::EndpointStatus { ready: true, why: None }))
        }
        hostspec::Reviewer::WANT => {
            saw::<hostspec::Reviewer>(view, &name, |_| Some(hostspec::ReviewerStatus { ready: true, why: None }))
        }
        hostspec::SecurityGroup::WANT => saw::<hostspec::SecurityGroup>(view, &name, |_| None),
        hostspec::Quorum::WANT => saw::<hostspec::Quorum>(view, &name, |_| None),
        hostspec::Credential::WANT => saw::<hostspec::Credential>(view, &name, |_| None),
        _ => None,
    }
}

/// The host has it as soon as it is wanted, and nothing of it as soon as it is not.
fn saw<T: HostItem>(view: &View, id: &str, status: impl FnOnce(&T) -> Option<T::Status>) -> Option<Observation> {
    let key = Key::<Saw<T>>::new(id);
    match view.get(&Key::<Want<T>>::new(id)) {
        None => Some(Box::new(move |tx| tx.remove(&key))),
        Some(want) => {
            let saw = Saw { generation: want.generation, status: status(&want.body.0) };
            Some(Box::new(move |tx| tx.set(&key, None, saw)))
        }
    }
}

fn made(name: &str) -> Observation {
    let (spec, key) = (Key::<KeySpec>::new(name), Key::<KeyState>::new(name));
    let private = Sealed { context: format!("key/{name}"), ciphertext: format!("sealed {name}") };
    let state = KeyState { public: format!("public {name}"), private };
    Box::new(move |tx| {
        if tx.get(&key).is_none() {
            tx.create(key, Some(spec.any()), state);
        }
    })
}

fn looked(id: &str, spec: &EtcdSpec, now: Millis) -> Observation {
    let member = |(n, address): (u64, &Ipv4Addr)| MemberSeen {
        id: n,
        name: format!("etcd-{n}"),
        peer_url: etcd::peer_url(*address),
        learner: false,
        answer: Some(Answer { leader: 1, revision: 1, applied: 1 }),
    };
    let members = Some((1..).zip(&spec.addresses).map(member).collect());
    let state = EtcdState { step: spec.step.number, outcome: Outcome::Done, observed: now, members };
    let (owner, key) = (etcd::key(id).any(), etcd::state_key(id));
    Box::new(move |tx| tx.set(&key, Some(owner), state))
}

fn probed(id: &str, now: Millis) -> Observation {
    let state = KubeState { ready: true, why: "Kubernetes v1.36.3".to_owned(), since: now };
    let (owner, key) = (kube::key(id).any(), kube::state_key(id));
    Box::new(move |tx| tx.set(&key, Some(owner), state))
}

fn ready_network() -> hostspec::NetworkStatus {
    hostspec::NetworkStatus { ready: true, why: None }
}

fn running(machine: &hostspec::Machine, since: Millis) -> MachineStatus {
    let process = |process: &hostspec::Process| hostspec::ProcessStatus {
        name: process.name.clone(),
        state: ProcessState::Ready,
        restarts: 0,
        since,
        last_exit: None,
    };
    let processes = machine.processes.iter().map(process).collect();
    MachineStatus { phase: MachinePhase::Running, since, processes, console: None }
}

fn healthy(balancer: &hostspec::Balancer) -> hostspec::BalancerStatus {
    let targets = balancer.listeners.iter().flat_map(|listener| &listener.targets);
    let health = || hostspec::TargetHealth { healthy: true, since: START, why: None };
    hostspec::BalancerStatus { ready: true, why: None, targets: targets.map(|t| (t.id.clone(), health())).collect() }
}
