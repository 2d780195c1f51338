//! Borders of subnets, as a router enforces them. Pure.
//!
//! ```text
//! borders: ip saddr . ip daddr vmap @through  ─jump─▶ by.SUBNET: in at a NAT gateway's subnet, and out again
//!          ip saddr            vmap @leaving  ─jump─▶ leave.SUBNET: stays inside? may it leave?     return │ drop
//!          ip daddr            vmap @entering ─jump─▶ enter.SUBNET: comes from inside? may it enter? return │ drop
//! ```
//!
//! Every packet comes here before security groups are asked, whatever connection it is of; so nothing of this is there in
//! a router none of whose subnets has a border. Addresses are those of interfaces: through a balancer a client deals with
//! the target that it was led to. What comes by a balancer's public address came to the service and not through a
//! subnet, and what the router itself sends and gets passes no `forward` chain.

use super::detours;
use super::layout::Layout;
use super::rules::Rules;
use super::security::traffic;
use super::state::link_name;
use roadstead_hostspec::{Border, Entry, Exit};
use roadstead_types::Cidr;

/// The chain that all forwarded packets pass, if there are borders.
pub(super) const CHAIN: &str = "borders";

/// Its rules.
const BORDERS: [&str; 6] = [
    r#"iifname "uplink" accept"#,
    r#"oifname "uplink" accept"#,
    r#"oifname "outside" ip saddr . ip daddr vmap @through"#,
    r#"iifname "outside" ip daddr . ip saddr vmap @through"#,
    "ip saddr vmap @leaving",
    "ip daddr vmap @entering",
];

/// Adds what enforces the layout's borders.
pub(super) fn add(rules: &mut Rules, layout: &Layout) {
    if layout.borders.is_empty() {
        return;
    }
    let mut asked = BORDERS.map(str::to_owned).to_vec();
    asked.extend(detoured(layout));
    rules.add_chain(CHAIN.to_owned(), asked);
    for Border { subnet, ingress, egress } in &layout.borders {
        let [enter, leave] = ["enter", "leave"].map(|way| format!("{way}.{subnet}"));
        let mut by = vec![];
        if let Some(entries) = ingress {
            rules.add("entering", [format!("{subnet} : jump {enter}")]);
            rules.add_chain(enter.clone(), judge(*subnet, "ip saddr", entries));
            by.push(format!("jump {enter}"));
        }
        if let Some(entries) = egress {
            rules.add("leaving", [format!("{subnet} : jump {leave}")]);
            rules.add_chain(leave.clone(), judge(*subnet, "ip daddr", entries));
            by.push(format!("jump {leave}"));
        }
        let led = layout.outside.exits.iter().filter(|exit| exit.through == Some(*subnet));
        let led: Vec<String> = led.map(|Exit { from, to, .. }| format!("{from} . {to} : jump by.{subnet}")).collect();
        if !led.is_empty() {
            rules.add("through", led);
            rules.add_chain(format!("by.{subnet}"), by);
        }
    }
}

/// What is led to an interface enters its subnet, and leaves it again, though it is for and from elsewhere.
fn detoured(layout: &Layout) -> Vec<String> {
    let numbers = detours::numbers(layout);
    let mut rules = vec![];
    for port in layout.ports.values().map(|plug| &plug.port) {
        let (link, subnet) = (link_name(&port.id), port.subnet);
        let Some(border) = layout.borders.iter().find(|border| border.subnet == subnet) else { continue };
        if let Some(number) = numbers.get(&link).filter(|_| border.ingress.is_some()) {
            rules.push(format!("meta mark {:#x} jump enter.{subnet}", detours::mark(*number)));
        }
        if port.forwards && border.egress.is_some() {
            rules.push(format!("iifname \"{link}\" ip saddr != {subnet} jump leave.{subnet}"));
        }
    }
    rules
}

/// The rules of one side of a border. `peer` is the address at its other side.
fn judge(subnet: Cidr, peer: &str, entries: &[Entry]) -> Vec<String> {
    let rule = |entry: &Entry| {
        let block = (entry.peer.prefix() > 0).then(|| format!("{peer} {}", entry.peer));
        let (traffic, verdict) = (traffic(entry.traffic, "th dport"), if entry.allows { "return" } else { "drop" });
        let parts = [block.unwrap_or_default(), traffic, verdict.to_owned()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let inside = [format!("{peer} {subnet} return")];
    inside.into_iter().chain(entries.iter().map(rule)).chain(["drop".to_owned()]).collect()
}
