//! Who has which address. Pure: time comes in, and what is written down goes out.
//!
//! An address is free, leased, or cooling: for half a minute after a pod gave it back nobody gets it, because others still
//! send to it (kube-proxy's rules on other nodes, connections under way).

use super::pool;
use crate::cni::daemon::{Key, Lease, Pod};
use roadstead_types::{Cidr, Mac, Millis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// How long an address rests between two pods (`IP_COOLDOWN_PERIOD`).
pub const COOLDOWN: Millis = Millis::secs(30);
/// How long an interface stays at least.
const YOUTH: Millis = Millis::mins(1);
/// How long an ADD may take: a lease without an interface that is older belongs to nobody.
pub const WIRING: Millis = Millis::mins(1);

/// An interface of the instance (ENI), as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// Its device number; 0 is the instance's primary.
    pub device: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Its own address, which no pod gets.
    pub primary: Ipv4Addr,
    /// Where it stands: `subnet-…`.
    pub subnet_id: String,
    /// The subnet's block.
    pub subnet: Cidr,
    /// Its secondary addresses (/32) and prefixes (/28).
    pub blocks: Vec<Cidr>,
}

/// What must survive the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Every lease.
    pub leases: Vec<Lease>,
    /// When addresses were given back.
    #[serde(default)]
    pub cooling: BTreeMap<Ipv4Addr, Millis>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    interfaces: Vec<Interface>,
    /// When an interface was attached by this daemon.
    attached: BTreeMap<String, Millis>,
    leases: BTreeMap<Key, Lease>,
    cooling: BTreeMap<Ipv4Addr, Millis>,
}

/// A lease that was found or made.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// It.
    pub lease: Lease,
    /// Leases that ended with it: of earlier sandboxes of the same pod, whose interface goes now.
    pub superseded: Vec<Lease>,
}

impl Ipam {
    /// As it was saved. An instant in the future is of a clock that went back.
    pub fn restore(saved: Saved, now: Millis) -> Ipam {
        let leases = saved.leases.into_iter().map(|lease| (lease.pod.key.clone(), lease)).collect();
        let cooling = saved.cooling.into_iter().map(|(address, since)| (address, since.min(now))).collect();
        Ipam { leases, cooling, ..Ipam::default() }
    }

    /// What must survive.
    pub fn saved(&self) -> Saved {
        Saved { leases: self.leases.values().cloned().collect(), cooling: self.cooling.clone() }
    }

