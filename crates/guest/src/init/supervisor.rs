//! What PID 1 decides, without doing any of it: which process starts, waits, is ready, is told to end.
//!
//! ```text
//!            all of `after` ready        says ready            a probe says no, or nothing for a second
//!  Waiting ───────────────────▶ Starting ──────────▶ Ready ◀─────────────────▶ Unready
//!     ▲                            │ ends              │ ends                     │ ends; killed when its liveness
//!     └──────── pause over ──── Backoff ◀──────────────┴──────────────────────────┘ probe had no yes for its patience
//! ```
//! The pause is 0.2 s and doubles to 10 s; the patience doubles, too, with each kill in a row: on a machine on which
//! everything is slow, killing makes it slower.

use crate::Report;
use crate::vigil::{Rhythm, Word};
use roadstead_hostspec::{Probe, Process, ProcessState, ProcessStatus};
use roadstead_types::Millis;

/// The pause before a process that ended starts again; it doubles each time.
const FIRST_PAUSE: Millis = Millis(200);
/// It doubles no further; and after a process that ran so long it is the first one again.
const LONGEST_PAUSE: Millis = Millis::secs(10);
/// A process that worked so long is given the first patience again.
const STEADY: Millis = Millis::mins(1);
/// No process is given longer than this to answer.
const LONGEST_PATIENCE: Millis = Millis::mins(1);
/// From the wish to stop until what still runs is killed. An apiserver whose etcd is gone ignores SIGTERM for a minute.
const GRACE: Millis = Millis::secs(10);
/// What a process is to have done before it ends has so long.
const FAREWELL: Millis = Millis(1500);

/// An instant, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since the Unix epoch: what people are told.
    pub wall: Millis,
    /// Never jumps: what is waited by.
    pub steady: Millis,
}

/// What PID 1 must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Start the process of this index, then say [`Supervisor::started`] or [`Supervisor::ended`].
    Start(usize),
    /// Begin to ask the process of this index whether it is alive, or begin anew.
    Watch(usize),
    /// Run what the process of this index is to have done before it ends, then say [`Supervisor::parted`].
    Part(usize),
    /// Send SIGTERM to the process of this index.
    Terminate(usize),
    /// Send SIGKILL to the process of this index.
    Kill(usize),
    /// Everything has ended or had its time: kill the rest and exit.
    Exit,
}

/// The questions that a process is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// [`Process::ready`].
    Ready,
    /// [`Process::live`].
    Live,
}

/// The processes of a machine.
pub struct Supervisor {
    units: Vec<Unit>,
    /// When to kill what still runs, once asked to stop.
    stop_by: Option<Millis>,
}

struct Unit {
    spec: Process,
    state: ProcessState,
    since: Millis,
    restarts: u32,
    last_exit: Option<String>,
    /// By the steady clock: when it last started.
    started: Millis,
    /// By the steady clock: not before this does it start.
    not_before: Millis,
    pause: Millis,
    farewell: Farewell,
    terminated: bool,
    /// By the steady clock: when it is killed if it has not ended, having been told to.
    kill_by: Option<Millis>,
    /// What its probes said last.
    is_ready: bool,
    is_live: bool,
    /// It is asked whether it is alive.
    watched: bool,
    doom: Doom,
    /// Its work is done: see [`Process::once`].
    is_done: bool,
    /// How often in a row it was killed because it did not answer.
    kills: u32,
}

/// What a process is to have done before it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Ahead,
    /// It is being done, and waited for until then.
    Until(Millis),
    Over,
}

/// Whether a process dies of its silence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doom {
    None,
    Due,
    Done,
}

impl Unit {
    fn new(spec: Process, now: Now) -> Unit {
        Unit {
            spec,
            state: ProcessState::Waiting,
            since: now.wall,
            restarts: 0,
            last_exit: None,
            started: now.steady,
            not_before: now.steady,
            pause: FIRST_PAUSE,
            farewell: Farewell::Ahead,
            terminated: false,
            kill_by: None,
            is_ready: false,
            is_live: true,
            watched: false,
            doom: Doom::None,
            is_done: false,
            kills: 0,
        }
    }

    fn runs(&self) -> bool {
        !self.is_done && matches!(self.state, ProcessState::Starting | ProcessState::Ready | ProcessState::Unready)
    }

