//! Power failures and kills at random instants, over many seeds: what was acknowledged is there, and nothing is half
//! there.

use super::disk::{Chance, Disk, SECTOR};
use super::*;
use crate::journal::File;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SEEDS: u64 = 300;

/// The records of a revision.
type State = BTreeMap<String, u32>;

fn state(core: &Core) -> State {
    let records = core.view().list(Index::<Subnet>::all());
    records.into_iter().map(|record| (record.key.name().to_owned(), record.body.free)).collect()
}

fn open_on(disk: &Disk) -> Result<Core, JournalError> {
    let options = Options { compact_bytes_min: 4000, ..Options::seeded(7) };
    Core::open(File::on("the disk", disk.clone()), registry(), options)
}

/// One batch of a few random changes.
fn change(core: &mut Core, chance: &mut Chance) {
    for _ in 0..=chance.below(5) {
        let name = key::<Subnet>(&format!("s{}", chance.below(12)));
        let free = u32::try_from(chance.below(1000)).unwrap();
        stage(core, |tx| match free % 4 {
            0 => tx.remove(&name),
            _ => tx.set(&name, None, Subnet { free, ..subnet("v") }),
        });
    }
}

/// What a run of the store knew when it ended: every state that it tried to commit, by revision, and the last one that
/// was acknowledged.
struct History {
    tried: BTreeMap<u64, State>,
    acknowledged: u64,
}

/// Commits until the power fails or a few dozen batches are in.
fn run_until_power_fails(core: &mut Core, disk: &Disk, chance: &mut Chance, history: &mut History) {
    for _ in 0..40 {
        change(core, chance);
        let attempt = core.head().list(Index::<Subnet>::all());
        let attempt = attempt.into_iter().map(|record| (record.key.name().to_owned(), record.body.free)).collect();
        history.tried.insert(history.acknowledged + 1, attempt);
        match core.commit() {
            Ok(Some(commit)) => history.acknowledged = commit.revision,
            Ok(None) => {}
            Err(_) => break,
        }
        core.tidy();
        if disk.is_off() {
            break;
        }
    }
}

