//! The `loopback` plugin: runtimes call it first for each pod, unless they do its work themselves.

use super::input::{Command, Input};
use super::output::{Code, Failure, Outcome};
use super::raise_loopback;
use crate::namespace;
use serde_json::json;
use std::path::Path;

/// Brings the pod's loopback up. There is nothing to undo: it ends with the namespace.
pub fn run(input: &Input) -> Result<Outcome, Failure> {
    let (Command::Add(attachment) | Command::Check(attachment)) = &input.command else {
        return Ok(if matches!(input.command, Command::Version) { Outcome::Versions } else { Outcome::Nothing });
    };
    let netns = attachment.netns.as_deref().unwrap_or_default();
    let raised = namespace::open(Path::new(netns)).and_then(|namespace| raise_loopback(&namespace));
    raised.map_err(|why| Failure::new(Code::Wiring, format!("the loopback in {netns} can't be brought up"), why))?;
    let version = input.config.version;
    let mut ip = json!({ "interface": 0, "address": "127.0.0.1/8" });
    if version <= super::output::Version::V0_4 {
        ip["version"] = "4".into();
    }
    let lo = json!({ "name": "lo", "mac": "00:00:00:00:00:00", "sandbox": netns });
    Ok(Outcome::Raw(json!({ "cniVersion": version.name(), "interfaces": [lo], "ips": [ip], "dns": {} })))
}
