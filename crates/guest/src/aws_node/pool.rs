//! How many addresses a node should have, and what to do next about it. Pure.
//!
//! The semantics are amazon-vpc-cni-k8s's (`docs/eni-and-ip-target.md` there): what counts as free, which target wins,
//! when an interface goes. Two things are better on purpose: a step is as large as it can be (a batch of addresses, an
//! interface with all it needs), and a step back is made only if it would not have to be made good again.

use super::settings::Targets;
use roadstead_types::Cidr;

/// Addresses of a delegated prefix (/28).
pub const PREFIX_SIZE: u32 = 16;

/// What an instance type can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Interfaces.
    pub enis: u32,
    /// Addresses of each, its primary one included.
    pub addresses: u32,
}

impl Limits {
    /// Places for secondary addresses or prefixes on an interface.
    fn slots(self) -> u32 {
        self.addresses.saturating_sub(1)
    }
}

/// An interface, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eni {
    /// Its id.
    pub id: String,
    /// Its device number; 0 is the instance's primary, which stays.
    pub device: u32,
    /// It came too lately to go again.
    pub young: bool,
    /// What it has besides its primary address.
    pub slots: Vec<Slot>,
}

/// A secondary address, or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The address or addresses.
    pub block: Cidr,
    /// How many pods have.
    pub leased: u32,
    /// How many a pod had until lately.
    pub cooling: u32,
}

impl Slot {
    fn size(&self) -> u32 {
        u32::try_from(self.block.size()).unwrap_or(u32::MAX)
    }

    fn idle(&self) -> bool {
        self.leased == 0 && self.cooling == 0
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Give the interface so many addresses more, or prefixes.
    Assign {
        /// The interface.
        eni: String,
        /// How many.
        slots: u32,
    },
    /// Attach another interface, with so many addresses or prefixes.
    Attach {
        /// Its device number.
        device: u32,
        /// How many.
        slots: u32,
    },
    /// Take these from the interface.
    Unassign {
        /// The interface.
        eni: String,
        /// All idle.
        blocks: Vec<Cidr>,
    },
    /// Detach the interface and delete it.
    Detach {
        /// The interface.
        eni: String,
    },
}

/// Sums over interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Addresses that pods can have.
    pub total: u32,
    /// That pods have.
    pub leased: u32,
    /// That pods had until lately.
    pub cooling: u32,
    /// Prefixes of which no pod has an address.
    idle_prefixes: u32,
}

impl Count {
    /// Over all slots.
    pub fn of<'a>(enis: impl IntoIterator<Item = &'a Eni>) -> Count {
        let slots = enis.into_iter().flat_map(|eni| &eni.slots);
        slots.fold(Count::default(), |sum, slot| Count {
            total: sum.total + slot.size(),
            leased: sum.leased + slot.leased,
            cooling: sum.cooling + slot.cooling,
            idle_prefixes: sum.idle_prefixes + u32::from(slot.size() > 1 && slot.idle()),
        })
    }

    /// That a pod could have now.
    pub fn free(self) -> u32 {
        self.total.saturating_sub(self.leased + self.cooling)
    }

    /// Without a slot that is idle.
    fn without(self, slot: &Slot) -> Count {
        let idle_prefixes = self.idle_prefixes - u32::from(slot.size() > 1);
        Count { total: self.total - slot.size(), idle_prefixes, ..self }
    }

    /// How many slots are missing.
    fn short(self, targets: &Targets, limits: Limits) -> u32 {
        let each = if targets.prefixes { PREFIX_SIZE } else { 1 };
        match (targets.warm_addresses, targets.minimum_addresses) {
            (None, None) if targets.prefixes => targets.warm_prefixes.saturating_sub(self.idle_prefixes),
            (None, None) => (limits.slots() * targets.warm_enis).max(1).saturating_sub(self.free()),
            (warm, minimum) => {
                let warm = warm.unwrap_or(0).saturating_sub(self.free());
                let minimum = minimum.unwrap_or(0).saturating_sub(self.total);
                // A pod never finds nothing where something could be had.
                warm.max(minimum).max(u32::from(self.free() == 0)).div_ceil(each)
            }
        }
    }
}

