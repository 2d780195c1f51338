use super::*;
use crate::planner::{Next, Planner};
use roadstead_store::journal::{Journal, JournalError, Memory, Stored};
use roadstead_store::{Index, Key, Object, Options, Read, Record, Registry};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// An order, and whether the planner took note of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
    noted: bool,
}

impl Object for Order {
    const KIND: &'static str = "test/order";
}

/// Takes note of an order, with number 13 only after 20 ms and with number 666 not at all.
struct TakesNote;

impl Planner for TakesNote {
    type Object = Order;
    const NAME: &'static str = "test/order/takes-note";

    fn plan(&self, mut object: Record<Order>, tx: &mut Tx) -> Next {
        assert!(object.body.number != 666, "that number");
        if object.body.number == 13 && tx.now().since(object.created) < Millis(20) {
            return Next::after(Millis(20), "waits a little");
        }
        object.body.noted = true;
        tx.put(object);
        Next::settled("noted")
    }
}

fn region_on(journal: Memory) -> Region {
    region_with(journal, Options::seeded(1))
}

fn region_with(journal: impl Journal, options: Options) -> Region {
    let mut registry = Registry::new();
    registry.add::<Order>();
    let mut planners = Planners::new();
    planners.add(TakesNote);
    Region::new(Core::open(journal, registry, options).unwrap(), planners)
}

fn order(name: &str) -> Key<Order> {
    Key::new(name)
}

fn place(name: &str, number: u64) -> impl FnOnce(&mut Tx) -> Result<u64, String> + Send + use<> {
    let key = order(name);
    move |tx| {
        if tx.get(&key).is_some() {
            return Err(format!("{key} exists"));
        }
        tx.create(key, None, Order { number, noted: false });
        Ok(number)
    }
}

/// Where answers arrive.
type Answers = Arc<Mutex<Vec<Result<u64, WriteError<String>>>>>;

fn into(answers: &Answers) -> impl FnOnce(Result<u64, WriteError<String>>) + Send + use<> {
    let answers = answers.clone();
    move |answer| answers.lock().unwrap().push(answer)
}

fn take(answers: &Answers) -> Vec<Result<u64, WriteError<String>>> {
    std::mem::take(&mut *answers.lock().unwrap())
}

#[test]
fn work_and_the_plans_that_it_wakes_are_one_batch_and_answered_after_it() {
    let mut region = region_on(Memory::new());
    let answers = Answers::default();
    region.submit(place("a", 1), into(&answers));
    region.submit(place("b", 2), into(&answers));
    assert!(take(&answers).is_empty(), "nothing happens before the turn");
    let at_commit = answers.clone();
    region.on_commit(move |commit| {
        assert!(commit.view.get(&order("a")).unwrap().body.noted);
        assert!(take(&at_commit).is_empty(), "nobody is answered before the batch is published");
    });
    let turn = region.turn(Millis(5)).unwrap();
    let commit = turn.commit.unwrap();
    assert_eq!((commit.revision, commit.changes.len(), turn.next_wake), (1, 2, None));
    assert_eq!(take(&answers), [Ok(1), Ok(2)]);
    assert_eq!(region.view().revision(), 1);
}

#[test]
fn refused_and_panicking_work_changes_nothing_and_harms_nobody() {
    let mut region = region_on(Memory::new());
    let answers = Answers::default();
    let panics = |tx: &mut Tx| -> Result<u64, String> {
        tx.create(order("half"), None, Order::default());
        panic!("lost the thread")
    };
    region.submit(place("a", 1), into(&answers));
    region.submit(place("a", 2), into(&answers));
    region.submit(panics, into(&answers));
    region.submit(place("b", 3), into(&answers));
    region.turn(Millis(5)).unwrap();
    let refused = Err(WriteError::Refused("test/order/a exists".to_owned()));
    let panicked = Err(WriteError::Panicked("lost the thread".to_owned()));
    assert_eq!(take(&answers), [Ok(1), refused, panicked, Ok(3)]);
    assert_eq!(region.view().list(Index::<Order>::all()).len(), 2);
}