#[test]
fn whatever_was_acknowledged_survives_power_failures_and_kills_and_nothing_is_half_there() {
    let mut failures = 0;
    let mut unacknowledged_survived = 0;
    for seed in 0..SEEDS {
        let mut chance = Chance(seed);
        let disk = Disk::new(seed);
        let mut history = History { tried: BTreeMap::from([(0, State::new())]), acknowledged: 0 };
        for _ in 0..4 {
            // It may happen at any operation, those of opening and closing included.
            disk.fail_after(chance.below(90));
            if let Ok(mut core) = open_on(&disk) {
                run_until_power_fails(&mut core, &disk, &mut chance, &mut history);
            }
            failures += usize::from(disk.is_off());
            if chance.one_in(3) {
                disk.restart()
            } else {
                disk.power_cycle()
            }
            let core = open_on(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let revision = core.view().revision();
            assert!(revision >= history.acknowledged, "seed {seed}: {revision} of {} batches", history.acknowledged);
            assert_eq!(Some(&state(&core)), history.tried.get(&revision), "seed {seed} at revision {revision}");
            unacknowledged_survived += usize::from(revision > history.acknowledged);
            history.acknowledged = revision;
        }
    }
    assert!(failures > 500, "the test means something: {failures} failures");
    assert!(unacknowledged_survived > 5, "also between durable and acknowledged: {unacknowledged_survived}");
}

#[test]
fn after_a_failed_sync_the_store_halts_and_a_restart_finds_a_whole_state() {
    for seed in 0..50 {
        let mut chance = Chance(seed);
        let disk = Disk::new(seed);
        let mut core = open_on(&disk).unwrap();
        change(&mut core, &mut chance);
        core.commit().unwrap();
        let before = state(&core);
        commit_nothing_on_failing_disk(&mut core, &disk);
        drop(core);
        disk.power_cycle();
        let core = open_on(&disk).unwrap();
        let mut with_new = before.clone();
        with_new.insert("new".to_owned(), 1);
        assert!([before, with_new].contains(&state(&core)), "seed {seed}");
    }
}

#[test]
fn what_a_restart_finds_after_a_failed_sync_survives_the_next_power_failure() {
    let mut found = 0;
    for seed in 0..50 {
        let mut chance = Chance(seed);
        let disk = Disk::new(seed);
        let mut core = open_on(&disk).unwrap();
        change(&mut core, &mut chance);
        core.commit().unwrap();
        commit_nothing_on_failing_disk(&mut core, &disk);
        drop(core);
        disk.restart();
        let shown = state(&open_on(&disk).unwrap());
        found += usize::from(shown.contains_key("new"));
        disk.power_cycle();
        assert_eq!(state(&open_on(&disk).unwrap()), shown, "seed {seed}");
    }
    assert!(found > 25, "the test means something: the page cache had it {found} times");
}

fn commit_nothing_on_failing_disk(core: &mut Core, disk: &Disk) {
    disk.fail_syncs();
    let before = state(core);
    stage(core, |tx| tx.set(&key("new"), None, Subnet { free: 1, ..subnet("v") }));
    let refused = core.commit().unwrap_err();
    assert!(refused.to_string().contains("takes no more writes"), "{refused}");
    assert!(core.commit().is_err());
    assert_eq!(state(core), before);
}

fn open_in(directory: &Path) -> Result<Core, JournalError> {
    File::open(directory).and_then(|file| Core::open(file, registry(), Options::seeded(7)))
}

#[test]
fn a_data_directory_keeps_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("made/on/demand");
    commit(&mut open_in(&at).unwrap(), |tx| tx.create(key("a"), None, subnet("v")));
    let core = open_in(&at).unwrap();
    assert_eq!(names(&core.view().list(Index::<Subnet>::all())), ["a"]);
}

#[test]
fn a_journal_whose_making_was_interrupted_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let begun = directory.path().join("journal.log.new");
    fs::write(&begun, [0; 5000]).unwrap();
    commit(&mut open_in(directory.path()).unwrap(), |tx| tx.create(key("a"), None, subnet("v")));
    assert_eq!(open_in(directory.path()).unwrap().view().revision(), 1);
    assert!(!begun.exists());
}

#[test]
fn a_journal_of_an_earlier_version_is_refused_and_none_is_begun_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("journal.redb"), "redb").unwrap();
    let refused = open_in(directory.path()).err().unwrap().to_string();
    assert!(refused.contains("journal.redb was written by an earlier version"), "{refused}");
    assert!(!directory.path().join("journal.log").exists());
}

#[test]
fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = open_in(directory.path()).unwrap();
    let refused = open_in(directory.path()).err().unwrap().to_string();
    assert!(refused.contains(&format!("in use by pid {}", std::process::id())), "{refused}");
    drop(first);
    open_in(directory.path()).unwrap();
}

#[test]
fn a_flipped_bit_in_the_file_is_refused_or_did_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open_in(directory.path()).unwrap();
    for n in 0..5 {
        commit(&mut core, |tx| tx.set(&key(&format!("s{n}")), None, subnet("v")));
    }
    let expected = state(&core);
    drop(core);
    let path = directory.path().join("journal.log");
    let whole = fs::read(&path).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut chance = Chance(1);
    let mut refused = 0;
    // All of the first frame's head, and anywhere, the room behind the last frame among it.
    let head = (0..SECTOR + 64).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let anywhere = (0..600).map(|_| (chance.below(written + 2 * SECTOR), chance.below(8)));
    for (at, bit) in head.chain(anywhere) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << bit;
        fs::write(&path, &damaged).unwrap();
        match open_in(directory.path()) {
            Ok(core) => assert_eq!((core.view().revision(), state(&core)), (5, expected.clone()), "byte {at}"),
            Err(JournalError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
        assert!(fs::read(&path).unwrap() == damaged, "a journal is never changed by being opened");
        fs::write(&path, &whole).unwrap();
    }
    assert!(refused > 4000, "the test means something: {refused} refusals");
    assert_eq!(state(&open_in(directory.path()).unwrap()), expected);
}