/// The next step up, if the pool is too small and there is one.
pub fn grow(enis: &[Eni], targets: &Targets, limits: Limits) -> Option<Step> {
    let short = Count::of(enis).short(targets, limits);
    if short == 0 {
        return None;
    }
    // Whoever counts in interfaces fills them.
    let whole = targets.warm_addresses.is_none() && targets.minimum_addresses.is_none() && !targets.prefixes;
    let wanted = |room: u32| if whole { room } else { room.min(short) };
    let mut by_device: Vec<&Eni> = enis.iter().collect();
    by_device.sort_by_key(|eni| eni.device);
    let room = |eni: &&Eni| limits.slots().saturating_sub(u32::try_from(eni.slots.len()).unwrap_or(u32::MAX));
    if let Some(eni) = by_device.iter().find(|eni| room(eni) > 0) {
        return Some(Step::Assign { eni: eni.id.clone(), slots: wanted(room(eni)) });
    }
    let most = targets.max_enis.unwrap_or(u32::MAX).min(limits.enis) as usize;
    let device = (0..limits.enis).find(|n| enis.iter().all(|eni| eni.device != *n))?;
    (enis.len() < most && limits.slots() > 0).then(|| Step::Attach { device, slots: wanted(limits.slots()) })
}

/// The next step down, if the pool is too large.
pub fn shrink(enis: &[Eni], targets: &Targets, limits: Limits) -> Option<Step> {
    let count = Count::of(enis);
    if count.short(targets, limits) > 0 {
        return None;
    }
    let mut latest_first: Vec<&Eni> = enis.iter().collect();
    latest_first.sort_by_key(|eni| std::cmp::Reverse(eni.device));
    let enough = |count: Count| count.short(targets, limits) == 0;
    let dispensable = |eni: &&&Eni| {
        let idle = eni.device > 0 && !eni.young && eni.slots.iter().all(Slot::idle);
        idle && enough(eni.slots.iter().fold(count, Count::without))
    };
    if let Some(eni) = latest_first.iter().find(dispensable) {
        return Some(Step::Detach { eni: eni.id.clone() });
    }
    if targets.warm_addresses.is_none() && targets.minimum_addresses.is_none() && !targets.prefixes {
        return None;
    }
    latest_first.into_iter().find_map(|eni| {
        let mut left = count;
        let mut blocks = Vec::new();
        for slot in eni.slots.iter().rev().filter(|slot| slot.idle()) {
            if enough(left.without(slot)) {
                left = left.without(slot);
                blocks.push(slot.block);
            }
        }
        (!blocks.is_empty()).then(|| Step::Unassign { eni: eni.id.clone(), blocks })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LARGE: Limits = Limits { enis: 3, addresses: 10 };

    /// A world in which every step succeeds.
    #[derive(Clone, Debug)]
    struct World {
        enis: Vec<Eni>,
        next: u32,
        prefixes: bool,
    }

    impl World {
        fn new(prefixes: bool) -> World {
            let mut world = World { enis: Vec::new(), next: 0, prefixes };
            world.take(Step::Attach { device: 0, slots: 0 });
            world
        }

        fn slot(&mut self) -> Slot {
            self.next += 1;
            let (size, prefix) = if self.prefixes { (16, 28) } else { (1, 32) };
            let base = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + self.next * size);
            Slot { block: Cidr::containing(base, prefix), leased: 0, cooling: 0 }
        }

        fn eni(&mut self, id: &str) -> &mut Eni {
            self.enis.iter_mut().find(|eni| eni.id == id).unwrap()
        }

        fn take(&mut self, step: Step) {
            match step {
                Step::Assign { eni, slots } => {
                    let new: Vec<Slot> = (0..slots).map(|_| self.slot()).collect();
                    self.eni(&eni).slots.extend(new);
                }
                Step::Attach { device, slots } => {
                    assert!(self.enis.iter().all(|eni| eni.device != device), "device {device} is taken");
                    let slots = (0..slots).map(|_| self.slot()).collect();
                    self.enis.push(Eni { id: format!("eni-{device}"), device, young: false, slots });
                }
                Step::Unassign { eni, blocks } => {
                    let eni = self.eni(&eni);
                    assert!(eni.slots.iter().all(|s| !blocks.contains(&s.block) || s.idle()), "in use: {blocks:?}");
                    eni.slots.retain(|slot| !blocks.contains(&slot.block));
                }
                Step::Detach { eni } => {
                    let gone = self.eni(&eni);
                    assert!(gone.device > 0 && gone.slots.iter().all(Slot::idle));
                    self.enis.retain(|other| other.id != eni);
                }
            }
        }

        /// Steps until there is none.
        fn settle(&mut self, next: impl Fn(&[Eni]) -> Option<Step>) -> usize {
            for taken in 0..100 {
                match next(&self.enis) {
                    Some(step) => self.take(step),
                    None => return taken,
                }
            }
            panic!("it never rests: {self:?}")
        }

        fn lease(&mut self, pods: u32) {
            for _ in 0..pods {
                let free = self.enis.iter_mut().flat_map(|eni| &mut eni.slots);
                if let Some(slot) = free.into_iter().find(|slot| slot.leased + slot.cooling < slot.size()) {
                    slot.leased += 1;
                }
            }
        }

        fn count(&self) -> Count {
            Count::of(&self.enis)
        }
    }

    fn settled(targets: Targets, pods: u32) -> World {
        let mut world = World::new(targets.prefixes);
        world.settle(|enis| grow(enis, &targets, LARGE));
        world.lease(pods);
        world.settle(|enis| grow(enis, &targets, LARGE));
        world
    }

    #[test]
    fn by_default_there_is_always_an_interface_s_worth_of_free_addresses() {
        let [none, one, nine] = [0, 1, 9].map(|pods| settled(Targets::default(), pods));
        assert_eq!((none.enis.len(), none.count().total), (1, 9), "the primary interface is filled");
        assert_eq!((one.enis.len(), one.count().total), (2, 18), "the first pod brings the second interface");
        assert_eq!((nine.enis.len(), nine.count().free()), (2, 9));
    }

    #[test]
    fn targets_in_addresses_are_met_exactly() {
        let targets = Targets { warm_addresses: Some(2), minimum_addresses: Some(5), ..Targets::default() };
        assert_eq!(settled(targets, 0).count().total, 5);
        assert_eq!(settled(targets, 4).count().total, 6);
        let large = settled(targets, 12);
        assert_eq!((large.count().leased, large.count().free()), (5, 2), "12 pods found 5 addresses; then come 2 more");
    }

    #[test]
    fn prefixes_come_one_ahead_of_need() {
        let targets = Targets { prefixes: true, ..Targets::default() };
        assert_eq!(settled(targets, 0).count().total, 16);
        assert_eq!(settled(targets, 1).count().total, 32);
    }

    #[test]
    fn there_are_never_more_interfaces_than_allowed() {
        let targets = Targets { max_enis: Some(2), ..Targets::default() };
        let world = settled(targets, 18);
        assert_eq!(world.enis.len(), 2);
        assert_eq!(grow(&world.enis, &targets, LARGE), None);
    }

    #[test]
    fn an_interface_without_pods_goes_once_it_is_not_young() {
        let mut world = settled(Targets::default(), 1);
        world.enis[0].slots[0].leased = 0;
        world.enis[1].young = true;
        assert_eq!(shrink(&world.enis, &Targets::default(), LARGE), None);
        world.enis[1].young = false;
        assert_eq!(shrink(&world.enis, &Targets::default(), LARGE), Some(Step::Detach { eni: "eni-1".into() }));
    }

    prop_compose! {
        fn any_targets()(
            warm_enis in 0..3u32,
            warm_addresses in proptest::option::of(1..12u32),
            minimum_addresses in proptest::option::of(1..30u32),
            warm_prefixes in 0..3u32,
            max_enis in proptest::option::of(1..4u32),
            prefixes: bool,
        ) -> Targets {
            Targets { warm_enis, warm_addresses, minimum_addresses, warm_prefixes, max_enis, prefixes }
        }
    }

    proptest! {
        /// Whatever comes and goes: no step touches what is in use ([`World::take`] asserts it), the pool comes to
        /// rest, within the limits, large enough if it can be, and what shrank does not grow again.
        #[test]
        fn the_pool_comes_to_rest(
            targets in any_targets(),
            enis in 1..5u32,
            addresses in 1..12u32,
            days in proptest::collection::vec((0..30u32, proptest::collection::vec(0..64usize, 0..20)), 1..8),
        ) {
            let limits = Limits { enis, addresses };
            let mut world = World::new(targets.prefixes);
            for (pods, leavers) in days {
                world.settle(|enis| grow(enis, &targets, limits));
                world.lease(pods);
                world.settle(|enis| grow(enis, &targets, limits));
                for leaver in leavers {
                    let mut slots: Vec<&mut Slot> = world.enis.iter_mut().flat_map(|eni| &mut eni.slots).collect();
                    let count = slots.len().max(1);
                    if let Some(slot) = slots.get_mut(leaver % count).filter(|slot| slot.leased > 0) {
                        slot.leased -= 1;
                        slot.cooling += u32::from(leaver % 2 == 0);
                    }
                }
                world.settle(|enis| shrink(enis, &targets, limits));
                let before = world.count();
                if before.short(&targets, limits) == 0 {
                    prop_assert_eq!(world.settle(|enis| grow(enis, &targets, limits)), 0);
                } else {
                    world.settle(|enis| grow(enis, &targets, limits));
                    let full = world.enis.iter().all(|eni| eni.slots.len() >= limits.slots() as usize);
                    prop_assert!(full || world.count().short(&targets, limits) == 0);
                }
                prop_assert!(world.enis.len() <= limits.enis as usize);
                world.enis.iter_mut().flat_map(|eni| &mut eni.slots).for_each(|slot| slot.cooling = 0);
            }
        }
    }
}
