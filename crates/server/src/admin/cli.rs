//! `roadstead admin …`: asks the region and prints what it says, as kubectl would.

use super::logs::{self, Wanted};
use crate::clock;
use crate::config::Config;
use crate::local::Local;
use anyhow::{Context as _, Result, ensure};
use clap::{Subcommand, ValueEnum};
use roadstead_inspect::{Machine, Question, Rehearsed, Row, Story, Timeline, render};
use roadstead_kernel::planner::PlanEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// What an operator may ask.
#[derive(Subcommand)]
pub enum Command {
    /// Show records: `get cluster`, `get cluster prod`, `get eks/cluster/111122223333/prod -o json`
    Get {
        #[command(flatten)]
        what: What,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// List all kinds of records and how many there are; with KIND its records
    #[command(visible_alias = "kinds")]
    List {
        /// A kind: `cluster`, `ec2/instance`
        kind: Option<String>,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// Show records, and again whenever they change
    Watch {
        #[command(flatten)]
        what: What,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// Say why a record is as it is: what ails it, what it owns, its last plans and what they wait for
    Explain {
        #[command(flatten)]
        what: What,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// Show what the planners of a record would do now
    Plan {
        #[command(flatten)]
        what: What,
        /// Needed: planners run by themselves, whenever anything that they read changes
        #[arg(long, required = true)]
        dry_run: bool,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// Show what planners did lately, newest last: of a record and all that belongs to it, or of everything
    Events {
        /// A kind or record
        #[arg(num_args = 0..=2, value_name = "KIND NAME")]
        words: Vec<String>,
        /// Go on with what they do from now on
        #[arg(short, long)]
        follow: bool,
        #[arg(short, long, default_value = "table", value_enum)]
        output: Output,
    },
    /// Show where the time of a cluster's creation went
    Timeline {
        /// A cluster
        cluster: String,
        /// Draw it into this file instead
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Show what the processes of a cluster's machines said; of one machine also while no region runs
    Logs(Wanted),
    /// Print the region's metrics in Prometheus' text format
    Metrics,
}

/// A kind, or a kind and a name, or both as one word.
#[derive(clap::Args)]
pub struct What {
    /// `cluster`, `cluster prod`, `cluster/prod` or `eks/cluster/111122223333/prod`
    #[arg(num_args = 1..=2, required = true, value_name = "KIND NAME")]
    words: Vec<String>,
}

impl What {
    fn text(&self) -> String {
        self.words.join("/")
    }
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// What matters most
    Table,
    /// More columns, nothing left out
    Wide,
    /// Everything but secrets
    Json,
}

impl Output {
    fn wide(self) -> bool {
        self == Output::Wide
    }
}

/// Asks, and prints. A reader that has seen enough (`| head`) is no error.
pub async fn run(config: &Config, command: Command) -> Result<()> {
    let done = match command {
        Command::Get { what, output } => records(config, what.text(), output).await,
        Command::List { kind: Some(kind), output } => records(config, kind, output).await,
        Command::List { kind: None, output } => kinds(config, output).await,
        Command::Watch { what, output } => watch(config, what.text(), output).await,
        Command::Explain { what, output } => explain(config, what.text(), output).await,
        Command::Plan { what, output, .. } => rehearse(config, what.text(), output).await,
        Command::Events { words, follow, output } => events(config, &words, follow, output).await,
        Command::Timeline { cluster, svg } => timeline(config, &cluster, svg.as_deref()).await,
        Command::Logs(wanted) => logs::run(config, &wanted).await,
        Command::Metrics => ask(config, &Question::Metrics, |text: String| say(&text)).await,
    };
    let broken = |error: &anyhow::Error| error.downcast_ref::<io::Error>().map(io::Error::kind);
    match done {
        Err(error) if broken(&error) == Some(io::ErrorKind::BrokenPipe) => Ok(()),
        done => done,
    }
}

/// Asks the region, and hands each answer to `each`.
pub async fn ask<T: DeserializeOwned>(
    config: &Config,
    question: &Question,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let down = || {
        let offline = logs::offline(config).map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("no region runs on {}: start it with `roadstead up`{offline}", config.data_dir.display())
    };
    let socket = Local::read(config).with_context(down)?.paths().admin_socket();
    let stream = UnixStream::connect(socket).await.with_context(down)?;
    let (from, mut to) = stream.into_split();
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).context("the region answers in another version's words: restart it")? {
            Ok(answer) => each(answer)?,
            Err(why) => return Err(anyhow::Error::msg::<String>(why)),
        }
    }
    ensure!(!question.follows(), "the region stopped");
    Ok(())
}

async fn records(config: &Config, what: String, output: Output) -> Result<()> {
    let one = is_record(&what);
    let mut rows: Vec<Row> = vec![];
    ask(config, &Question::Records { what: what.clone(), watch: false }, |row| {
        rows.push(row);
        Ok(())
    })
    .await?;
    match (output, &rows[..]) {
        (Output::Json, [row]) if one => json(row),
        (Output::Json, rows) => json(&json!({ "items": rows })),
        (_, []) => {
            eprintln!("There are no records of this kind.");
            Ok(())
        }
        (output, rows) => say(&render::rows(rows, clock::now(), output.wide())),
    }
}

/// Whether it says more than a kind.
fn is_record(what: &str) -> bool {
    what.contains('/') && roadstead_cloud::registry().kinds().all(|kind| kind != what)
}

async fn watch(config: &Config, what: String, output: Output) -> Result<()> {
    let mut watched = render::Watched::new(output.wide());
    ask(config, &Question::Records { what, watch: true }, |row: Row| match output {
        Output::Json => json(&row),
        _ => say(&watched.add(&row, clock::now())),
    })
    .await
}

async fn kinds(config: &Config, output: Output) -> Result<()> {
    ask(config, &Question::Kinds, |kinds: Vec<(String, usize)>| match output {
        Output::Json => json(&kinds.into_iter().collect::<BTreeMap<_, _>>()),
        _ => say(&render::kinds(&kinds)),
    })
    .await
}

async fn explain(config: &Config, key: String, output: Output) -> Result<()> {
    ask(config, &Question::Explain { key }, |story: Story| match output {
        Output::Json => json(&story),
        output => say(&story.text(clock::now(), output.wide())),
    })
    .await
}

async fn rehearse(config: &Config, key: String, output: Output) -> Result<()> {
    ask(config, &Question::Rehearse { key }, |rehearsed: Rehearsed| match output {
        Output::Json => json(&rehearsed),
        output => say(&rehearsed.text(output.wide())),
    })
    .await
}

async fn events(config: &Config, words: &[String], follow: bool, output: Output) -> Result<()> {
    let key = (!words.is_empty()).then(|| words.join("/"));
    ask(config, &Question::Events { key, follow }, |event: PlanEvent| match output {
        Output::Json => json(&event),
        output => say(&render::event(&event, output.wide())),
    })
    .await
}

async fn timeline(config: &Config, cluster: &str, svg: Option<&Path>) -> Result<()> {
    let (mut events, mut names) = (vec![], BTreeMap::new());
    let question = Question::Machines { cluster: cluster.to_owned(), role: None, watch: false };
    ask(config, &question, |Machine { id, place }| {
        names.insert(id, place);
        Ok(())
    })
    .await?;
    let question = Question::Events { key: Some(format!("cluster/{cluster}")), follow: false };
    ask(config, &question, |event: PlanEvent| {
        events.push(event);
        Ok(())
    })
    .await?;
    let timeline = Timeline::of(cluster, &events, &names).map_err(anyhow::Error::msg)?;
    match svg {
        Some(path) => fs::write(path, timeline.svg()).with_context(|| format!("cannot write {}", path.display())),
        None => say(&timeline.text()),
    }
}

fn json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Prints lines; unlike `println!` it fails when nobody reads any more.
pub fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{}", text.trim_end_matches('\n'))?)
}
