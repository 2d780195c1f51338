//! The region's own socket, for the operator at this machine: `status` and `admin` ask here.
//!
//! A client writes one line of JSON, a [`Question`]. The region answers with lines of JSON, each `{"Ok": …}` or
//! `{"Err": "why"}`, and hangs up when there is nothing more to say; what is followed ends when the client hangs up.
//! The socket is root's alone, and nothing that is asked here changes anything.

pub mod cli;
mod logs;
mod status;

pub use status::status;

use crate::clock;
use crate::serve::taken;
use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;
use roadstead_cloud::autoscaling::Group;
use roadstead_inspect::{self as inspect, Metrics, Question, Rehearsed, Report, Row, Story, Target, Whys};
use roadstead_kernel::planner::PlanEvent;
use roadstead_kernel::region::{Handle, Region};
use roadstead_store::{AnyKey, Commit, Object as _, View};
use serde::Serialize;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::timeout;
use tracing::debug;

/// No question is longer, bytes.
const QUESTION_MAX: u64 = 64 << 10;
/// A client that asks nothing for so long is hung up on.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// A follower may lag behind by so many commits or events.
const LAG_MAX: usize = 1024;

/// The region as operators see it.
pub struct Admin {
    handle: Handle,
    address: SocketAddr,
    /// Changes with what a report shows.
    shown: watch::Receiver<u64>,
    commits: broadcast::Sender<Arc<Commit>>,
    plans: broadcast::Sender<Arc<PlanEvent>>,
    metrics: Arc<Metrics>,
}

/// Makes `region` tell what its planners do; the other end of it goes into [`Admin::new`].
pub fn listen(region: &mut Region) -> broadcast::Sender<Arc<PlanEvent>> {
    let (plans, _) = broadcast::channel(LAG_MAX);
    let sender = plans.clone();
    region.on_plan(Box::new(move |event| {
        // Nobody follows most of the time.
        let _ = sender.send(event.clone());
    }));
    plans
}

impl Admin {
    /// Looks at a region.
    pub fn new(
        handle: &Handle,
        plans: broadcast::Sender<Arc<PlanEvent>>,
        metrics: Arc<Metrics>,
        address: SocketAddr,
    ) -> Arc<Admin> {
        let (commits, _) = broadcast::channel(LAG_MAX);
        let sender = commits.clone();
        handle.subscribe(Box::new(move |commit| {
            let _ = sender.send(commit.clone());
        }));
        let shown = status::changes(handle);
        Arc::new(Admin { handle: handle.clone(), address, shown, commits, plans, metrics })
    }

    /// Answers on the region's own socket.
    pub async fn serve(self: Arc<Admin>, listener: UnixListener) -> Infallible {
        loop {
            let (stream, _) = taken(async || listener.accept().await).await;
            let admin = self.clone();
            tokio::spawn(async move {
                if let Err(error) = admin.session(stream).await {
                    debug!("an admin client left: {error:#}");
                }
            });
        }
    }

    async fn session(&self, stream: UnixStream) -> Result<()> {
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != geteuid().as_raw() {
            bail!("user {peer} is not root");
        }
        let (from, to) = stream.into_split();
        let (mut from, mut line) = (BufReader::new(from), String::new());
        timeout(ASK_WITHIN, (&mut from).take(QUESTION_MAX).read_line(&mut line)).await??;
        if line.is_empty() {
            // Only looked whether anybody listens.
            return Ok(());
        }
        let mut answers = Answers(to);
        let answered = async {
            let question = serde_json::from_str(&line).context("not a question; is the client of another version?")?;
            self.answer(question, &mut answers).await
        };
        let why = tokio::select! {
            answered = answered => answered.err(),
            _ = from.read_u8() => return Ok(()),
        };
        match why {
            Some(why) => answers.send(Err::<(), String>(format!("{why:#}"))).await,
            None => Ok(()),
        }
    }

    async fn answer(&self, question: Question, to: &mut Answers) -> Result<()> {
        let view = self.handle.view();
        match question {
            Question::Status { watch } => self.status(watch, to).await,
            Question::Kinds => to.say(&view.kinds().collect::<Vec<_>>()).await,
            Question::Records { what, watch } => self.records(&what, watch, to).await,
            Question::Explain { key } => to.say(&self.explain(&key).await?).await,
            Question::Rehearse { key } => self.rehearse(&key, to).await,
            Question::Events { key, follow } => self.events(key.as_deref(), follow, to).await,
            Question::Machines { cluster, role, watch } => self.machines(&cluster, role.as_deref(), watch, to).await,
            Question::Metrics => to.say(&self.metrics().await?).await,
        }
    }

