use super::*;

#[test]
fn a_key_is_written_with_its_kind_and_read_back() {
    let typed: Key<Subnet> = Key::new("111122223333/us-east-1/subnet-1");
    assert_eq!(typed.to_string(), "ec2/subnet/111122223333/us-east-1/subnet-1");
    let any: AnyKey = typed.to_string().parse().unwrap();
    assert_eq!((any.kind(), any.name()), ("ec2/subnet", "111122223333/us-east-1/subnet-1"));
    assert_eq!(any.typed::<Subnet>(), Some(typed.clone()));
    assert_eq!(any.typed::<Vpc>(), None);
    assert_eq!(serde_json::from_str::<AnyKey>(&serde_json::to_string(&any).unwrap()).unwrap(), any);
    assert_eq!(serde_json::to_string(&typed).unwrap(), "\"111122223333/us-east-1/subnet-1\"");
    let refused = "ec2/subnet".parse::<AnyKey>().unwrap_err();
    assert!(refused.to_string().contains("service/noun/name"), "{refused}");
}

#[test]
fn a_new_record_has_its_time_and_generation_one() {
    let mut core = core();
    let made = commit(&mut core, |tx| tx.create(key("a"), Some(key::<Vpc>("v").any()), subnet("v")));
    assert_eq!(made.created, Millis::secs(1));
    assert_eq!((made.generation, made.deleting), (1, None));
    assert_eq!(core.view().get(&key::<Subnet>("a")), Some(made));
    assert_eq!(core.view().now(), Millis::secs(1));
}

#[test]
fn a_put_of_an_equal_record_is_no_write() {
    let mut core = core();
    let made = commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    let (_, writes) = stage(&mut core, |tx| tx.put(made));
    assert!(writes.is_empty());
    assert!(core.commit().unwrap().is_none());
}

#[test]
fn a_put_changes_body_and_owner_and_nothing_that_is_the_stores_own() {
    let mut core = core();
    let made = commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    let owner = Some(key::<Vpc>("w").any());
    let forged = Record { created: Millis(9), generation: 9, deleting: Some(Millis(9)), ..made.clone() };
    commit(&mut core, |tx| tx.put(Record { body: subnet("w"), owner: owner.clone(), ..forged }));
    let is = core.view().get(&key("a")).unwrap();
    assert_eq!(is, Record { body: subnet("w"), owner: owner.clone(), generation: 2, ..made });
    commit(&mut core, |tx| tx.put(Record { owner: None, ..is.clone() }));
    assert_eq!(core.view().get(&key("a")), Some(Record { owner: None, ..is }), "the generation counts bodies");
}

#[test]
fn an_observation_is_written_whether_there_is_a_record_or_not() {
    let mut core = core();
    commit(&mut core, |tx| tx.set(&key("a"), None, subnet("v")));
    commit(&mut core, |tx| tx.set(&key("a"), None, subnet("w")));
    let is: Record<Subnet> = core.view().get(&key("a")).unwrap();
    assert_eq!((is.generation, is.body), (2, subnet("w")));
}

#[test]
fn a_deletion_is_asked_for_once_and_carried_out_by_remove() {
    let mut core = core();
    let a = key::<Subnet>("a");
    commit(&mut core, |tx| tx.create(a.clone(), None, subnet("v")));
    commit(&mut core, |tx| tx.delete(&a));
    let (_, writes) = stage(&mut core, |tx| tx.delete(&a));
    assert!(writes.is_empty());
    let is = core.view().get(&a).unwrap();
    assert_eq!((is.deleting, is.generation), (Some(Millis::secs(1)), 1));
    commit(&mut core, |tx| tx.put(Record { deleting: None, body: subnet("w"), ..is }));
    assert_eq!(core.view().get(&a).unwrap().deleting, Some(Millis::secs(1)), "a put doesn't take it back");
    commit(&mut core, |tx| tx.remove(&a));
    assert_eq!(core.view().get(&a), None);
    commit(&mut core, |tx| (tx.delete(&a), tx.remove(&a)));
}

