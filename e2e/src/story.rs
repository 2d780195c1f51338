//! Steps of a test, conditions that come true in time, and what people see of both.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

/// Runs steps in order: `steps!((&region, &cluster): its_creator_is_admin, a_killed_etcd_comes_back)`.
#[macro_export]
macro_rules! steps {
    ($arguments:tt: $($step:ident),+ $(,)?) => {
        $( $crate::step(stringify!($step), || $step $arguments); )+
    };
}

/// Runs one step and says how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let name = name.replace('_', " ");
    let began = Instant::now();
    let unfinished = Unfinished(&name);
    let result = work();
    std::mem::forget(unfinished);
    say(&format!("{:6.1} s  {name}", began.elapsed().as_secs_f64()));
    result
}

/// Names the step in which a test failed.
struct Unfinished<'a>(&'a str);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        say(&format!("FAILED    {}", self.0));
    }
}

/// A line for people that is shown also when the test passes.
pub fn say(line: &str) {
    let thread = thread::current();
    let story = thread.name().unwrap_or_default().rsplit("::").next().unwrap_or_default();
    let _ = writeln!(std::io::stderr().lock(), "  [{story}] {line}");
}

/// Waits until `look` finds something, and fails the test if it does not within `limit`; `what` then says for what.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(limit, look).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// What `look` finds within `limit`. It looks at least once, and again a moment after it found nothing.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
