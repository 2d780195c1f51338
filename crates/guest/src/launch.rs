//! What the agent and the inside of a machine tell each other.

use roadstead_hostspec::{Process, ProcessStatus};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to start a machine: the agent writes it as JSON to the standard input of `guest enter` and closes that.
///
/// It holds opened secrets, so it is never written to a file and doesn't print.
#[derive(Serialize, Deserialize)]
pub struct Launch {
    /// Carried by the machine's PID 1 in its arguments.
    pub marks: Marks,
    /// Its host name.
    pub hostname: String,
    /// `/etc/machine-id`: 32 lower-case hexadecimal digits.
    pub machine_id: String,
    /// The network namespace to join, e.g. `/run/netns/rs7-i-1`.
    pub netns: PathBuf,
    /// Cgroup folders to join, one per hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// The program to run as PID 1.
    pub program: PathBuf,
    /// An empty folder to build the root on. Nothing appears in it outside the machine.
    pub root: PathBuf,
    /// Where init's status socket is bound, in the host's file system; the machine can't reach the path.
    pub socket: PathBuf,
    /// The host's folder for `/var/log`.
    pub logs: PathBuf,
    /// Folders of the host that appear in the machine.
    pub binds: Vec<Bind>,
    /// Files to place on memory-backed storage.
    pub files: Vec<Placed>,
    /// What init supervises.
    pub processes: Vec<Process>,
    /// The computer that it is; none: it is a service's machine, and has hardly any privilege.
    pub node: Option<Node>,
}

/// What a machine of [`Profile::Node`](roadstead_hostspec::Profile::Node) is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Ids of the host's processors that it has, ascending.
    pub cpus: Vec<u32>,
    /// Its memory, bytes.
    pub memory_bytes: u64,
    /// The cgroup of version 2, below the one in [`Launch::cgroups`], that PID 1 and its processes live in. The machine's
    /// own root stays free of processes, or nobody inside could hand controllers out from it (cgroup-v2.rst, "No
    /// Internal Process Constraint").
    pub cgroup: PathBuf,
}

/// A folder of the host in a machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bind {
    /// In the host.
    pub source: PathBuf,
    /// In the machine; absolute.
    pub target: PathBuf,
    /// Whether the machine may write.
    pub writable: bool,
}

/// A file in a machine.
#[derive(Serialize, Deserialize)]
pub struct Placed {
    /// In the machine; absolute.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// What PID 1 carries in its arguments, so that a restarted agent knows the machine without any file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The machine's id.
    pub machine: String,
    /// Names the body of the spec that it was started with.
    pub body: String,
    /// Ids of the disks that it has mounted.
    pub disks: Vec<String>,
}

impl Marks {
    /// As arguments of `guest init`.
    pub fn to_args(&self) -> Vec<String> {
        let flags = [("--machine", &self.machine), ("--body", &self.body)];
        let disks = self.disks.iter().map(|id| ("--disk", id));
        flags.into_iter().chain(disks).flat_map(|(flag, value)| [flag.to_owned(), value.clone()]).collect()
    }

    /// Reads the arguments that [`Marks::to_args`] made, and returns what follows them.
    pub fn from_args(args: &[String]) -> Option<(Marks, &[String])> {
        let (mut machine, mut body, mut disks, mut rest) = (None, None, Vec::new(), args);
        while let [flag, value, after @ ..] = rest {
            match flag.as_str() {
                "--machine" => machine = Some(value.clone()),
                "--body" => body = Some(value.clone()),
                "--disk" => disks.push(value.clone()),
                _ => break,
            }
            rest = after;
        }
        Some((Marks { machine: machine?, body: body?, disks }, rest))
    }

    /// Reads the command line of a process (`/proc/PID/cmdline`); `None` if it is no machine's init.
    pub fn from_cmdline(cmdline: &[u8]) -> Option<Marks> {
        let args: Vec<String> = cmdline.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        let [_, guest, init, rest @ ..] = args.as_slice() else { return None };
        (guest == "guest" && init == "init").then(|| Marks::from_args(rest))?.map(|(marks, _)| marks)
    }
}

/// What a node's containerd is to begin with: the agent writes it as JSON to the standard input of `guest node snapshot`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOrder {
    /// Where to make it: an empty folder, which becomes a root of containerd's.
    pub folder: PathBuf,
    /// The folder with the nodes' `containerd` and `ctr`.
    pub programs: PathBuf,
    /// The region whose registry the images are called by.
    pub region: String,
    /// What is in it.
    pub archives: Vec<ImageArchive>,
}

impl SnapshotOrder {
    /// The file in a snapshot's folder that tells it from others. The agent writes it, last of all.
    pub const KEY: &str = "roadstead-snapshot";
}

/// An image in a file: an OCI image layout in a tar archive, in which it is called by its tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageArchive {
    /// Its repository in EKS's registry, e.g. `eks/pause`.
    pub repository: String,
    /// E.g. `v3.10.2`.
    pub tag: String,
    /// The file.
    pub path: PathBuf,
}

impl ImageArchive {
    /// Where nodes see those that come after they have booted: the agent writes there, each archive whole, and then a file
    /// that says what it is.
    pub const LATE: &str = "/opt/late-images";
    /// How the name of such a file ends; in it is this as JSON.
    pub const NOTICE: &str = "json";
}

/// What init says: a line of JSON to whoever connects, at once and at every change, and whenever it is asked: by a byte
/// sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order of the spec.
    pub processes: Vec<ProcessStatus>,
    /// It answers when it is asked; one that an earlier agent started may not.
    #[serde(default)]
    pub answers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_a_command_line() {
        let marks = Marks { machine: "i-1".into(), body: "ab".into(), disks: vec!["vol-1".into(), "vol-2".into()] };
        let mut cmdline = b"/opt/roadstead/roadstead\0guest\0init\0".to_vec();
        for arg in marks.to_args().iter().map(String::as_str).chain(["/run/x.json"]) {
            cmdline.extend_from_slice(arg.as_bytes());
            cmdline.push(0);
        }
        assert_eq!(Marks::from_cmdline(&cmdline), Some(marks.clone()));
        assert_eq!(Marks::from_cmdline(b"/bin/sh\0-c\0guest init\0"), None);
        assert_eq!(Marks::from_cmdline(b""), None);
        let args = [marks.to_args(), vec!["file".into()]].concat();
        assert_eq!(Marks::from_args(&args), Some((marks, &["file".to_owned()][..])));
    }
}