    /// A life begins.
    fn begin(&mut self, now: Now) {
        self.started = now.steady;
        (self.is_ready, self.is_live) = (self.spec.ready.is_none(), true);
        (self.terminated, self.kill_by, self.watched, self.doom) = (false, None, false, Doom::None);
        self.farewell = Farewell::Ahead;
    }

    /// The state of one that runs.
    fn judge(&mut self, now: Now) {
        let state = match (self.is_ready && self.is_live, self.state) {
            (true, _) => ProcessState::Ready,
            (false, ProcessState::Ready | ProcessState::Unready) => ProcessState::Unready,
            (false, _) => ProcessState::Starting,
        };
        self.set(state, now);
    }

    /// It is to end. True if there is something to be done before.
    fn part(&mut self, now: Now) -> bool {
        let parts =
            self.farewell == Farewell::Ahead && self.state == ProcessState::Ready && !self.spec.pre_stop.is_empty();
        if parts {
            self.farewell = Farewell::Until(now.steady + FAREWELL);
        }
        parts
    }

    /// It waits for what is done before it ends.
    fn parts(&self, now: Now) -> bool {
        matches!(self.farewell, Farewell::Until(by) if by > now.steady)
    }

    /// When it has worked for so long that what was before counts no more; None: nothing counts, or it does not work now.
    fn steady_by(&self) -> Option<Millis> {
        (self.kills > 0 && self.state == ProcessState::Ready).then(|| self.started + STEADY)
    }

    fn patience(&self) -> Millis {
        let spec = self.spec.live.as_ref().map_or(LONGEST_PATIENCE, |live| live.patience);
        // One that is longer by wish stays so.
        spec.max(LONGEST_PATIENCE.min(Millis(spec.0.saturating_mul(1 << self.kills.min(16)))))
    }

    fn set(&mut self, state: ProcessState, now: Now) {
        if self.state != state {
            (self.state, self.since) = (state, now.wall);
        }
    }
}

impl Supervisor {
    /// None runs yet.
    pub fn new(specs: Vec<Process>, now: Now) -> Supervisor {
        Supervisor { units: specs.into_iter().map(|spec| Unit::new(spec, now)).collect(), stop_by: None }
    }

    /// The spec of a process.
    pub fn spec(&self, index: usize) -> &Process {
        &self.units[index].spec
    }

    /// What must be done now. Ask again after whatever happened, and at [`Supervisor::deadline`].
    pub fn next(&mut self, now: Now) -> Vec<Act> {
        let mut acts = match self.stop_by {
            Some(by) => self.stopping(by, now),
            None => self.starting(now),
        };
        acts.extend(self.watching(now));
        acts
    }

    /// Whom to watch, and who has been silent for too long.
    fn watching(&mut self, now: Now) -> Vec<Act> {
        let mut acts = Vec::new();
        for (index, unit) in self.units.iter_mut().enumerate() {
            if unit.doom == Doom::Due {
                unit.doom = Doom::Done;
                acts.push(Act::Kill(index));
            }
            if unit.steady_by().is_some_and(|by| by <= now.steady) {
                (unit.kills, unit.watched) = (0, false);
            }
            if unit.state == ProcessState::Ready && unit.runs() && unit.spec.live.is_some() && !unit.watched {
                unit.watched = true;
                acts.push(Act::Watch(index));
            }
        }
        acts
    }

    fn starting(&mut self, now: Now) -> Vec<Act> {
        let due = |u: &Unit| !u.runs() && !u.is_done && u.not_before <= now.steady;
        for index in 0..self.units.len() {
            if due(&self.units[index]) && !self.may_start(index) {
                self.units[index].set(ProcessState::Waiting, now);
            }
        }
        (0..self.units.len()).filter(|i| due(&self.units[*i]) && self.may_start(*i)).map(Act::Start).collect()
    }

    fn may_start(&self, index: usize) -> bool {
        self.spec(index)
            .after
            .iter()
            .all(|name| self.units.iter().any(|u| u.spec.name == *name && u.state == ProcessState::Ready))
    }

