//! Our CNI plugin against upstream's: how long a pod waits for its network, alone and in a burst, in turns.
//!
//! ```text
//! aws-cni   plugin ── daemon (lease on the disk) ── veth, routes, rules           a VPC's address for each pod
//! ptp       plugin ── host-local (a process, files) ── veth, routes
//! bridge    plugin ── host-local (a process, files) ── veth, bridge, routes
//! ```
//!
//! All in one namespace that is a node, each ADD as a container runtime runs it: a process with the configuration on
//! standard input. Pods are empty namespaces, made beforehand.

mod node;
mod plugin;
mod report;

use crate::region::Parts;
use crate::report::surroundings;
use crate::wait::Wait;
use anyhow::{Result, ensure};
use node::Node;
use plugin::Plugin;
use std::time::Duration;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each plugin is measured.
    #[arg(long)]
    pub runs: usize,
    /// Pods one after another, in a run.
    #[arg(long, default_value_t = 30)]
    pub alone: usize,
    /// Pods at once, in a run.
    #[arg(long, default_value_t = 30)]
    pub burst: usize,
    /// The set of upstream's plugins in the component cache.
    #[arg(long)]
    pub plugins: String,
    /// The program, the cache, the place.
    #[command(flatten)]
    pub parts: Parts,
}

/// What came out for a plugin.
#[derive(Default)]
pub struct Times {
    /// ADDs one after another.
    pub alone: Vec<Duration>,
    /// DELs one after another.
    pub gone: Vec<Duration>,
    /// ADDs at once, each from the common beginning.
    pub burst: Vec<Duration>,
    /// Whole bursts.
    pub whole: Vec<Duration>,
}

/// Measures and prints.
///
/// # Errors
/// Something can't be started, or an ADD fails.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0 && args.alone > 0 && args.burst > 0, "--runs, --alone and --burst must be at least 1");
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let node = Node::new(&args.parts, &wait)?;
    let plugins = Plugin::all(&node, &args.parts.components.join(&args.plugins));
    let mut times: Vec<Times> = plugins.iter().map(|_| Times::default()).collect();
    for run in 1..=args.runs {
        for (plugin, times) in plugins.iter().zip(&mut times) {
            eprintln!("run {run} of {}: {}", args.runs, plugin.name);
            measure(&node, plugin, args, times)?;
            wait.rest(Duration::ZERO)?;
        }
    }
    print!("{}", report::text(args, &plugins, &times, &surroundings));
    Ok(())
}

fn measure(node: &Node, plugin: &Plugin, args: &Args, times: &mut Times) -> Result<()> {
    let pods = node.pods(args.alone)?;
    for pod in &pods {
        times.alone.push(plugin.run(node, "ADD", pod)?);
    }
    for pod in &pods {
        times.gone.push(plugin.run(node, "DEL", pod)?);
    }
    drop(pods);
    let pods = node.pods(args.burst)?;
    let burst = plugin.burst(node, &pods)?;
    times.whole.extend(burst.iter().max());
    times.burst.extend(burst);
    pods.iter().try_for_each(|pod| plugin.run(node, "DEL", pod).map(drop))
}