    /// The region's metrics in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String> {
        let (tallies, failing) = self.ask(|region| (region.tallies().to_vec(), region.troubled().len())).await?;
        Ok(self.metrics.text(&self.handle.view(), &tallies, failing))
    }

    async fn status(&self, watch: bool, to: &mut Answers) -> Result<()> {
        let (mut shown, mut said) = (self.shown.clone(), None);
        loop {
            shown.mark_unchanged();
            let troubled = self.ask(Region::troubled).await?;
            let report = Some(Report::of(&self.handle.view(), self.address, &troubled));
            if report != said {
                to.say(&report).await?;
                said = report;
            }
            if !watch {
                return Ok(());
            }
            shown.changed().await?;
        }
    }

    async fn records(&self, what: &str, watch: bool, to: &mut Answers) -> Result<()> {
        let mut commits = self.commits.subscribe();
        let target = Target::of(&self.handle.view(), what).map_err(anyhow::Error::msg)?;
        loop {
            let view = self.handle.view();
            let keys = match &target {
                Target::Kind(kind) => view.keys(kind, ""),
                Target::Record(key) => vec![key.clone()],
            };
            self.rows(&view, keys, to).await?;
            if !watch {
                return Ok(());
            }
            loop {
                match commits.recv().await {
                    Ok(commit) => self.rows(&commit.view, target.changed(&commit), to).await?,
                    // All over again: nothing that was missed may stay unseen.
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => bail!("the region stops"),
                }
            }
        }
    }

    async fn machines(&self, cluster: &str, role: Option<&str>, watch: bool, to: &mut Answers) -> Result<()> {
        let (mut commits, mut said) = (self.commits.subscribe(), BTreeSet::new());
        loop {
            for machine in inspect::machines(&self.handle.view(), cluster, role).map_err(anyhow::Error::msg)? {
                if !said.contains(&machine) {
                    to.say(&machine).await?;
                    said.insert(machine);
                }
            }
            if !watch {
                return Ok(());
            }
            let regrouped = |commit: Arc<Commit>| commit.changes.iter().any(|change| change.key.kind() == Group::KIND);
            while !match commits.recv().await {
                Ok(commit) => regrouped(commit),
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => bail!("the region stops"),
            } {}
        }
    }

    async fn rows(&self, view: &View, keys: Vec<AnyKey>, to: &mut Answers) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let whys = self.whys(keys.clone()).await?;
        for key in keys {
            match Row::of(view, &key) {
                Some(mut row) => {
                    row.explain_by(whys.get(&key).map_or(&[], Vec::as_slice));
                    to.say(&row).await?;
                }
                None => to.say(&Row::removed(key, clock::now())).await?,
            }
        }
        Ok(())
    }

    async fn explain(&self, text: &str) -> Result<Story> {
        let view = self.handle.view();
        let key = inspect::record(&view, text).map_err(anyhow::Error::msg)?;
        let whys = self.whys(inspect::around(&view, &key)).await?;
        let asked = key.clone();
        let plans = self.ask(move |region| region.explain(&asked)).await?;
        Story::of(&view, &key, plans, &whys).with_context(|| format!("{key} was removed just now"))
    }

    async fn rehearse(&self, text: &str, to: &mut Answers) -> Result<()> {
        let key = inspect::record(&self.handle.view(), text).map_err(anyhow::Error::msg)?;
        let asked = key.clone();
        let rehearse = move |region: &Region| {
            let rehearsals = region.rehearse(&asked, clock::now());
            rehearsals.iter().map(Rehearsed::from).collect::<Vec<_>>()
        };
        let rehearsals = self.ask(rehearse).await?;
        if rehearsals.is_empty() {
            bail!(
                "no planner plans records of the kind {}: `roadstead admin explain {key}` shows whose they are",
                key.kind()
            );
        }
        for rehearsed in rehearsals {
            to.say(&rehearsed).await?;
        }
        Ok(())
    }

    async fn events(&self, text: Option<&str>, follow: bool, to: &mut Answers) -> Result<()> {
        let mut plans = self.plans.subscribe();
        let past: Vec<Arc<PlanEvent>> = self.ask(|region| region.events().cloned().collect()).await?;
        // Also of what is there no more, so the key of an event counts as much as that of a record.
        let key = text.map(|text| self.concern(text, &past)).transpose()?;
        let concerns = |event: &PlanEvent| key.as_ref().is_none_or(|key| event.concerns(key));
        let mut last = None;
        for event in &past {
            last = Some(event.seq);
            if concerns(event) {
                to.say(event).await?;
            }
        }
        if !follow {
            return Ok(());
        }
        loop {
            let event = match plans.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => bail!("too slow: {missed} events were missed; ask again"),
                Err(RecvError::Closed) => bail!("the region stops"),
            };
            if last.is_none_or(|last| event.seq > last) && concerns(&event) {
                to.say(&event).await?;
            }
        }
    }

    fn concern(&self, text: &str, past: &[Arc<PlanEvent>]) -> Result<AnyKey> {
        inspect::record(&self.handle.view(), text).or_else(|why| {
            let gone = text.parse::<AnyKey>().ok().filter(|key| past.iter().any(|event| event.concerns(key)));
            gone.ok_or_else(|| anyhow::Error::msg(why))
        })
    }

    async fn whys(&self, keys: Vec<AnyKey>) -> Result<Whys> {
        self.ask(move |region| keys.into_iter().map(|key| (key.clone(), region.whys(&key).collect())).collect()).await
    }

    /// Asks the region's own thread.
    async fn ask<R: Send + 'static>(&self, question: impl FnOnce(&Region) -> R + Send + 'static) -> Result<R> {
        let (sender, receiver) = oneshot::channel();
        // Nobody waits any more when the client has hung up.
        self.handle.ask(move |region| drop(sender.send(question(region))));
        receiver.await.context("the region stops")
    }
}

/// Where answers go.
struct Answers(OwnedWriteHalf);

impl Answers {
    async fn say(&mut self, answer: &impl Serialize) -> Result<()> {
        self.send(Ok::<_, String>(answer)).await
    }

    async fn send(&mut self, answer: Result<impl Serialize, String>) -> Result<()> {
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        Ok(self.0.write_all(&line).await?)
    }
}
