//! What should exist next for a cluster.
//!
//! ```text
//! placement ─▶ keys ─▶ etcd group ┐
//!                      API group  ├─▶ instances ready ─▶ targets healthy ─▶ probed through the balancer ─▶ ACTIVE
//!                      balancer   │
//!                      reviewer   ┘   (everything that can run side by side does)
//! ```
//! One plan states the whole each time; nothing is done "on" an event.

use super::control_plane::{self, API_PORT, API_SERVER, ETCD, REVIEWER_PORT};
use super::model::{Cluster, Issue, Placement, Spec, State};
use super::pki::{self, Pki, REVIEWER};
use super::{config, membership, placement, relocate, teardown, upgrade};
use crate::autoscaling::{self, Group, Slot};
use crate::ec2::instance::{self, Attachment, Instance};
use crate::eks::access_entry;
use crate::eks::etcd::CLIENT_PORT;
use crate::eks::kube::{self, KubeSpec};
use crate::elb::load_balancer::{self, LoadBalancer};
use crate::fabric;
use crate::settings::{KubernetesVersion, SERVICE_ACCOUNT, Settings};
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{AnyKey, Read, Record, Tx};
use roadstead_types::{Cidr, Millis};
use std::net::Ipv4Addr;

/// A cluster that is not active after this has failed.
const CREATE_LIMIT: Millis = Millis::mins(60);

/// Plans clusters.
pub struct ClusterPlanner;

impl Planner for ClusterPlanner {
    type Object = Cluster;
    const NAME: &'static str = "eks/cluster";

    fn plan(&self, mut record: Record<Cluster>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            return teardown::plan(record, tx);
        }
        let owner = record.key.any();
        let spec = record.body.spec.clone();
        let placement = match record.body.placement.clone() {
            Some(placement) => placement,
            None => match placement::place(tx, &owner, &spec) {
                Ok(placement) => {
                    record.body.placement = Some(placement.clone());
                    placement
                }
                Err(why) => {
                    return conclude(record, tx, vec![Issue::new("InsufficientFreeAddresses", why, &spec.vpc.subnets)]);
                }
            },
        };
        // Before any key is made: with the balancer's record, its public address is taken for everybody else.
        let targets = targets(tx, &spec, &placement);
        load_balancer::ensure(tx, &owner, balancer(&spec, &placement, targets));
        let Some(pki) = pki::ensure(tx, &owner, &spec, &placement) else {
            return conclude(record, tx, vec![Issue::new("Other", "its keys are being made", &[])]);
        };
        upgrade::go_on(tx, &mut record);
        let settings = Settings::of(tx);
        let minor = upgrade::minor_of_servers(&record.body);
        let Some(version) = settings.kubernetes.iter().find(|v| v.minor == minor) else {
            let why = format!("Kubernetes {minor} is no longer offered by this region");
            return conclude(record, tx, vec![Issue::new("UnsupportedVersion", why, &[])]);
        };
        let parts =
            Parts { owner: &owner, spec: &spec, placement: &placement, pki: &pki, settings: &settings, version };
        parts.state(tx);
        record.body.status.authority = Some(pki.public("ca").to_owned());
        let issues = parts.issues(tx);
        relocate::go_on(tx, &mut record);
        conclude(record, tx, issues)
    }
}

/// All that a cluster's parts are made from.
struct Parts<'a> {
    owner: &'a AnyKey,
    spec: &'a Spec,
    placement: &'a Placement,
    pki: &'a Pki,
    settings: &'a Settings,
    version: &'a KubernetesVersion,
}