#[test]
fn records_are_found_by_prefix_index_and_owner_in_the_order_of_their_names() {
    let mut core = core();
    let owner = key::<Vpc>("v").any();
    commit(&mut core, |tx| {
        for name in ["b/2", "a/1", "b/1", "b", "c"] {
            tx.create(key(name), (name < "b/2").then(|| owner.clone()), subnet(&name[..1]));
        }
        tx.create(key::<Vpc>("b/1"), Some(owner.clone()), vpc("10.0.0.0/16"));
    });
    let view = core.view();
    assert_eq!(names(&view.list(Index::<Subnet>::all())), ["a/1", "b", "b/1", "b/2", "c"]);
    assert_eq!(names(&view.list(Index::<Subnet>::prefix("b/"))), ["b/1", "b/2"]);
    assert_eq!(names(&view.list(Index::<Subnet>::by("vpc", "b"))), ["b", "b/1", "b/2"]);
    assert_eq!(names(&view.list(Index::<Subnet>::owner(&owner))), ["a/1", "b", "b/1"]);
    let owned: Vec<String> = view.owned_by(&owner).iter().map(AnyKey::to_string).collect();
    assert_eq!(owned, ["ec2/subnet/a/1", "ec2/subnet/b", "ec2/subnet/b/1", "ec2/vpc/b/1"]);
    assert_eq!(names(&view.list(Index::<Vpc>::owner(&owner))), ["b/1"]);
}

#[test]
fn a_transaction_sees_its_own_changes_and_nobody_else_does_before_they_are_applied() {
    let mut core = core();
    let mut tx = core.begin(Millis::secs(3));
    tx.create(key("a"), None, subnet("v"));
    assert_eq!(names(&tx.list(Index::<Subnet>::by("vpc", "v"))), ["a"]);
    assert!(!core.head().contains(&key::<Subnet>("a").any()));
    core.apply(tx);
    assert!(core.head().contains(&key::<Subnet>("a").any()));
    assert!(!core.view().contains(&key::<Subnet>("a").any()), "it isn't durable yet");
    core.commit().unwrap();
    assert!(core.view().contains(&key::<Subnet>("a").any()));
}

#[test]
fn an_error_undoes_everything_ids_included() {
    let mut core = core();
    let work = |tx: &mut Tx| {
        tx.create(key("a"), None, subnet("v"));
        Err::<(), String>(tx.fresh_id("vpc-"))
    };
    let first = core.transact(Millis(1), work).unwrap_err();
    let again = core.transact(Millis(1), work).unwrap_err();
    assert_eq!(first, again);
    assert!(core.commit().unwrap().is_none());
}

#[test]
fn a_commit_says_what_a_batch_changed_in_all() {
    let mut core = core();
    commit(&mut core, |tx| tx.create(key("old"), None, subnet("v")));
    stage(&mut core, |tx| tx.create(key("new"), None, subnet("v")));
    stage(&mut core, |tx| tx.create(key("brief"), None, subnet("v")));
    stage(&mut core, |tx| tx.remove(&key::<Subnet>("brief")));
    stage(&mut core, |tx| tx.remove(&key::<Subnet>("old")));
    let batch = core.commit().unwrap().unwrap();
    let changes: Vec<_> = batch.changes.iter().map(|c| (c.key.name(), c.before, c.after)).collect();
    assert_eq!(changes, [("new", false, true), ("old", true, false)]);
    assert_eq!((batch.revision, batch.view.revision()), (2, 2));
}

