//! One planner per kind that a host makes real: it wants the item while the record lives, and removes the record of a
//! deleted one once no host has anything of it.

use crate::ec2::network_acl;
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::prefix_list;
use crate::ec2::route_table;
use crate::ec2::security_group::{self, SecurityGroup};
use crate::ec2::security_group_rule::{self, Direction, Peer, Permission, Traffic};
use crate::ec2::volume::Volume;
use crate::ec2::vpc::Vpc;
use crate::elb::load_balancer::LoadBalancer;
use crate::fabric::{Saw, borders, detours, is_wanted, outside, saw, unwant, want};
use crate::iam::access_key::AccessKey;
use crate::settings::SERVICE_ACCOUNT;
use crate::sts::session::Session;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Index, Key, Object, Read, Record, Tx};

/// VPC → network, while something is in it.
pub struct NetworkPlanner;
/// Network interface → port.
pub struct PortPlanner;
/// Security group → the same, while an interface has it.
pub struct SecurityGroupPlanner;
/// Volume → disk.
pub struct DiskPlanner;
/// Load balancer → balancer, and target health → its status.
pub struct BalancerPlanner;
/// Access key → credential that hosts verify tokens with.
pub struct CredentialPlanner;
/// Session of a role → the same, while it lasts.
pub struct SessionPlanner;

/// Removes the record of something deleted once nothing of its item is left.
fn finish<T: Object, H: super::HostItem>(tx: &mut Tx, key: &Key<T>, id: &str) -> Next {
    if !unwant::<H>(tx, id) {
        return Next::settled("deleting: a host still has it");
    }
    tx.remove(key);
    Next::settled("deleted")
}

impl Planner for NetworkPlanner {
    type Object = Vpc;
    const NAME: &'static str = "fabric/network";

    fn plan(&self, record: Record<Vpc>, tx: &mut Tx) -> Next {
        let vpc = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Network>(tx, &record.key, &vpc.id);
        }
        if vpc.account != SERVICE_ACCOUNT {
            // One from before these were records has none.
            route_table::ensure_main(tx, vpc);
            network_acl::ensure_default(tx, vpc);
        }
        // A VPC with nothing in it costs a host nothing.
        if !tx.any(Index::<NetworkInterface>::by("vpc", vpc.id.as_str())) {
            unwant::<hostspec::Network>(tx, &vpc.id);
            return Next::settled("empty: no host needs it");
        }
        let network = network(tx, vpc);
        want(tx, &record.key.any(), network);
        Next::settled("wanted")
    }
}

/// A VPC as hosts see it. A service's own has nothing but its blocks.
fn network(tx: &Tx, vpc: &Vpc) -> hostspec::Network {
    let (id, cidrs) = (vpc.id.clone(), vpc.blocks().collect());
    if vpc.account == SERVICE_ACCOUNT {
        return hostspec::Network { id, cidrs, ..Default::default() };
    }
    let (outside, borders, detours) = (outside::of(tx, vpc), borders::of(tx, vpc), detours::of(tx, vpc));
    hostspec::Network { id, cidrs, link_local: true, outside, borders, detours }
}

impl Planner for PortPlanner {
    type Object = NetworkInterface;
    const NAME: &'static str = "fabric/port";

    fn plan(&self, record: Record<NetworkInterface>, tx: &mut Tx) -> Next {
        let eni = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Port>(tx, &record.key, &eni.id);
        }
        if eni.balancer {
            return Next::settled("a balancer answers for it");
        }
        if eni.endpoint {
            return Next::settled("an endpoint answers for it");
        }
        if !is_wanted::<hostspec::Network>(tx, &eni.vpc) {
            return Next::settled("waits for its network");
        }
        let port = hostspec::Port {
            id: eni.id.clone(),
            network: eni.vpc.clone(),
            mac: eni.mac.clone(),
            subnet: eni.block,
            address: eni.address,
            secondary: eni.others().collect(),
            groups: eni.groups.clone(),
            forwards: !eni.source_dest_check,
        };
        want(tx, &record.key.any(), port);
        Next::settled("wanted")
    }
}

impl Planner for SecurityGroupPlanner {
    type Object = SecurityGroup;
    const NAME: &'static str = "fabric/security-group";

    fn plan(&self, mut record: Record<SecurityGroup>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            let id = record.body.id.clone();
            return finish::<_, hostspec::SecurityGroup>(tx, &record.key, &id);
        }
        if !record.body.has_rules {
            // From before rules were records.
            security_group::add_first_rules(tx, &record.body);
            record.body.has_rules = true;
            tx.put(record.clone());
        }
        let group = &record.body;
        // One that nobody has costs a host nothing.
        if !tx.any(Index::<NetworkInterface>::by("group", group.id.as_str())) {
            unwant::<hostspec::SecurityGroup>(tx, &group.id);
            return Next::settled("no interface has it");
        }
        if !is_wanted::<hostspec::Network>(tx, &group.vpc) {
            return Next::settled("waits for its network");
        }
        let rules = security_group_rule::of_group(tx, &group.id);
        let permissions = |direction| {
            let of = rules.iter().filter(|rule| rule.body.direction == direction);
            of.flat_map(|rule| let_through(tx, &group.account, &rule.body.permission)).collect()
        };
        let (ingress, egress) = (permissions(Direction::Ingress), permissions(Direction::Egress));
        let (id, network) = (group.id.clone(), group.vpc.clone());
        want(tx, &record.key.any(), hostspec::SecurityGroup { id, network, ingress, egress });
        Next::settled("wanted")
    }
}

