//! What the machine image holds: `/etc/roadstead/ami.json`, written by the region.

use anyhow::{Context as _, Result};
use roadstead_hostspec::{Content, Machine};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

const FILE: &str = "/etc/roadstead/ami.json";
/// Where the sets of pinned programs stand.
const COMPONENTS: &str = "/opt/components";

/// The sets of programs that a node is made of, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ami {
    /// E.g. `kubernetes-1.36.3`.
    pub kubernetes: String,
    /// E.g. `containerd-2.3.7`.
    pub containerd: String,
    /// E.g. `runc-1.5.2`.
    pub runc: String,
    /// E.g. `us-east-1`.
    pub region: String,
}

impl Ami {
    /// The image that a machine is of; none if it is no EKS node's.
    ///
    /// # Errors
    /// It has such a file and that can't be read.
    pub fn of(machine: &Machine) -> Result<Option<Ami>> {
        let text = machine.files.iter().filter(|file| file.path == FILE).find_map(|file| match &file.content {
            Content::Text(text) => Some(text),
            Content::Sealed(_) => None,
        });
        let Some(text) = text else { return Ok(None) };
        Ok(Some(serde_json::from_str(text).with_context(|| format!("reading {FILE} of machine {}", machine.id))?))
    }

    /// This machine's.
    pub(super) fn read() -> Result<Ami> {
        let text = fs::read(FILE).with_context(|| format!("reading {FILE}: this machine is no EKS node"))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {FILE}"))
    }

    pub(super) fn kubelet(&self) -> PathBuf {
        program(&self.kubernetes, "kubelet")
    }

    pub(super) fn containerd(&self) -> PathBuf {
        program(&self.containerd, "containerd")
    }

    pub(super) fn runc(&self) -> PathBuf {
        program(&self.runc, "runc")
    }

    /// Where programs find each other: containerd its shim.
    pub(super) fn path(&self) -> String {
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
    pub(super) fn example() -> Ami {
        let text = r#"{"kubernetes":"kubernetes-1.36.3","containerd":"containerd-2.3.7","runc":"runc-1.5.2","region":"us-west-2"}"#;
        serde_json::from_str(text).unwrap()
    }
}
