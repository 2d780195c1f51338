//! The indexes and the read sets, against a model that is too simple to be wrong.

use super::*;
use crate::{ReadSet, View, Watchers};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A small world, so that random changes and random questions meet.
const NAMES: [&str; 8] = ["a", "a/1", "a/1/x", "a/2", "b", "b/1", "b/é", "b/è"];
const PREFIXES: [&str; 7] = ["", "a", "a/", "a/1", "b/", "b/é", "zz"];
const VPCS: [&str; 3] = ["v", "w", ""];
const OWNERS: [&str; 3] = ["v", "w", "va"];

type Model = BTreeMap<&'static str, (Option<&'static str>, Subnet)>;

#[derive(Clone, Debug)]
enum Write {
    Set { name: &'static str, owner: Option<&'static str>, body: Subnet },
    Delete(&'static str),
    Remove(&'static str),
}

#[derive(Clone, Debug)]
enum Question {
    Get(&'static str),
    Prefix(&'static str),
    Vpc(&'static str),
    Tag(&'static str),
    Owner(&'static str),
    OwnedKeys(&'static str),
}

fn write() -> impl Strategy<Value = Write> {
    let name = prop::sample::select(&NAMES[..]);
    let body = (prop::sample::select(&VPCS[..]), prop::sample::subsequence(VPCS.to_vec(), 0..=3), 0..2u32);
    let body = body.prop_map(|(vpc, tags, free)| {
        let tags = tags.into_iter().map(str::to_owned).collect();
        Subnet { vpc: vpc.to_owned(), tags, free }
    });
    let owner = prop::option::of(prop::sample::select(&OWNERS[..]));
    prop_oneof![
        4 => (name.clone(), owner, body).prop_map(|(name, owner, body)| Write::Set { name, owner, body }),
        1 => name.clone().prop_map(Write::Delete),
        1 => name.prop_map(Write::Remove),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(Question::Get),
        prop::sample::select(&PREFIXES[..]).prop_map(Question::Prefix),
        prop::sample::select(&VPCS[..]).prop_map(Question::Vpc),
        prop::sample::select(&VPCS[..]).prop_map(Question::Tag),
        prop::sample::select(&OWNERS[..]).prop_map(Question::Owner),
        prop::sample::select(&OWNERS[..]).prop_map(Question::OwnedKeys),
    ]
}

fn owner_key(owner: &str) -> AnyKey {
    key::<Vpc>(owner).any()
}

fn apply(tx: &mut Tx, write: &Write) {
    match write {
        Write::Delete(name) => tx.delete(&key::<Subnet>(name)),
        Write::Remove(name) => tx.remove(&key::<Subnet>(name)),
        Write::Set { name, owner, body } => {
            let owner = owner.map(owner_key);
            match tx.get(&key::<Subnet>(name)) {
                Some(record) => tx.put(Record { owner, body: body.clone(), ..record }),
                None => drop(tx.create(key(name), owner, body.clone())),
            }
        }
    }
}

fn apply_to_model(model: &mut Model, write: &Write) {
    match write {
        Write::Delete(_) => {}
        Write::Remove(name) => drop(model.remove(name)),
        Write::Set { name, owner, body } => drop(model.insert(name, (*owner, body.clone()))),
    }
}

fn answer(of: &impl Read, question: &Question) -> String {
    match question {
        Question::Get(name) => format!("{:?}", of.get(&key::<Subnet>(name))),
        Question::Prefix(prefix) => format!("{:?}", of.list(Index::<Subnet>::prefix(*prefix))),
        Question::Vpc(vpc) => format!("{:?}", of.list(Index::<Subnet>::by("vpc", *vpc))),
        Question::Tag(tag) => format!("{:?}", of.list(Index::<Subnet>::by("tag", *tag))),
        Question::Owner(owner) => format!("{:?}", of.list(Index::<Subnet>::owner(&owner_key(owner)))),
        Question::OwnedKeys(owner) => format!("{:?}", of.owned_by(&owner_key(owner))),
    }
}

/// Whether the model has this record in the answer.
fn belongs(name: &str, (owner, body): &(Option<&'static str>, Subnet), question: &Question) -> bool {
    match question {
        Question::Get(wanted) => name == *wanted,
        Question::Prefix(prefix) => name.starts_with(prefix),
        Question::Vpc(vpc) => body.vpc == *vpc,
        Question::Tag(tag) => body.tags.iter().any(|t| t == tag),
        Question::Owner(wanted) | Question::OwnedKeys(wanted) => *owner == Some(*wanted),
    }
}

fn names_in(view: &View, question: &Question) -> Vec<String> {
    let records = match question {
        Question::Get(name) => view.get(&key::<Subnet>(name)).into_iter().collect(),
        Question::Prefix(prefix) => view.list(Index::prefix(*prefix)),
        Question::Vpc(vpc) => view.list(Index::by("vpc", *vpc)),
        Question::Tag(tag) => view.list(Index::by("tag", *tag)),
        Question::Owner(owner) => view.list(Index::owner(&owner_key(owner))),
        Question::OwnedKeys(owner) => {
            return view.owned_by(&owner_key(owner)).iter().map(|key| key.name().to_owned()).collect();
        }
    };
    names::<Subnet>(&records).into_iter().map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn every_range_holds_what_the_model_says(
        writes in prop::collection::vec(write(), 0..40),
        questions in prop::collection::vec(question(), 1..10),
    ) {
        let journal = Memory::new();
        let mut core = open(journal.clone()).unwrap();
        let mut model = Model::new();
        for write in &writes {
            commit(&mut core, |tx| apply(tx, write));
            apply_to_model(&mut model, write);
        }
        for view in [core.view().clone(), open(journal).unwrap().view().clone()] {
            for question in &questions {
                let expected: Vec<_> = model.iter().filter(|(n, r)| belongs(n, r, question)).map(|(n, _)| *n).collect();
                prop_assert_eq!(names_in(&view, question), expected, "{:?}", question);
            }
        }
    }

    #[test]
    fn a_change_that_alters_an_answer_touches_the_read_set_and_wakes_its_watcher(
        before in prop::collection::vec(write(), 0..20),
        asked in prop::collection::vec(question(), 1..4),
        change in prop::collection::vec(write(), 1..4),
    ) {
        let mut core = core();
        commit(&mut core, |tx| before.iter().for_each(|write| apply(tx, write)));
        let tx = core.begin(Millis::secs(1));
        let was: Vec<String> = asked.iter().map(|question| answer(&tx, question)).collect();
        let reads: ReadSet = tx.reads();
        let (_, writes) = stage(&mut core, |tx| change.iter().for_each(|write| apply(tx, write)));
        let is: Vec<String> = asked.iter().map(|question| answer(core.head(), question)).collect();

        let touched = writes.iter().any(|effect| reads.touched_by(effect));
        prop_assert!(touched || was == is, "{reads:?} misses {writes:?}");
        let mut watchers = Watchers::new();
        watchers.watch(1, &ReadSet::default());
        watchers.watch(2, &reads);
        prop_assert_eq!(watchers.touched(&writes).contains(&2), touched, "the index of watchers is exact");
        watchers.unwatch(2, &reads);
        prop_assert!(watchers.touched(&writes).is_empty());
    }

    #[test]
    fn a_change_elsewhere_wakes_nobody(elsewhere in prop::collection::vec(write(), 1..10)) {
        let mut core = core();
        let tx = core.begin(Millis::secs(1));
        tx.get(&key::<Subnet>("c"));
        tx.list(Index::<Subnet>::prefix("c/"));
        tx.list(Index::<Vpc>::all());
        tx.list(Index::<Subnet>::by("vpc", "other"));
        let reads = tx.reads();
        let (_, writes) = stage(&mut core, |tx| elsewhere.iter().for_each(|write| apply(tx, write)));
        prop_assert!(!writes.iter().any(|effect| reads.touched_by(effect)));
    }
}
