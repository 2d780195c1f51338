//! A router's nftables table, as text. Pure.
//!
//! It is replaced as a whole in one transaction. Its size depends on balancers and services, not on ports: where an
//! address lives is known by its /32 route, and the rules ask the routes.
//!
//! ```text
//! machine ─port─▶ admit: is this address routed to this port? ─▶ spread: balancers ─▶ forward ─▶ face ─▶ port
//! host ──uplink─▶ admit: may this address dial that one?      ─▶    "                    "        "
//! ```
//!
//! Every chain's policy is accept and the last rule decides, because while a table is replaced the kernel consults
//! both versions of a chain, one of them empty: an empty chain whose policy is drop would lose packets.

use super::layout::Layout;
use roadstead_types::Cidr;
use std::net::Ipv4Addr;

/// The router's end of the wire to the host.
pub(super) const UPLINK: &str = "uplink";

/// The table `table` of a router with this layout, as input of `nft -f`.
pub(super) fn render(table: &str, layout: &Layout) -> String {
    let mut text = format!("table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n");
    set(&mut text, "set inside", "ipv4_addr", "flags interval;", outermost(&layout.cidrs));
    set(&mut text, "set callers", "ipv4_addr . ipv4_addr", "flags interval;", callers(layout));
    set(&mut text, "set services", "ipv4_addr . ipv4_addr . inet_service", "flags interval;", services(layout));
    set(&mut text, "map faces", "ipv4_addr : ipv4_addr", "", faces(layout));
    set(&mut text, "map publics", "ipv4_addr : ipv4_addr", "", publics(layout));
    let (chains, dialled) = listeners(layout);
    text.push_str(&chains);
    set(&mut text, "map listeners", "ipv4_addr . inet_service : verdict", "", dialled);
    text.push_str(CHAINS);
    text.push_str("}\n");
    text
}

/// The table of the host's own namespace: nothing that comes from a router passes but answers to what the host said.
pub(super) fn guard(mark: &str) -> String {
    format!(
        "table inet {mark}\ndelete table inet {mark}\ntable inet {mark} {{
  chain guard {{
    type filter hook prerouting priority mangle; policy accept;
    iifname \"{mark}-*\" ct state established,related accept
    iifname \"{mark}-*\" drop
  }}
}}
"
    )
}

/// The chains that are the same in every router.
const CHAINS: &str = r#"
  chain admit {
    type filter hook prerouting priority raw; policy accept;
    iifname "lo" accept
    iifname "uplink" ip daddr . ip saddr @callers accept
    iifname "uplink" drop
    ip daddr 127.0.0.0/8 drop
    fib saddr . iif oif missing drop
    ip daddr != @inside reject with icmp net-unreachable
  }
  chain spread {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr . tcp dport vmap @listeners
  }
  chain spread-own {
    type nat hook output priority -100; policy accept;
    ip daddr . tcp dport vmap @listeners
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ct state established,related accept
    ip saddr . ip daddr . tcp dport @services accept
    icmp type echo-request accept
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "uplink" oifname != "uplink" ct status dnat accept
    iifname "uplink" meta l4proto tcp reject with tcp reset
    iifname "uplink" drop
    oifname "uplink" ct direction reply ct status dnat ct state established,related accept
    oifname "uplink" drop
    ct state new ct status dnat fib daddr . iif oif exists ct mark set 1
    ip daddr @inside accept
    reject with icmp admin-prohibited
  }
  chain face {
    type nat hook postrouting priority srcnat; policy accept;
    ct mark 1 snat ip to ct original ip daddr map @faces
    snat ip to ct original ip daddr map @publics
  }
"#;

fn set(text: &mut String, head: &str, kind: &str, flags: &str, elements: Vec<String>) {
    let elements = elements.join(", ");
    let elements = if elements.is_empty() { elements } else { format!("elements = {{ {elements} }}") };
    *text += &format!("  {head} {{ type {kind}; {flags} {elements}\n  }}\n");
}

fn callers(layout: &Layout) -> Vec<String> {
    let publics = layout.frontends.values().filter_map(|f| f.public.as_ref());
    publics.flat_map(|(address, from)| outermost(from).into_iter().map(move |b| format!("{address} . {b}"))).collect()
}

fn services(layout: &Layout) -> Vec<String> {
    layout.services.values().map(|s| format!("{} . {} . {}", s.clients, s.address, s.port)).collect()
}

/// Who a balancer is to its targets, by the address that was dialled.
fn faces(layout: &Layout) -> Vec<String> {
    let mut faces = publics(layout);
    let inside = layout.frontends.values().flat_map(|f| &f.addresses);
    faces.extend(inside.map(|address| format!("{address} : {address}")));
    faces
}

fn publics(layout: &Layout) -> Vec<String> {
    let face = |(public, inside): (Ipv4Addr, Ipv4Addr)| format!("{public} : {inside}");
    let publics = layout.frontends.values().filter_map(|f| Some((f.public.as_ref()?.0, *f.addresses.first()?)));
    publics.map(face).collect()
}

/// The chain of each listener, and the elements that lead each dialled address and port to its chain. A listener
/// without targets has none, so its connections arrive at the router itself and are refused.
fn listeners(layout: &Layout) -> (String, Vec<String>) {
    let (mut chains, mut elements) = (String::new(), Vec::new());
    let all = layout.frontends.values().flat_map(|f| f.listeners.iter().map(move |(port, targets)| (f, port, targets)));
    for (n, (frontend, port, targets)) in all.filter(|(_, _, targets)| !targets.is_empty()).enumerate() {
        let dialled = frontend.addresses.iter().chain(frontend.public.as_ref().map(|(address, _)| address));
        elements.extend(dialled.map(|address| format!("{address} . {port} : goto listener-{n}")));
        let places = targets.iter().enumerate().map(|(i, (address, port))| format!("{i} : {address} . {port}"));
        let (count, places) = (targets.len(), places.collect::<Vec<_>>().join(", "));
        chains += &format!(
            "  chain listener-{n} {{
    dnat ip to jhash ip saddr . tcp sport mod {count} map {{ {places} }}
  }}\n"
        );
    }
    (chains, elements)
}

/// The blocks without those that lie in another: nftables refuses overlapping intervals.
fn outermost(blocks: &[Cidr]) -> Vec<String> {
    let mut kept: Vec<Cidr> = Vec::new();
    let mut sorted = blocks.to_vec();
    sorted.sort_by_key(|block| block.prefix());
    for block in sorted {
        if !kept.iter().any(|outer| outer.contains_cidr(block)) {
            kept.push(block);
        }
    }
    kept.iter().map(ToString::to_string).collect()
}
