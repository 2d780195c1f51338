//! What the processes of machines said: PID 1 writes a log of each into its machine's folder, and these are read here, also
//! while no agent runs.

use anyhow::{Context as _, Result};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Takes a line; an error ends the reading.
pub type Say = fn(&str) -> Result<()>;

/// Where the machines' folders stand in the agent's state.
pub fn machines(state_dir: &Path) -> PathBuf {
    state_dir.join("machines")
}

/// What the processes of a machine said last, PID 1 first: each line behind its process' name, all of it no longer than
/// `limit`, bytes, of which every process has the same share.
///
/// # Errors
/// The logs may not be read.
pub fn console(state_dir: &Path, machine: &str, limit: usize) -> Result<String> {
    let mut logs = logs_in(&folder_of(state_dir, machine))?;
    logs.sort_by_key(|(process, _)| (process != "init", process.clone()));
    let share = limit / logs.len().max(1);
    logs.iter().map(|(process, path)| end_of(path, process, share)).collect()
}

/// The last whole lines of a log that fit, each with a name.
fn end_of(path: &Path, process: &str, limit: usize) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let from = file.metadata()?.len().saturating_sub(limit as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = vec![];
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip(usize::from(from > 0)).map(|line| format!("[{process}] {line}\n"));
    let mut kept: Vec<String> = vec![];
    let mut left = limit;
    for line in lines.collect::<Vec<_>>().into_iter().rev() {
        let Some(rest) = left.checked_sub(line.len()) else { break };
        left = rest;
        kept.push(line);
    }
    Ok(kept.into_iter().rev().collect())
}

fn folder_of(state_dir: &Path, machine: &str) -> PathBuf {
    machines(state_dir).join(machine).join("log/roadstead")
}

/// The logs of some machines.
pub struct Logs {
    /// The agent's state.
    state: PathBuf,
    /// Who, and where its logs are.
    folders: Vec<(String, PathBuf)>,
    /// Only of this process.
    process: Option<String>,
    open: BTreeMap<PathBuf, Log>,
    say: Say,
}

struct Log {
    /// `api-1/kube-apiserver`
    of: String,
    file: File,
    /// What was read and has no line's end yet.
    rest: Vec<u8>,
}

impl Logs {
    /// Those of machines, each with the name by which its lines are told from others'; with `process` only that one's.
    ///
    /// # Errors
    /// They may not be read.
    pub fn of(state_dir: &Path, of: Vec<(String, String)>, process: Option<String>, say: Say) -> Result<Logs> {
        let mut logs = Logs { state: state_dir.into(), folders: vec![], process, open: BTreeMap::new(), say };
        of.into_iter().for_each(|machine| logs.add(machine));
        logs.find()?;
        Ok(logs)
    }

    fn add(&mut self, (name, id): (String, String)) {
        let folder = folder_of(&self.state, &id);
        if self.folders.iter().all(|(_, known)| *known != folder) {
            self.folders.push((name, folder));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.len()
    }

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
    ///
    /// # Errors
    /// They may not be read.
    pub fn known(&self) -> Result<Vec<String>> {
        let mut known = BTreeSet::new();
        for (_, folder) in &self.folders {
            known.extend(logs_in(folder)?.into_iter().map(|(process, _)| process));
        }
        Ok(known.into_iter().collect())
    }

    /// Says what stands in them, or the ends. The beginning of a line is kept for `follow` to end.
    ///
    /// # Errors
    /// They can't be read, or nobody listens.
    pub fn recall(&mut self, tail: Option<usize>, follow: bool) -> Result<()> {
        let alone = self.open.len() == 1;
        for (path, log) in &mut self.open {
            let mut before = fs::read(path.with_extension("log.1")).unwrap_or_default();
            log.file.read_to_end(&mut before)?;
            let text = if follow { log.whole_lines(before) } else { String::from_utf8_lossy(&before).into_owned() };
            let lines: Vec<&str> = text.lines().collect();
            let from = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
            lines[from..].iter().try_for_each(|line| log.say(self.say, line, alone))?;
        }
        Ok(())
    }

    /// Says what is added to them and to those of the machines that `more` names as `of` did, until all are gone and no
    /// more can come.
    ///
    /// # Errors
    /// They can't be read, or nobody listens.
    pub async fn follow(&mut self, mut more: UnboundedReceiver<(String, String)>) -> Result<()> {
        let inotify = Arc::new(Inotify::init(InitFlags::IN_CLOEXEC)?);
        let mut happened = read(inotify.clone());
        let mut watched: BTreeMap<PathBuf, WatchDescriptor> = BTreeMap::new();
        loop {
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
                log.catch_up(self.say, path, alone)?;
            }
            self.open.retain(|path, _| self.folders.iter().any(|(_, folder)| path.starts_with(folder)));
            if self.folders.is_empty() && more.is_closed() && more.is_empty() {
                return Ok(());
            }
            let events = tokio::select! {
                Some(machine) = more.recv() => {
                    self.add(machine);
                    continue;
                }
                events = happened.recv() => events.context("nothing more is told of the logs")??,
            };
            let gone: Vec<_> = events.iter().filter(|e| e.mask.contains(AddWatchFlags::IN_IGNORED)).collect();
            self.folders.retain(|(_, folder)| !watched.get(folder).is_some_and(|w| gone.iter().any(|e| e.wd == *w)));
        }
    }
}

/// Reads events on a thread of its own, which ends when nobody listens and something happens, or with the process.
fn read(inotify: Arc<Inotify>) -> UnboundedReceiver<nix::Result<Vec<InotifyEvent>>> {
    let (sender, events) = unbounded_channel();
    std::thread::spawn(move || while sender.send(inotify.read_events()).is_ok() {});
    events
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
    fn catch_up(&mut self, say: Say, path: &Path, alone: bool) -> Result<()> {
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
        text.lines().try_for_each(|line| self.say(say, line, alone))
    }

    /// What was read up to the end of its last line; the rest waits for its own end.
    fn whole_lines(&mut self, added: Vec<u8>) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(added);
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = bytes.split_off(end);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn say(&self, say: Say, line: &str, alone: bool) -> Result<()> {
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
