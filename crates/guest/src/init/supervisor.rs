//! What PID 1 decides, without doing any of it: which process starts, waits, is ready, is told to end.
//!
//! ```text
//!            all of `after` ready       probe succeeds
//!  Waiting ───────────────────▶ Starting ───────────▶ Ready
//!     ▲                            │ ends               │ ends
//!     └──────── pause over ──── Backoff ◀───────────────┘      pause: 0.2 s, doubling to 10 s
//! ```

use crate::Report;
use roadstead_hostspec::{Process, ProcessState, ProcessStatus};
use roadstead_types::Millis;

/// The pause before a process that ended starts again; it doubles each time.
const FIRST_PAUSE: Millis = Millis(200);
/// It doubles no further.
const LONGEST_PAUSE: Millis = Millis::secs(10);
/// A process that ran so long has earned a first pause again.
const STEADY: Millis = Millis::mins(1);
/// From the wish to stop until what still runs is killed. An apiserver whose etcd is gone ignores SIGTERM for a minute.
const GRACE: Millis = Millis::secs(10);

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
    /// Send SIGTERM to the process of this index.
    Terminate(usize),
    /// Everything has ended or had its time: kill the rest and exit.
    Exit,
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
    terminated: bool,
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
            terminated: false,
        }
    }

    fn runs(&self) -> bool {
        matches!(self.state, ProcessState::Starting | ProcessState::Ready)
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
        match self.stop_by {
            Some(by) => self.stopping(by, now),
            None => self.starting(now),
        }
    }

    fn starting(&mut self, now: Now) -> Vec<Act> {
        let due = |u: &Unit| !u.runs() && u.not_before <= now.steady;
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
        let ends: Vec<usize> = (0..self.units.len()).filter(ends).collect();
        for index in &ends {
            self.units[*index].terminated = true;
        }
        ends.into_iter().map(Act::Terminate).collect()
    }

    /// When [`Supervisor::next`] must be asked again though nothing happened, by the steady clock.
    pub fn deadline(&self, now: Now) -> Option<Millis> {
        let pauses = self.units.iter().filter(|u| !u.runs() && u.not_before > now.steady).map(|u| u.not_before);
        if self.stop_by.is_some() { self.stop_by } else { pauses.min() }
    }

    /// A process runs.
    pub fn started(&mut self, index: usize, now: Now) {
        let unit = &mut self.units[index];
        unit.started = now.steady;
        unit.terminated = false;
        unit.set(ProcessState::Starting, now);
        if unit.spec.ready.is_none() {
            unit.set(ProcessState::Ready, now);
        }
    }

    /// A process answered its probe.
    pub fn ready(&mut self, index: usize, now: Now) {
        if self.units[index].runs() {
            self.units[index].set(ProcessState::Ready, now);
        }
    }

    /// A process ended, or did not start.
    pub fn ended(&mut self, index: usize, how: String, now: Now) {
        let unit = &mut self.units[index];
        if unit.runs() && now.steady.since(unit.started) >= STEADY {
            unit.pause = FIRST_PAUSE;
        }
        unit.not_before = now.steady + unit.pause;
        unit.pause = LONGEST_PAUSE.min(unit.pause + unit.pause);
        unit.restarts += 1;
        unit.last_exit = Some(how);
        unit.set(ProcessState::Backoff, now);
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
        Report { processes: self.units.iter().map(status).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_hostspec::Probe;
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
        s.ready(1, at(2));
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
    fn pauses_double_up_to_ten_seconds_and_start_over_after_a_minute() {
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
        s.ended(0, "exit status 1".into(), at(now + 60_000));
        assert_eq!(s.deadline(at(now + 60_000)).unwrap().0, now + 60_200);
        assert_eq!(s.report().processes[0].restarts, 9);
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
