//! `roadstead admin …`: asks the region and prints what it says, as kubectl would.

use super::Question;
use super::explain::{Rehearsed, Story};
use super::logs::{self, Wanted};
use super::row::Row;
use super::table::{Table, age};
use crate::clock;
use crate::config::Config;
use crate::local::Local;
use anyhow::{Context as _, Result, ensure};
use clap::{Subcommand, ValueEnum};
use roadstead_kernel::planner::PlanEvent;
use roadstead_types::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::iter;
use time::OffsetDateTime;
use time::macros::format_description;
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
        Command::Logs(wanted) => logs::run(config, &wanted).await,
        Command::Metrics => ask(config, &Question::Metrics, |text: String| say(text.trim_end())).await,
    };
    let broken = |error: &anyhow::Error| error.downcast_ref::<io::Error>().map(io::Error::kind);
    match done {
        Err(error) if broken(&error) == Some(io::ErrorKind::BrokenPipe) => Ok(()),
        done => done,
    }
}

/// Asks the region, and hands each answer to `each`.
pub(super) async fn ask<T: DeserializeOwned>(
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
        (output, rows) => {
            let now = clock::now();
            let mut lines = vec![head(output)];
            lines.extend(rows.iter().map(|row| cells(row, now, output)));
            print(&lines)
        }
    }
}

/// Whether it says more than a kind.
fn is_record(what: &str) -> bool {
    what.contains('/') && roadstead_cloud::registry().kinds().all(|kind| kind != what)
}

async fn watch(config: &Config, what: String, output: Output) -> Result<()> {
    let mut table = None;
    ask(config, &Question::Records { what, watch: true }, |row: Row| {
        if output == Output::Json {
            return json(&row);
        }
        let cells = cells(&row, clock::now(), output);
        if table.is_none() {
            // Later names are as long, later states may be longer.
            let roomy = vec![row.key.name().to_owned(), "NotReady".into(), "59m59s".into()];
            let fitted = Table::fit([&head(output), &cells[..cells.len() - 1], &roomy]);
            say(&fitted.line(&head(output)))?;
            table = Some(fitted);
        }
        table.as_ref().map_or(Ok(()), |table| say(&table.line(&cells)))
    })
    .await
}

fn head(output: Output) -> Vec<String> {
    let heads: &[&str] = match output {
        Output::Wide => &["NAME", "STATE", "AGE", "GENERATION", "OWNER", "WHY"],
        _ => &["NAME", "STATE", "AGE", "WHY"],
    };
    heads.iter().map(|head| (*head).to_owned()).collect()
}

fn cells(row: &Row, now: Millis, output: Output) -> Vec<String> {
    let (state, why) = (row.glance.state.clone().unwrap_or_default(), row.glance.why.clone().unwrap_or_default());
    let mut cells = vec![row.key.name().to_owned(), state, age(now, row.created)];
    if output == Output::Wide {
        cells.push(row.generation.to_string());
        cells.push(row.owner.as_ref().map(ToString::to_string).unwrap_or_default());
    }
    cells.push(why);
    cells
}

async fn kinds(config: &Config, output: Output) -> Result<()> {
    ask(config, &Question::Kinds, |kinds: Vec<(String, usize)>| {
        if output == Output::Json {
            return json(&kinds.into_iter().collect::<BTreeMap<_, _>>());
        }
        let lines = kinds.into_iter().map(|(kind, count)| vec![kind, count.to_string()]);
        let head = vec!["KIND".to_owned(), "RECORDS".to_owned()];
        print(&iter::once(head).chain(lines).collect::<Vec<_>>())
    })
    .await
}

async fn explain(config: &Config, key: String, output: Output) -> Result<()> {
    ask(config, &Question::Explain { key }, |story: Story| match output {
        Output::Json => json(&story),
        output => say(story.text(clock::now(), output == Output::Wide).trim_end()),
    })
    .await
}

async fn rehearse(config: &Config, key: String, output: Output) -> Result<()> {
    ask(config, &Question::Rehearse { key }, |rehearsed: Rehearsed| match output {
        Output::Json => json(&rehearsed),
        output => say(rehearsed.text(output == Output::Wide).trim_end()),
    })
    .await
}

async fn events(config: &Config, words: &[String], follow: bool, output: Output) -> Result<()> {
    let key = (!words.is_empty()).then(|| words.join("/"));
    ask(config, &Question::Events { key, follow }, |event: PlanEvent| {
        if output == Output::Json {
            return json(&event);
        }
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.time.0) * 1_000_000)?;
        let time = time.format(format_description!("[hour]:[minute]:[second].[subsecond digits:3]"))?;
        let planner = if event.failed { format!("{} FAILS", event.planner) } else { event.planner.clone() };
        say(&format!("{time}  {planner}  {}: {}", event.key, event.why))?;
        let writes = event.writes.iter().filter(|write| output == Output::Wide || write.key != event.key);
        writes.into_iter().try_for_each(|write| say(&format!("                {write}")))?;
        if event.more > 0 { say(&format!("                and {} more", event.more)) } else { Ok(()) }
    })
    .await
}

fn json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

fn print(lines: &[Vec<String>]) -> Result<()> {
    let table = Table::fit(lines.iter().map(|cells| &cells[..cells.len() - 1]));
    lines.iter().try_for_each(|cells| say(&table.line(cells)))
}

/// Prints a line; unlike `println!` it fails when nobody reads any more.
pub fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}