#[test]
fn what_a_turn_leaves_over_is_done_by_the_next() {
    let mut region = region_on(Memory::new());
    region.limit(Limits { jobs: 2, plans: 1 });
    let answers = Answers::default();
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        region.submit(place(name, number), into(&answers));
    }
    let turn = region.turn(Millis(5)).unwrap();
    assert_eq!((take(&answers).len(), turn.plans, turn.next_wake), (2, 1, Some(Millis(5))));
    let mut turns = 1;
    while region.turn(Millis(5)).unwrap().next_wake.is_some() {
        turns += 1;
    }
    assert!(region.view().list(Index::<Order>::all()).iter().all(|order| order.body.noted));
    assert_eq!((take(&answers).len(), turns), (1, 5), "three orders, each planned twice, one plan per turn");
}

#[test]
fn when_the_journal_fails_everybody_is_told_and_nothing_more_is_taken() {
    let journal = Memory::new();
    let mut region = region_on(journal.clone());
    let answers = Answers::default();
    region.submit(place("a", 1), into(&answers));
    journal.fail(true);
    assert!(region.turn(Millis(5)).is_err());
    journal.fail(false);
    region.submit(place("b", 2), into(&answers));
    assert!(region.turn(Millis(6)).is_err());
    let told = take(&answers);
    assert!(told.iter().all(|answer| matches!(answer, Err(WriteError::Stopped(_)))) && told.len() == 2, "{told:?}");
    assert!(region.view().get(&order("a")).is_none());

    let mut restarted = region_on(journal);
    restarted.submit(place("b", 2), into(&answers));
    restarted.turn(Millis(7)).unwrap();
    assert_eq!(take(&answers), [Ok(2)]);
}

#[test]
fn a_restarted_region_plans_everything_again() {
    let journal = Memory::new();
    let mut region = region_on(journal.clone());
    region.submit(place("late", 13), |_| {});
    let turn = region.turn(Millis(5)).unwrap();
    assert_eq!(turn.next_wake, Some(Millis(25)));
    drop(region);

    let mut restarted = region_on(journal);
    assert_eq!(restarted.turn(Millis(10)).unwrap().next_wake, Some(Millis(30)));
    let [explanation] = restarted.explain(&order("late").any()).try_into().unwrap();
    assert_eq!((explanation.why.to_string().as_str(), explanation.wakes), ("waits a little", Some(Millis(30))));
    assert_eq!(explanation.reads.iter().map(ToString::to_string).collect::<Vec<_>>(), ["test/order/late"]);
    restarted.turn(Millis(30)).unwrap();
    assert!(restarted.view().get(&order("late")).unwrap().body.noted);
}

#[test]
fn a_planner_that_panics_stops_neither_the_turn_nor_the_answers() {
    let mut region = region_on(Memory::new());
    let answers = Answers::default();
    region.submit(place("bad", 666), into(&answers));
    region.submit(place("good", 1), into(&answers));
    let turn = region.turn(Millis(5)).unwrap();
    assert_eq!((take(&answers).len(), turn.next_wake), (2, Some(Millis(105))));
    assert!(region.view().get(&order("good")).unwrap().body.noted);
    assert_eq!(region.troubled()[0].trouble.as_deref(), Some("panicked: that number"));
}

/// A real clock that starts at 1 s.
#[expect(clippy::disallowed_methods, reason = "the handle is what brings real time in")]
fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || Millis(1000 + u64::try_from(start.elapsed().as_millis()).unwrap()))
}

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_write_is_answered_when_the_view_shows_it() {
    let (handle, _running) = Handle::start(region_on(Memory::new()), clock());
    let (tell, told) = mpsc::channel();
    let seen_by = handle.clone();
    handle.write(place("a", 1), move |answer| {
        tell.send((answer, seen_by.view().get(&order("a")).is_some())).unwrap();
    });
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (Ok(1), true));
}

#[test]
fn a_write_is_answered_before_subscribers_hear_of_it() {
    let (handle, _running) = Handle::start(region_on(Memory::new()), clock());
    let (tell, told) = mpsc::channel();
    let answered = tell.clone();
    let tell = Mutex::new(tell);
    handle.subscribe(Box::new(move |commit| tell.lock().unwrap().send(format!("{:?}", commit.view)).unwrap()));
    handle.write(place("a", 1), move |answer| answered.send(format!("{answer:?}")).unwrap());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "Ok(1)");
    assert!(told.recv_timeout(PATIENCE).unwrap().starts_with("View(revision 1,"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "callers come from many threads")]
