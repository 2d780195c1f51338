//! The task of one machine.

use super::driver::{Life, News, Start};
use super::{Machines, check, digest};
use crate::backoff::Backoff;
use crate::disk::is_name;
use crate::images::NotYet;
use crate::{Config, blocking, logs, now};
use anyhow::{Context as _, Result};
use roadstead_guest::{Marks, Placed};
use roadstead_hostspec::{
    Console, Content, File, ItemKey, ItemKind, Machine, MachinePhase, MachineStatus, ProcessState, ProcessStatus,
    Profile, Status,
};
use roadstead_vault::Vault;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// From the wish that a machine stops until it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Between looks whether what a machine waits for is there.
const LOOK: Duration = Duration::from_millis(200);
/// A machine that ran so long has earned a first pause again, and the first patience.
const STEADY: Duration = Duration::from_secs(60);
/// From the first question without an answer until PID 1 is taken for frozen and its machine killed. It doubles with each
/// time in a row, so a host on which everything is slow kills little.
const PATIENCE: Duration = Duration::from_secs(10);
/// It doubles so often.
const DOUBLINGS: u32 = 3;
/// A node that is not ready by then has something to say about it.
const LATE: Duration = Duration::from_secs(60);

/// What a task is told.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// It must run.
    Run { generation: u64, machine: Arc<Machine> },
    /// Nothing of it may be left.
    Gone,
}

impl Want {
    /// Takes the place of this one, unless it is older.
    pub fn supersede(&mut self, newer: Want) -> bool {
        let older = match (&*self, &newer) {
            (Want::Run { generation: known, .. }, Want::Run { generation, .. }) => generation < known,
            _ => false,
        };
        if !older {
            *self = newer;
        }
        !older
    }
}

pub(super) struct Actor {
    area: Machines,
    id: String,
    want: watch::Receiver<Want>,
    /// Of the body that is being made true.
    generation: u64,
    status: MachineStatus,
    /// What was said last, under which generation.
    said: Option<(u64, MachineStatus)>,
    backoff: Backoff,
    /// How often in a row PID 1 did not answer.
    silences: u32,
    /// The network knows what is plugged into the machine that runs.
    plugged: bool,
}

/// The want has changed: look at it again.
struct Changed;

/// What a machine needs and is not there yet, for people.
#[derive(Debug)]
enum Missing {
    /// A program that is not built yet, or the images of nodes.
    Component(String),
    /// A disk that is not made yet, or that another machine has mounted.
    Disk(String),
    /// A port that its network does not know yet.
    Port(String),
}

/// Why a machine does not run now.
enum Obstacle {
    Missing(Missing),
    /// It was tried.
    Failed(anyhow::Error),
}

impl Actor {
    pub fn new(area: Machines, id: String, want: watch::Receiver<Want>) -> Actor {
        let phase = MachinePhase::Waiting { for_what: "its turn".to_owned() };
        let status = MachineStatus { phase, since: now(), processes: Vec::new(), console: None };
        Actor {
            area,
            id,
            want,
            generation: 0,
            status,
            said: None,
            backoff: Backoff::new(),
            silences: 0,
            plugged: false,
        }
    }

    /// Makes what is wanted true, and keeps it so until nothing is wanted.
    pub async fn run(mut self) {
        loop {
            let want = self.want.borrow_and_update().clone();
            match want {
                Want::Run { generation, machine } => {
                    self.generation = generation;
                    let Err(Changed) = self.keep(machine).await;
                }
                Want::Gone => {
                    if let Err(why) = self.clear().await {
                        tracing::warn!(machine = self.id, "removing it: {why:#}");
                        let _ = self.unless_changed(LOOK).await;
                    } else if self.leave() {
                        return;
                    }
                }
            }
        }
    }

