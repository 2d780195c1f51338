//! The node's nftables rules as text. Pure.
//!
//! What leaves the VPC leaves by the primary interface with the node's own address, as on EC2, where only instances'
//! primary addresses have a way out:
//!
//! ```text
//! pod ─eni…─▶ outside the VPC? connection and packet get mark 0x80 ─rule 1024─▶ main table ─▶ eth0, source: the node's
//! client ─eth0─▶ to the node itself (NodePort)? connection gets mark 0x80 … reply of the pod gets it, too ─▶ eth0
//! ```
//!
//! What most packets are not is asked first: names of interfaces are the dearest to compare.
//!
//! Link-local addresses are outside the VPC, so a pod that asks the metadata service comes from the node's address, one
//! hop farther: the instance's hop limit decides.

use super::settings::Snat;
use crate::cni::daemon::Lease;
use roadstead_bpf::flows::{self, LEARN_LAST};
use roadstead_types::Cidr;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// On connections and packets whose way is the primary interface's, as amazon-vpc-cni-k8s has it.
pub const MARK: u32 = 0x80;

/// What the rules follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset<'a> {
    /// The primary interface's name.
    pub primary: &'a str,
    /// Its address.
    pub address: Ipv4Addr,
    /// What pods reach under their own addresses.
    pub inside: Vec<Cidr>,
    /// What host ends' names begin with.
    pub prefix: &'a str,
    /// How sources are translated.
    pub snat: Snat,
    /// Replies leave as requests came.
    pub node_port: bool,
}

impl Ruleset<'_> {
    /// The script that makes table `aws-cni` so, whatever it was.
    pub fn script(&self) -> String {
        let Ruleset { primary, address, prefix, .. } = self;
        let inside = self.inside.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ");
        let mut script = anew("aws-cni");
        let mut line = |text: String| writeln!(script, "{text}").expect("a text takes all that is written");
        line("table ip aws-cni {".into());
        line(format!("  set inside {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {inside} }} }}"));
        if self.node_port {
            // Before kube-proxy gives the packet another destination.
            line("  chain arrival {\n    type filter hook prerouting priority mangle; policy accept;".into());
            let new = "ct state new iifname";
            line(format!("    {new} \"{primary}\" fib daddr type local ct mark set ct mark or {MARK:#x}\n  }}"));
        }
        // After kube-proxy has: a service inside the VPC is inside.
        line("  chain departure {\n    type filter hook prerouting priority -90; policy accept;".into());
        if self.snat != Snat::External {
            let outside = "ip daddr != @inside fib daddr type != local";
            line(format!("    ct state new iifname \"{prefix}*\" {outside} ct mark set ct mark or {MARK:#x}"));
        }
        line(format!(
            "    ct mark and {MARK:#x} == {MARK:#x} iifname \"{prefix}*\" meta mark set meta mark or {MARK:#x}\n  }}"
        ));
        let how = match self.snat {
            Snat::External => None,
            Snat::RandomFully => Some(" fully-random"),
            Snat::Random => Some(" random"),
            Snat::Plain => Some(""),
        };
        if let Some(how) = how {
            line("  chain source {\n    type nat hook postrouting priority srcnat; policy accept;".into());
            line(format!(
                "    oifname \"{primary}\" ip saddr != {address} ip daddr != @inside snat to {address}{how}\n  }}"
            ));
        }
        line(format!("  chain learn {{\n    type filter hook postrouting priority {LEARN_LAST}; policy accept;"));
        line(format!("    {}\n  }}\n}}", flows::rule()));
        script
    }
}