/// What a rule lets through, peer by peer; nothing if that is IPv6, which no VPC has.
fn let_through(read: &impl Read, account: &str, permission: &Permission) -> Vec<hostspec::Permission> {
    let peers = match &permission.peer {
        Peer::Ipv4(block) => vec![hostspec::Peer::Block(*block)],
        Peer::Group(id) => vec![hostspec::Peer::Group(id.clone())],
        Peer::PrefixList(id) => prefix_list::blocks(read, account, id).into_iter().map(hostspec::Peer::Block).collect(),
        Peer::Ipv6(_) => vec![],
    };
    let Some(traffic) = traffic(permission.traffic) else { return vec![] };
    peers.into_iter().map(|peer| hostspec::Permission { traffic, peer }).collect()
}

/// Traffic as hosts number it.
pub(super) fn traffic(Traffic { protocol, from, to }: Traffic) -> Option<hostspec::Traffic> {
    let port = |number: i32| u16::try_from(number).ok();
    let number = |number: i32| u8::try_from(number).ok();
    Some(match protocol {
        None => hostspec::Traffic::All,
        Some(Traffic::TCP) => hostspec::Traffic::Tcp { first: port(from)?, last: port(to)? },
        Some(Traffic::UDP) => hostspec::Traffic::Udp { first: port(from)?, last: port(to)? },
        Some(Traffic::ICMP) => hostspec::Traffic::Icmp { kind: number(from), code: number(to) },
        Some(protocol) => hostspec::Traffic::Other { protocol },
    })
}

impl Planner for DiskPlanner {
    type Object = Volume;
    const NAME: &'static str = "fabric/disk";

    fn plan(&self, mut record: Record<Volume>, tx: &mut Tx) -> Next {
        let volume = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Disk>(tx, &record.key, &volume.id);
        }
        let mark = volume.status.mark.clone();
        want(tx, &record.key.any(), hostspec::Disk { id: volume.id.clone(), bytes: volume.bytes, mark });
        // Whatever body it was seen under: a volume's disk is the same one for ever.
        let seen = tx.get(&Key::<Saw<hostspec::Disk>>::new(volume.id.as_str())).and_then(|saw| saw.body.status);
        let (lost, why) = match seen {
            None => (volume.status.lost.clone(), "wanted".to_owned()),
            Some(hostspec::DiskStatus::Pending { why }) => (volume.status.lost.clone(), why),
            Some(hostspec::DiskStatus::Lost { why }) => (Some(why.clone()), format!("lost: {why}")),
            Some(hostspec::DiskStatus::Ready { mark }) => {
                record.body.status.mark.get_or_insert(mark);
                (None, "there".to_owned())
            }
        };
        record.body.status.lost = lost;
        tx.put(record);
        Next::settled(why)
    }
}

impl Planner for BalancerPlanner {
    type Object = LoadBalancer;
    const NAME: &'static str = "fabric/balancer";

    fn plan(&self, mut record: Record<LoadBalancer>, tx: &mut Tx) -> Next {
        let id = record.body.spec.name.clone();
        if record.deleting.is_some() {
            return finish::<_, hostspec::Balancer>(tx, &record.key, &id);
        }
        let spec = &record.body.spec;
        if !is_wanted::<hostspec::Network>(tx, &spec.vpc) {
            return Next::settled("waits for its network");
        }
        let balancer = hostspec::Balancer {
            id: id.clone(),
            network: spec.vpc.clone(),
            addresses: spec.addresses.clone(),
            public: spec.public.clone(),
            listeners: spec.listeners.clone(),
            groups: spec.groups.clone(),
        };
        want(tx, &record.key.any(), balancer);
        let seen = saw::<hostspec::Balancer>(tx, &id).unwrap_or_default();
        let healthy: Vec<String> = seen.targets.iter().filter(|(_, t)| t.healthy).map(|(id, _)| id.clone()).collect();
        let why = format!("{} of {} targets healthy", healthy.len(), seen.targets.len());
        if record.body.healthy != healthy || record.body.ready != seen.ready {
            record.body.healthy = healthy;
            record.body.ready = seen.ready;
            tx.put(record);
        }
        Next::settled(seen.why.unwrap_or(why))
    }
}

impl Planner for CredentialPlanner {
    type Object = AccessKey;
    const NAME: &'static str = "fabric/credential";

    fn plan(&self, record: Record<AccessKey>, tx: &mut Tx) -> Next {
        let key = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Credential>(tx, &record.key, &key.id);
        }
        let credential = hostspec::Credential {
            access_key_id: key.id.clone(),
            secret: key.secret.clone(),
            principal: key.principal.clone(),
            enabled: key.active,
            session: None,
        };
        want(tx, &record.key.any(), credential);
        Next::settled("hosts know it")
    }
}

impl Planner for SessionPlanner {
    type Object = Session;
    const NAME: &'static str = "fabric/session";

    fn plan(&self, record: Record<Session>, tx: &mut Tx) -> Next {
        let session = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Credential>(tx, &record.key, &session.access_key_id);
        }
        let Some(issued) = &session.issued else { return Next::settled("waits until it is issued") };
        let of = hostspec::RoleSession {
            token: issued.token.clone(),
            expires: issued.expires,
            role: session.role.clone(),
            name: session.name.clone(),
            instance_name: session.instance.as_ref().map(|instance| instance.private_dns_name.clone()),
        };
        let credential = hostspec::Credential {
            access_key_id: session.access_key_id.clone(),
            secret: issued.secret.clone(),
            principal: session.principal.clone(),
            enabled: true,
            session: Some(of),
        };
        want(tx, &record.key.any(), credential);
        Next::settled("hosts know it")
    }
}
