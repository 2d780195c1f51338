//! The seam to what makes machines out of: namespaces today, micro-VMs later.

use anyhow::Result;
use roadstead_guest::{Marks, Placed};
use roadstead_hostspec::{Machine, ProcessStatus};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// Makes machines. It has no memory: what runs is found on the host, whoever started it.
///
/// Every function blocks, for milliseconds but for [`Driver::stop`], and is called for one id by one caller at a time.
pub trait Driver: Send + Sync + 'static {
    /// Ids of which anything is left on the host.
    fn ids(&self) -> Vec<String>;

    /// What an id's running machine carries.
    fn marks(&self, id: &str) -> Option<Marks>;

    /// Listens to a running machine, whose PID 1 may owe an answer for as long as `patience`; `None` if none runs. Needs a
    /// runtime around it.
    fn watch(&self, id: &str, patience: Duration) -> Option<Life>;

    /// Starts a machine and returns when its PID 1 runs. What is left of an earlier one of the id is killed first.
    fn start(&self, start: Start) -> Result<()>;

    /// Asks PID 1 to end, waits for at most `grace`, then kills what is left. Nothing runs when it returns `Ok`.
    fn stop(&self, id: &str, grace: Duration) -> Result<()>;

    /// Removes all that belongs to the id, logs included. The machine does not run.
    fn clear(&self, id: &str) -> Result<()>;
}

/// All that a machine is started with.
pub struct Start {
    /// What it must be. Its sealed files are in `files`.
    pub machine: std::sync::Arc<Machine>,
    /// Carried by it while it runs.
    pub marks: Marks,
    /// Its network namespace, with its ports in it.
    pub netns: PathBuf,
    /// The folders of its disks, in the order of the spec.
    pub disks: Vec<PathBuf>,
    /// The images that it has from its beginning, if it is an EKS node.
    pub images: Option<PathBuf>,
    /// Its files, opened.
    pub files: Vec<Placed>,
}

/// A running machine.
#[derive(Debug)]
pub struct Life {
    /// What it was started with.
    pub marks: Marks,
    /// What it says; the last is [`News::Ended`] or [`News::Silent`].
    pub news: mpsc::Receiver<News>,
}

/// Something about a running machine.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// PID 1 reports.
    Report(Vec<ProcessStatus>),
    /// PID 1 is gone; why, for people.
    Ended(String),
    /// PID 1 is there and does not answer; why that is known, for people.
    Silent(String),
}
