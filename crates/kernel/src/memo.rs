//! Answers to reads, kept for as long as what they follow from stands.
//!
//! A read is a function of its caller, its input, and the records that it and its authorization look at ([`Footprint`]):
//! asked again while those are the same it has the same answer. One that asked for the time is not kept. See ADR 17.

use crate::caller::{Caller, Identity};
use roadstead_store::{Footprint, View};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All that an answer depends on beside records: who asks, and what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question(Box<[u8]>);

impl Question {
    /// What `caller` asks by `parts`. Two questions are the same if all their parts are.
    pub fn new<'a>(caller: &'a Caller, parts: impl IntoIterator<Item = &'a [u8]>) -> Question {
        // All but the request's id, which is in no answer's value.
        let Caller { identity, access_key_id, region, source_ip, user_agent, request_id: _ } = caller;
        let Identity { arn, role, unique_id, account } = identity;
        let mut all = Vec::with_capacity(1024);
        let mut add = |part: &[u8]| {
            // With its length before it no part runs into the next.
            all.extend_from_slice(&part.len().to_le_bytes());
            all.extend_from_slice(part);
        };
        add(arn.to_string().as_bytes());
        add(role.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes());
        for part in [unique_id, account, access_key_id, region, source_ip, user_agent] {
            add(part.as_bytes());
        }
        parts.into_iter().for_each(add);
        Question(all.into())
    }
}

/// Answers, of type `A`, by their questions. Those that nobody asked for again give way to new ones.
#[derive(Debug)]
pub struct Memo<A> {
    /// In bytes, of questions and answers.
    room: usize,
    kept: Mutex<Kept<A>>,
}

#[derive(Debug)]
struct Kept<A> {
    /// What was given or asked for of late.
    young: HashMap<Question, Entry<A>>,
    /// What was young when that took half of the room.
    old: HashMap<Question, Entry<A>>,
    /// What `young` takes, in bytes.
    size: usize,
}

#[derive(Clone, Debug)]
struct Entry<A> {
    answer: A,
    footprint: Footprint,
    /// Of the answer, in bytes.
    size: usize,
}

impl<A: Clone> Memo<A> {
    /// Keeps answers with their questions in so many bytes.
    pub fn new(room: usize) -> Memo<A> {
        Memo { room, kept: Mutex::new(Kept { young: HashMap::new(), old: HashMap::new(), size: 0 }) }
    }

    /// The answer that was given, if it would be the same of `view`.
    pub fn recall(&self, question: &Question, view: &View) -> Option<A> {
        let mut kept = self.lock();
        if let Some(entry) = kept.young.get(question) {
            return entry.footprint.stands_in(view).then(|| entry.answer.clone());
        }
        let entry = kept.old.remove(question).filter(|entry| entry.footprint.stands_in(view))?;
        kept.put(question.clone(), entry.clone(), self.room / 2);
        Some(entry.answer)
    }

    /// Keeps an answer of so many bytes that was given on `view`, which [took notes](View::noting) of what it was asked.
    /// Nothing happens if the answer depends on more than records, or is too big.
    pub fn keep(&self, question: Question, view: &View, answer: A, size: usize) {
        let Some(footprint) = view.footprint() else { return };
        self.lock().put(question, Entry { answer, footprint, size }, self.room / 2);
    }