    /// Ends a process only when all that came after it have ended.
    fn stopping(&mut self, by: Millis, now: Now) -> Vec<Act> {
        if by <= now.steady || !self.units.iter().any(Unit::runs) {
            return vec![Act::Exit];
        }
        let needed = |index: usize| {
            let name = &self.units[index].spec.name;
            self.units.iter().any(|u| u.runs() && u.spec.after.contains(name))
        };
        let ends = |i: &usize| self.units[*i].runs() && !self.units[*i].terminated && !needed(*i);
        let due: Vec<usize> = (0..self.units.len()).filter(ends).collect();
        let parting: Vec<usize> = due.iter().copied().filter(|i| self.units[*i].part(now)).collect();
        let ends: Vec<usize> = due.into_iter().filter(|i| !self.units[*i].parts(now)).collect();
        for index in &ends {
            let unit = &mut self.units[*index];
            (unit.terminated, unit.kill_by) = (true, unit.spec.grace.map(|grace| now.steady + grace));
        }
        let overdue = |i: &usize| self.units[*i].runs() && self.units[*i].kill_by.is_some_and(|by| by <= now.steady);
        let overdue: Vec<usize> = (0..self.units.len()).filter(overdue).collect();
        for index in &overdue {
            self.units[*index].kill_by = None;
        }
        let parting = parting.into_iter().map(Act::Part);
        parting.chain(ends.into_iter().map(Act::Terminate)).chain(overdue.into_iter().map(Act::Kill)).collect()
    }

    /// When [`Supervisor::next`] must be asked again though nothing happened, by the steady clock.
    pub fn deadline(&self, now: Now) -> Option<Millis> {
        let pauses = self.units.iter().filter(|u| !u.runs() && u.not_before > now.steady).map(|u| u.not_before);
        let kills = self.units.iter().filter(|u| u.runs()).filter_map(|u| u.kill_by);
        let farewells = self.units.iter().filter(|u| u.runs() && !u.terminated).filter_map(|u| match u.farewell {
            Farewell::Until(by) => Some(by),
            Farewell::Ahead | Farewell::Over => None,
        });
        match self.stop_by {
            Some(by) => kills.chain(farewells).chain([by]).min(),
            None => pauses.chain(self.units.iter().filter_map(Unit::steady_by)).min(),
        }
    }

    /// A process runs.
    pub fn started(&mut self, index: usize, now: Now) {
        let unit = &mut self.units[index];
        unit.begin(now);
        unit.set(ProcessState::Starting, now);
        unit.judge(now);
    }

    /// What to ask a process, and for how long at most it may owe an answer.
    pub fn probe(&self, index: usize, question: Question) -> Option<(Probe, Rhythm)> {
        let spec = &self.units[index].spec;
        match (question, &spec.ready, &spec.live) {
            (Question::Ready, Some(probe), _) => Some((probe.clone(), Rhythm::Ready)),
            (Question::Live, _, Some(live)) => {
                let rhythm = Rhythm::Live { every: live.every, patience: self.units[index].patience() };
                Some((live.probe.clone(), rhythm))
            }
            _ => None,
        }
    }

    /// What a process was found to be by a question.
    pub fn heard(&mut self, index: usize, question: Question, word: Word, now: Now) {
        let unit = &mut self.units[index];
        if !unit.runs() {
            return;
        }
        match question {
            Question::Ready => unit.is_ready = word == Word::Yes,
            Question::Live => unit.is_live = word == Word::Yes,
        }
        if word == Word::Lost && unit.doom == Doom::None {
            unit.doom = Doom::Due;
        }
        unit.judge(now);
    }

    /// A process ended as one does that has done what it was for.
    pub fn succeeded(&mut self, index: usize, how: String, now: Now) {
        let unit = &mut self.units[index];
        if !unit.spec.once {
            return self.ended(index, how, now);
        }
        (unit.is_done, unit.last_exit) = (true, Some(how));
        unit.set(ProcessState::Ready, now);
    }

