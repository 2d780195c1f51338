//! What only this machine knows of a region: which slot of it the region has, and where its sockets stand.

use crate::config::Config;
use crate::private_file;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// State that vanishes with the power, for all regions of this machine.
const RUN: &str = "/run/roadstead";

/// A region's place on this machine. Its slot keeps its names and addresses apart from other regions' there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// 0..=255.
    pub slot: u8,
}

impl Local {
    /// The region's place, if it has one: a slot that was given away is none.
    pub fn read(config: &Config) -> Option<Local> {
        Local::recorded(config).filter(|local| local.is_owned(config))
    }

    /// What an earlier start wrote down.
    pub fn recorded(config: &Config) -> Option<Local> {
        serde_json::from_slice(&fs::read(config.local()).ok()?).ok()
    }

    /// The slot this region had, or a free one.
    pub fn claim(config: &Config) -> Result<Local> {
        if let Some(local) = Local::recorded(config) {
            return match local.take(config)? {
                true => Ok(local),
                false => bail!(
                    "slot {} of this machine was given to another region while this one was away: remove {} to take a new one (existing clusters keep their old public addresses and must be recreated)",
                    local.slot,
                    config.local().display()
                ),
            };
        }
        for slot in 0..=u8::MAX {
            let local = Local { slot };
            if local.take(config)? {
                private_file::replace(&config.local(), &serde_json::to_vec(&local)?)?;
                return Ok(local);
            }
        }
        bail!("256 regions already have a slot on this machine: stop one with `roadstead down --purge`")
    }

    /// True if the slot is this region's, now or before.
    pub fn take(&self, config: &Config) -> Result<bool> {
        let owner = config.data_dir.to_str().context("the data directory's name is not UTF-8")?;
        fs::create_dir_all(slots())?;
        Ok(private_file::claim(&self.file(), owner.as_bytes())? || self.is_owned(config))
    }

    fn is_owned(&self, config: &Config) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|owner| Path::new(&owner) == config.data_dir)
    }

    /// Gives the slot back, if it is not another's already.
    pub fn release(&self, config: &Config) -> Result<()> {
        if self.is_owned(config) {
            fs::remove_file(self.file()).with_context(|| format!("cannot give slot {} back", self.slot))?;
        }
        Ok(())
    }

    /// Says whose the slot is.
    fn file(&self) -> PathBuf {
        slots().join(self.slot.to_string())
    }

    /// Where its sockets stand.
    pub fn paths(&self) -> Paths {
        Paths { slot: self.slot, run_dir: Path::new(RUN).join(self.slot.to_string()) }
    }
}

fn slots() -> PathBuf {
    Path::new(RUN).join("slots")
}

/// Where a region's sockets stand.
#[derive(Clone, Debug)]
pub struct Paths {
    slot: u8,
    /// State that vanishes with the power.
    pub run_dir: PathBuf,
}

impl Paths {
    /// The slot.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// The host agent's session.
    pub fn host_socket(&self) -> PathBuf {
        self.run_dir.join("host.sock")
    }

    /// The region's own, for `status` and `admin`.
    pub fn admin_socket(&self) -> PathBuf {
        self.run_dir.join("admin.sock")
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> PathBuf {
        self.run_dir.join("up.pid")
    }

    /// The host agent's configuration.
    pub fn host(&self, config: &Config) -> Result<roadstead_host::Config> {
        Ok(roadstead_host::Config {
            slot: self.slot,
            state_dir: config.host_state(),
            run_dir: self.run_dir.clone(),
            components_dir: config.components.clone(),
            outside: config.outside.as_ref().map(|outside| outside.namespace.clone()),
            root_key: config.root_key.clone(),
            region: config.region.clone(),
            region_address: config.data_dir.join("address"),
            program: std::env::current_exe()?,
        })
    }
}
