//! Commands that go on.

use crate::process::spawn;
use crate::region::Region;
use crate::story::within;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A `roadstead` that goes on until this is dropped.
pub struct Followed {
    child: Child,
    lines: Receiver<String>,
}

impl Followed {
    /// Starts `roadstead` with these arguments.
    #[track_caller]
    pub fn start(region: &Region, arguments: &[&str]) -> Followed {
        let mut child = spawn(region.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let out = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Followed { child, lines }
    }

    /// Awaits a line with all these words.
    #[track_caller]
    pub fn shows(&self, words: &[&str]) {
        loop {
            let line = self.lines.recv_timeout(LIMIT).unwrap_or_else(|why| panic!("never showed {words:?}: {why}"));
            if words.iter().all(|word| line.contains(word)) {
                break;
            }
        }
    }

    /// What it says when it ends by itself.
    #[track_caller]
    pub fn ends(mut self) -> String {
        within(LIMIT, || self.child.try_wait().ok()?).expect("it ends");
        let mut complaint = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut complaint).expect("it is text");
        complaint
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