fn what_arrives_together_is_committed_together_and_subscribers_see_every_batch_in_order() {
    let (handle, running) = Handle::start(region_on(Memory::new()), clock());
    let (commits, committed) = mpsc::channel();
    let commits = Mutex::new(commits);
    handle.subscribe(Box::new(move |commit| commits.lock().unwrap().send(commit.clone()).unwrap()));
    // Holds the writer up, so that all others arrive meanwhile.
    let (release, released) = mpsc::channel::<()>();
    handle.write(move |_| released.recv_timeout(PATIENCE).map_err(|e| e.to_string()), |_| {});
    let writers = (0..4).map(|t| {
        let handle = handle.clone();
        let place_all = move || {
            (0..50).for_each(|n| handle.write(place(&format!("{t}/{n}"), 1), |answer| assert_eq!(answer, Ok(1))));
        };
        std::thread::spawn(place_all)
    });
    let threads: Vec<_> = writers.collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    release.send(()).unwrap();
    running.stop();

    let batches: Vec<Arc<Commit>> = committed.try_iter().collect();
    let revisions: Vec<u64> = batches.iter().map(|commit| commit.revision).collect();
    assert!(batches.len() <= 3, "200 writes and 400 plans in batches {revisions:?}");
    assert!(revisions.iter().copied().eq(1..=batches.len() as u64));
    assert_eq!(handle.view().list(Index::<Order>::prefix("")).len(), 200);
}

