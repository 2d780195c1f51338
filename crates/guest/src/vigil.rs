//! Tells a process that does not answer from a machine that is slow. Pure: it is told what time passed.
//!
//! PID 1 judges its processes by it, and the host agent PID 1.

use roadstead_types::Millis;
use std::time::Duration;

/// Who has owed a yes for so long counts as not well.
const NOTICE: Duration = Duration::from_secs(1);

/// What is found about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It said yes.
    Yes,
    /// It said no, or nothing for a second.
    No,
    /// It has not said yes for as long as it may.
    Lost,
}

/// When a process is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Every 50 ms until the first yes, then every second, and after a no four times as often. Never lost.
    Ready,
    /// So long after each answer; lost when it owed a yes for its patience.
    Live {
        /// Between an answer and the next question.
        every: Millis,
        /// How long a yes may be owed.
        patience: Millis,
    },
}

/// How long a process has owed a yes, by the time in which somebody was there to hear it.
#[derive(Debug)]
pub struct Vigil {
    rhythm: Rhythm,
    /// None: it owes none.
    owed: Option<Duration>,
    /// What was found last.
    last: Option<Word>,
}

impl Vigil {
    /// Nothing was asked yet.
    pub fn new(rhythm: Rhythm) -> Vigil {
        Vigil { rhythm, owed: None, last: None }
    }

    /// A question goes out.
    pub fn asked(&mut self) {
        self.owed.get_or_insert_default();
    }

    /// Time passed: it was to be `meant`, it was `took`. What is over that was time in which this process did not get to
    /// run; nor did, perhaps, the other. What that means, if it is news.
    pub fn passed(&mut self, meant: Duration, took: Duration) -> Option<Word> {
        let owed = self.owed.as_mut()?;
        *owed += meant.min(took);
        match (*owed, self.rhythm) {
            (owed, Rhythm::Live { patience, .. }) if owed >= duration(patience) => self.find(Word::Lost),
            (owed, _) if owed >= NOTICE => self.find(Word::No),
            _ => None,
        }
    }

    /// An answer came. What that means, if it is news.
    pub fn answered(&mut self, yes: bool) -> Option<Word> {
        if yes {
            self.owed = None;
        }
        self.find(if yes { Word::Yes } else { Word::No })
    }

    /// It was found to be lost, which is for ever.
    pub fn is_lost(&self) -> bool {
        self.last == Some(Word::Lost)
    }

    /// Until the next question.
    pub fn pause(&self) -> Duration {
        match self.rhythm {
            Rhythm::Ready if self.last.is_none() => Duration::from_millis(50),
            // Who serves again is to be used again at once; etcd's members wait for each other's.
            Rhythm::Ready if self.last == Some(Word::No) => Duration::from_millis(250),
            Rhythm::Ready => Duration::from_secs(1),
            Rhythm::Live { every, .. } => duration(every),
        }
    }

    /// How long one question is waited for. Before a process was ready it may lose one for good: it listens before it
    /// serves.
    pub fn limit(&self) -> Duration {
        match self.rhythm {
            Rhythm::Ready => NOTICE,
            Rhythm::Live { patience, .. } => duration(patience),
        }
    }

    fn find(&mut self, word: Word) -> Option<Word> {
        // Who was never well is not worse now; and who is lost stays so.
        let is_news = match self.last {
            None => word == Word::Yes || matches!(self.rhythm, Rhythm::Live { .. }),
            Some(Word::Lost) => false,
            Some(last) => word != last,
        };
        is_news.then(|| *self.last.insert(word))
    }
}

fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Word::{Lost, No, Yes};

    const LIVE: Rhythm = Rhythm::Live { every: Millis::secs(1), patience: Millis::secs(5) };

    enum Step {
        Ask,
        /// It was meant to take so many milliseconds, and took so many.
        Pass(u64, u64),
        Answer(bool),
    }
    use Step::{Answer, Ask, Pass};

    fn found(rhythm: Rhythm, steps: &[Step]) -> Vec<Word> {
        let mut vigil = Vigil::new(rhythm);
        let mut found = Vec::new();
        for step in steps {
            found.extend(match step {
                Ask => {
                    vigil.asked();
                    None
                }
                Pass(meant, took) => vigil.passed(Duration::from_millis(*meant), Duration::from_millis(*took)),
                Answer(yes) => vigil.answered(*yes),
            });
        }
        found
    }

    #[test]
    fn silence_is_noticed_after_a_second_and_deadly_after_its_patience() {
        for (steps, words) in [
            // Answers in time.
            (vec![Ask, Answer(true), Pass(1000, 1000), Ask, Pass(900, 900), Answer(true)], vec![Yes]),
            // Time between questions that were answered counts for nothing.
            (vec![Ask, Answer(true), Pass(60_000, 60_000), Ask, Pass(900, 900)], vec![Yes]),
            // A late answer is one.
            (vec![Ask, Answer(true), Ask, Pass(4900, 4900), Answer(true), Ask, Pass(999, 999)], vec![Yes, No, Yes]),
            // Silence.
            (vec![Ask, Answer(true), Ask, Pass(1000, 1000), Pass(3999, 3999), Pass(1, 1)], vec![Yes, No, Lost]),
            // Noes and pauses between them count together.
            (
                vec![Ask, Answer(true), Ask, Answer(false), Pass(2500, 2500), Ask, Answer(false), Pass(2500, 2500)],
                vec![Yes, No, Lost],
            ),
            // Nothing is worse than being lost.
            (vec![Ask, Pass(5000, 5000), Answer(true)], vec![Lost]),
        ] {
            assert_eq!(found(LIVE, &steps), words);
        }
    }

    #[test]
    fn time_in_which_nobody_listened_does_not_count() {
        let mut steps = vec![Ask, Answer(true), Ask];
        // Each quarter of a second took ten: the machine was asleep, or all its CPUs were somebody else's.
        steps.extend((0..19).map(|_| Pass(250, 10_000)));
        assert_eq!(found(LIVE, &steps), [Yes, No]);
        steps.push(Pass(250, 10_000));
        assert_eq!(found(LIVE, &steps), [Yes, No, Lost]);
    }

    #[test]
    fn who_was_never_ready_is_asked_quickly_and_without_a_word() {
        let mut vigil = Vigil::new(Rhythm::Ready);
        vigil.asked();
        assert_eq!(vigil.answered(false), None);
        assert_eq!(vigil.passed(Duration::from_secs(60), Duration::from_secs(60)), None);
        assert_eq!(vigil.pause(), Duration::from_millis(50));
        assert_eq!(vigil.answered(true), Some(Yes));
        assert_eq!(vigil.pause(), Duration::from_secs(1));
        assert_eq!(vigil.answered(false), Some(No));
        vigil.asked();
        assert_eq!(vigil.passed(Duration::from_secs(60), Duration::from_secs(60)), None, "it never is lost");
        assert_eq!(vigil.pause(), Duration::from_millis(250));
    }
}