    /// Keeps a machine running until something else is wanted. Other ports are nothing else: they are plugged in, and
    /// taken out, as it runs.
    async fn keep(&mut self, mut machine: Arc<Machine>) -> Result<std::convert::Infallible, Changed> {
        let body = body_of(&machine);
        loop {
            let obstacle = match self.up(&machine, &body).await {
                Ok(life) => Obstacle::Failed(self.live(life, &mut machine).await?),
                Err(obstacle) => obstacle,
            };
            match obstacle {
                Obstacle::Missing(what) => {
                    let (Missing::Component(name) | Missing::Disk(name) | Missing::Port(name)) = &what;
                    self.phase(MachinePhase::Waiting { for_what: name.clone() });
                    self.look_again(&what, &machine).await?;
                }
                Obstacle::Failed(why) => {
                    tracing::warn!(machine = self.id, "it failed: {why:#}");
                    self.post(&machine).await;
                    self.phase(MachinePhase::Failed { why: format!("{why:#}") });
                    tokio::select! {
                        () = self.backoff.pause() => {}
                        _ = self.want.changed() => return Err(Changed),
                    }
                }
            }
        }
    }

    /// Finds it running with `body`, or starts it so.
    async fn up(&mut self, machine: &Arc<Machine>, body: &str) -> Result<Life, Obstacle> {
        let (driver, patience) = (self.area.0.driver.clone(), PATIENCE * 2u32.pow(self.silences.min(DOUBLINGS)));
        match driver.watch(&self.id, patience) {
            Some(life) if life.marks.body == body => {
                self.plugged = false;
                return Ok(life);
            }
            Some(_) => {
                self.phase(MachinePhase::Waiting { for_what: "the machine of its older body to stop".to_owned() });
                self.stop().await.map_err(Obstacle::Failed)?;
            }
            None => {}
        }
        let start = self.prepare(machine, body).await?;
        self.plugged = true;
        blocking(move || driver.start(start)).await.map_err(Obstacle::Failed)?;
        let driver = &self.area.0.driver;
        driver
            .watch(&self.id, patience)
            .context("PID 1 ended at once; its log is roadstead/init.log")
            .map_err(Obstacle::Failed)
    }

    /// Gathers all that the machine needs.
    async fn prepare(&self, machine: &Arc<Machine>, body: &str) -> Result<Start, Obstacle> {
        check::check(machine).map_err(|why| Obstacle::Failed(anyhow::Error::msg(why)))?;
        let area = &self.area.0;
        if let Some(path) = missing_component(&area.config, machine) {
            return Err(Obstacle::Missing(Missing::Component(format!("component {path}"))));
        }
        let images = area.images.folder(machine).await.map_err(|why| match why {
            NotYet::Component(_) | NotYet::Making => Obstacle::Missing(Missing::Component(why.to_string())),
            NotYet::Failed(why) => Obstacle::Failed(why.context("making the images of nodes")),
        })?;
        // Before the ports: those follow the machine that gets the disk.
        let disks = machine.disks.iter().map(|d| area.disks.lend(&d.disk, &self.id));
        let disks: Vec<PathBuf> =
            disks.collect::<Result<_, _>>().map_err(|why| Obstacle::Missing(Missing::Disk(why)))?;
        if let Some(port) = area.network.missing(&machine.ports) {
            return Err(Obstacle::Missing(Missing::Port(format!("port {port}"))));
        }
        let netns = area.network.attach(machine).await.map_err(Obstacle::Failed)?;
        let files = self.open(&machine.files).map_err(Obstacle::Failed)?;
        let ids = machine.disks.iter().map(|d| d.disk.clone()).collect();
        let marks = Marks { machine: self.id.clone(), body: body.to_owned(), disks: ids };
        Ok(Start { machine: machine.clone(), marks, netns, disks, images, files })
    }

    fn open(&self, files: &[File]) -> Result<Vec<Placed>> {
        let mut vault: Option<Vault> = None;
        let open = |file: &File| -> Result<Placed> {
            let bytes = match (&file.content, &mut vault) {
                (Content::Text(text), _) => text.clone().into_bytes(),
                (Content::Sealed(secret), Some(vault)) => vault.unseal(secret)?.to_vec(),
                (Content::Sealed(secret), none) => {
                    none.insert(Vault::open(&self.area.0.config.root_key)?).unseal(secret)?.to_vec()
                }
            };
            Ok(Placed { path: file.path.clone().into(), mode: file.mode, bytes })
        };
        files.iter().map(open).collect()
    }

