//! For how long a thread could have run and was not let: on a host that is short of processors a healthy PID 1 may owe its
//! answer for many seconds (seen: seven of ten, beside a load of small packets).

use std::fs;
use std::time::Duration;

/// What the kernel says about a thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turns {
    /// How long it has run.
    ran: Duration,
    /// How long it stood in line for that, all told; a wait counts when it is over.
    waited: Duration,
    /// It runs or stands in line: neither asleep nor stopped nor frozen.
    runnable: bool,
}

/// Watches the first thread of a process.
#[derive(Debug)]
pub struct Line {
    pid: i32,
    last: Option<Turns>,
}

impl Line {
    /// Of the process with this number, which somebody keeps from being another's.
    pub fn of(pid: i32) -> Line {
        Line { pid, last: turns(pid) }
    }

    /// For how long it stood in line since it was asked last, which is `took` ago. Nothing if the kernel doesn't tell.
    pub fn stood(&mut self, took: Duration) -> Duration {
        let (before, now) = (self.last, turns(self.pid));
        self.last = now;
        before.zip(now).map_or(Duration::ZERO, |(before, now)| stood(before, now, took))
    }
}

fn stood(before: Turns, now: Turns, took: Duration) -> Duration {
    // It stands there all the while, so its wait is not in the sum yet.
    let still = now.runnable && now.ran == before.ran;
    if still { took } else { now.waited.saturating_sub(before.waited).min(took) }
}

/// `schedstat`: the time on a processor and the time in line, in ns (kernel's docs, scheduler/sched-stats). `stat`: the
/// state stands after the name in brackets, which may have any characters (proc_pid_stat(5)).
fn turns(pid: i32) -> Option<Turns> {
    let of = |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{pid}/{file}")).ok();
    let schedstat = of("schedstat")?;
    let mut times = schedstat.split_whitespace().map_while(|ns| ns.parse().ok().map(Duration::from_nanos));
    let (ran, waited) = (times.next()?, times.next()?);
    let runnable = of("stat")?.rsplit_once(") ")?.1.starts_with('R');
    Some(Turns { ran, waited, runnable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, kill_process};
    use std::process::{Child, Command};

    const PIECE: Duration = Duration::from_millis(500);

    fn at(ran: u64, waited: u64, runnable: bool) -> Turns {
        Turns { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited), runnable }
    }

    #[test]
    fn a_wait_counts_while_it_lasts_and_when_it_is_over_but_never_for_more_than_passed() {
        for (before, now, ms) in [
            (at(5, 0, false), at(5, 0, true), 500),
            (at(5, 0, true), at(6, 300, false), 300),
            (at(5, 0, true), at(6, 4000, false), 500),
            // It slept, or was stopped, or spins.
            (at(5, 9, false), at(5, 9, false), 0),
            (at(5, 9, true), at(505, 9, true), 0),
        ] {
            assert_eq!(stood(before, now, PIECE).as_millis(), ms, "{before:?} {now:?}");
        }
    }

    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn one_that_is_stopped_does_not_stand_in_line() {
        let child = Killed(Command::new("sleep").arg("1000").spawn().unwrap());
        let pid = i32::try_from(child.0.id()).unwrap();
        kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
        while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
        let mut line = Line::of(pid);
        assert!(line.last.is_some(), "the kernel tells");
        assert_eq!(line.stood(PIECE), Duration::ZERO);
    }
}