#[test]
fn a_plan_that_waits_for_a_time_runs_without_anybody_asking() {
    let (handle, _running) = Handle::start(region_on(Memory::new()), clock());
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    handle.subscribe(Box::new(move |commit| {
        if commit.view.get(&order("late")).is_some_and(|order| order.body.noted) {
            tell.lock().unwrap().send(()).unwrap();
        }
    }));
    handle.write(place("late", 13), |_| {});
    told.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_stopped_region_has_done_what_was_queued_and_refuses_what_comes_after() {
    let journal = Memory::new();
    let (handle, running) = Handle::start(region_on(journal.clone()), clock());
    let answers = Answers::default();
    for n in 0..100 {
        handle.write(place(&n.to_string(), n), into(&answers));
    }
    running.stop();
    assert_eq!(take(&answers).iter().filter(|answer| answer.is_ok()).count(), 100);
    handle.write(place("after", 1), into(&answers));
    assert_eq!(take(&answers), [Err(WriteError::Stopped("the region was stopped".to_owned()))]);
    handle.ask(|_| panic!("nobody is there to answer"));
    assert_eq!(region_on(journal).view().list(Index::<Order>::all()).len(), 100);
}

#[test]
fn a_question_is_answered_on_the_writers_thread_after_earlier_writes() {
    let (handle, _running) = Handle::start(region_on(Memory::new()), clock());
    let (tell, told) = mpsc::channel();
    handle.write(place("a", 1), |_| {});
    handle.ask(move |region| tell.send(region.explain(&order("a").any())).unwrap());
    let explanations = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(explanations[0].why.to_string(), "noted");
}

#[test]
fn a_handle_tells_when_the_journal_has_failed() {
    let journal = Memory::new();
    let (handle, running) = Handle::start(region_on(journal.clone()), clock());
    journal.fail(true);
    let (tell, told) = mpsc::channel();
    handle.write(place("a", 1), move |answer| tell.send(answer).unwrap());
    assert!(matches!(told.recv_timeout(PATIENCE).unwrap(), Err(WriteError::Stopped(_))));
    let why = running.wait();
    assert!(why.contains("takes no more writes: can't write"), "{why}");
    assert_eq!(handle.stopped(), Some(why));
}

/// A journal that was made and can't be compacted. It tells when that is tried.
struct Uncompactable(Memory, mpsc::Sender<&'static str>);

impl Journal for Uncompactable {
    fn name(&self) -> String {
        self.0.name()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        self.0.load()
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        self.0.append(seq, frame)
    }

    fn note(&mut self, seq: u64) {
        self.0.note(seq);
    }

    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        if self.0.stored().snapshot.is_empty() {
            return self.0.compact(parts);
        }
        self.1.send("compaction").unwrap();
        Err(JournalError::Io { action: "compact", path: self.name(), why: std::io::Error::other("made to fail") })
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the region ends while its caller waits")]
fn a_compaction_that_fails_ends_the_region_at_once_after_its_answers() {
    let options = Options { compact_bytes_min: 1, ..Options::seeded(1) };
    let (tell, told) = mpsc::channel();
    let journal = Uncompactable(Memory::new(), tell.clone());
    let (handle, running) = Handle::start(region_with(journal, options), clock());
    handle.write(place(&"long".repeat(500), 1), move |result| {
        assert_eq!(result, Ok(1), "its batch is durable");
        tell.send("answer").unwrap();
    });
    assert_eq!([told.recv_timeout(PATIENCE), told.recv_timeout(PATIENCE)], [Ok("answer"), Ok("compaction")]);
    let (end, ended) = mpsc::channel();
    std::thread::spawn(move || end.send(running.wait()).unwrap());
    let why = ended.recv_timeout(PATIENCE).unwrap();
    assert!(why.contains("halted after revision 1 and takes no more writes: can't compact"), "{why}");
}

#[test]
fn a_question_that_a_halted_region_never_comes_to_is_dropped() {
    let journal = Memory::new();
    let (handle, _running) = Handle::start(region_on(journal.clone()), clock());
    let (begin, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let write = move |tx: &mut Tx| {
        begin.send(()).unwrap();
        released.recv_timeout(PATIENCE).unwrap();
        place("a", 1)(tx)
    };
    handle.write(write, |_| {});
    begun.recv_timeout(PATIENCE).unwrap();
    let (tell, told) = mpsc::channel::<()>();
    handle.ask(move |_| drop(tell));
    journal.fail(true);
    release.send(()).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert!(handle.stopped().is_some());
}

#[test]
fn subscribers_answers_and_questions_that_panic_stop_nobody() {
    let (handle, running) = Handle::start(region_on(Memory::new()), clock());
    handle.subscribe(Box::new(|_| panic!("a bad subscriber")));
    handle.write(place("a", 1), |_| panic!("a bad answer"));
    handle.ask(|_| panic!("a bad question"));
    let answers = Answers::default();
    handle.write(place("b", 2), into(&answers));
    running.stop();
    assert_eq!(take(&answers), [Ok(2)]);
    assert_eq!(handle.view().list(Index::<Order>::all()).len(), 2);
}

#[test]
fn what_a_turn_left_over_is_done_although_the_clock_was_set_back() {
    let mut region = region_on(Memory::new());
    region.limit(Limits { jobs: 2, plans: 1 });
    // Every look at the clock finds it an hour earlier.
    let now = AtomicU64::new(1_000_000 * 3_600_000);
    let clock = Arc::new(move || Millis(now.fetch_sub(3_600_000, Ordering::Relaxed)));
    let (tell, told) = mpsc::channel();
    let (handle, _running) = Handle::start(region, clock);
    let tell = Mutex::new(tell);
    handle.subscribe(Box::new(move |commit| {
        let orders = commit.view.list(Index::<Order>::all());
        if orders.len() == 3 && orders.iter().all(|order| order.body.noted) {
            // The turns after it say so again.
            let _ = tell.lock().unwrap().send(());
        }
    }));
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        handle.write(place(name, number), |_| {});
    }
    told.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_region_under_a_stopped_clock_still_takes_writes() {
    let now = Arc::new(AtomicU64::new(7));
    let (handle, running) =
        Handle::start(region_on(Memory::new()), Arc::new(move || Millis(now.load(Ordering::Relaxed))));
    handle.write(place("a", 1), |answer| assert_eq!(answer, Ok(1)));
    running.stop();
    assert_eq!(handle.view().get(&order("a")).unwrap().created, Millis(7));
}
