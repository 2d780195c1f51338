//! What a person sees while programs are built: a spinner on a terminal, plain lines otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a plain line tells that the work goes on.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Says one line: what happened, to what.
pub fn say(what: &str, to: &str) {
    println!("{what:>9}  {to}");
}

/// The progress of one program.
pub struct Progress {
    name: String,
    started: Instant,
    said: Instant,
    packages: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to show the building of `name`.
    pub fn start(name: &str) -> Self {
        let bar = std::io::stdout().is_terminal().then(|| spinner(name));
        if bar.is_none() {
            say("building", name);
        }
        let now = Instant::now();
        Self { name: name.to_owned(), started: now, said: now, packages: 0, bar }
    }

    /// A line that `go build -v` printed: a package that it compiles, or a module that it fetches.
    pub fn line(&mut self, line: &str) {
        let now = match line.strip_prefix("go: downloading ") {
            Some(module) => format!("downloading {module}"),
            None => {
                self.packages += 1;
                format!("{} packages, {line}", self.packages)
            }
        };
        if let Some(bar) = &self.bar {
            bar.set_message(now);
        }
    }

    /// To be called every second or so.
    pub fn tick(&mut self) {
        if self.bar.is_none() && self.said.elapsed() >= HEARTBEAT {
            self.said = Instant::now();
            let (time, packages) = (elapsed(self.started), self.packages);
            say("", &format!("{} {time}, {packages} packages compiled", self.name));
        }
    }

    /// Ends the show: with success, or (on failure) without a word.
    pub fn end(self, success: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if success {
            say("built", &format!("{} in {}", self.name, elapsed(self.started)));
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(" {spinner} building  {prefix} {elapsed} {wide_msg:.dim}");
    let bar = ProgressBar::new_spinner().with_style(style.expect("a valid template")).with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// `42 s`, `5 min 25 s`.
pub fn elapsed(since: Instant) -> String {
    match since.elapsed().as_secs() {
        s @ 0..60 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}
