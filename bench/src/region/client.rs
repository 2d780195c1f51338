//! A boto3 program that runs beside the harness and does what it is told.

use crate::wait::{INTERVAL, Wait};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Makes clusters and watches them.
pub const PROGRAM: &str = include_str!("client.py");
/// What every program ends with: it does what it is told.
const LOOP: &str = include_str!("loop.py");
/// Points the program at the region as a user's shell would; nothing of the user's own AWS reaches it.
const SHELL: &str = r#"environment=$("$@" env) && eval "$environment" && exec "$PYTHON" -c "$PROGRAM""#;
/// Ten times what a command takes.
const LIMIT: Duration = Duration::from_secs(90);

/// The program while it runs.
pub struct Client {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Said(Value),
    Error(String),
}

fn whole(program: &str) -> String {
    format!("{program}\n{LOOP}")
}

impl Client {
    /// Starts it. `roadstead` is the command line whose `env` says where the region is.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(program: &str, python: &Path, roadstead: &Command, home: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, "sh"]).arg(roadstead.get_program()).args(roadstead.get_args());
        command.env_clear().env("PYTHON", python).env("PROGRAM", whole(program));
        Self::run(command, home)
    }

    /// Starts it for somebody else's endpoint, which takes any key.
    ///
    /// # Errors
    /// It can't be started.
    pub fn at(endpoint: &str, program: &str, python: &Path, home: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg("-c").arg(whole(program)).env_clear().env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "testing").env("AWS_SECRET_ACCESS_KEY", "testing");
        Self::run(command, home)
    }

    fn run(mut command: Command, home: &Path) -> Result<Self> {
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
        command.env("INTERVAL", INTERVAL.as_secs_f64().to_string()).env("LIMIT", LIMIT.as_secs().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("starting the boto3 program")?;
        let commands = child.stdin.take().expect("it is a pipe");
        let lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let (tell, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Ok(Self { child, commands, answers })
    }

    /// Does one thing; the time that the program took for it.
    ///
    /// # Errors
    /// What the program says, or the user wants to stop.
    pub fn time(&mut self, wait: &Wait, what: &str) -> Result<Duration> {
        let seconds = self.tell(wait, what)?.as_f64().with_context(|| format!("{what} takes no time"))?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// Does one thing; what came out.
    ///
    /// # Errors
    /// What the program says, or the user wants to stop.
    pub fn tell(&mut self, wait: &Wait, what: &str) -> Result<Value> {
        writeln!(self.commands, "{what}").context("the boto3 program ended; what it said is above")?;
        let answer = wait.until(what, 2 * LIMIT, || match self.answers.try_recv() {
            Ok(line) => Ok(Some(line)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the boto3 program ended; what it said is above"),
        })?;
        match serde_json::from_str(&answer).with_context(|| answer.clone())? {
            Answer::Said(said) => Ok(said),
            Answer::Error(error) => bail!("{what}: {error}"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
