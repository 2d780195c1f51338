use super::*;
use roadstead_store::journal::Memory;
use roadstead_store::{AnyKey, Core, Index, Key, Options, Read, Registry, Writes};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Wants so many instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Group {
    want: usize,
    have: usize,
}

impl Object for Group {
    const KIND: &'static str = "autoscaling/group";
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Instance {
    az: String,
}

impl Object for Instance {
    const KIND: &'static str = "ec2/instance";

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("az", self.az.clone())]
    }
}

/// A planner that does what a closure says, and counts how often it was asked.
struct Asks<F>(F, Arc<AtomicUsize>);

impl<F: Fn(Record<Group>, &mut Tx) -> Next + Send + Sync + 'static> Planner for Asks<F> {
    type Object = Group;
    const NAME: &'static str = "autoscaling/group/asks";

    fn plan(&self, object: Record<Group>, tx: &mut Tx) -> Next {
        self.1.fetch_add(1, Ordering::Relaxed);
        (self.0)(object, tx)
    }
}

/// Store and engine, turned by hand.
struct World {
    core: Core,
    engine: Engine,
    runs: Arc<AtomicUsize>,
    now: Millis,
}

impl World {
    fn with(plan: impl Fn(Record<Group>, &mut Tx) -> Next + Send + Sync + 'static) -> World {
        let runs = Arc::new(AtomicUsize::new(0));
        let mut planners = Planners::new();
        planners.add(Asks(plan, runs.clone()));
        World { core: core(), engine: Engine::new(planners), runs, now: Millis::secs(1000) }
    }

    fn write<R>(&mut self, work: impl FnOnce(&mut Tx) -> R) -> R {
        let (result, writes) = self.core.transact(self.now, |tx| Ok::<R, ()>(work(tx))).unwrap();
        self.engine.wake(&writes);
        result
    }

    /// Runs what is due; says how many plans ran.
    fn settle(&mut self) -> usize {
        let before = self.runs.load(Ordering::Relaxed);
        while self.engine.step(&mut self.core, self.now) {}
        self.runs.load(Ordering::Relaxed) - before
    }

    fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
    }

    fn explain(&self, name: &str) -> Explanation {
        let [explanation] = self.engine.explain(&group(name).any()).try_into().expect("one planner");
        explanation
    }
}

fn core() -> Core {
    let mut registry = Registry::new();
    registry.add::<Group>().add::<Instance>();
    Core::open(Memory::new(), registry, Options::seeded(1)).unwrap()
}

fn group(name: &str) -> Key<Group> {
    Key::new(name)
}

fn instance(name: &str) -> Key<Instance> {
    Key::new(name)
}

fn in_az(az: &str) -> Instance {
    Instance { az: az.to_owned() }
}

/// Makes one instance per plan until there are enough, then says how many there are.
fn scale(mut object: Record<Group>, tx: &mut Tx) -> Next {
    let owner = object.key.any();
    let have = tx.list(Index::<Instance>::owner(&owner)).len();
    if have < object.body.want {
        let id = tx.fresh_id("i-");
        tx.create(instance(&id), Some(owner), in_az("a"));
        return Next::settled("starts an instance");
    }
    object.body.have = have;
    tx.put(object);
    Next::settled(format!("has {have} instances"))
}

#[test]
fn every_object_is_planned_once_at_the_start() {
    let mut world = World::with(|_, _| Next::settled("nothing to do"));
    world.write(|tx| ["a", "b", "c"].map(|name| tx.create(group(name), None, Group::default())));
    world.engine = {
        let mut planners = Planners::new();
        planners.add(Asks(|_, _: &mut Tx| Next::settled("nothing to do"), world.runs.clone()));
        Engine::new(planners)
    };
    world.engine.start(world.core.head());
    assert_eq!(world.settle(), 3);
    assert_eq!(world.settle(), 0);
    assert_eq!(world.explain("b").why.to_string(), "nothing to do");
}

