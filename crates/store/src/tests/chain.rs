//! What is refused when a journal is opened, and how.

use super::*;
use crate::journal::Stored;

/// A journal with a snapshot and three batches.
fn written() -> Stored {
    let journal = Memory::new();
    let mut core = open(journal.clone()).unwrap();
    for (name, v) in [("a", "v"), ("b", "v"), ("c", "w")] {
        commit(&mut core, |tx| tx.create(key(name), None, subnet(v)));
    }
    journal.stored()
}

fn refusal(stored: Stored) -> String {
    match open(Memory::holding(stored)) {
        Ok(core) => panic!("opened at revision {}", core.view().revision()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_was_committed_is_there_again_and_the_chain_goes_on() {
    let journal = Memory::holding(written());
    let mut core = open(journal.clone()).unwrap();
    assert_eq!(names(&core.view().list(Index::<Subnet>::all())), ["a", "b", "c"]);
    assert_eq!((core.view().revision(), core.view().now()), (3, Millis::secs(1)));
    commit(&mut core, |tx| tx.remove(&key::<Subnet>("b")));
    let core = open(journal).unwrap();
    assert_eq!(names(&core.view().list(Index::<Subnet>::all())), ["a", "c"]);
    assert_eq!(core.view().revision(), 4);
}

#[test]
fn an_uncommitted_batch_is_gone_after_a_restart() {
    let journal = Memory::holding(written());
    let mut core = open(journal.clone()).unwrap();
    stage(&mut core, |tx| tx.remove(&key::<Subnet>("a")));
    drop(core);
    assert_eq!(names(&open(journal).unwrap().view().list(Index::<Subnet>::all())), ["a", "b", "c"]);
}

#[test]
fn every_flipped_bit_is_refused_with_its_place() {
    let stored = written();
    for bit in 0..stored.snapshot[0].len() * 8 {
        let mut damaged = stored.clone();
        damaged.snapshot[0][bit / 8] ^= 1 << (bit % 8);
        let message = refusal(damaged);
        assert!(message.contains("is damaged at part 0 of the snapshot: its checksum"), "bit {bit}: {message}");
    }
    for batch in 0..3 {
        for bit in 0..stored.batches[batch].1.len() * 8 {
            let mut damaged = stored.clone();
            damaged.batches[batch].1[bit / 8] ^= 1 << (bit % 8);
            let message = refusal(damaged);
            let place = format!("is damaged at batch {}: its checksum doesn't fit", batch + 1);
            assert!(message.contains(&place) && message.contains("restore the data directory"), "bit {bit}: {message}");
        }
    }
}

#[test]
fn a_missing_a_swapped_and_a_foreign_batch_are_refused() {
    let mut missing = written();
    missing.batches.remove(1);
    assert!(refusal(missing).contains("batch 3: it says that it is batch 3, and batch 2 is due"));

    let mut swapped = written();
    let second = swapped.batches[1].1.clone();
    swapped.batches[2].1 = second;
    assert!(refusal(swapped).contains("batch 3: it says that it is batch 2"));

    let other = Memory::new();
    let mut core = open(other.clone()).unwrap();
    for name in ["x", "y"] {
        commit(&mut core, |tx| tx.create(key(name), None, subnet("v")));
    }
    let mut foreign = written();
    foreign.batches[1] = other.stored().batches[1].clone();
    assert!(refusal(foreign).contains("batch 2: it doesn't follow the batch 1 that is here"));
}

#[test]
fn a_cut_off_end_is_refused_when_it_was_acknowledged() {
    let mut cut = written();
    cut.batches.pop();
    assert!(refusal(cut).contains("batch 3: it was acknowledged, but the chain ends at 2"));
    let mut emptied = written();
    (emptied.snapshot, emptied.batches) = (vec![], vec![]);
    assert!(refusal(emptied).contains("the snapshot: it is missing"));
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let mut newer = written();
    newer.batches[2].1 = crate::batch::seal_as(2, b"whatever it says").bytes;
    let message = refusal(newer);
    assert!(message.contains("has format 2 at batch 3 and this program reads formats up to 1"), "{message}");
}

#[test]
fn an_unknown_kind_is_refused_by_its_name() {
    let mut only_vpcs = Registry::new();
    only_vpcs.add::<Vpc>();
    let refused = Core::open(Memory::holding(written()), only_vpcs, Options::seeded(1)).err().unwrap();
    assert!(refused.to_string().contains("records of the kind \"ec2/subnet\" (at batch 1)"), "{refused}");
}

#[test]
fn a_record_that_no_longer_fits_its_type_is_refused_with_line_and_key() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Narrow {
        zone: String,
    }
    impl Object for Narrow {
        const KIND: &'static str = "ec2/subnet";
    }
    let mut changed = Registry::new();
    changed.add::<Narrow>();
    let refused = Core::open(Memory::holding(written()), changed, Options::seeded(1)).err().unwrap();
    assert!(refused.to_string().contains("batch 1: line 2 (ec2/subnet/a): missing field `zone`"), "{refused}");
}

#[test]
fn a_field_that_was_added_with_a_default_reads_what_stands_there() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wider {
        vpc: String,
        #[serde(default)]
        zone: Option<String>,
    }
    impl Object for Wider {
        const KIND: &'static str = "ec2/subnet";
        fn index(&self) -> Vec<(&'static str, String)> {
            vec![("network", self.vpc.clone())]
        }
    }
    let mut wider = Registry::new();
    wider.add::<Wider>();
    let core = Core::open(Memory::holding(written()), wider, Options::seeded(1)).unwrap();
    let found = core.view().list(Index::<Wider>::by("network", "v"));
    assert_eq!(names(&found), ["a", "b"], "an index is computed, so a new one is complete at once");
}

#[test]
fn compaction_keeps_the_state_and_drops_the_batches() {
    let journal = Memory::new();
    let options = Options { compact_bytes_min: 2000, ..Options::seeded(7) };
    let mut core = Core::open(journal.clone(), registry(), options).unwrap();
    for n in 0..200 {
        commit(&mut core, |tx| tx.set(&key(&format!("s{}", n % 20)), None, Subnet { free: n, ..subnet("v") }));
        let reopened = open(journal.clone()).unwrap();
        assert_eq!(reopened.view().list(Index::<Subnet>::all()), core.view().list(Index::<Subnet>::all()));
        assert_eq!(reopened.view().revision(), u64::from(n) + 1);
    }
    assert!(journal.stored().batches.len() < 50, "{} batches are left", journal.stored().batches.len());
}

#[test]
fn a_large_snapshot_has_parts_and_damage_names_the_part() {
    let journal = Memory::new();
    let mut core = open(journal.clone()).unwrap();
    let large = |n: u32| Subnet { tags: vec!["x".repeat(100_000)], free: n, ..subnet("v") };
    commit(&mut core, |tx| (0..50).for_each(|n| drop(tx.create(key(&n.to_string()), None, large(n)))));
    let stored = journal.stored();
    assert!(stored.snapshot.len() > 3 && stored.batches.is_empty(), "{} parts", stored.snapshot.len());
    assert_eq!(open(journal).unwrap().view().list(Index::<Subnet>::all()).len(), 50);

    let mut damaged = stored.clone();
    damaged.snapshot[2][90_000] ^= 4;
    assert!(refusal(damaged).contains("part 2 of the snapshot"));
    let mut short = stored.clone();
    short.snapshot.pop();
    assert!(refusal(short).contains("it says that it is part 0 of"));
    let mut swapped = stored;
    swapped.snapshot.swap(1, 2);
    assert!(refusal(swapped).contains("part 1 of the snapshot: it says that it is part 2"));
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_and_nothing_more_is_taken() {
    let journal = Memory::new();
    let mut core = open(journal.clone()).unwrap();
    commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    journal.fail(true);
    stage(&mut core, |tx| tx.create(key("b"), None, subnet("v")));
    let failed = core.commit().unwrap_err();
    assert!(failed.to_string().contains("halted after revision 1 and takes no more writes: can't write"), "{failed}");
    assert_eq!(names(&core.view().list(Index::<Subnet>::all())), ["a"], "what is published stays");
    journal.fail(false);
    assert!(core.commit().is_err(), "a disk that failed once is not trusted again");
    assert!(core.halted().is_some());
    drop(core);
    assert_eq!(open(journal).unwrap().view().revision(), 1);
}
