//! What machines need of networks.

use crate::Config;
use crate::net::{Nets, Setup, netns};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use roadstead_hostspec::{Machine, MachinePort, Profile};
use std::path::PathBuf;

/// Gives machines their network namespaces.
pub(super) trait Network: Send + Sync + 'static {
    /// The first of the ports that is not there yet.
    fn missing(&self, ports: &[MachinePort]) -> Option<String>;

    /// Waits until all of the ports are there.
    fn wait<'a>(&'a self, ports: &'a [MachinePort]) -> BoxFuture<'a, ()>;

    /// Puts a machine's ports into its network namespace, which is made if need be, and returns its path. To ask for
    /// what is so already changes nothing.
    fn attach<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Result<PathBuf>>;

    /// Removes a machine's network namespace; its ports stay, in no machine. One that is gone is fine.
    fn detach<'a>(&'a self, machine: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// The networks of the region. A machine's namespace is `MARK-ID`.
pub(super) struct Fabric {
    pub nets: Nets,
    pub mark: String,
}

impl Network for Fabric {
    fn missing(&self, ports: &[MachinePort]) -> Option<String> {
        self.nets.missing_port(ports)
    }

    fn wait<'a>(&'a self, ports: &'a [MachinePort]) -> BoxFuture<'a, ()> {
        self.nets.wait_for_ports(ports).boxed()
    }

    fn attach<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Result<PathBuf>> {
        async move {
            let name = namespace(&self.mark, &machine.id);
            netns::create(&name)?;
            let path = netns::path(&name);
            let setup = match machine.profile {
                Profile::Service => Setup::All,
                Profile::Node { .. } => Setup::First,
            };
            self.nets.attach(&machine.id, &path, &machine.ports, setup).await?;
            Ok(path)
        }
        .boxed()
    }

    fn detach<'a>(&'a self, machine: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.nets.detach(machine).await?;
            Ok(netns::delete(&namespace(&self.mark, machine))?)
        }
        .boxed()
    }
}

/// Removes the network namespaces of all machines of the mark, whoever made them.
pub(super) fn purge(config: &Config) -> Result<()> {
    let mark = config.mark();
    let routers = namespace(&mark, "net-");
    let names = netns::list(&namespace(&mark, ""))?;
    Ok(names.iter().filter(|name| !name.starts_with(&routers)).try_for_each(|name| netns::delete(name))?)
}

pub(super) fn namespace(mark: &str, machine: &str) -> String {
    format!("{mark}-{machine}")
}
