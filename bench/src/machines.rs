//! The machines of a region, as the host that they run on sees them.

use crate::running;
use crate::running::inside;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A process of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Outside.
    pub pid: i32,
    /// In its machine; 1 is the machine's first.
    pub inside: i32,
    /// The machine's id.
    pub machine: String,
    /// The program's name.
    pub program: String,
    /// A signal has stopped it: proc_pid_status(5), `State`.
    pub stopped: bool,
    /// Its command line.
    pub arguments: Vec<String>,
}

/// Everything that runs in the machines whose cgroups' paths contain `mark`.
pub fn processes(mark: &str) -> Vec<Process> {
    running::ids().filter_map(|pid| look(pid, mark)).collect()
}

fn look(pid: i32, mark: &str) -> Option<Process> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let machine = cgroups.lines().find_map(|line| line.split_once(mark)?.1.split('/').next())?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let command = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).into_owned();
    let arguments: Vec<String> = command.split_terminator('\0').map(str::to_owned).collect();
    let program = Path::new(arguments.first()?).file_name()?.to_string_lossy().into_owned();
    // The third is what it is in a container of its machine: NSpid of proc_pid_status(5).
    let inside = numbers.split_whitespace().take(2).last()?.parse().ok()?;
    let stopped = status.lines().any(|line| line.starts_with("State:\tT"));
    Some(Process { pid, inside, machine: machine.to_owned(), program, stopped, arguments })
}

/// Process ids of a part of the region itself: `up`, `serve`, `host`.
pub fn parts(data: &Path, part: &str) -> Vec<i32> {
    let is_part = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let arguments: Vec<&str> = command.split_terminator('\0').collect();
        arguments.contains(&part) && arguments.iter().any(|argument| Path::new(argument) == data)
    };
    running::ids().filter(is_part).collect()
}

impl Process {
    /// The path of its program, in its machine.
    pub fn path(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// The value of its flag `--NAME=VALUE`.
    ///
    /// # Errors
    /// It has none.
    pub fn flag(&self, name: &str) -> Result<&str> {
        let begin = format!("--{name}=");
        let value = self.arguments.iter().find_map(|argument| argument.strip_prefix(&begin));
        value.with_context(|| format!("{} runs without --{name}", self.program))
    }

    /// A file of its machine's, as it sees it; the path without the leading `/`.
    ///
    /// # Errors
    /// There is none.
    pub fn read(&self, path: &str) -> Result<String> {
        let path = self.seen(path);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// When such a file was last written.
    ///
    /// # Errors
    /// There is none.
    pub fn written(&self, path: &str) -> Result<SystemTime> {
        let path = self.seen(path);
        Ok(fs::metadata(&path).with_context(|| path.display().to_string())?.modified()?)
    }

    fn seen(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join("root").join(path)
    }

    /// A variable of its environment.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn variable(&self, name: &str) -> Result<String> {
        let environment = String::from_utf8_lossy(&fs::read(format!("/proc/{}/environ", self.pid))?).into_owned();
        let value = environment.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        Ok(value.with_context(|| format!("{} runs without {name}", self.program))?.to_owned())
    }

    /// When it was started; to 10 ms.
    ///
    /// # Errors
    /// It is gone.
    pub fn started(&self) -> Result<SystemTime> {
        let age = running::age(self.pid)?;
        SystemTime::now().checked_sub(age).context("it is older than time")
    }

    /// A connection to a port of its machine's loopback, made from inside.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn dial(&self, port: u16) -> Result<TcpStream> {
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", self.pid));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        inside(&namespace, || TcpStream::connect_timeout(&address, Duration::from_secs(1)))
    }

    /// What plain `GET path` answers at a port of its machine's loopback.
    ///
    /// # Errors
    /// Not 200, or nothing within a second.
    pub fn get(&self, port: u16, path: &str) -> Result<String> {
        let mut stream = self.dial(port)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.split(' ').nth(1) == Some("200"), "{path}: {}", answer.lines().next().unwrap_or_default());
        Ok(answer)
    }

    /// What its machine mounts at `path`, on the host.
    ///
    /// # Errors
    /// Nothing is mounted there.
    pub fn mounted(&self, path: &str) -> Result<PathBuf> {
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid))?;
        // ID PARENT DEVICE ROOT POINT ...: proc_pid_mountinfo(5)
        let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let found = fields.find(|fields| fields.get(4) == Some(&path)).context("nothing is mounted there")?;
        Ok(PathBuf::from(found[3]))
    }

    /// Runs a program of the host in its machine's network.
    ///
    /// # Errors
    /// It fails.
    pub fn run_in_network(&self, command: &[&str]) -> Result<()> {
        let entered = format!("--net=/proc/{}/ns/net", self.pid);
        run(&[&["nsenter", &entered], command].concat()).map(drop)
    }
}

/// Which target the balancer chose for a client's connection, as the network's connection tracking knows it.
pub fn target_of(network: &str, port: u16) -> Option<Ipv4Addr> {
    let port = port.to_string();
    let listed =
        run(&["ip", "netns", "exec", network, "conntrack", "-L", "-p", "tcp", "--orig-port-src", &port]).ok()?;
    // The second `src=` is the reply's: who really answers.
    listed.split_whitespace().filter_map(|word| word.strip_prefix("src=")?.parse().ok()).nth(1)
}

/// Runs a program; what it prints.
///
/// # Errors
/// It fails.
pub fn run(command: &[&str]) -> Result<String> {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.with_context(|| format!("starting {}", command[0]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", command.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
