//! An EKS node's own programs: what nodeadm does on AWS's images. Each prepares and then becomes the real program, so
//! that PID 1 looks after that:
//!
//! ```text
//! guest node containerd   /opt/images ─▶ /var/lib/containerd; ami.json ─▶ config.toml ───────────▶ exec containerd
//! guest node kubelet      ami.json, IMDS: instance + user data ─▶ config.json, kubeconfig, CA ──▶ exec kubelet
//! guest token             IMDS: the role's credentials ─▶ ExecCredential (kubelet's exec plugin)
//! guest ecr-credentials   the same, ECR ─▶ CredentialProviderResponse (kubelet's plugin for images)
//! guest node network      aws-node's pod, as the cluster's API has it ─▶ the VPC CNI's daemon, until that pod runs
//! guest node images       archives that come later ─▶ containerd
//! guest node snapshot     archives of images ─▶ what /opt/images shows (run by the agent, on no node)
//! ```
//!
//! The node is no cloud provider's (`--cloud-provider` is not set): the region plays that part. It knows each instance,
//! and so labels and removes nodes by itself; what AWS's controller would add at registration, kubelet says here.
//!
//! Source of names and values: awslabs/amazon-eks-ami, `nodeadm`.

mod ami;
mod containerd;
mod ecr;
mod kubelet;
mod late;
mod network;
mod node_config;
mod snapshot;
mod token;
mod user_data;

pub use ami::Ami;
pub use ecr::run as ecr_credentials;
pub use token::run as token;

use anyhow::{Context as _, Result, bail};
use roadstead_types::Millis;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

/// `guest node ROLE`: a program's does not return unless something is wrong.
pub fn run(args: &[String]) -> Result<()> {
    match args {
        [program] if program == "containerd" => containerd::run(),
        [program] if program == "kubelet" => kubelet::run(),
        [network] if network == "network" => network::run(),
        [images] if images == "images" => late::run(),
        [snapshot] if snapshot == "snapshot" => snapshot::make(),
        _ => bail!("usage: roadstead guest node containerd | kubelet | network | images (a node's PID 1 starts them)"),
    }
}

/// By the wall clock, which signatures need.
fn now() -> Result<Millis> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Millis(u64::try_from(now.as_millis())?))
}

/// A line in the process' log.
fn say(what: &str) {
    eprintln!("roadstead: {what}");
}

/// Writes a file of the node's configuration, and its folder.
fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let written = || -> Result<()> {
        fs::create_dir_all(path.parent().context("it has no folder")?)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        Ok(file.write_all(bytes)?)
    };
    written().with_context(|| format!("writing {}", path.display()))
}