impl Parts<'_> {
    /// States every part.
    fn state(&self, tx: &mut Tx) {
        autoscaling::ensure(tx, self.owner, self.etcd_group());
        autoscaling::ensure(tx, self.owner, self.api_group());
        fabric::want(tx, self.owner, quorum(tx, self.spec, self.placement));
        fabric::want(tx, self.owner, self.probe_credential());
        fabric::want(tx, self.owner, self.reviewer(access_entry::mappings(tx, &self.spec.id)));
        let addresses = self.told(tx);
        kube::ensure(tx, self.owner, &self.spec.id, self.kube(addresses));
    }

    fn etcd_group(&self) -> autoscaling::Spec {
        let slot = |member: &super::model::Member| Slot {
            name: member.name.clone(),
            open: member.runs(),
            interfaces: vec![member.interface.clone()],
            volumes: vec![Attachment { volume: member.volume.clone(), path: "/var/lib/etcd".into() }],
            image: control_plane::etcd(self.spec, self.placement, self.pki, &self.settings.etcd, member),
        };
        self.group("etcd", self.placement.members.iter().map(slot).collect(), None)
    }

    fn api_group(&self) -> autoscaling::Spec {
        let slot = |server: &super::model::Server| Slot {
            name: server.name.clone(),
            open: true,
            interfaces: vec![server.front.clone(), server.back.clone()],
            volumes: vec![],
            image: control_plane::api(self.spec, self.placement, self.pki, self.version, server),
        };
        self.group("api", self.placement.servers.iter().map(slot).collect(), Some(self.spec.id.clone()))
    }

    fn group(&self, role: &str, slots: Vec<Slot>, balancer: Option<String>) -> autoscaling::Spec {
        autoscaling::Spec { name: self.spec.group_name(role), account: SERVICE_ACCOUNT.into(), slots, balancer }
    }

    /// Someone whom the cluster knows and who may do nothing in it: the probe's identity.
    fn probe_credential(&self) -> hostspec::Credential {
        hostspec::Credential {
            access_key_id: self.spec.probe_key_id(),
            secret: self.pki.private("probe"),
            principal: hostspec::Principal {
                arn: PROBE_ARN.into(),
                unique_id: "AROAEKSPROBE".into(),
                account: SERVICE_ACCOUNT.into(),
            },
            enabled: true,
            session: None,
        }
    }

    fn reviewer(&self, entries: Vec<hostspec::Mapping>) -> hostspec::Reviewer {
        let mapping = |arn: &str, username: &str, groups: &[&str]| hostspec::Mapping {
            arn: arn.into(),
            username: username.into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        };
        let mut mappings = vec![mapping(PROBE_ARN, PROBE_USER, &[])];
        if self.spec.creator_is_admin {
            let username = access_entry::default_username(&self.spec.creator, access_entry::STANDARD);
            mappings.push(mapping(&self.spec.creator, &username, &["system:masters"]));
        }
        // Whoever made the cluster stays its administrator, whatever an entry says of it: the first mapping counts.
        mappings.extend(entries);
        hostspec::Reviewer {
            id: self.spec.id.clone(),
            network: self.placement.network.clone(),
            address: REVIEWER,
            clients: Cidr::containing(REVIEWER, 16),
            port: REVIEWER_PORT,
            certificate: self.pki.public("reviewer").into(),
            key: self.pki.private("reviewer"),
            cluster: self.spec.name.clone(),
            region: self.spec.region.clone(),
            sts_hosts: self.settings.sts_hosts.clone(),
            mappings,
        }
    }

    /// The balancer's addresses that clients are told of: new ones once a host has them.
    fn told(&self, tx: &Tx) -> Vec<Ipv4Addr> {
        let wanted = &self.placement.balancer_addresses;
        let told = tx.shared(&kube::key(&self.spec.id)).filter(|told| told.body.addresses != *wanted);
        match told {
            Some(told) if !config::is_enforced(tx, &self.spec.id) => told.body.addresses.clone(),
            _ => wanted.clone(),
        }
    }

    fn kube(&self, addresses: Vec<Ipv4Addr>) -> KubeSpec {
        KubeSpec {
            cluster: self.spec.name.clone(),
            region: self.spec.region.clone(),
            network: self.spec.vpc.vpc.clone(),
            addresses,
            port: API_PORT,
            authority: self.pki.public("ca").into(),
            certificate: self.pki.public("service").into(),
            key: self.pki.private("service"),
            probe_key_id: self.spec.probe_key_id(),
            probe_secret: self.pki.private("probe"),
            probe_user: PROBE_USER.into(),
        }
    }

    /// Why the cluster does not serve, the cause before its effects; nothing when it does.
    fn issues(&self, tx: &Tx) -> Vec<Issue> {
        let probed = tx.shared(&kube::state_key(&self.spec.id));
        let mut issues = membership::issues(tx, self.placement);
        if probed.as_ref().is_some_and(|probed| probed.body.ready) {
            return issues;
        }
        issues.extend(["etcd", "api"].iter().flat_map(|role| self.unready(tx, role)));
        let balancer = tx.shared(&LoadBalancer::key(&self.spec.id));
        if issues.is_empty() && balancer.is_none_or(|balancer| balancer.body.healthy.is_empty()) {
            issues.push(Issue::new("ClusterUnreachable", "the load balancer has no healthy API server yet", &[]));
        }
        if issues.is_empty() {
            let why = probed.map_or("the API was not probed yet".into(), |probed| probed.body.why.clone());
            issues.push(Issue::new("ClusterUnreachable", why, &[]));
        }
        issues
    }

    fn unready(&self, tx: &Tx, role: &str) -> Vec<Issue> {
        let Some(group) = tx.shared(&Group::key(SERVICE_ACCOUNT, &self.spec.group_name(role))) else { return vec![] };
        let unready = |(slot, id): (&String, &String)| {
            let instance = tx.shared(&Instance::key(id))?;
            let status = &instance.body.status;
            (!status.ready)
                .then(|| Issue::new("ClusterUnreachable", format!("{slot}: {}", status.why), std::slice::from_ref(id)))
        };
        group.body.instances.iter().filter_map(unready).collect()
    }
}