/// Where the frames of the journal in this directory begin, by the mark that each begins with.
fn frames(file: &[u8]) -> Vec<usize> {
    (0..file.len()).step_by(SECTOR).filter(|at| file[*at..].starts_with(b"\x89frame")).collect()
}

#[test]
fn a_last_frame_that_was_cut_short_is_as_if_never_written_unless_it_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open_in(directory.path()).unwrap();
    (0..5).for_each(|n| commit(&mut core, |tx| tx.set(&key(&format!("s{n}")), None, subnet("v"))));
    drop(core);
    let path = directory.path().join("journal.log");
    let whole = fs::read(&path).unwrap();
    let last = *frames(&whole).last().unwrap();
    let cut = [&whole[..last + 100], &vec![0; whole.len() - last - 100]].concat();
    fs::write(&path, &cut).unwrap();
    let refused = open_in(directory.path()).err().unwrap().to_string();
    assert!(refused.contains("batch 5: it was acknowledged, but the chain ends at 4"), "{refused}");

    // After a power failure what was noted of acknowledged batches may be older, or lost.
    fs::remove_file(directory.path().join("acknowledged")).unwrap();
    let mut core = open_in(directory.path()).unwrap();
    assert_eq!(core.view().revision(), 4);
    commit(&mut core, |tx| tx.set(&key("again"), None, subnet("v")));
    drop(core);
    let core = open_in(directory.path()).unwrap();
    assert_eq!((core.view().revision(), state(&core).contains_key("again")), (5, true));
}

#[test]
fn what_was_there_when_a_journal_was_opened_is_missed_if_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open_in(directory.path()).unwrap();
    let note = directory.path().join("acknowledged");
    let mut older = None;
    for n in 0..5 {
        commit(&mut core, |tx| tx.set(&key(&format!("s{n}")), None, subnet("v")));
        older.get_or_insert_with(|| fs::read(&note).unwrap());
    }
    drop(core);
    fs::write(&note, older.unwrap()).unwrap();
    let path = directory.path().join("journal.log");
    let whole = fs::read(&path).unwrap();
    let cut = &whole[..frames(&whole)[4]];
    fs::write(&path, cut).unwrap();
    assert_eq!(open_in(directory.path()).unwrap().view().revision(), 3, "the note says 1");
    fs::write(&path, &whole[..frames(&whole)[2]]).unwrap();
    let refused = open_in(directory.path()).err().unwrap().to_string();
    assert!(refused.contains("batch 3: it was acknowledged, but the chain ends at 1"), "{refused}");
    fs::write(&path, &whole).unwrap();
    assert_eq!(open_in(directory.path()).unwrap().view().revision(), 5);
    fs::write(&path, cut).unwrap();
    assert!(open_in(directory.path()).is_err(), "it was seen to have five");
}

#[test]
fn damage_before_the_last_frame_is_never_taken_for_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open_in(directory.path()).unwrap();
    (0..5).for_each(|n| commit(&mut core, |tx| tx.set(&key(&format!("s{n}")), None, subnet("v"))));
    drop(core);
    fs::remove_file(directory.path().join("acknowledged")).unwrap();
    let path = directory.path().join("journal.log");
    let whole = fs::read(&path).unwrap();
    let begins = frames(&whole);
    assert_eq!(begins.len(), 6, "a snapshot and five batches");
    for pair in begins.windows(2) {
        let mut damaged = whole.clone();
        damaged[pair[0]..pair[1]].fill(0);
        fs::write(&path, &damaged).unwrap();
        let refused = open_in(directory.path()).err().unwrap().to_string();
        let place = format!("at byte {}: no frame is whole there, but one is at byte {}", pair[0], pair[1]);
        assert!(refused.contains(&place), "{refused}");
    }
}

