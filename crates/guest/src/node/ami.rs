//! What the machine image holds: `/etc/roadstead/ami.json`, written by the region.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

const FILE: &str = "/etc/roadstead/ami.json";
/// Where the sets of pinned programs stand.
const COMPONENTS: &str = "/opt/components";

/// The sets of programs that a node is made of, e.g. `kubernetes-1.36.3`, and where it is.
#[derive(Debug, Deserialize)]
pub struct Ami {
    pub kubernetes: String,
    pub containerd: String,
    pub runc: String,
    pub region: String,
}

impl Ami {
    /// This machine's.
    pub fn read() -> Result<Ami> {
        let text = fs::read(FILE).with_context(|| format!("reading {FILE}: this machine is no EKS node"))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {FILE}"))
    }

    pub fn kubelet(&self) -> PathBuf {
        program(&self.kubernetes, "kubelet")
    }

    pub fn containerd(&self) -> PathBuf {
        program(&self.containerd, "containerd")
    }

    pub fn ctr(&self) -> PathBuf {
        program(&self.containerd, "ctr")
    }

    pub fn runc(&self) -> PathBuf {
        program(&self.runc, "runc")
    }

    /// Where programs find each other: containerd its shim.
    pub fn path(&self) -> String {
        let sets = [&self.containerd, &self.runc].map(|set| format!("{COMPONENTS}/{set}"));
        format!("{}:/usr/sbin:/usr/bin", sets.join(":"))
    }
}

fn program(set: &str, name: &str) -> PathBuf {
    Path::new(COMPONENTS).join(set).join(name)
}

#[cfg(test)]
impl Ami {
    /// One for tests.
    pub fn example() -> Ami {
        let text = r#"{"kubernetes":"kubernetes-1.36.3","containerd":"containerd-2.3.7","runc":"runc-1.5.2","region":"us-west-2"}"#;
        serde_json::from_str(text).unwrap()
    }
}