/// The script that makes table `aws-cni-ports` lead the node's ports to the pods that ask for them (`hostPort`), at its
/// loopback, too. The plugin lets a pod's wire carry what comes from there (`route_localnet`); that nothing from a wire gets
/// there is the guard's.
pub fn ports<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> String {
    let (mut any, mut one, mut own) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for lease in leases {
        for port in &lease.pod.ports {
            let (protocol, to) = (&port.protocol, format!("{} . {}", lease.address, port.container_port));
            // Of two that want a port the later has it.
            match port.host_ip {
                None => any.insert(format!("{protocol} . {}", port.host_port), to),
                Some(address) => one.insert(format!("{address} . {protocol} . {}", port.host_port), to),
            };
            own.insert(lease.address, ());
        }
    }
    let mut script = anew("aws-cni-ports");
    if own.is_empty() {
        return script;
    }
    let elements = |map: &BTreeMap<String, String>| match map.len() {
        0 => String::new(),
        _ => {
            let pairs: Vec<String> = map.iter().map(|(key, to)| format!("{key} : {to}")).collect();
            format!(" elements = {{ {} }}", pairs.join(", "))
        }
    };
    let selves: Vec<String> = own.keys().map(|address| format!("{address} . {address}")).collect();
    let (any, one, selves) = (elements(&any), elements(&one), selves.join(", "));
    write!(
        script,
        "table ip aws-cni-ports {{
  map one {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;{one} }}
  map any {{ type inet_proto . inet_service : ipv4_addr . inet_service;{any} }}
  set selves {{ type ipv4_addr . ipv4_addr; elements = {{ {selves} }} }}
  chain to-pods {{
    dnat ip to ip daddr . meta l4proto . th dport map @one
    dnat ip to meta l4proto . th dport map @any
  }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    ip daddr 127.0.0.0/8 iifname != \"lo\" drop
  }}
  chain arrival {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump to-pods
  }}
  chain own {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump to-pods
  }}
  chain hairpin {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr . ip daddr @selves masquerade
    oifname != \"lo\" ip saddr 127.0.0.0/8 masquerade
  }}
}}
"
    )
    .expect("a text takes all that is written");
    script
}

fn anew(table: &str) -> String {
    format!("table ip {table}\ndelete table ip {table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cni::PortMapping;
    use crate::cni::daemon::{Key, Pod};
    use roadstead_types::Millis;

    fn ruleset(snat: Snat) -> Ruleset<'static> {
        let inside = vec!["10.0.0.0/16".parse().unwrap(), "100.64.0.0/16".parse().unwrap()];
        let address = Ipv4Addr::new(10, 0, 1, 5);
        Ruleset { primary: "eth0", address, inside, prefix: "eni", snat, node_port: true }
    }

    #[test]
    fn what_leaves_the_vpc_gets_the_node_s_address() {
        let script = ruleset(Snat::RandomFully).script();
        assert!(script.contains("ip daddr != @inside snat to 10.0.1.5 fully-random"), "{script}");
        assert!(script.contains("elements = { 10.0.0.0/16, 100.64.0.0/16 }"), "{script}");
        let external = ruleset(Snat::External).script();
        assert!(!external.contains("snat to"), "{external}");
        assert!(
            external.contains("fib daddr type local ct mark set"),
            "replies to node ports still go back: {external}"
        );
    }

    #[test]
    fn without_host_ports_there_is_no_table_for_them() {
        assert_eq!(ports([]), "table ip aws-cni-ports\ndelete table ip aws-cni-ports\n");
    }

    #[test]
    fn a_host_port_is_of_all_addresses_or_of_one() {
        let port = |host_ip| PortMapping { host_port: 80, container_port: 8080, protocol: "tcp".into(), host_ip };
        let pod = Pod {
            key: Key { container: "c".into(), interface: "eth0".into() },
            namespace: "default".into(),
            name: "web".into(),
            link: "eni0".into(),
            ports: vec![port(None), port(Some(Ipv4Addr::new(10, 0, 1, 5)))],
        };
        let lease = Lease { pod, address: Ipv4Addr::new(10, 0, 0, 9), device: 0, since: Millis(0) };
        let script = ports([&lease]);
        assert!(script.contains("elements = { tcp . 80 : 10.0.0.9 . 8080 }"), "{script}");
        assert!(script.contains("elements = { 10.0.1.5 . tcp . 80 : 10.0.0.9 . 8080 }"), "{script}");
        assert!(script.contains("ip daddr 127.0.0.0/8 iifname != \"lo\" drop"), "{script}");
    }
}
