use super::{Job, Region, Write, WriteError, surviving};
use crate::planner::panic_text;
use roadstead_store::{Commit, Tx, View};
use roadstead_types::Millis;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The time of day.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Called with every batch once it is published and its callers are answered, on the writer's thread: it must be quick.
pub type Subscriber = Box<dyn Fn(&Arc<Commit>) + Send + Sync>;

/// The writer sleeps no longer than this while a plan waits for a time, so a clock that is set forward is noticed.
const SLEEP_MAX: Millis = Millis::secs(1);

/// A region that runs on a thread of its own. Clones are the same region.
///
/// Whatever is queued when the writer comes round is one batch with one sync: the slower the disk, the larger the
/// batches, and the throughput stays.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// The thread behind a [`Handle`]. Dropping it stops the region.
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    view: Mutex<Arc<View>>,
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Default)]
struct Inbox {
    jobs: Vec<Box<dyn Job>>,
    questions: Vec<Question>,
    /// No more work is taken, because of this; what is in the inbox is still done.
    closed: Option<String>,
}

type Question = Box<dyn FnOnce(&Region) + Send>;

impl Handle {
    /// Starts the region's thread.
    #[expect(clippy::disallowed_methods, reason = "the one thread of the kernel: all decisions run on it, in a row")]
    pub fn start(mut region: Region, clock: Clock) -> (Handle, Running) {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            arrived: Condvar::new(),
            view: Mutex::new(region.view().clone()),
            subscribers: Mutex::default(),
        });
        let publisher = shared.clone();
        region.on_commit(move |commit| *lock(&publisher.view) = commit.view.clone());
        let teller = shared.clone();
        region.after_answers(move |commit| teller.tell(commit));
        let writer = shared.clone();
        let thread = thread::Builder::new().name("region".to_owned()).spawn(move || writer.run(region, &clock));
        let thread = thread.expect("the system can start a thread");
        (Handle(shared.clone()), Running { shared, thread: Some(thread) })
    }

    /// Runs `work` in a transaction of the next batch. `done` is called on the writer's thread when the batch is
    /// durable and published, or when there will be no result: see [`Region::submit`]. It must be quick. It is dropped
    /// uncalled only if the writer itself panics, which ends the region: then too the result is unknown.
    pub fn write<R, E>(
        &self,
        work: impl FnOnce(&mut Tx) -> Result<R, E> + Send + 'static,
        done: impl FnOnce(Result<R, WriteError<E>>) + Send + 'static,
    ) where
        R: Send + 'static,
        E: Send + 'static,
    {
        let job = Box::new(Write { work, done });
        let mut inbox = self.0.inbox();
        if let Some(why) = inbox.closed.clone() {
            drop(inbox);
            return job.refuse(&why);
        }
        inbox.jobs.push(job);
        self.0.arrived.notify_one();
    }

    /// Asks the region something on its thread, after what was written before. Dropped uncalled once it has stopped.
    pub fn ask(&self, question: impl FnOnce(&Region) + Send + 'static) {
        let mut inbox = self.0.inbox();
        if inbox.closed.is_none() {
            inbox.questions.push(Box::new(question));
            self.0.arrived.notify_one();
        }
    }

    /// The newest published state. Whoever's write was answered finds it here.
    pub fn view(&self) -> Arc<View> {
        lock(&self.0.view).clone()
    }

    /// From now on `subscriber` is called with every batch.
    pub fn subscribe(&self, subscriber: Subscriber) {
        lock(&self.0.subscribers).push(subscriber);
    }

    /// Why the region takes no more work, if so: it was stopped, or the journal failed and the process should end.
    pub fn stopped(&self) -> Option<String> {
        self.0.inbox().closed.clone()
    }
}

impl Running {
    /// Does what was already queued, then ends the thread and closes the store.
    pub fn stop(mut self) {
        self.end();
    }

    /// Waits until the region has ended, by [`Handle`]'s journal failing; says why.
    pub fn wait(mut self) -> String {
        self.join();
        self.shared.inbox().closed.clone().unwrap_or_default()
    }

    fn end(&mut self) {
        self.shared.close("the region was stopped".to_owned());
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread catches its own panics and leaves their text in `closed`.
            let _ended = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        lock(&self.inbox)
    }

    fn tell(&self, commit: &Arc<Commit>) {
        for subscriber in lock(&self.subscribers).iter() {
            surviving("a subscriber", || subscriber(commit));
        }
    }

    /// The first reason stays.
    fn close(&self, why: String) {
        self.inbox().closed.get_or_insert(why);
        self.arrived.notify_one();
    }

    fn run(&self, mut region: Region, clock: &Clock) {
        // After a panic the region only says no to what is left in it.
        let ended = catch_unwind(AssertUnwindSafe(|| self.turn_until_closed(&mut region, clock)));
        let why = match ended {
            Ok(why) => why,
            Err(panic) => format!("the region's writer panicked: {}", panic_text(&*panic)),
        };
        self.close(why.clone());
        region.refuse_all(&why);
        let (jobs, questions) = self.leave();
        // Who asked learns from that that there is no answer.
        drop(questions);
        for job in jobs {
            surviving("an answer", || job.refuse(&why));
        }
    }

    /// What nobody takes any more.
    fn leave(&self) -> (Vec<Box<dyn Job>>, Vec<Question>) {
        let mut inbox = self.inbox();
        (std::mem::take(&mut inbox.jobs), std::mem::take(&mut inbox.questions))
    }

    /// Ends when closed and all queued work is done, or when the store has halted; says why.
    fn turn_until_closed(&self, region: &mut Region, clock: &Clock) -> String {
        let mut next_wake = Some(clock());
        loop {
            let (jobs, questions, closed) = self.receive(next_wake, clock);
            if let Some(why) = closed.filter(|_| jobs.is_empty() && region.jobs.is_empty()) {
                return why;
            }
            for job in jobs {
                region.enqueue(job);
            }
            let now = clock();
            match region.turn(now) {
                // What is left over doesn't wait until a clock that is set back comes to this time again.
                Ok(turn) => next_wake = turn.next_wake.map(|at| if at <= now { Millis(0) } else { at }),
                Err(halted) => return halted.to_string(),
            }
            for question in questions {
                surviving("a question", || question(region));
            }
            if let Some(halted) = region.halted() {
                return halted.to_string();
            }
        }
    }

    /// Waits until something arrives, a plan is due or the region is closed, then takes everything.
    fn receive(&self, next_wake: Option<Millis>, clock: &Clock) -> (Vec<Box<dyn Job>>, Vec<Question>, Option<String>) {
        let mut inbox = self.inbox();
        while inbox.jobs.is_empty() && inbox.questions.is_empty() && inbox.closed.is_none() {
            let sleep = next_wake.map(|at| at.since(clock()).min(SLEEP_MAX));
            inbox = match sleep {
                Some(Millis(0)) => break,
                Some(sleep) => {
                    let waited = self.arrived.wait_timeout(inbox, Duration::from_millis(sleep.0));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let Inbox { jobs, questions, closed } = &mut *inbox;
        (std::mem::take(jobs), std::mem::take(questions), closed.clone())
    }
}

/// A panic elsewhere doesn't make what is behind these locks wrong: every change of it is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