    /// Passes on what a running machine says, until it ends (why) or something else is wanted.
    async fn live(&mut self, mut life: Life, machine: &mut Arc<Machine>) -> Result<anyhow::Error, Changed> {
        let (began, network) = (Instant::now(), self.area.0.network.clone());
        let late = tokio::time::sleep(LATE);
        tokio::pin!(late);
        let mut is_late = false;
        loop {
            tokio::select! {
                news = life.news.recv() => match news {
                    Some(News::Report(processes)) => {
                        if is_turn(&self.status.processes, &processes) {
                            self.post(machine).await;
                        }
                        self.report(MachinePhase::Running, processes);
                    }
                    Some(News::Ended(why)) => {
                        self.forgive(began);
                        return Ok(anyhow::Error::msg(why));
                    }
                    Some(News::Silent(why)) => {
                        self.forgive(began);
                        self.silences += 1;
                        return Ok(self.kill().await.err().unwrap_or_else(|| anyhow::Error::msg(why)));
                    }
                    // The listener broke, not the machine: find it again.
                    None => return Ok(anyhow::Error::msg("lost sight of PID 1")),
                },
                _ = self.want.changed() => self.still(machine)?,
                () = network.wait(&machine.ports), if !self.plugged => self.plug(machine).await,
                () = &mut late, if !is_late => {
                    is_late = true;
                    if !are_ready(&self.status.processes) {
                        self.post(machine).await;
                        self.say();
                    }
                }
            }
        }
    }

    /// One that ran for long begins anew.
    fn forgive(&mut self, began: Instant) {
        if began.elapsed() >= STEADY {
            (self.backoff, self.silences) = (Backoff::new(), 0);
        }
    }

    /// Tells the network, which may be a new agent's, what is plugged in where. What is wrong there is the network's to
    /// repair.
    async fn plug(&mut self, machine: &Machine) {
        self.plugged = true;
        if let Err(why) = self.area.0.network.attach(machine).await {
            tracing::warn!(machine = self.id, "its ports: {why:#}");
        }
    }

    /// A want with the same body changes nothing but the generation that is reported, and perhaps what is plugged in.
    fn still(&mut self, running: &mut Arc<Machine>) -> Result<(), Changed> {
        let Want::Run { generation, machine } = self.want.borrow_and_update().clone() else { return Err(Changed) };
        if body_of(&machine) != body_of(running) {
            // So that `run` sees it again.
            self.want.mark_changed();
            return Err(Changed);
        }
        self.plugged &= machine.ports == running.ports;
        *running = machine;
        self.generation = generation;
        self.say();
        Ok(())
    }

    /// Waits until what was missing may be there.
    async fn look_again(&mut self, what: &Missing, machine: &Machine) -> Result<(), Changed> {
        let (area, mut disks) = (self.area.clone(), self.area.0.disks.changes());
        tokio::select! {
            _ = disks.changed(), if matches!(what, Missing::Disk(_)) => Ok(()),
            () = area.0.network.wait(&machine.ports), if matches!(what, Missing::Port(_)) => Ok(()),
            result = self.unless_changed(LOOK) => result,
        }
    }

    async fn unless_changed(&mut self, pause: Duration) -> Result<(), Changed> {
        match tokio::time::timeout(pause, self.want.changed()).await {
            Ok(_) => Err(Changed),
            Err(_) => Ok(()),
        }
    }

    /// Returns when no process of it is left.
    async fn stop(&self) -> Result<()> {
        self.end(GRACE).await
    }

    /// The same, without a word to PID 1.
    async fn kill(&self) -> Result<()> {
        self.end(Duration::ZERO).await
    }