#[test]
fn a_file_that_ends_in_the_filling_of_its_last_frame_has_lost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open_in(directory.path()).unwrap();
    commit(&mut core, |tx| tx.create(key("a"), None, subnet("v")));
    drop(core);
    let path = directory.path().join("journal.log");
    let mut file = fs::read(&path).unwrap();
    file.truncate(file.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    assert!(!file.len().is_multiple_of(SECTOR), "the test means something");
    fs::write(&path, file).unwrap();
    let mut core = open_in(directory.path()).unwrap();
    assert_eq!(core.view().revision(), 1);
    commit(&mut core, |tx| tx.create(key("b"), None, subnet("v")));
    drop(core);
    assert_eq!(names(&open_in(directory.path()).unwrap().view().list(Index::<Subnet>::all())), ["a", "b"]);
}

#[test]
fn a_journal_that_lost_everything_is_damaged_and_not_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_in(directory.path()).unwrap());
    let path = directory.path().join("journal.log");
    let whole = fs::read(&path).unwrap();
    let emptied = [&whole[..SECTOR], &vec![0; whole.len() - SECTOR]].concat();
    for (left, place) in [(&emptied[..0], "byte 0:"), (&emptied[..SECTOR], "byte 512:"), (&emptied, "byte 512:")] {
        fs::write(&path, left).unwrap();
        let refused = open_in(directory.path()).err().unwrap().to_string();
        assert!(refused.contains(&format!("is damaged at {place}")), "{refused}");
        assert!(fs::read(&path).unwrap() == left);
    }
}

#[test]
fn the_file_has_room_beforehand_and_goes_on_where_that_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.log");
    let length = || fs::metadata(&path).unwrap().len();
    let mut core = open_in(directory.path()).unwrap();
    let (mut lengths, mut expected) = (std::collections::BTreeSet::from([length()]), State::new());
    for n in 0..60 {
        let tags = vec!["x".repeat(20_000)];
        commit(&mut core, |tx| tx.set(&key(&format!("s{n}")), None, Subnet { tags, free: n, ..subnet("v") }));
        expected.insert(format!("s{n}"), n);
        lengths.insert(length());
    }
    assert!((4..8).contains(&lengths.len()), "it grew some times, not each time: {lengths:?}");
    drop(core);
    assert_eq!(state(&open_in(directory.path()).unwrap()), expected);
}

#[test]
fn a_compaction_that_there_is_no_room_for_is_put_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.log");
    let begun = directory.path().join("journal.log.new");
    let options = Options { compact_bytes_min: 4000, ..Options::seeded(7) };
    let mut core = Core::open(File::open(directory.path()).unwrap(), registry(), options).unwrap();
    let (mut batches, mut tried) = (0, 0);
    let mut grow = |core: &mut Core| {
        batches += 1;
        commit(core, |tx| tx.set(&key("a"), None, Subnet { free: batches, ..subnet("v") }));
        frames(&fs::read(&path).unwrap()).len()
    };
    let mut before = grow(&mut core);
    // Whoever writes there finds the disk full. A link that is gone was tried.
    std::os::unix::fs::symlink("/dev/full", &begun).unwrap();
    while tried < 3 {
        let after = grow(&mut core);
        assert_eq!(after, before + 1, "nothing is lost and nothing is compacted");
        before = after;
        if !begun.is_symlink() {
            tried += 1;
            std::os::unix::fs::symlink("/dev/full", &begun).unwrap();
        }
    }
    assert!((60..200).contains(&before), "each time the journal is twice as long: {before} frames");
    fs::remove_file(&begun).unwrap();
    while grow(&mut core) > 2 {}
    assert!(!begun.exists() && core.halted().is_none());
    let expected = state(&core);
    drop(core);
    assert_eq!(state(&open_in(directory.path()).unwrap()), expected);
}
