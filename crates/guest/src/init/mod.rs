//! `guest init`: PID 1 of a machine. One loop over its descriptors; [`supervisor`] decides, this does.

mod log;
mod prober;
mod status;
mod supervisor;

use crate::enter::{DISKS, MEMINFO};
use crate::vigil::Word;
use crate::{DISK_MARK, Marks, hardware};
use anyhow::{Context as _, Result, bail};
use log::Log;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use prober::Prober;
use roadstead_hostspec::Process;
use roadstead_types::Millis;
use status::Status;
use std::fs;
use std::io::{PipeReader, Read as _, pipe};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use supervisor::{Act, Now, Question, Supervisor};

const LOGS: &str = "/var/log/roadstead";
const CGROUPS: &str = "/sys/fs/cgroup";

/// Supervises the processes described in a file until SIGTERM. The status socket is standard input.
pub fn run(args: &[String]) -> Result<()> {
    let Some((_, [file])) = Marks::from_args(args) else { bail!("usage: roadstead guest init MARKS FILE") };
    let text = fs::read(file).with_context(|| format!("reading {file}"))?;
    let specs: Vec<Process> = serde_json::from_slice(&text).with_context(|| format!("reading {file}"))?;
    let socket = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let disks = fs::read(DISKS).with_context(|| format!("reading {DISKS}"))?;
    let disks = serde_json::from_slice(&disks).with_context(|| format!("reading {DISKS}"))?;
    hardware::follow_memory(Path::new(MEMINFO), Path::new(CGROUPS))?;
    Init::new(specs, disks, socket, Path::new(LOGS))?.run()
}

struct Init {
    supervisor: Supervisor,
    /// Where the machine's disks are mounted.
    disks: Vec<PathBuf>,
    /// Beside the supervisor's processes, by index.
    running: Vec<Running>,
    /// What processes write; one that left children behind can have several.
    outputs: Vec<Output>,
    /// Readable after a child ended.
    children: PipeReader,
    /// Readable after somebody wanted the machine to stop.
    stop: PipeReader,
    status: Status,
}

struct Running {
    log: Log,
    pid: Option<Pid>,
    /// What is run before it ends.
    parting: Option<Pid>,
    /// Who asks it what.
    probers: Vec<(Question, Prober)>,
}

struct Output {
    index: usize,
    pipe: PipeReader,
}

/// What a descriptor that became readable was for.
enum Wake {
    Child,
    Stop,
    Status,
    Word(usize, Question),
    Output(usize),
}

/// A disk that was emptied under a running machine must not be begun anew: an etcd member would come back under its
/// old name with its votes forgotten.
fn whole(disks: &[PathBuf]) -> Result<()> {
    let emptied = disks.iter().find(|disk| !disk.join(DISK_MARK).exists());
    emptied.map_or(Ok(()), |disk| bail!("the disk at {} was emptied or is gone", disk.display()))
}

impl Init {
    fn new(specs: Vec<Process>, disks: Vec<PathBuf>, socket: UnixListener, logs: &Path) -> Result<Init> {
        let open =
            |p: &Process| Ok(Running { log: Log::open(logs, &p.name)?, pid: None, parting: None, probers: Vec::new() });
        let running = specs.iter().map(open).collect::<Result<_>>().context("opening the logs")?;
        let (children, stop) = (signal_pipe(&[Signal::SIGCHLD])?, signal_pipe(&[Signal::SIGTERM, Signal::SIGINT])?);
        let supervisor = Supervisor::new(specs, now()?);
        let status = Status::new(socket)?;
        Ok(Init { supervisor, disks, running, outputs: Vec::new(), children, stop, status })
    }

    fn run(mut self) -> Result<()> {
        loop {
            loop {
                let acts = self.supervisor.next(now()?);
                if acts.contains(&Act::Exit) {
                    return self.exit();
                }
                if acts.is_empty() {
                    break;
                }
                acts.into_iter().try_for_each(|act| self.act(&act))?;
            }
            self.status.tell(self.supervisor.report());
            for wake in self.wait()? {
                self.woken(&wake)?;
            }
        }
    }

    fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Start(index) => self.start(*index)?,
            Act::Watch(index) => self.probe(*index, Question::Live)?,
            Act::Part(index) => self.part(*index),
            Act::Terminate(index) => {
                if let Some(late) = self.running[*index].parting {
                    let _ = kill(late, Signal::SIGKILL);
                }
                self.signal(*index, Signal::SIGTERM);
            }
            Act::Kill(index) => {
                let _ = self.running[*index].log.append(b"roadstead: it is killed: it has had its time\n");
                self.signal(*index, Signal::SIGKILL);
            }
            Act::Exit => {}
        }
        Ok(())
    }

    fn signal(&self, index: usize, signal: Signal) {
        if let Some(pid) = self.running[index].pid {
            let _ = kill(pid, signal);
        }
    }

    /// Runs what is to be done before a process ends. What it says goes into that one's log.
    fn part(&mut self, index: usize) {
        match self.command(index, &self.supervisor.spec(index).pre_stop.clone()) {
            Ok(pid) => self.running[index].parting = Some(pid),
            Err(why) => {
                let line = format!("roadstead: what is to be done before it ends: {why:#}\n");
                let _ = self.running[index].log.append(line.as_bytes());
                self.supervisor.parted(index);
            }
        }
    }

    /// Begins to ask a process a question, if its spec has it.
    fn prober(&self, index: usize, question: Question) -> Result<Option<(Question, Prober)>> {
        let Some((probe, rhythm)) = self.supervisor.probe(index, question) else { return Ok(None) };
        Ok(Some((question, Prober::start(probe, rhythm)?)))
    }

    fn probe(&mut self, index: usize, question: Question) -> Result<()> {
        let prober = self.prober(index, question)?;
        let probers = &mut self.running[index].probers;
        probers.retain(|(asked, _)| *asked != question);
        probers.extend(prober);
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let result = whole(&self.disks).and_then(|()| self.spawn(index));
        let now = now()?;
        match result {
            Ok(()) => self.supervisor.started(index, now),
            Err(why) => {
                let line = format!("roadstead: it did not start: {why:#}\n");
                let _ = self.running[index].log.append(line.as_bytes());
                self.supervisor.ended(index, format!("did not start: {why:#}"), now);
            }
        }
        Ok(())
    }

    fn spawn(&mut self, index: usize) -> Result<()> {
        // First: a child that was started and then given up would be nobody's.
        let prober = self.prober(index, Question::Ready)?;
        let pid = self.command(index, &self.supervisor.spec(index).argv.clone())?;
        self.running[index].pid = Some(pid);
        self.running[index].probers.extend(prober);
        Ok(())
    }

    /// Spawns a program in the name of a process.
    fn command(&mut self, index: usize, argv: &[String]) -> Result<Pid> {
        let (program, args) = argv.split_first().context("its argv is empty")?;
        let (output, input) = pipe()?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("HOME", "/root")
            .envs(&self.supervisor.spec(index).env)
            .current_dir("/")
            // A group of its own: what it leaves behind is killed with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()?;
        self.outputs.push(Output { index, pipe: output });
        Ok(Pid::from_raw(i32::try_from(child.id())?))
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) -> Result<Vec<Wake>> {
        let mut watched: Vec<(Wake, BorrowedFd<'_>)> =
            vec![(Wake::Child, self.children.as_fd()), (Wake::Stop, self.stop.as_fd())];
        watched.extend(self.status.fds().map(|fd| (Wake::Status, fd)));
        for (index, running) in self.running.iter().enumerate() {
            watched.extend(running.probers.iter().map(|(asks, prober)| (Wake::Word(index, *asks), prober.as_fd())));
        }
        watched.extend(self.outputs.iter().enumerate().map(|(i, o)| (Wake::Output(i), o.pipe.as_fd())));
        let mut fds: Vec<PollFd<'_>> = watched.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, self.patience()?) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(why).context("waiting"),
        }
        let woke: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        // From the back: an output that ended leaves the places of those before it.
        Ok(watched.into_iter().zip(woke).filter(|(_, woke)| *woke).map(|((wake, _), _)| wake).rev().collect())
    }

    fn patience(&self) -> Result<PollTimeout> {
        let now = now()?;
        let Some(deadline) = self.supervisor.deadline(now) else { return Ok(PollTimeout::NONE) };
        // One more, so that it is over when the wait is.
        let wait = deadline.since(now.steady).0 + 1;
        Ok(PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX))
    }

    fn woken(&mut self, wake: &Wake) -> Result<()> {
        match wake {
            Wake::Child => {
                drain(&mut self.children)?;
                self.reap()?;
            }
            Wake::Stop => {
                drain(&mut self.stop)?;
                self.supervisor.stop(now()?);
            }
            Wake::Status => self.status.attend(),
            Wake::Word(index, question) => self.heard(*index, *question)?,
            Wake::Output(place) => self.output(*place),
        }
        Ok(())
    }

    fn heard(&mut self, index: usize, question: Question) -> Result<()> {
        let probers = &mut self.running[index].probers;
        let Some(place) = probers.iter().position(|(asks, _)| *asks == question) else { return Ok(()) };
        match probers[place].1.hear() {
            Some(Word::Lost) => {
                probers.swap_remove(place);
                self.supervisor.heard(index, question, Word::Lost, now()?);
            }
            Some(word) => self.supervisor.heard(index, question, word, now()?),
            // Its thread is gone without a last word: ask anew.
            None => {
                probers.swap_remove(place);
                self.probe(index, question)?;
            }
        }
        Ok(())
    }

    fn output(&mut self, place: usize) {
        let output = &mut self.outputs[place];
        let mut bytes = [0; 32 << 10];
        match output.pipe.read(&mut bytes) {
            Ok(0) | Err(_) => drop(self.outputs.swap_remove(place)),
            Ok(n) => {
                let _ = self.running[output.index].log.append(&bytes[..n]);
            }
        }
    }

    /// Takes leave of every child that ended, ours or an orphan.
    fn reap(&mut self) -> Result<()> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, look) {
            let Some(pid) = status.pid() else { break };
            let index = self.running.iter().position(|r| r.pid == Some(pid));
            if index.is_some() {
                // While it is a zombie its number names no other group.
                let _ = killpg(pid, Signal::SIGKILL);
            }
            waitpid(pid, None).context("reaping")?;
            if let Some(index) = self.running.iter().position(|r| r.parting == Some(pid)) {
                self.running[index].parting = None;
                self.supervisor.parted(index);
            }
            if let Some(index) = index {
                self.running[index].pid = None;
                self.running[index].probers.clear();
                match status {
                    WaitStatus::Exited(_, 0) => self.supervisor.succeeded(index, describe(status), now()?),
                    _ => self.supervisor.ended(index, describe(status), now()?),
                }
            }
        }
        Ok(())
    }

    /// Writes down the last words. The end of PID 1 is the end of all: the kernel kills what is left in the namespace.
    fn exit(mut self) -> Result<()> {
        self.status.tell(self.supervisor.report());
        while let Some(place) = self.outputs.iter().position(|o| readable(o.pipe.as_fd())) {
            self.output(place);
        }
        Ok(())
    }
}

/// A pipe into which a byte is written at each of the signals. They are caught, not blocked: a blocked one would stay
/// blocked in every process started from here, and one that PID 1 neither blocks nor catches is lost.
fn signal_pipe(signals: &[Signal]) -> Result<PipeReader> {
    let (reader, writer) = pipe()?;
    for signal in signals {
        signal_hook::low_level::pipe::register(*signal as i32, OwnedFd::from(writer.try_clone()?))?;
    }
    Ok(reader)
}

/// Takes what a readable pipe of signals holds; more would only say the same again.
fn drain(pipe: &mut PipeReader) -> Result<()> {
    let _ = pipe.read(&mut [0; 64]).context("reading signals")?;
    Ok(())
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exit status {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("signal {}", signal as i32),
        other => format!("{other:?}"),
    }
}

fn now() -> Result<Now> {
    let read = |clock| -> Result<Millis> {
        let time = clock_gettime(clock)?;
        Ok(Millis(u64::try_from(time.tv_sec())? * 1000 + u64::try_from(time.tv_nsec())? / 1_000_000))
    };
    Ok(Now { wall: read(ClockId::CLOCK_REALTIME)?, steady: read(ClockId::CLOCK_MONOTONIC)? })
}
