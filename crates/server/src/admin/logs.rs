//! `roadstead admin logs`: what the processes of machines said. The region tells which machines are a cluster's; the
//! logs themselves are the host agent's files, read here, so those of a machine can be read while no region runs.

use super::cli::{ask, say};
use crate::config::Config;
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_host::logs::{Logs, machines};
use roadstead_inspect::{Machine, Question, ROLES};
use std::fs;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What an operator wants to read.
#[derive(clap::Args)]
pub struct Wanted {
    /// A cluster
    #[arg(required_unless_present = "machine")]
    cluster: Option<String>,
    /// Only machines of this role
    #[arg(long, value_parser = ROLES)]
    role: Option<String>,
    /// Only this machine: `api-1` of a cluster, or an instance's id
    #[arg(long, value_name = "ID")]
    machine: Option<String>,
    /// Only this process: `kube-apiserver`, or `init`, a machine's PID 1
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only the last so many lines of each [default: all of one log, 10 of each of several]
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// Go on with what they say from now on
    #[arg(short, long)]
    follow: bool,
}

/// Lines of each of several logs.
const TAIL: usize = 10;

/// What can be read while no region runs, if there is anything.
pub fn offline(config: &Config) -> Option<String> {
    let folder = machines(&config.host_state());
    fs::read_dir(&folder).ok()?.next().map(|_| {
        let own = config.logs();
        format!(
            "what its machines said can be read without it: `roadstead admin logs --machine ID`, each a folder in {}; \
             what it said itself is in {}",
            folder.display(),
            own.display()
        )
    })
}

/// Prints logs.
pub async fn run(config: &Config, wanted: &Wanted) -> Result<()> {
    let machines = chosen(config, wanted).await?.into_iter().map(|Machine { id, place }| (place, id)).collect();
    let mut logs = Logs::of(&config.host_state(), machines, wanted.process.clone(), say)?;
    if logs.count() == 0 && !wanted.follow {
        if let Some(process) = &wanted.process {
            bail!("'{process}' has no log here. Logs there are: {}", logs.known()?.join(", "));
        }
        eprintln!("Nothing was said yet: `roadstead admin explain` tells what they wait for.");
    }
    logs.recall(wanted.tail.or((logs.count() > 1).then_some(TAIL)), wanted.follow)?;
    if wanted.follow {
        let (sender, more) = unbounded_channel();
        tokio::try_join!(logs.follow(more), joining(config, wanted, sender))?;
        eprintln!("The machines are gone.");
    }
    Ok(())
}

/// Hands on the machines that take the places of a cluster's, as long as the region tells.
async fn joining(config: &Config, wanted: &Wanted, joined: UnboundedSender<(String, String)>) -> Result<()> {
    let Some(cluster) = &wanted.cluster else { return Ok(()) };
    let question = Question::Machines { cluster: cluster.clone(), role: wanted.role.clone(), watch: true };
    let told = ask(config, &question, |machine: Machine| {
        if wanted.means(&machine) {
            joined.send((machine.place, machine.id))?;
        }
        Ok(())
    });
    if let Err(why) = told.await {
        eprintln!("Machines that take the place of these will not be followed: {why:#}.");
    }
    Ok(())
}

impl Wanted {
    fn means(&self, machine: &Machine) -> bool {
        self.machine.as_ref().is_none_or(|one| *one == machine.id || *one == machine.place)
    }
}

async fn chosen(config: &Config, wanted: &Wanted) -> Result<Vec<Machine>> {
    let Some(cluster) = &wanted.cluster else {
        let id = wanted.machine.clone().context("name a cluster or a machine")?;
        let here = machines(&config.host_state());
        ensure!(
            !id.contains('/') && here.join(&id).is_dir(),
            "no machine '{id}' has run on this host: those that did stand in {}",
            here.display()
        );
        return Ok(vec![Machine { place: id.clone(), id }]);
    };
    let mut machines: Vec<Machine> = vec![];
    let question = Question::Machines { cluster: cluster.clone(), role: wanted.role.clone(), watch: false };
    ask(config, &question, |machine| {
        machines.push(machine);
        Ok(())
    })
    .await?;
    let all: Vec<String> = machines.iter().map(|m| format!("{} ({})", m.place, m.id)).collect();
    machines.retain(|machine| wanted.means(machine));
    ensure!(!all.is_empty(), "cluster '{cluster}' has no such machines yet: `roadstead admin explain` tells why");
    let which = wanted.machine.as_deref().unwrap_or_default();
    ensure!(!machines.is_empty(), "no machine of cluster '{cluster}' is '{which}'; there are {}", all.join(", "));
    Ok(machines)
}