    /// A process ended, or did not start.
    pub fn ended(&mut self, index: usize, how: String, now: Now) {
        let unit = &mut self.units[index];
        let killed = unit.doom == Doom::Done;
        let how = match killed {
            true => format!("did not answer its liveness probe for {} s", unit.patience().as_secs_f64()),
            false => how,
        };
        unit.doom = Doom::None;
        if unit.runs() && now.steady.since(unit.started) >= LONGEST_PAUSE {
            unit.pause = FIRST_PAUSE;
        }
        unit.kills += u32::from(killed);
        unit.not_before = now.steady + unit.pause;
        unit.pause = LONGEST_PAUSE.min(unit.pause + unit.pause);
        unit.restarts += 1;
        unit.last_exit = Some(how);
        unit.set(ProcessState::Backoff, now);
    }

    /// What a process was to have done before it ends is done, or can't be.
    pub fn parted(&mut self, index: usize) {
        self.units[index].farewell = Farewell::Over;
    }

    /// Somebody wants the machine to stop.
    pub fn stop(&mut self, now: Now) {
        self.stop_by.get_or_insert(now.steady + GRACE);
    }

    /// What the host is told.
    pub fn report(&self) -> Report {
        let status = |u: &Unit| ProcessStatus {
            name: u.spec.name.clone(),
            state: u.state,
            restarts: u.restarts,
            since: u.since,
            last_exit: u.last_exit.clone(),
        };
        Report { processes: self.units.iter().map(status).collect(), answers: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_hostspec::Liveness;
    use std::collections::BTreeMap;

    fn at(ms: u64) -> Now {
        Now { wall: Millis(1_000_000 + ms), steady: Millis(ms) }
    }

    fn process(name: &str, after: &[&str], probed: bool) -> Process {
        let probe = Probe::Tcp { address: [127, 0, 0, 1].into(), port: 1 };
        Process {
            name: name.into(),
            argv: vec![format!("/{name}")],
            env: BTreeMap::new(),
            after: after.iter().map(|s| (*s).to_owned()).collect(),
            ready: probed.then_some(probe),
            live: None,
            pre_stop: vec![],
            grace: None,
            once: false,
        }
    }

    fn states(s: &Supervisor) -> Vec<ProcessState> {
        s.report().processes.into_iter().map(|p| p.state).collect()
    }

    #[test]
    fn a_process_starts_when_those_it_comes_after_are_ready() {
        let mut s = Supervisor::new(vec![process("kcm", &["api"], false), process("api", &[], true)], at(0));
        assert_eq!(s.next(at(0)), [Act::Start(1)]);
        s.started(1, at(0));
        assert_eq!(s.next(at(1)), []);
        assert_eq!(states(&s), [ProcessState::Waiting, ProcessState::Starting]);
        s.heard(1, Question::Ready, Word::Yes, at(2));
        assert_eq!(s.next(at(2)), [Act::Start(0)]);
        s.started(0, at(2));
        assert_eq!(states(&s), [ProcessState::Ready, ProcessState::Ready]);
        // One that ran stays when what it came after ends, but does not come back without it.
        s.ended(1, "signal 9".into(), at(10));
        assert_eq!(s.next(at(10)), []);
        s.ended(0, "exit status 1".into(), at(11));
        assert_eq!(s.next(at(300)), [Act::Start(1)], "the pause is 200 ms");
        s.started(1, at(300));
        assert_eq!(s.next(at(500)), []);
        assert_eq!(states(&s), [ProcessState::Waiting, ProcessState::Starting]);
    }

    #[test]
    fn what_was_to_be_done_once_is_not_started_again_and_is_waited_for_by_nobody() {
        let once = Process { once: true, ..process("once", &[], false) };
        let mut s = Supervisor::new(vec![once, process("next", &["once"], false), process("a", &[], false)], at(0));
        s.started(0, at(0));
        s.ended(0, "exit status 1".into(), at(1));
        assert_eq!(s.next(at(201)), [Act::Start(0), Act::Start(2)], "it has not done it");
        s.started(0, at(201));
        s.started(2, at(201));
        for index in [0, 2] {
            s.succeeded(index, "exit status 0".into(), at(300));
        }
        assert_eq!(states(&s), [ProcessState::Ready, ProcessState::Waiting, ProcessState::Backoff]);
        assert_eq!(s.next(at(5000)), [Act::Start(1), Act::Start(2)], "the others' work has no end");
        s.stop(at(5000));
        assert_eq!(s.next(at(5000)), [Act::Exit], "nothing runs");
    }

    #[test]
    fn pauses_double_up_to_ten_seconds_and_start_over_after_a_process_that_ran_as_long() {
        let mut s = Supervisor::new(vec![process("a", &[], false)], at(0));
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(s.next(at(now)), [Act::Start(0)]);
            s.started(0, at(now));
            s.ended(0, "exit status 1".into(), at(now));
            let due = s.deadline(at(now)).unwrap().0;
            assert_eq!(s.next(at(due - 1)), []);
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        s.started(0, at(now));
        s.ended(0, "exit status 1".into(), at(now + 10_000));
        assert_eq!(s.deadline(at(now + 10_000)).unwrap().0, now + 10_200);
        assert_eq!(s.report().processes[0].restarts, 9);
    }

    #[test]
    fn what_a_process_is_to_have_done_before_it_ends_is_waited_for() {
        let parting = |parted: Option<u64>| {
            let mut spec = process("etcd", &[], false);
            spec.pre_stop = vec!["/bye".into()];
            let mut s = Supervisor::new(vec![spec], at(0));
            assert_eq!(s.next(at(0)), [Act::Start(0)]);
            s.started(0, at(0));
            s.stop(at(100));
            assert_eq!(s.next(at(100)), [Act::Part(0)]);
            assert_eq!((s.next(at(101)), s.deadline(at(101))), (vec![], Some(Millis(1600))));
            if let Some(when) = parted {
                s.parted(0);
                assert_eq!(s.next(at(when)), [Act::Terminate(0)]);
            }
            s
        };
        parting(Some(300));
        let mut slow = parting(None);
        assert_eq!(slow.next(at(1599)), []);
        assert_eq!(slow.next(at(1600)), [Act::Terminate(0)]);
        slow.parted(0);
        assert_eq!(slow.next(at(1601)), []);
        slow.ended(0, "signal 15".into(), at(1602));
        assert_eq!(slow.next(at(1602)), [Act::Exit]);
        let mut gone = parting(None);
        gone.ended(0, "signal 9".into(), at(200));
        assert_eq!(gone.next(at(200)), [Act::Exit], "nobody is left to part from");
    }

    #[test]
    fn a_process_that_has_a_grace_is_killed_after_it() {
        let mut spec = process("etcd", &[], false);
        spec.grace = Some(Millis(500));
        let mut s = Supervisor::new(vec![spec], at(0));
        assert_eq!(s.next(at(0)), [Act::Start(0)]);
        s.started(0, at(0));
        s.stop(at(100));
        assert_eq!(s.next(at(100)), [Act::Terminate(0)]);
        assert_eq!(s.deadline(at(100)), Some(Millis(600)));
        assert_eq!(s.next(at(599)), []);
        assert_eq!(s.next(at(600)), [Act::Kill(0)]);
        assert_eq!((s.next(at(601)), s.deadline(at(601))), (vec![], Some(Millis(10_100))));
        s.ended(0, "signal 9".into(), at(602));
        assert_eq!(s.next(at(602)), [Act::Exit]);
    }

    /// A process that is probed for both, started and ready.
    fn watched() -> Supervisor {
        let mut spec = process("etcd", &[], true);
        spec.live = Some(Liveness::of(Probe::Tcp { address: [127, 0, 0, 1].into(), port: 2 }));
        let mut s = Supervisor::new(vec![spec], at(0));
        start(&mut s, 0);
        s
    }

    fn start(s: &mut Supervisor, now: u64) {
        assert_eq!(s.next(at(now)), [Act::Start(0)]);
        s.started(0, at(now));
        assert_eq!(s.next(at(now)), [], "nobody asks a process that starts whether it is alive");
        s.heard(0, Question::Ready, Word::Yes, at(now));
        assert_eq!(s.next(at(now)), [Act::Watch(0)]);
        assert_eq!(s.next(at(now)), []);
    }

    #[test]
    fn a_process_is_ready_while_both_of_its_probes_say_yes() {
        use {ProcessState::Ready, ProcessState::Starting, ProcessState::Unready, Word::No, Word::Yes};
        let mut s = watched();
        for (n, (question, word, state)) in [
            (Question::Live, Yes, Ready),
            (Question::Live, No, Unready),
            (Question::Ready, No, Unready),
            (Question::Live, Yes, Unready),
            (Question::Ready, Yes, Ready),
            (Question::Ready, No, Unready),
            (Question::Ready, Yes, Ready),
        ]
        .into_iter()
        .enumerate()
        {
            s.heard(0, question, word, at(n as u64));
            assert_eq!(states(&s), [state], "after step {n}");
            assert_eq!(s.next(at(n as u64)), []);
        }
        let mut s = Supervisor::new(vec![process("etcd", &[], true)], at(0));
        s.started(0, at(0));
        s.heard(0, Question::Ready, No, at(1));
        assert_eq!(states(&s), [Starting], "it never was ready");
    }

    #[test]
    fn a_silent_process_is_killed_once_and_each_time_given_longer() {
        let mut s = watched();
        let mut now = 0;
        for patience in [5, 10, 20, 40, 60, 60] {
            let (_, rhythm) = s.probe(0, Question::Live).unwrap();
            assert_eq!(rhythm, Rhythm::Live { every: Millis::secs(1), patience: Millis::secs(patience) });
            s.heard(0, Question::Live, Word::Lost, at(now));
            assert_eq!(s.next(at(now)), [Act::Kill(0)]);
            s.heard(0, Question::Live, Word::Lost, at(now));
            assert_eq!(s.next(at(now)), [], "once is enough");
            assert_eq!(states(&s), [ProcessState::Unready], "until it is gone");
            s.ended(0, "signal 9".into(), at(now));
            let status = &s.report().processes[0];
            assert_eq!(status.last_exit, Some(format!("did not answer its liveness probe for {patience} s")));
            assert_eq!(status.state, ProcessState::Backoff);
            now = s.deadline(at(now)).unwrap().0;
            start(&mut s, now);
        }
        // It works for a minute.
        assert_eq!(s.next(at(now + 59_999)), []);
        assert_eq!(s.deadline(at(now + 59_999)), Some(Millis(now + 60_000)));
        assert_eq!(s.next(at(now + 60_000)), [Act::Watch(0)]);
        let (_, rhythm) = s.probe(0, Question::Live).unwrap();
        assert_eq!(rhythm, Rhythm::Live { every: Millis::secs(1), patience: Millis::secs(5) });
        assert_eq!((s.next(at(now + 60_001)), s.deadline(at(now + 60_001))), (vec![], None));
    }

    #[test]
    fn a_silent_process_does_not_hold_up_a_stop() {
        let mut s = watched();
        s.stop(at(0));
        assert_eq!(s.next(at(0)), [Act::Terminate(0)]);
        s.heard(0, Question::Live, Word::Lost, at(5000));
        assert_eq!(s.next(at(5000)), [Act::Kill(0)]);
        s.ended(0, "signal 9".into(), at(5000));
        assert_eq!(s.next(at(5000)), [Act::Exit]);
        s.heard(0, Question::Live, Word::Lost, at(5001));
        assert_eq!(states(&s), [ProcessState::Backoff], "a late word is about nobody");
    }

    #[test]
    fn stop_goes_against_the_order_and_ends_after_ten_seconds() {
        let specs = vec![
            process("api", &[], false),
            process("kcm", &["api"], false),
            process("kube-scheduler", &["api"], false),
        ];
        let mut s = Supervisor::new(specs, at(0));
        assert_eq!(s.next(at(0)), [Act::Start(0)]);
        s.started(0, at(0));
        assert_eq!(s.next(at(0)), [Act::Start(1), Act::Start(2)]);
        (1..3).for_each(|i| s.started(i, at(0)));
        s.stop(at(100));
        assert_eq!(s.next(at(100)), [Act::Terminate(1), Act::Terminate(2)]);
        assert_eq!(s.next(at(101)), []);
        s.ended(1, "exit status 0".into(), at(200));
        assert_eq!(s.next(at(200)), []);
        s.ended(2, "exit status 0".into(), at(300));
        assert_eq!(s.next(at(300)), [Act::Terminate(0)]);
        s.stop(at(5000));
        assert_eq!(s.deadline(at(400)), Some(Millis(10_100)), "asking twice gives no longer");
        assert_eq!(s.next(at(10_100)), [Act::Exit]);
        s.ended(0, "signal 15".into(), at(10_100));
        assert_eq!(s.next(at(400)), [Act::Exit]);
    }
}