#[test]
fn a_plan_runs_until_it_has_nothing_left_to_write() {
    let mut world = World::with(scale);
    world.write(|tx| tx.create(group("g"), None, Group { want: 3, have: 0 }));
    assert_eq!(world.settle(), 5, "three starts, one status, one that changes nothing");
    let explanation = world.explain("g");
    assert_eq!((explanation.why.to_string().as_str(), explanation.writes), ("has 3 instances", 0));
    assert_eq!(world.core.head().get(&group("g")).unwrap().body.have, 3);
}

#[test]
fn a_removal_wakes_who_listed_what_is_gone() {
    let mut world = World::with(scale);
    world.write(|tx| tx.create(group("g"), None, Group { want: 2, have: 0 }));
    world.settle();
    let lost = world.core.head().list(Index::<Instance>::all())[0].key.clone();
    world.write(|tx| tx.remove(&lost));
    world.settle();
    assert_eq!(world.core.head().list(Index::<Instance>::all()).len(), 2);
}

#[test]
fn a_change_of_anything_that_was_read_wakes_the_plan_and_of_nothing_else() {
    let mut world = World::with(|_, tx| {
        tx.get(&instance("wanted"));
        tx.list(Index::<Instance>::prefix("rack-1/"));
        tx.list(Index::<Instance>::by("az", "b"));
        tx.owned_by(&group("g").any());
        Next::settled("looked")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    assert_eq!(world.settle(), 1);
    let mut set = |name: &str, owner: Option<AnyKey>, az: &str| {
        world.write(|tx| tx.set(&instance(name), owner, in_az(az)));
        world.settle()
    };
    assert_eq!(set("wanted", None, "a"), 1, "a key that was not there");
    assert_eq!(set("rack-1/x", None, "a"), 1, "a name in the prefix");
    assert_eq!(set("rack-2/x", None, "b"), 1, "a value of the index");
    assert_eq!(set("rack-2/x", None, "a"), 1, "out of the index again");
    assert_eq!(set("rack-2/y", Some(group("g").any()), "a"), 1, "something owned");
    assert_eq!(set("rack-2/y", None, "c"), 0, "only the keys of what is owned were read");
    assert_eq!(set("rack-2/z", Some(group("h").any()), "a"), 0, "nothing of this was read");
    assert_eq!(set("rack-2/z", None, "a"), 0, "an equal record is no change");
}

#[test]
fn a_plan_waits_for_its_time_and_is_woken_before_it_by_a_change() {
    let mut world = World::with(|_, tx| {
        tx.get(&instance("i"));
        Next::after(Millis::secs(60), "waits for the deadline")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.engine.next_wake(), Some(world.now + Millis::secs(60)));
    world.pass(Millis(59_999));
    assert_eq!(world.settle(), 0);
    world.pass(Millis(1));
    assert_eq!(world.settle(), 1);
    world.pass(Millis::secs(30));
    world.write(|tx| tx.create(instance("i"), None, in_az("a")));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.explain("g").wakes, Some(world.now + Millis::secs(60)), "the time counts anew");
}

#[test]
fn a_plan_that_settles_forgets_the_time_that_it_waited_for() {
    let mut world = World::with(|object, _| match object.body.want {
        0 => Next::after(Millis::secs(60), "waits"),
        _ => Next::settled("has what it needs"),
    });
    let mut object = world.write(|tx| tx.create(group("g"), None, Group::default()));
    world.settle();
    object.body.want = 1;
    world.write(|tx| tx.put(object));
    world.settle();
    assert_eq!(world.engine.next_wake(), None);
}

#[test]
fn a_clock_that_went_back_wakes_all_that_wait_for_a_time() {
    let mut world = World::with(|_, _| Next::after(Millis::mins(1), "waits"));
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    world.settle();
    world.now = Millis::secs(10);
    assert_eq!(world.settle(), 1);
    assert_eq!(world.engine.next_wake(), Some(Millis::secs(70)));
}

#[test]
fn a_plan_is_due_only_once_however_many_changes_wake_it() {
    let mut world = World::with(|_, tx| {
        tx.list(Index::<Instance>::all());
        Next::settled("looked")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    world.settle();
    for n in 0..10 {
        world.write(|tx| tx.create(instance(&n.to_string()), None, in_az("a")));
    }
    assert_eq!(world.engine.due(), 1);
    assert_eq!(world.settle(), 1);
}

#[test]
fn a_removed_object_is_planned_no_more_and_one_made_again_is() {
    let mut world = World::with(|_, tx| {
        tx.list(Index::<Instance>::all());
        Next::after(Millis::secs(1), "waits")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    world.settle();
    world.write(|tx| tx.remove(&group("g")));
    world.write(|tx| tx.create(instance("i"), None, in_az("a")));
    world.pass(Millis::secs(5));
    assert_eq!((world.settle(), world.engine.next_wake()), (0, None));
    assert!(world.engine.explain(&group("g").any()).is_empty());
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    assert_eq!(world.settle(), 1);
}

#[test]
fn a_planner_that_panics_loses_its_transaction_and_is_retried_ever_more_slowly() {
    let broken = Arc::new(AtomicBool::new(true));
    let switch = broken.clone();
    let mut world = World::with(move |object, tx| {
        tx.set(&instance(object.key.name()), None, in_az("a"));
        assert!(!switch.load(Ordering::Relaxed), "no route to {}", object.key);
        Next::settled("made it")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    assert_eq!(world.settle(), 1);
    assert!(world.core.head().list(Index::<Instance>::all()).is_empty(), "what it wrote is gone");
    let trouble = world.explain("g").trouble.unwrap();
    assert_eq!(trouble, "panicked: no route to autoscaling/group/g");
    assert_eq!(world.engine.troubled().len(), 1);

    let mut waits = Vec::new();
    for _ in 0..12 {
        let wake = world.engine.next_wake().unwrap();
        waits.push(wake.since(world.now).0);
        world.now = wake;
        assert_eq!(world.settle(), 1);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);

    broken.store(false, Ordering::Relaxed);
    world.now = world.engine.next_wake().unwrap();
    world.settle();
    assert_eq!(world.core.head().list(Index::<Instance>::all()).len(), 1);
    assert!(world.explain("g").trouble.is_none() && world.engine.troubled().is_empty());
    assert_eq!(world.engine.next_wake(), None);
}

#[test]
fn a_plan_that_backs_off_is_not_woken_by_changes() {
    let mut world = World::with(|_, tx| {
        tx.list(Index::<Instance>::all());
        panic!("always")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    assert_eq!(world.settle(), 1);
    world.write(|tx| tx.create(instance("i"), None, in_az("a")));
    assert_eq!(world.settle(), 0);
    assert_eq!(world.explain("g").reads.len(), 2, "what it had read is still told");
    world.pass(Millis(100));
    assert_eq!(world.settle(), 1);
}

#[test]
fn a_plan_that_never_settles_is_held_back_and_named_while_others_go_on() {
    let mut world = World::with(|mut object, tx| {
        if object.key.name() == "restless" {
            object.body.have += 1;
            tx.put(object);
        }
        Next::settled("counts")
    });
    world.write(|tx| ["calm", "restless"].map(|name| tx.create(group(name), None, Group::default())));
    let runs = world.settle();
    assert!((1000..1010).contains(&runs), "{runs} runs");
    let [trouble] = world.engine.troubled().try_into().unwrap();
    assert_eq!(trouble.key, group("restless").any());
    let text = trouble.trouble.unwrap();
    assert!(text.contains("never settles: it wrote in 1000 runs in a row") && text.contains("counts"), "{text}");
    let wake = world.engine.next_wake().unwrap();
    assert_eq!(wake.since(world.now), Millis(100));
    world.now = wake;
    world.settle();
    assert_eq!(world.engine.next_wake().unwrap().since(world.now), Millis(200), "longer each time");
}

#[test]
fn two_planners_that_undo_each_other_are_found() {
    struct Undoes;
    impl Planner for Undoes {
        type Object = Group;
        const NAME: &'static str = "autoscaling/group/undoes";
        fn plan(&self, mut object: Record<Group>, tx: &mut Tx) -> Next {
            object.body.have = 0;
            tx.put(object);
            Next::settled("has none")
        }
    }
    let mut planners = Planners::new();
    let does = |mut object: Record<Group>, tx: &mut Tx| {
        object.body.have = 1;
        tx.put(object);
        Next::settled("has one")
    };
    planners.add(Asks(does, Arc::default())).add(Undoes);
    let (mut core, mut engine) = (core(), Engine::new(planners));
    let create = |tx: &mut Tx| Ok::<_, ()>(tx.create(group("g"), None, Group::default()));
    let (_, writes): (_, Writes) = core.transact(Millis(1), create).unwrap();
    engine.wake(&writes);
    let steps = (0..10_000).take_while(|_| engine.step(&mut core, Millis(1))).count();
    assert!(steps < 3000, "it came to rest after {steps} steps");
    assert!(!engine.troubled().is_empty());
}

#[test]
fn a_change_wakes_as_few_plans_in_a_large_region_as_in_a_small_one() {
    for size in [10, 2000] {
        let mut world = World::with(scale);
        for n in 0..size {
            world.write(|tx| tx.create(group(&format!("g{n}")), None, Group { want: 1, have: 0 }));
        }
        world.settle();
        let mut object = world.core.head().get(&group("g7")).unwrap();
        object.body.want = 2;
        world.write(|tx| tx.put(object));
        assert_eq!(world.settle(), 3, "in a region of {size}");
    }
}

#[test]
fn a_chooser_decides_which_due_plan_runs_next() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let log = order.clone();
    let mut world = World::with(move |object, _| {
        log.lock().unwrap().push(object.key.name().to_owned());
        Next::settled("ran")
    });
    world.engine.choose_with(Box::new(|due| due - 1));
    world.write(|tx| ["a", "b", "c", "d"].map(|name| tx.create(group(name), None, Group::default())));
    world.settle();
    assert_eq!(*order.lock().unwrap(), ["d", "c", "b", "a"]);
}

#[test]
#[should_panic(expected = "two planners are called autoscaling/group/asks")]
fn two_planners_of_one_name_are_refused() {
    let asks = || Asks(|_, _: &mut Tx| Next::settled(""), Arc::default());
    Planners::new().add(asks()).add(asks());
}

#[test]
fn a_rehearsal_tells_what_a_plan_would_do_and_does_nothing() {
    let mut world = World::with(scale);
    world.write(|tx| tx.create(group("g"), None, Group { want: 1, have: 0 }));
    let [rehearsal] = world.engine.rehearse(&group("g").any(), &world.core, world.now).try_into().unwrap();
    assert_eq!(rehearsal.next, Ok(Next::settled("starts an instance")));
    assert!(format!("{:?}", rehearsal.writes).starts_with("[created ec2/instance/i-0"), "{:?}", rehearsal.writes);
    assert!(world.core.head().list(Index::<Instance>::all()).is_empty());
    assert!(world.engine.rehearse(&group("h").any(), &world.core, world.now).is_empty());
}

#[test]
fn an_event_tells_of_each_plan_that_wrote_or_found_another_reason() {
    let mut world = World::with(scale);
    let heard = Arc::new(Mutex::new(vec![]));
    let ears = heard.clone();
    world.engine.listen(Box::new(move |event| ears.lock().unwrap().push(event.clone())));
    world.write(|tx| tx.create(group("g"), None, Group { want: 1, have: 0 }));
    world.settle();
    world.write(|tx| tx.create(group("idle"), None, Group::default()));
    world.settle();
    let told: Vec<(String, String)> =
        world.engine.events().map(|e| (e.why.clone(), e.writes.iter().map(|w| w.how.sign()).collect())).collect();
    let expected = [("starts an instance", "+"), ("has 1 instances", "~")];
    assert_eq!(
        told,
        expected.map(|(why, signs)| (why.to_owned(), signs.to_owned())),
        "nothing of what changed nothing"
    );
    assert!(world.engine.events().eq(heard.lock().unwrap().iter()));
    assert_eq!(world.engine.events().map(|e| e.seq).collect::<Vec<_>>(), [0, 1]);
    let wrote = world.explain("g").wrote.unwrap();
    assert_eq!((wrote.seq, wrote.writes[0].to_string().as_str()), (1, "~ autoscaling/group/g"));
    assert!(world.explain("idle").wrote.is_none());
    assert!(world.engine.whys(&group("g").any()).eq([Ok("has 1 instances".to_owned())]));
}

#[test]
fn an_event_concerns_what_was_planned_what_was_above_it_and_what_it_changed() {
    let mut world = World::with(|object, tx| {
        if object.key.name() == "inner" {
            tx.remove(&object.key);
        }
        Next::settled("gone")
    });
    world.write(|tx| tx.create(group("outer"), None, Group::default()));
    world.write(|tx| tx.create(group("inner"), Some(group("outer").any()), Group::default()));
    world.settle();
    let event = world.engine.events().next().unwrap();
    assert!(event.concerns(&group("inner").any()) && event.concerns(&group("outer").any()));
    assert!(!event.concerns(&group("other").any()));
}

#[test]
fn events_are_bounded_and_so_is_what_each_of_them_names() {
    let mut world = World::with(|mut object, tx| {
        for n in 0..40 {
            tx.set(&instance(&format!("{n:02}")), None, in_az(&object.body.want.to_string()));
        }
        object.body.have = object.body.want;
        tx.put(object);
        Next::settled("all alike")
    });
    world.write(|tx| tx.create(group("g"), None, Group::default()));
    for want in 1..2100 {
        world.write(|tx| tx.set(&group("g"), None, Group { want, have: 0 }));
        world.settle();
    }
    let events: Vec<_> = world.engine.events().collect();
    assert_eq!((events.len(), events[0].writes.len(), events[0].more), (2048, 16, 25));
    assert_eq!(events[2047].seq - events[0].seq, 2047, "the newest are kept");
}

#[test]
fn a_tally_counts_what_each_planner_did_and_how_long_it_took() {
    let mut world = World::with(|object, tx| {
        assert!(object.body.want < 2, "too many");
        scale(object, tx)
    });
    let ticks = AtomicUsize::new(0);
    let tick = move || std::time::Duration::from_millis(ticks.fetch_add(1, Ordering::Relaxed) as u64);
    world.engine.measure_with(Box::new(tick));
    world.write(|tx| tx.create(group("g"), None, Group { want: 1, have: 0 }));
    world.write(|tx| tx.create(group("h"), None, Group { want: 2, have: 0 }));
    world.settle();
    let busy = std::time::Duration::from_millis(4);
    let expected = Tally { planner: "autoscaling/group/asks", plans: 4, writes: 2, panics: 1, busy };
    assert_eq!(world.engine.tallies(), [expected]);
    let last = world.engine.events().last().unwrap();
    assert!(last.failed || world.engine.events().any(|e| e.failed && e.why == "panicked: too many"), "{last:?}");
    let panicked = Err("plan autoscaling/group/asks panicked: too many".to_owned());
    assert!(world.engine.whys(&group("h").any()).eq([panicked]));
    let explained = world.explain("h");
    assert_eq!((explained.failures, explained.planned), (1, None));
}