#[test]
fn ids_look_like_those_of_aws_and_never_repeat_even_after_a_restart() {
    let journal = Memory::new();
    let mut seen = std::collections::HashSet::new();
    for restart in 0..5 {
        let mut core = open(journal.clone()).unwrap();
        for _ in 0..100 {
            let id = commit(&mut core, |tx| {
                let id = tx.fresh_id("vpc-");
                tx.set(&key("last"), None, vpc(&id));
                id
            });
            let digits = id.strip_prefix("vpc-0").unwrap();
            assert!(digits.len() == 16 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
            assert!(seen.insert(id), "repeated in run {restart}");
        }
    }
}

#[test]
fn ids_of_a_batch_whose_records_are_gone_again_are_not_given_out_twice() {
    let journal = Memory::new();
    let brief = |core: &mut Core| {
        let (made, _) = stage(core, |tx| {
            let id = tx.fresh_id("i-");
            tx.create(key(&id), None, vpc(""))
        });
        stage(core, |tx| tx.remove(&made.key));
        core.commit().unwrap();
        made.key
    };
    let before = brief(&mut open(journal.clone()).unwrap());
    let after = brief(&mut open(journal).unwrap());
    assert_ne!(before, after);
}

#[test]
#[should_panic(expected = "ec2/subnet/a is created only once")]
fn a_second_create_panics() {
    let mut core = core();
    commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
}

#[test]
#[should_panic(expected = "transactions run one after the other")]
fn a_transaction_that_was_overtaken_is_not_applied() {
    let mut core = core();
    let (mut one, mut two) = (core.begin(Millis(1)), core.begin(Millis(1)));
    one.create(key("a"), None, subnet("v"));
    two.create(key("b"), None, subnet("v"));
    core.apply(one);
    core.apply(two);
}

#[test]
#[should_panic(expected = "the kind test/unknown is in the registry")]
fn a_kind_that_could_not_be_read_back_is_not_written() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unknown;
    impl Object for Unknown {
        const KIND: &'static str = "test/unknown";
    }
    commit(&mut core(), |tx| tx.create(key("a"), None, Unknown));
}

#[test]
fn everything_asked_is_remembered_also_what_is_not_there() {
    let core = core();
    let tx = core.begin(Millis(1));
    let owner = key::<Vpc>("v").any();
    tx.get(&key::<Subnet>("a"));
    tx.list(Index::<Subnet>::all());
    tx.list(Index::<Subnet>::prefix("b/"));
    tx.list(Index::<Subnet>::by("vpc", "v"));
    tx.list(Index::<Subnet>::owner(&owner));
    tx.owned_by(&owner);
    let asked: Vec<String> = tx.reads().iter().map(ToString::to_string).collect();
    let expected = [
        "ec2/subnet/a",
        "ec2/subnet/*",
        "ec2/subnet/b/*",
        "ec2/subnet with vpc=v",
        "ec2/subnet of ec2/vpc/v",
        "keys of all that ec2/vpc/v owns",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_view_shows_its_records_to_people() {
    let mut core = core();
    commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    let a = key::<Subnet>("a").any();
    let json = r#"{"put":"ec2/subnet/a","created":1000,"generation":1,"body":{"vpc":"v","tags":[],"free":0}}"#;
    assert_eq!(core.view().json(&a).as_deref(), Some(json));
    assert_eq!(core.view().keys("ec2/subnet", ""), std::slice::from_ref(&a));
    assert_eq!(core.view().at(Millis(5)).now(), Millis(5));
    commit(&mut core, |tx| tx.create(key("b"), Some(a.clone()), subnet("v")));
    assert_eq!(core.view().owner(&key::<Subnet>("b").any()), Some(&a));
    assert!(core.view().kinds().any(|kind| kind == ("ec2/subnet", 2)));
    let mut tx = core.begin(Millis(2000));
    tx.set(&key("a"), None, subnet("w"));
    let [effect] = &tx.writes().iter().cloned().collect::<Vec<_>>()[..] else { panic!("one record is written") };
    assert_eq!(effect.before().as_deref(), Some(json));
    assert!(effect.after().is_some_and(|after| after.contains(r#""generation":2,"body":{"vpc":"w""#)));
}
