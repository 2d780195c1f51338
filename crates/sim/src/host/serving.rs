//! What really works, told from what runs where: the truth that health checks and probes find out a little later.

use super::items::{Held, Items};
use super::machine::{Member, Role, State, is_alive};
use roadstead_cloud::eks::kube::{Access, KubeSpec};
use roadstead_hostspec::{Balancer, Machine, ProcessState, Target};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

type Running = Held<Machine, State>;

impl Items {
    /// The network in which a machine has this address, if it is set up.
    pub fn leg(&self, machine: &Running, address: Ipv4Addr) -> Option<&str> {
        if self.cut.contains(&machine.spec.id) {
            return None;
        }
        let ports = machine.spec.ports.iter().filter_map(|port| self.ports.get(&port.port));
        let mut ready = ports.filter(|port| port.state.ready);
        ready.find(|port| port.spec.address == address).map(|port| port.spec.network.as_str())
    }

    fn networks_of<'a>(&'a self, machine: &'a Running) -> impl Iterator<Item = &'a str> {
        let ports = machine.spec.ports.iter().filter(|_| !self.cut.contains(&machine.spec.id));
        let ports = ports.filter_map(|port| self.ports.get(&port.port));
        ports.filter(|port| port.state.ready).map(|port| port.spec.network.as_str())
    }

    /// One of these addresses, in a network of the machine, is a member's whose cluster has a quorum.
    pub fn etcd_answers(&self, machine: &Running, addresses: &[Ipv4Addr]) -> bool {
        self.etcd_of(machine, addresses).is_some()
    }

    fn etcd_of(&self, machine: &Running, addresses: &[Ipv4Addr]) -> Option<&Member> {
        let near: BTreeSet<&str> = self.networks_of(machine).collect();
        let members = self.machines.values().flat_map(|other| {
            let etcd = other.state.with_roles().filter(|(process, _)| is_alive(process));
            etcd.filter_map(move |(_, role)| match role {
                Role::Etcd(member) => Some((other, member)),
                _ => None,
            })
        });
        let reached = members.filter(|(other, member)| {
            addresses.contains(&member.address)
                && self.leg(other, member.address).is_some_and(|network| near.contains(network))
        });
        reached.map(|(_, member)| member).find(|member| self.has_quorum(&member.token))
    }

    /// The API server in a machine answers its health checks: the port, if so.
    pub fn api_port(&self, machine: &Running) -> Option<u16> {
        machine.state.with_roles().find_map(|(process, role)| match role {
            Role::ApiServer { etcd, port } => {
                (process.state == ProcessState::Ready && self.etcd_answers(machine, etcd)).then_some(*port)
            }
            _ => None,
        })
    }

    /// A balancer's target answers its health checks.
    pub fn target_answers(&self, balancer: &Balancer, target: &Target) -> bool {
        self.machine_at(&balancer.network, target.address).is_some_and(|m| self.api_port(m) == Some(target.port))
    }

    fn machine_at(&self, network: &str, address: Ipv4Addr) -> Option<&Running> {
        let mut running = self.machines.values().filter(|machine| machine.state.is_running());
        running.find(|machine| self.leg(machine, address) == Some(network))
    }

    /// What a client finds that dials a cluster's API as its record says: the machine that answers, or why none does.
    pub fn reach(&self, spec: &Access) -> Result<&Running, String> {
        let address = spec.addresses.first().ok_or("the cluster's balancer has no address")?;
        let network = self.networks.get(&spec.network).filter(|network| network.state.ready);
        network.ok_or_else(|| format!("network {} is not there", spec.network))?;
        let at = |b: &&Held<Balancer, _>| b.spec.network == spec.network && b.spec.addresses.contains(address);
        let balancer = self.balancers.values().find(at).filter(|balancer| balancer.state.ready);
        let balancer = balancer.ok_or_else(|| format!("{address}: no route to host"))?;
        let listener = balancer.spec.listeners.iter().find(|listener| listener.port == spec.port);
        let targets = &listener.ok_or_else(|| format!("{address}:{}: connection refused", spec.port))?.targets;
        let is_healthy = |t: &&Target| balancer.state.targets.get(&t.id).is_some_and(|health| health.healthy);
        let mut healthy = targets.iter().filter(is_healthy);
        let answering = healthy.find(|target| self.target_answers(&balancer.spec, target));
        let answering = answering.ok_or_else(|| format!("{address}:{}: connection refused", spec.port))?;
        self.machine_at(&balancer.spec.network, answering.address).ok_or_else(|| "the target is gone".to_owned())
    }

    /// The etcd cluster behind the API server in a machine.
    pub fn etcd_token(&self, machine: &Running) -> Option<&str> {
        machine.state.roles.iter().find_map(|role| match role {
            Role::ApiServer { etcd, .. } => self.etcd_of(machine, etcd).map(|member| member.token.as_str()),
            _ => None,
        })
    }

    /// Whether the probe of a cluster is known by its token to the API server in a machine.
    pub fn knows_probe(&self, machine: &Running, spec: &KubeSpec) -> Result<(), String> {
        let near: BTreeSet<&str> = self.networks_of(machine).collect();
        let asked = |network: &str, cluster: &str| near.contains(network) && cluster == spec.cluster;
        let mut reviewers = self.reviewers.values().filter(|reviewer| reviewer.state.ready);
        let reviewer = reviewers.find(|r| asked(&r.spec.network, &r.spec.cluster));
        let reviewer = reviewer.ok_or("a token of the probe: 401 Unauthorized: no webhook answers")?;
        let key = self.credentials.get(&spec.probe_key_id).filter(|key| key.spec.enabled);
        let arn = &key.ok_or("a token of the probe: 401 Unauthorized: the key is unknown")?.spec.principal.arn;
        let known = |m: &roadstead_hostspec::Mapping| m.arn == *arn && m.username == spec.probe_user;
        let mapped = reviewer.spec.mappings.iter().any(known);
        mapped.then_some(()).ok_or_else(|| format!("the probe is not known as '{}'", spec.probe_user))
    }
}
