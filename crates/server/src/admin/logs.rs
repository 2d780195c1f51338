//! `roadstead admin logs`: what the processes of machines said. The region tells which machines are a cluster's; the
//! logs themselves are the host agent's files, read here, so those of a machine can be read while no region runs.

use super::cli::{ask, say};
use crate::config::Config;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use roadstead_inspect::{Machine, Question, ROLES};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

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

/// Where the host agent keeps what is each machine's.
pub fn folder(config: &Config) -> PathBuf {
    config.host_state().join("machines")
}

/// What can be read while no region runs, if there is anything.
pub fn offline(config: &Config) -> Option<String> {
    let machines = fs::read_dir(folder(config)).ok()?.next();
    machines.map(|_| {
        let (folder, own) = (folder(config), config.logs());
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
    let machines = chosen(config, wanted).await?;
    let logs_of = |id: String| folder(config).join(id).join("log/roadstead");
    let folders = machines.into_iter().map(|Machine { id, place }| (place, logs_of(id))).collect();
    let (follow, process) = (wanted.follow, wanted.process.clone());
    let mut logs = Logs { folders, process, open: BTreeMap::new() };
    logs.find()?;
    if logs.open.is_empty() && !follow {
        if let Some(process) = &logs.process {
            bail!("'{process}' has no log here. Logs there are: {}", logs.known()?.join(", "));
        }
        eprintln!("Nothing was said yet: `roadstead admin explain` tells what they wait for.");
    }
    let tail = wanted.tail.or((logs.open.len() > 1).then_some(TAIL));
    logs.recall(tail, follow)?;
    if follow { logs.follow() } else { Ok(()) }
}

async fn chosen(config: &Config, wanted: &Wanted) -> Result<Vec<Machine>> {
    let Some(cluster) = &wanted.cluster else {
        let id = wanted.machine.clone().context("name a cluster or a machine")?;
        let here = folder(config);
        ensure!(
            !id.contains('/') && here.join(&id).is_dir(),
            "no machine '{id}' has run on this host: those that did stand in {}",
            here.display()
        );
        return Ok(vec![Machine { place: id.clone(), id }]);
    };
    let mut machines: Vec<Machine> = vec![];
    let question = Question::Machines { cluster: cluster.clone(), role: wanted.role.clone() };
    ask(config, &question, |machine| {
        machines.push(machine);
        Ok(())
    })
    .await?;
    let all: Vec<String> = machines.iter().map(|m| format!("{} ({})", m.place, m.id)).collect();
    let meant = |m: &Machine| wanted.machine.as_ref().is_none_or(|one| *one == m.id || *one == m.place);
    machines.retain(meant);
    ensure!(!all.is_empty(), "cluster '{cluster}' has no such machines yet: `roadstead admin explain` tells why");
    let which = wanted.machine.as_deref().unwrap_or_default();
    ensure!(!machines.is_empty(), "no machine of cluster '{cluster}' is '{which}'; there are {}", all.join(", "));
    Ok(machines)
}

/// The logs of some machines.
struct Logs {
    /// Who, and where its logs are.
    folders: Vec<(String, PathBuf)>,
    /// Only of this process.
    process: Option<String>,
    open: BTreeMap<PathBuf, Log>,
}

struct Log {
    /// `api-1/kube-apiserver`
    of: String,
    file: File,
    /// What was read and has no line's end yet.
    rest: Vec<u8>,
}

impl Logs {
    /// Opens the logs that are not open yet.
    fn find(&mut self) -> Result<()> {
        for (place, folder) in &self.folders {
            for (process, path) in logs_in(folder)? {
                if self.process.as_ref().is_some_and(|one| *one != process) || self.open.contains_key(&path) {
                    continue;
                }
                let log = Log { of: format!("{place}/{process}"), file: File::open(&path)?, rest: vec![] };
                self.open.insert(path, log);
            }
        }
        Ok(())
    }

    /// Of which processes there are logs at all.
    fn known(&self) -> Result<Vec<String>> {
        let mut known = BTreeSet::new();
        for (_, folder) in &self.folders {
            known.extend(logs_in(folder)?.into_iter().map(|(process, _)| process));
        }
        Ok(known.into_iter().collect())
    }

    /// Prints what stands in them, or the ends. The beginning of a line is kept for `follow` to end.
    fn recall(&mut self, tail: Option<usize>, follow: bool) -> Result<()> {
        let alone = self.open.len() == 1;
        for (path, log) in &mut self.open {
            let mut before = fs::read(path.with_extension("log.1")).unwrap_or_default();
            log.file.read_to_end(&mut before)?;
            let text = if follow { log.whole_lines(before) } else { String::from_utf8_lossy(&before).into_owned() };
            let lines: Vec<&str> = text.lines().collect();
            let from = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
            lines[from..].iter().try_for_each(|line| log.say(line, alone))?;
        }
        Ok(())
    }

    /// Prints what is added to them, until the machines are gone.
    fn follow(&mut self) -> Result<()> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let mut watched: BTreeMap<PathBuf, WatchDescriptor> = BTreeMap::new();
        while !self.folders.is_empty() {
            for (_, folder) in &self.folders {
                if !watched.contains_key(folder)
                    && let Some(watch) = await_folder(&inotify, folder)?
                {
                    watched.insert(folder.clone(), watch);
                }
            }
            self.find()?;
            let alone = self.open.len() == 1 && self.folders.len() == 1;
            for (path, log) in &mut self.open {
                log.catch_up(path, alone)?;
            }
            let events = inotify.read_events()?;
            let gone: Vec<_> = events.iter().filter(|e| e.mask.contains(AddWatchFlags::IN_IGNORED)).collect();
            self.folders.retain(|(_, folder)| !watched.get(folder).is_some_and(|w| gone.iter().any(|e| e.wd == *w)));
        }
        eprintln!("The machines are gone; their replacements have logs of their own: ask again.");
        Ok(())
    }
}

/// Watches the folder; if it is not there yet, the nearest one above it in which something of it will appear.
fn await_folder(inotify: &Inotify, folder: &Path) -> Result<Option<WatchDescriptor>> {
    let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    let nearest = || folder.ancestors().find(|above| above.is_dir()).context("the data directory is gone");
    loop {
        let place = nearest()?;
        let watch = inotify.add_watch(place, changes)?;
        // What appeared in between made no event.
        if nearest()? == place {
            return Ok((place == folder).then_some(watch));
        }
    }
}

impl Log {
    fn catch_up(&mut self, path: &Path, alone: bool) -> Result<()> {
        let mut added = vec![];
        self.file.read_to_end(&mut added)?;
        // A full log gets another name, and a new one its place.
        let replaced = fs::metadata(path).is_ok_and(|now| self.file.metadata().is_ok_and(|old| old.ino() != now.ino()));
        if replaced {
            self.file = File::open(path)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.read_to_end(&mut added)?;
        }
        let text = self.whole_lines(added);
        text.lines().try_for_each(|line| self.say(line, alone))
    }

    /// What was read up to the end of its last line; the rest waits for its own end.
    fn whole_lines(&mut self, added: Vec<u8>) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(added);
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = bytes.split_off(end);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn say(&self, line: &str, alone: bool) -> Result<()> {
        if alone { say(line) } else { say(&format!("[{}] {line}", self.of)) }
    }
}

/// The logs in a machine's folder, by process. A machine that never ran has none.
fn logs_in(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}: are you root?", folder.display())),
    };
    let log = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_suffix(".log")?.to_owned(), path));
    let mut found: Vec<_> = entries.flatten().filter_map(|entry| log(entry.path())).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
