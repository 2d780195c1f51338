//! The plugins, and how they are run.

use super::node::{Node, Pod};
use crate::running::inside;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// A plugin with its configuration.
pub struct Plugin {
    /// For people.
    pub name: &'static str,
    program: PathBuf,
    folder: PathBuf,
    config: Value,
}

impl Plugin {
    /// Ours first. `upstream`: the folder of the others.
    pub fn all(node: &Node, upstream: &Path) -> Vec<Plugin> {
        let ours = json!({ "ipamdSocket": node.socket() });
        let peer = |name: &'static str, block: &str, more: Value| {
            let data = node.folder.path().join("host-local");
            let ipam = json!({ "type": "host-local", "dataDir": data, "ranges": [[{ "subnet": block }]] });
            let config = merged(json!({ "ipam": ipam, "mtu": 9001 }), more);
            (name, upstream.join(name), config)
        };
        let plugins = [
            ("aws-cni", node.plugin(), ours),
            peer("ptp", "10.8.0.0/16", json!({})),
            peer("bridge", "10.9.0.0/16", json!({ "bridge": "cni0", "isGateway": true })),
        ];
        let plugin = |(name, program, config): (&'static str, PathBuf, Value)| {
            let named = json!({ "cniVersion": "1.0.0", "name": name, "type": name });
            Plugin { name, program, folder: upstream.to_owned(), config: merged(named, config) }
        };
        plugins.map(plugin).into()
    }

    /// Runs it once: how long a runtime waits for it.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, node: &Node, verb: &str, pod: &Pod) -> Result<Duration> {
        let began = Instant::now();
        inside(&node.namespace(), || Ok(self.process(verb, pod)))??;
        Ok(began.elapsed())
    }

    /// Adds all pods at once: how long each took.
    ///
    /// # Errors
    /// One fails.
    pub fn burst(&self, node: &Node, pods: &[Pod]) -> Result<Vec<Duration>> {
        let together = Barrier::new(pods.len());
        let namespace = node.namespace();
        thread::scope(|scope| {
            let add = |pod| {
                let (together, namespace) = (&together, &namespace);
                scope.spawn(move || {
                    inside(namespace, || {
                        together.wait();
                        let began = Instant::now();
                        Ok(self.process("ADD", pod).map(|()| began.elapsed()))
                    })?
                })
            };
            let adds: Vec<_> = pods.iter().map(add).collect();
            adds.into_iter().map(|add| add.join().expect("it returns its errors")).collect()
        })
    }

    fn process(&self, verb: &str, pod: &Pod) -> Result<()> {
        let mut plugin = Command::new(&self.program);
        plugin.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("CNI_PATH", &self.folder);
        plugin.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", &pod.name).env("CNI_IFNAME", "eth0");
        plugin.env("CNI_NETNS", pod.namespace());
        plugin.env("CNI_ARGS", format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={}", pod.name));
        plugin.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = plugin.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        child.stdin.take().context("its input is a pipe")?.write_all(self.config.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{} {verb}: {said}", self.name);
        Ok(())
    }
}

fn merged(mut into: Value, more: Value) -> Value {
    if let (Value::Object(into), Value::Object(more)) = (&mut into, more) {
        into.extend(more);
    }
    into
}