    fn lock(&self) -> MutexGuard<'_, Kept<A>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Kept<A> {
    /// Puts it with the young, of which there may be `most` bytes.
    fn put(&mut self, question: Question, entry: Entry<A>, most: usize) {
        let size = question.0.len() + entry.size;
        if size > most {
            return;
        }
        if self.size + size > most {
            self.old = std::mem::take(&mut self.young);
            self.size = 0;
        }
        let asked = question.0.len();
        self.size += size;
        if let Some(before) = self.young.insert(question, entry) {
            self.size -= asked + before.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_store::journal::Memory;
    use roadstead_store::{Core, Index, Key, Object, Options, Read as _, Registry};
    use roadstead_types::{Arn, Millis};
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Quay {
        ships: u32,
    }
    impl Object for Quay {
        const KIND: &'static str = "harbour/quay";
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Crane;
    impl Object for Crane {
        const KIND: &'static str = "harbour/crane";
    }

    fn core() -> Core {
        let mut registry = Registry::new();
        registry.add::<Quay>().add::<Crane>();
        Core::open(Memory::new(), registry, Options::seeded(7)).unwrap()
    }

    fn set<T: Object>(core: &mut Core, key: &str, body: T) {
        core.transact(Millis::secs(1), |tx| {
            tx.set(&Key::<T>::new(key), None, body);
            Ok::<_, ()>(())
        })
        .unwrap();
        core.commit().unwrap();
    }

    fn caller(name: &str) -> Caller {
        let arn: Arn = format!("arn:aws:iam::111122223333:user/{name}").parse().unwrap();
        let identity = Identity { arn, role: None, unique_id: "AIDA".to_owned(), account: "111122223333".to_owned() };
        let text = String::new;
        let (access_key_id, region) = (text(), text());
        Caller { identity, access_key_id, region, source_ip: text(), user_agent: text(), request_id: text() }
    }

    fn question(what: &str) -> Question {
        Question::new(&caller("ann"), [what.as_bytes()])
    }

    /// Keeps `answer` to `what` as one that follows from all quays.
    fn keep(memo: &Memo<u32>, what: &str, core: &Core, answer: u32, size: usize) {
        let view = core.view().noting();
        view.count(Index::<Quay>::all());
        memo.keep(question(what), &view, answer, size);
    }

    #[test]
    fn an_answer_is_recalled_until_a_record_of_a_kind_that_it_follows_from_changes() {
        let (mut core, memo) = (core(), Memo::new(10_000));
        keep(&memo, "how many?", &core, 0, 1);
        set(&mut core, "one", Crane);
        assert_eq!(memo.recall(&question("how many?"), core.view()), Some(0), "of cranes it does not speak");
        set(&mut core, "one", Quay { ships: 1 });
        assert_eq!(memo.recall(&question("how many?"), core.view()), None, "a miss counts, too");
        keep(&memo, "how many?", &core, 1, 1);
        assert_eq!(memo.recall(&question("how many?"), core.view()), Some(1));
        set(&mut core, "one", Quay { ships: 2 });
        assert_eq!(memo.recall(&question("how many?"), core.view()), None);
    }

    #[test]
    fn after_a_restart_no_answer_is_recalled() {
        let memo = Memo::new(10_000);
        keep(&memo, "how many?", &core(), 0, 1);
        assert_eq!(memo.recall(&question("how many?"), core().view()), None, "another store in the same state");
    }

    #[test]
    fn an_answer_that_asked_for_more_than_records_is_not_kept() {
        let (core, memo) = (core(), Memo::new(10_000));
        let asks: [fn(&View) -> bool; 4] = [
            |view| view.now() > Millis(0),
            |view| view.revision() > 0,
            |view| view.kinds().count() > 0,
            |view| view.owned_by(&Key::<Quay>::new("one").any()).is_empty(),
        ];
        for ask in asks {
            let view = core.view().noting();
            let _ = ask(&view);
            memo.keep(question("when?"), &view, 1, 1);
            assert_eq!(memo.recall(&question("when?"), core.view()), None);
        }
        memo.keep(question("when?"), core.view(), 1, 1);
        assert_eq!(memo.recall(&question("when?"), core.view()), None, "nobody took notes");
    }

    #[test]
    fn questions_are_told_apart_by_caller_and_by_every_part() {
        let all = [
            Question::new(&caller("ann"), [&b"ab"[..], b"c"]),
            Question::new(&caller("ann"), [&b"a"[..], b"bc"]),
            Question::new(&caller("ann"), [&b"abc"[..]]),
            Question::new(&caller("bob"), [&b"ab"[..], b"c"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        let again = Caller { request_id: "another".to_owned(), ..caller("ann") };
        assert_eq!(all[0], Question::new(&again, [&b"ab"[..], b"c"]));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_gives_way() {
        let (core, memo) = (core(), Memo::new(20_000));
        keep(&memo, "wanted", &core, 1, 1000);
        keep(&memo, "unwanted", &core, 2, 1000);
        for other in 0..40 {
            assert_eq!(memo.recall(&question("wanted"), core.view()), Some(1), "{other}");
            keep(&memo, &other.to_string(), &core, 0, 1000);
        }
        assert_eq!(memo.recall(&question("unwanted"), core.view()), None);
        keep(&memo, "too big", &core, 3, 10_000);
        assert_eq!(memo.recall(&question("too big"), core.view()), None);
    }
}
