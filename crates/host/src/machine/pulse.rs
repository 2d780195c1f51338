//! Whether PID 1 of a machine still does its work. One that is frozen runs, and its processes do; but nobody looks after
//! them, and nobody hears how they are. Judged with the care that PID 1 takes with its processes. Pure.

use roadstead_guest::vigil::{Rhythm, Vigil};
use roadstead_types::Millis;
use std::time::Duration;

/// Between an answer and the next question.
const EVERY: Millis = Millis::secs(2);
/// An answer is waited for in pieces of this length, so that an agent that did not get to run notices.
const PIECE: Duration = Duration::from_millis(500);

/// Asks PID 1, and counts for how long it has owed an answer.
#[derive(Debug)]
pub struct Pulse {
    vigil: Vigil,
    /// An answer is owed.
    open: bool,
    /// It has said that it does not answer questions.
    deaf: bool,
}

impl Pulse {
    /// Nothing is owed yet.
    pub fn new(patience: Duration) -> Pulse {
        let patience = Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        Pulse { vigil: Vigil::new(Rhythm::Live { every: EVERY, patience }), open: false, deaf: false }
    }

    /// A question goes out.
    pub fn asked(&mut self) {
        self.vigil.asked();
        self.open = true;
    }

    /// It has said something; whether it says so when it is asked, too.
    pub fn answered(&mut self, answers: bool) {
        self.vigil.answered(true);
        (self.open, self.deaf) = (false, !answers);
    }

    /// How long to wait before [`Pulse::passed`] is to be told.
    pub fn pause(&self) -> Duration {
        if self.open { PIECE } else { self.vigil.pause() }
    }

    /// Nothing was heard, for as long as meant or longer. True if it is time to ask.
    pub fn passed(&mut self, meant: Duration, took: Duration) -> bool {
        if self.open {
            self.vigil.passed(meant, took);
        }
        !self.open && !self.deaf
    }

    /// It owed an answer for its patience.
    pub fn is_lost(&self) -> bool {
        self.vigil.is_lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// So many pieces pass, each taking so long; whether it is lost then.
    fn wait(pulse: &mut Pulse, pieces: u32, took: Duration) -> bool {
        for _ in 0..pieces {
            assert!(!pulse.passed(pulse.pause(), took), "one question at a time");
        }
        pulse.is_lost()
    }

    #[test]
    fn silence_is_lost_after_its_patience_and_time_in_which_the_agent_slept_does_not_count() {
        let mut pulse = Pulse::new(PATIENCE);
        pulse.asked();
        assert!(!wait(&mut pulse, 19, Duration::from_secs(30)));
        pulse.answered(true);
        assert!(pulse.passed(pulse.pause(), Duration::from_secs(60)), "it is asked again, and owes nothing so far");
        pulse.asked();
        assert!(!wait(&mut pulse, 19, PIECE));
        assert!(wait(&mut pulse, 1, PIECE));
    }

    #[test]
    fn one_that_does_not_answer_questions_owes_only_its_greeting() {
        let mut pulse = Pulse::new(PATIENCE);
        pulse.asked();
        pulse.answered(false);
        assert!(!pulse.passed(pulse.pause(), Duration::from_secs(60)));
        assert!(!pulse.is_lost());
        // It has to greet again, on another connection.
        pulse.asked();
        assert!(wait(&mut pulse, 20, PIECE));
    }
}