    async fn end(&self, grace: Duration) -> Result<()> {
        self.area.0.roster.stops(&self.id);
        let (driver, id) = (self.area.0.driver.clone(), self.id.clone());
        blocking(move || driver.stop(&id, grace)).await?;
        self.area.0.disks.give_back(&self.id);
        Ok(())
    }

    /// Removes all of it but its disks. Says so if its processes do not end.
    async fn clear(&mut self) -> Result<()> {
        if !is_name(&self.id) {
            // It never was, and its paths could be anybody's.
            return Ok(());
        }
        let stopped = self.stop().await;
        // Killed or not: who waits for a disk does not end, but must not keep an address that another machine is to have.
        self.area.0.network.detach(&self.id).await?;
        if let Err(why) = stopped {
            self.phase(MachinePhase::Remains { why: format!("{why:#}") });
            return Err(why);
        }
        let (driver, id) = (self.area.0.driver.clone(), self.id.clone());
        blocking(move || driver.clear(&id)).await
    }

    /// Ends the task, unless the machine is wanted again by now.
    fn leave(&mut self) -> bool {
        let mut wants = self.area.wants();
        let leaves = matches!(*self.want.borrow(), Want::Gone);
        if leaves {
            self.area.0.roster.forget(&self.id);
            wants.remove(&self.id);
        }
        leaves
    }

    /// What a node says from now on has its console with it: what its user sees of a machine that he can't enter.
    async fn post(&mut self, machine: &Machine) {
        if !matches!(machine.profile, Profile::Node { .. }) {
            return;
        }
        let (config, id) = (self.area.0.config.clone(), self.id.clone());
        match blocking(move || logs::console(&config.state_dir, &id, Console::LIMIT)).await {
            Ok(text) => self.status.console = Some(Console { at: now(), text }),
            Err(why) => tracing::warn!(machine = self.id, "its console: {why:#}"),
        }
    }

    fn phase(&mut self, phase: MachinePhase) {
        self.report(phase, Vec::new());
    }

    fn report(&mut self, phase: MachinePhase, processes: Vec<ProcessStatus>) {
        let since = if phase == self.status.phase { self.status.since } else { now() };
        self.status = MachineStatus { phase, since, processes, console: self.status.console.take() };
        self.area.0.roster.see(&self.id, &self.status);
        self.say();
    }

    fn say(&mut self) {
        let news = Some((self.generation, self.status.clone()));
        if self.said == news {
            return;
        }
        self.said = news;
        let key = ItemKey { kind: ItemKind::Machine, id: self.id.clone() };
        (self.area.0.saw)(key, self.generation, Status::Machine(self.status.clone()));
    }
}

/// All that a machine runs is ready.
fn are_ready(processes: &[ProcessStatus]) -> bool {
    !processes.is_empty() && processes.iter().all(|process| process.state == ProcessState::Ready)
}

/// From the one report to the next a machine got ready, or a process of it ended.
fn is_turn(before: &[ProcessStatus], after: &[ProcessStatus]) -> bool {
    let ended = |process: &&ProcessStatus| process.state == ProcessState::Backoff;
    let known = |process: &ProcessStatus| {
        before
            .iter()
            .any(|old| (&old.name, old.restarts, old.state) == (&process.name, process.restarts, process.state))
    };
    (are_ready(after) && !are_ready(before)) || after.iter().filter(ended).any(|process| !known(process))
}

/// The first of the pinned programs that is not built yet: `SET/PROGRAM`.
fn missing_component(config: &Config, machine: &Machine) -> Option<String> {
    let programs = machine.processes.iter().filter_map(|p| p.argv.first()?.strip_prefix("/opt/components/"));
    let sets = machine.components.iter().map(String::as_str);
    programs.chain(sets).find(|path| !config.components_dir.join(path).exists()).map(str::to_owned)
}

/// Names a machine's body: what runs with another one must be started anew.
fn body_of(machine: &Machine) -> String {
    let body = Machine { ports: Vec::new(), ..machine.clone() };
    digest(&serde_json::to_vec(&body).expect("a machine's map keys are strings"))
}
