//! Programs that end in time.

use nix::sys::signal::Signal;
use serde_json::Value;
use std::fmt;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How a program ended, and what it said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The command, for people.
    pub command: String,
    /// None if it was ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Whether it ended well.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output of a program that must have ended well.
    #[track_caller]
    pub fn text(self) -> String {
        assert!(self.ok(), "{self}");
        self.out
    }

    /// Standard output of a program that must have ended well, as JSON; null if it is empty.
    #[track_caller]
    pub fn json(self) -> Value {
        assert!(self.ok(), "{self}");
        match self.out.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|why| panic!("no JSON ({why}): {self}")),
        }
    }

    /// What a program that must have failed said of it.
    #[track_caller]
    pub fn complaint(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "should have failed: {self}");
        self.err
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.code.map_or("by a signal".to_owned(), |code| format!("with {code}"));
        write!(f, "{} ended {end}\n{}{}", self.command, self.out, self.err)
    }
}

/// Starts a program that says nothing to us.
#[track_caller]
pub fn spawn(command: &mut Command) -> Child {
    let words = words(command);
    command.spawn().unwrap_or_else(|why| panic!("cannot start {words}: {why}"))
}

/// Runs a program to its end. One that takes longer than `limit` is killed, and the test fails.
#[track_caller]
pub fn run(command: Command, input: Option<String>, limit: Duration) -> Said {
    try_run(command, input, limit).unwrap_or_else(|why| panic!("{why}"))
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or took longer than `limit` and was killed.
pub fn try_run(mut command: Command, input: Option<String>, limit: Duration) -> Result<Said, String> {
    let words = words(&command);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|why| format!("cannot start {words}: {why}"))?;
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            // One that ends without reading says why itself.
            let _ = stdin.write_all(text.as_bytes());
        }
        // Nobody listens once the limit has passed.
        let _ = sender.send(child.wait_with_output());
    });
    let Ok(output) = receiver.recv_timeout(limit) else {
        crate::machines::signal(pid.cast_signed(), Signal::SIGKILL);
        return Err(format!("{words} did not end within {limit:?}"));
    };
    let output = output.map_err(|why| format!("{words}: {why}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Said { command: words, code: output.status.code(), out: text(output.stdout), err: text(output.stderr) })
}

fn words(command: &Command) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