    /// The instance's interfaces, by device number.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The interface of that id.
    pub fn interface(&self, id: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.id == id)
    }

    /// All leases.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// The lease of an attachment.
    pub fn lease(&self, key: &Key) -> Option<&Lease> {
        self.leases.get(key)
    }

    /// Takes over what EC2 says.
    pub fn set_interfaces(&mut self, mut interfaces: Vec<Interface>) {
        interfaces.sort_by_key(|interface| interface.device);
        self.attached.retain(|id, _| interfaces.iter().any(|interface| interface.id == *id));
        self.interfaces = interfaces;
    }

    /// An interface has been attached.
    pub fn attached(&mut self, interface: Interface, now: Millis) {
        self.attached.insert(interface.id.clone(), now);
        self.interfaces.push(interface);
        self.interfaces.sort_by_key(|interface| interface.device);
    }

    /// An interface has got more.
    pub fn add_blocks(&mut self, id: &str, blocks: &[Cidr]) {
        if let Some(interface) = self.interfaces.iter_mut().find(|interface| interface.id == id) {
            interface
                .blocks
                .extend(blocks.iter().filter(|block| !interface.blocks.contains(block)).copied().collect::<Vec<_>>());
        }
    }

    /// An interface loses these: from now on no pod gets one of their addresses. False if one is in use.
    #[must_use]
    pub fn remove_blocks(&mut self, id: &str, blocks: &[Cidr]) -> bool {
        let used = |address: &Ipv4Addr| blocks.iter().any(|block| block.contains(*address));
        if self.leases.values().any(|lease| used(&lease.address)) {
            return false;
        }
        if let Some(interface) = self.interfaces.iter_mut().find(|interface| interface.id == id) {
            interface.blocks.retain(|block| !blocks.contains(block));
        }
        true
    }

    /// An interface goes: from now on no pod gets one of its addresses. `None` if one is in use.
    #[must_use]
    pub fn remove_interface(&mut self, id: &str) -> Option<Interface> {
        let interface = self.interface(id)?.clone();
        if !self.remove_blocks(id, &interface.blocks) {
            return None;
        }
        self.interfaces.retain(|other| other.id != id);
        self.attached.remove(id);
        Some(interface)
    }

    /// A lease for the pod: the one it has, or a new one; `None` if no address is free.
    pub fn assign(&mut self, pod: &Pod, now: Millis) -> Option<Assigned> {
        if let Some(known) = self.leases.get_mut(&pod.key) {
            // Its interface is made anew: it is as young as that.
            (known.pod, known.since) = (pod.clone(), now);
            return Some(Assigned { lease: known.clone(), superseded: Vec::new() });
        }
        let (device, address) = self.free(now)?;
        let same = |lease: &&Lease| lease.pod.link == pod.link;
        let earlier: Vec<Key> = self.leases.values().filter(same).map(|lease| lease.pod.key.clone()).collect();
        let superseded = earlier.iter().filter_map(|key| self.release(key, now)).collect();
        let lease = Lease { pod: pod.clone(), address, device, since: now };
        self.leases.insert(pod.key.clone(), lease.clone());
        Some(Assigned { lease, superseded })
    }

    /// Ends a lease; `None` if there is none.
    pub fn release(&mut self, key: &Key, now: Millis) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        self.cooling.retain(|_, since| now.since(*since) < COOLDOWN);
        self.cooling.insert(lease.address, now);
        Some(lease)
    }

    /// Ends all leases but these.
    pub fn keep(&mut self, valid: &[Key], now: Millis) -> Vec<Lease> {
        let valid: BTreeSet<&Key> = valid.iter().collect();
        let gone: Vec<Key> = self.leases.keys().filter(|key| !valid.contains(key)).cloned().collect();
        gone.iter().filter_map(|key| self.release(key, now)).collect()
    }

    /// Ends the leases whose interface is gone, or has become somebody else's. `owners`: who has the host ends that exist,
    /// by name.
    pub fn reclaim(&mut self, owners: &BTreeMap<String, String>, now: Millis) -> Vec<Lease> {
        let dead = |lease: &Lease| match owners.get(&lease.pod.link) {
            // Without an owner's name: it is being made.
            Some(owner) => !owner.is_empty() && *owner != lease.pod.key.to_string(),
            None => true,
        };
        let old = |lease: &Lease| now.since(lease.since) >= WIRING;
        let gone: Vec<Key> =
            self.leases.values().filter(|lease| old(lease) && dead(lease)).map(|lease| lease.pod.key.clone()).collect();
        gone.iter().filter_map(|key| self.release(key, now)).collect()
    }

    /// As the pool's decisions see it.
    pub fn pool(&self, now: Millis) -> Vec<pool::Eni> {
        let leased: BTreeSet<Ipv4Addr> = self.leases.values().map(|lease| lease.address).collect();
        let cooling: BTreeSet<Ipv4Addr> = self.cooling(now).filter(|address| !leased.contains(address)).collect();
        let within = |set: &BTreeSet<Ipv4Addr>, block: Cidr| {
            u32::try_from(set.range(block.base()..=block.last()).count()).unwrap_or(u32::MAX)
        };
        let slot = |block: &Cidr| pool::Slot {
            block: *block,
            leased: within(&leased, *block),
            cooling: within(&cooling, *block),
        };
        let eni = |interface: &Interface| pool::Eni {
            id: interface.id.clone(),
            device: interface.device,
            young: self.attached.get(&interface.id).is_some_and(|since| now.since(*since) < YOUTH),
            slots: interface.blocks.iter().map(slot).collect(),
        };
        self.interfaces.iter().map(eni).collect()
    }

    /// Leases whose address EC2 does not know: another has taken it away.
    pub fn strangers(&self) -> impl Iterator<Item = &Lease> {
        let known = |address: Ipv4Addr| self.blocks().any(|(_, block)| block.contains(address));
        self.leases.values().filter(move |lease| !known(lease.address))
    }

    /// A free address, with its interface's device number. Early interfaces and begun prefixes first, so that late
    /// interfaces and whole prefixes stay free and can go.
    fn free(&self, now: Millis) -> Option<(u32, Ipv4Addr)> {
        let mut taken: BTreeSet<Ipv4Addr> = self.leases.values().map(|lease| lease.address).collect();
        taken.extend(self.cooling(now));
        let mut blocks: Vec<(u32, Cidr)> = self.blocks().collect();
        let begun = |block: Cidr| taken.range(block.base()..=block.last()).next().is_some();
        blocks.sort_by_key(|(device, block)| (*device, block.size() > 1 && !begun(*block)));
        blocks.into_iter().find_map(|(device, block)| {
            let mut addresses = (0..block.size()).filter_map(|n| block.nth(n));
            Some((device, addresses.find(|address| !taken.contains(address))?))
        })
    }

    fn blocks(&self) -> impl Iterator<Item = (u32, Cidr)> {
        self.interfaces.iter().flat_map(|eni| eni.blocks.iter().map(|block| (eni.device, *block)))
    }

    fn cooling(&self, now: Millis) -> impl Iterator<Item = Ipv4Addr> {
        self.cooling.iter().filter(move |(_, since)| now.since(**since) < COOLDOWN).map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interface(device: u32, blocks: &[&str]) -> Interface {
        let third = u8::try_from(device).unwrap();
        Interface {
            id: format!("eni-{device}"),
            device,
            mac: Mac([2, 0, 0, 0, 0, third]),
            primary: Ipv4Addr::new(10, 0, third, 4),
            subnet_id: "subnet-1".into(),
            subnet: "10.0.0.0/16".parse().unwrap(),
            blocks: blocks.iter().map(|block| block.parse().unwrap()).collect(),
        }
    }

    fn pod(container: &str, name: &str) -> Pod {
        let key = Key { container: container.into(), interface: "eth0".into() };
        Pod { key, namespace: "default".into(), name: name.into(), link: format!("eni-{name}"), ports: Vec::new() }
    }

    fn ipam(interfaces: &[Interface]) -> Ipam {
        let mut ipam = Ipam::default();
        ipam.set_interfaces(interfaces.to_vec());
        ipam
    }

    fn owners(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(link, owner)| ((*link).to_owned(), (*owner).to_owned())).collect()
    }

    #[test]
    fn asking_again_gives_the_same_address() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.5/32", "10.0.0.6/32"])]);
        let first = ipam.assign(&pod("c1", "a"), Millis(0)).unwrap().lease;
        let again = ipam.assign(&pod("c1", "a"), Millis(9)).unwrap().lease;
        assert_eq!((again.address, again.since), (first.address, Millis(9)));
    }

    #[test]
    fn an_address_rests_between_two_pods() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.5/32"])]);
        let lease = ipam.assign(&pod("c1", "a"), Millis(0)).unwrap().lease;
        assert_eq!(ipam.release(&lease.pod.key, Millis(0)).unwrap(), lease);
        assert!(ipam.release(&lease.pod.key, Millis(0)).is_none());
        assert!(ipam.assign(&pod("c2", "b"), Millis(29_999)).is_none());
        let mut restored = Ipam::restore(ipam.saved(), Millis(29_999));
        restored.set_interfaces(ipam.interfaces().to_vec());
        assert!(restored.assign(&pod("c2", "b"), Millis(29_999)).is_none(), "a restart does not wake it");
        assert!(restored.assign(&pod("c2", "b"), Millis(30_000)).is_some());
    }

    #[test]
    fn a_pod_that_comes_back_in_a_new_sandbox_ends_the_old_one_s_lease() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.5/32", "10.0.0.6/32"])]);
        let old = ipam.assign(&pod("c1", "web-0"), Millis(0)).unwrap().lease;
        let assigned = ipam.assign(&pod("c2", "web-0"), Millis(1)).unwrap();
        assert_eq!(assigned.superseded, [old]);
        assert_eq!(ipam.leases().count(), 1);
    }

    #[test]
    fn a_lease_without_an_interface_is_reclaimed_once_its_add_must_be_over() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.5/32", "10.0.0.6/32"])]);
        ipam.assign(&pod("c1", "a"), Millis(0)).unwrap();
        ipam.assign(&pod("c2", "b"), Millis(0)).unwrap();
        let b = owners(&[("eni-b", "c2/eth0")]);
        assert!(ipam.reclaim(&b, Millis(59_999)).is_empty());
        let gone = ipam.reclaim(&b, WIRING);
        assert_eq!(gone.iter().map(|lease| lease.pod.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let gone = ipam.reclaim(&owners(&[("eni-b", "c9/eth0")]), WIRING);
        assert_eq!(gone.len(), 1, "the interface of that name is another sandbox's");
    }

    #[test]
    fn whole_prefixes_and_late_interfaces_are_begun_last() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.16/28", "10.0.0.32/28"]), interface(1, &["10.0.1.16/28"])]);
        let mut take = |n: u32| ipam.assign(&pod(&format!("c{n}"), &format!("p{n}")), Millis(0)).unwrap().lease;
        let leases: Vec<Lease> = (0..33).map(&mut take).collect();
        assert!(leases[..16].iter().all(|lease| lease.address.octets()[3] < 32));
        assert_eq!((leases[31].device, leases[32].device), (0, 1));
        assert_eq!(leases[32].table(), Some(2));
    }

    #[test]
    fn what_is_in_use_is_not_taken_away() {
        let mut ipam = ipam(&[interface(0, &["10.0.0.5/32"]), interface(1, &["10.0.1.5/32"])]);
        ipam.assign(&pod("c1", "a"), Millis(0)).unwrap();
        assert!(!ipam.remove_blocks("eni-0", &["10.0.0.5/32".parse().unwrap()]));
        assert!(ipam.remove_interface("eni-0").is_none());
        assert_eq!(ipam.remove_interface("eni-1").unwrap().device, 1);
        assert!(ipam.assign(&pod("c2", "b"), Millis(0)).is_none());
    }

    #[derive(Clone, Debug)]
    enum Event {
        Assign(u8),
        Release(u8),
        Restart,
        Wait(u16),
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..12u8).prop_map(Event::Assign),
            3 => (0..12u8).prop_map(Event::Release),
            1 => Just(Event::Restart),
            1 => (0..40_000u16).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// No address is ever leased twice, or again before it has rested.
        #[test]
        fn an_address_has_one_pod_at_a_time(events in proptest::collection::vec(any_event(), 1..80)) {
            let interfaces = [interface(0, &["10.0.0.5/32", "10.0.0.6/32"]), interface(1, &["10.0.1.0/28"])];
            let mut ipam = ipam(&interfaces);
            let (mut now, mut freed) = (Millis(1_000_000), BTreeMap::new());
            for event in events {
                match event {
                    Event::Assign(n) => {
                        let pod = pod(&format!("c{n}"), &format!("p{}", n % 8));
                        let known = ipam.lease(&pod.key).is_some();
                        if let Some(Assigned { lease, superseded }) = ipam.assign(&pod, now) {
                            let rested = |since: &Millis| now.since(*since) >= COOLDOWN;
                            prop_assert!(known || freed.get(&lease.address).is_none_or(rested));
                            freed.extend(superseded.iter().map(|lease| (lease.address, now)));
                        }
                    }
                    Event::Release(n) => {
                        let key = Key { container: format!("c{n}"), interface: "eth0".into() };
                        freed.extend(ipam.release(&key, now).map(|lease| (lease.address, now)));
                    }
                    Event::Restart => {
                        ipam = Ipam::restore(ipam.saved(), now);
                        ipam.set_interfaces(interfaces.to_vec());
                    }
                    Event::Wait(ms) => now = now + Millis(u64::from(ms)),
                }
                let addresses: BTreeSet<Ipv4Addr> = ipam.leases().map(|lease| lease.address).collect();
                prop_assert_eq!(addresses.len(), ipam.leases().count());
                let pool = pool::Count::of(&ipam.pool(now));
                prop_assert_eq!(pool.leased as usize, addresses.len());
            }
        }
    }
}
