//! What runs inside a machine, and the few steps that lead into it.
//!
//! The host agent has many threads and so cannot enter namespaces itself. It spawns `roadstead guest enter`, which
//! joins the machine's network namespace and cgroups, makes the other namespaces and spawns `guest root` as the first
//! process in them; that one builds the root and becomes `guest init`, PID 1 of the machine:
//!
//! ```text
//! agent ──Launch (stdin)──▶ guest enter ──Launch──▶ guest root ──exec──▶ guest init ──spawns──▶ the processes
//!       ◀─nothing, or why not (stdout)──────────────────┘                     │
//!       ◀─Report, a JSON line per change, or per question (unix socket)───────┘
//! ```
//!
//! None of it asks to die with its parent: a machine outlives the agent that started it.

pub mod ask;
mod aws_node;
pub mod cni;
mod enter;
mod handover;
pub mod hardware;
mod init;
mod launch;
mod namespace;
pub mod netlink;
mod node;
pub mod vigil;

/// The file at a disk's root that says which disk it is. No dot begins its name: whoever empties a disk by `rm *` takes
/// it along, and PID 1 starts nothing on a disk without one.
pub const DISK_MARK: &str = "roadstead-disk";

pub use launch::{Bind, ImageArchive, Launch, Marks, Node, Placed, Report, SnapshotOrder};
pub use node::Ami;

use std::ffi::OsString;
use std::process::ExitCode;

/// Entry of `roadstead guest ROLE ...`; `args` are those after `guest`. Roles: `enter`, `init` (and `root`, which
/// `enter` starts itself); `hand-over`, which a member of etcd has done before it ends; on an EKS node `node`, `token`,
/// `ecr-credentials`, `cni` (the plugin, see [`cni::plugin`]) and `aws-node`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let result = match args.split_first() {
        Some((role, [])) if role == "enter" => enter::enter(),
        Some((role, [])) if role == "root" => enter::root(),
        Some((role, rest)) if role == "init" => init::run(rest),
        Some((role, rest)) if role == "hand-over" => handover::run(rest),
        Some((role, rest)) if role == "node" => node::run(rest),
        Some((role, rest)) if role == "token" => node::token(rest),
        Some((role, [])) if role == "ecr-credentials" => node::ecr_credentials(),
        Some((role, [])) if role == "cni" => return cni::main(cni::PLUGINS[0]),
        Some((role, [])) if role == "aws-node" => aws_node::run(),
        _ => Err(anyhow::anyhow!("usage: roadstead guest ROLE, which the host agent and PID 1 start")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("roadstead guest: {why:#}");
            ExitCode::FAILURE
        }
    }
}
