//! Namespaces with nothing between them but veth pairs, and the kernel's forwarding where there are more than two: what
//! pods could have at best. No rules, no connection tracking, no limits.

use crate::running::inside;
use crate::space::{Space, ip};
use anyhow::Result;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// As pods have it (amazon-vpc-cni-k8s, AWS_VPC_ENI_MTU).
const MTU: &str = "9001";

/// Namespaces in a row, each with a veth pair to the next.
pub struct Chain {
    spaces: Vec<Space>,
}

impl Chain {
    /// A client and a server, and between them so many routers.
    ///
    /// # Errors
    /// They can't be made.
    pub fn new(name: &str, routers: u8) -> Result<Chain> {
        let last = routers + 1;
        let spaces = (0..=last).map(|n| Space::new(&format!("{name}-{n}"))).collect::<Result<Vec<_>>>()?;
        for (pair, link) in spaces.windows(2).zip(0..) {
            join(&pair[0], &pair[1], link)?;
        }
        for (space, n) in spaces.iter().zip(0..) {
            if n > 0 && n < last {
                inside(&space.file(), || fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
            }
            if n > 1 {
                route(space, 0, left(n - 1))?;
            }
            if n + 1 < last {
                route(space, routers, right(n))?;
            }
        }
        Ok(Chain { spaces })
    }

    /// The first namespace.
    pub fn client(&self) -> PathBuf {
        self.spaces[0].file()
    }

    /// The last.
    pub fn server(&self) -> PathBuf {
        self.spaces[self.spaces.len() - 1].file()
    }

    /// The last one's address.
    pub fn address(&self) -> Ipv4Addr {
        right(u8::try_from(self.spaces.len() - 2).expect("there are a few"))
    }
}

/// The address of a link's left end.
fn left(link: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, link, 1)
}

fn right(link: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, link, 2)
}

fn join(one: &Space, two: &Space, link: u8) -> Result<()> {
    ip(&[
        "-n", &one.name, "link", "add", "right", "mtu", MTU, "type", "veth", "peer", "left", "mtu", MTU, "netns",
        &two.name,
    ])?;
    for (space, end, address) in [(one, "right", left(link)), (two, "left", right(link))] {
        space.ip(&["address", "add", &format!("{address}/30"), "dev", end])?;
        space.ip(&["link", "set", end, "up"])?;
    }
    Ok(())
}

/// Sends what is for a link to a neighbour.
fn route(space: &Space, link: u8, by: Ipv4Addr) -> Result<()> {
    space.ip(&["route", "add", &format!("10.79.{link}.0/30"), "via", &by.to_string()])
}