/// The API machines that are to serve. A replacement stands at the same address and is another target, so that nobody
/// takes the health of the one before for its own.
fn targets(tx: &Tx, spec: &Spec, placement: &Placement) -> Vec<hostspec::Target> {
    let Some(group) = tx.shared(&Group::key(SERVICE_ACCOUNT, &spec.group_name("api"))) else { return vec![] };
    let target = |server: &super::model::Server| {
        let id = group.body.instances.get(&server.name)?;
        let instance = tx.shared(&Instance::key(id)).filter(|instance| instance.deleting.is_none())?;
        // One that is to be replaced may stand in a subnet that the cluster goes from.
        Some(hostspec::Target {
            id: id.clone(),
            address: instance::address(tx, &instance.body.spec)?,
            port: API_PORT,
            server: Some(hostspec::Server { machine: id.clone(), process: API_SERVER.into() }),
        })
    };
    placement.servers.iter().filter_map(target).collect()
}

/// The etcd members that run, so that API servers, which know all of them, lose no time with one that does not serve.
fn quorum(tx: &Tx, spec: &Spec, placement: &Placement) -> hostspec::Quorum {
    let id = spec.group_name("etcd");
    let group = tx.get(&Group::key(SERVICE_ACCOUNT, &id));
    let instances = group.map(|group| group.body.instances).unwrap_or_default();
    let member = |member: &super::model::Member| {
        let server = hostspec::Server { machine: instances.get(&member.name)?.clone(), process: ETCD.into() };
        Some(hostspec::QuorumMember { address: member.address, server })
    };
    hostspec::Quorum {
        id,
        network: placement.network.clone(),
        port: CLIENT_PORT,
        majority: placement::MEMBERS / 2 + 1,
        members: placement.members.iter().filter_map(member).collect(),
    }
}

/// What stands before the API servers.
fn balancer(spec: &Spec, placement: &Placement, targets: Vec<hostspec::Target>) -> load_balancer::Spec {
    let health = hostspec::HealthCheck {
        protocol: hostspec::HealthProtocol::Https { path: "/readyz".into() },
        // Only for what PID 1 of the machine cannot say: that nothing leads there. A check is a TLS handshake of both sides.
        interval: Millis(500),
        timeout: Millis(750),
        healthy: 1,
        // One is enough: who is left out for nothing is back with the next check, and loses no connection.
        unhealthy: 1,
    };
    let left = if placement.leaving.closed { &[] } else { placement.leaving.addresses.as_slice() };
    let sources = spec.vpc.public_cidrs.clone();
    let open = placement.public_address.filter(|_| spec.vpc.endpoint_public);
    load_balancer::Spec {
        name: spec.id.clone(),
        vpc: spec.vpc.vpc.clone(),
        addresses: [placement.balancer_addresses.as_slice(), left].concat(),
        public: open.map(|address| hostspec::PublicAddress { address, sources }),
        reserved: placement.public_address,
        listeners: vec![hostspec::Listener { port: API_PORT, targets, health }],
        groups: spec.vpc.control_plane_groups(),
    }
}

const PROBE_ARN: &str = "arn:aws:iam::000000000000:role/eks-probe";
const PROBE_USER: &str = "eks:probe";

/// Writes the status that follows from the issues.
fn conclude(mut record: Record<Cluster>, tx: &mut Tx, issues: Vec<Issue>) -> Next {
    let now = tx.now();
    config::settle(tx, &mut record);
    let patience = config::patience(&record.body, now);
    let status = &mut record.body.status;
    let age = now.since(status.since);
    let state = match status.state {
        State::Creating if issues.is_empty() => State::Active,
        State::Creating if age >= CREATE_LIMIT => State::Failed,
        other => other,
    };
    if state != status.state {
        (status.state, status.since) = (state, now);
    }
    let why = match issues.first() {
        Some(first) => format!("{state:?}: {}", first.message),
        None => format!("{state:?}"),
    };
    status.issues = issues;
    tx.put(record);
    match (state, patience) {
        (State::Creating, _) => Next::after(CREATE_LIMIT - age, why),
        (_, Some(left)) => Next::after(left, format!("{why}; it is being updated")),
        (_, None) => Next::settled(why),
    }
}
