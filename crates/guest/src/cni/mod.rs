//! The VPC CNI's plugin: what a container runtime runs for every pod that comes and goes.
//!
//! It asks the node's daemon (`guest aws-node`) for an address of the VPC and wires the pod to the node, as
//! amazon-vpc-cni-k8s does:
//!
//! ```text
//! pod:  eth0 ADDRESS/32 ── default via 169.254.1.1, whose MAC address is the host end's, for good
//! node: eni0123456789a ── ADDRESS/32 out of it (main table)
//!       rule 512   to ADDRESS: main             (pods of one node reach each other directly)
//!       rule 1536  from ADDRESS: table N+1      (only if the address belongs to the ENI with device number N > 0)
//! ```
//!
//! Ports of the node that lead to pods (`hostPort`) are the daemon's: it knows all of them.
//!
//! Start-up is most of what a pod waits for, so nothing is read or looked up that is not needed: one question to the
//! daemon, a dozen netlink messages by name or index, no dump of a table, no other process.
//!
//! No address leaks: the daemon writes a lease down before it answers, a failed ADD gives it back, DEL succeeds whether
//! or not there is anything left to do, and what nobody gave back the daemon finds by the interface that is gone.

pub mod daemon;
mod input;
mod loopback;
mod output;
pub mod wire;

pub use input::PortMapping;
pub use output::{Code, Failure};

use crate::namespace;
use crate::netlink::Netlink;
use daemon::{Answer, Client, Lease, Pod, Question};
use input::{Attachment, Command, Input};
use output::Outcome;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use wire::Wiring;

/// The names under which the program is this plugin, or the trivial one that brings a pod's loopback up.
pub const PLUGINS: [&str; 2] = ["aws-cni", "loopback"];

/// The plugin that a program started under this name is, if it is one.
pub fn plugin(argv0: &OsStr) -> Option<&'static str> {
    let name = Path::new(argv0).file_name()?;
    PLUGINS.into_iter().find(|plugin| name == *plugin)
}

/// Runs a plugin: the verb stands in the environment, the configuration comes by standard input, the result or the error
/// leaves by standard output.
pub fn main(plugin: &str) -> ExitCode {
    let outcome = read_input().and_then(|input| {
        let outcome = if plugin == "loopback" { loopback::run(&input) } else { run(&input) };
        outcome.map_err(|failure| failure.in_version(input.config.version))
    });
    let (text, code) = match outcome {
        Ok(outcome) => (outcome.text(), ExitCode::SUCCESS),
        Err(failure) => (failure.text(), ExitCode::FAILURE),
    };
    // Whoever does not read the answer has given up.
    let _ = io::stdout().write_all(text.as_bytes());
    code
}

fn read_input() -> Result<Input, Failure> {
    let mut config = Vec::new();
    let read = io::stdin().read_to_end(&mut config);
    read.map_err(|why| Failure::new(Code::Io, "the network configuration can't be read from standard input", why))?;
    Input::parse(|name| std::env::var(name).ok(), &config)
}

fn run(input: &Input) -> Result<Outcome, Failure> {
    match &input.command {
        Command::Add(attachment) => add(input, attachment),
        Command::Del(attachment) => Ok(del(input, attachment)),
        Command::Check(attachment) => check(input, attachment),
        Command::Gc(valid) => gc(input, valid),
        Command::Status => status(input),
        Command::Version => Ok(Outcome::Versions),
    }
}

fn client(input: &Input) -> Client<'_> {
    Client::new(&input.config.socket)
}

fn add(input: &Input, attachment: &Attachment) -> Result<Outcome, Failure> {
    let netns = attachment.netns.as_deref().unwrap_or_default();
    let namespace = namespace::open(Path::new(netns)).map_err(|why| {
        Failure::new(Code::UnknownContainer, format!("the pod's network namespace {netns} can't be opened"), why)
    })?;
    let pod = Pod {
        key: attachment.key.clone(),
        namespace: attachment.pod_namespace.clone(),
        name: attachment.pod_name.clone(),
        link: attachment.link.clone(),
        ports: input.config.ports.clone(),
    };
    let (lease, flows) = match client(input).ask(Question::Assign(pod))? {
        Answer::Assigned { lease, flows } => (lease, flows),
        other => return Err(daemon::unexpected(&other)),
    };
    match wiring(input, &lease).connect(&namespace, flows) {
        Ok(ends) => Ok(Outcome::Added {
            version: input.config.version,
            link: lease.pod.link.clone(),
            interface: attachment.key.interface.clone(),
            sandbox: netns.to_owned(),
            address: lease.address,
            mtu: input.config.mtu,
            ends,
        }),
        Err(why) => {
            // Nothing of it stays, neither the wire nor the address.
            del(input, attachment);
            let text = format!("the pod's interface with {} can't be set up", lease.address);
            Err(Failure::new(Code::Wiring, text, why))
        }
    }
}

fn wiring<'a>(input: &Input, lease: &'a Lease) -> Wiring<'a> {
    Wiring {
        link: &lease.pod.link,
        interface: &lease.pod.key.interface,
        owner: lease.pod.key.to_string(),
        address: lease.address,
        table: lease.table(),
        mtu: input.config.mtu,
        from_loopback: !lease.pod.ports.is_empty(),
    }
}

/// Succeeds always: a runtime repeats a DEL that failed for ever, and the pod stays. What could not be done now, the
/// daemon does when it next compares its leases with the interfaces that are there.
fn del(input: &Input, attachment: &Attachment) -> Outcome {
    if let Err(why) = wire::disconnect(&attachment.link, &attachment.key.to_string()) {
        eprintln!("aws-cni: the interface {} can't be removed: {why}", attachment.link);
    }
    match client(input).ask(Question::Release(attachment.key.clone())) {
        Ok(Answer::Released(_)) => {}
        Ok(other) => eprintln!("aws-cni: {}", daemon::unexpected(&other).message),
        Err(why) => eprintln!("aws-cni: {}; the address is given back when the daemon is there again", why.message),
    }
    Outcome::Nothing
}

fn check(input: &Input, attachment: &Attachment) -> Result<Outcome, Failure> {
    let wrong = |text: String| Failure::new(Code::Wiring, text, "");
    let lease = match client(input).ask(Question::Find(attachment.key.clone()))? {
        Answer::Lease(lease) => lease,
        Answer::Nothing => {
            let text = format!("no address is leased to {}", attachment.key);
            return Err(Failure::new(Code::UnknownContainer, text, ""));
        }
        other => return Err(daemon::unexpected(&other)),
    };
    let told = input.config.previous_address().ok_or_else(|| {
        Failure::new(Code::InvalidConfig, "CHECK needs the prevResult of ADD with an address in it", "")
    })?;
    if told != lease.address {
        return Err(wrong(format!("ADD gave {told}, but {} is leased", lease.address)));
    }
    let netns = attachment.netns.as_deref().unwrap_or_default();
    let namespace = namespace::open(Path::new(netns)).map_err(|why| {
        Failure::new(Code::UnknownContainer, format!("the pod's network namespace {netns} can't be opened"), why)
    })?;
    wiring(input, &lease).check(&namespace).map_err(|why| wrong(format!("the pod's wiring is not whole: {why}")))?;
    Ok(Outcome::Nothing)
}

/// Forgets what belongs to none of the attachments that the runtime knows.
fn gc(input: &Input, valid: &[daemon::Key]) -> Result<Outcome, Failure> {
    let leases = match client(input).ask(Question::Keep(valid.to_vec()))? {
        Answer::Released(leases) => leases,
        other => return Err(daemon::unexpected(&other)),
    };
    for lease in leases {
        let gone = wire::disconnect(&lease.pod.link, &lease.pod.key.to_string());
        gone.map_err(|why| Failure::new(Code::Wiring, format!("what is left of {} stays", lease.pod.key), why))?;
    }
    Ok(Outcome::Nothing)
}

fn status(input: &Input) -> Result<Outcome, Failure> {
    match client(input).ask(Question::Status) {
        Ok(Answer::Ready) => Ok(Outcome::Nothing),
        Ok(other) => Err(daemon::unexpected(&other)),
        Err(why) => Err(Failure::new(Code::NotAvailable, why.message, why.details)),
    }
}

/// The address that a result of ADD holds first.
fn first_address(result: &Value) -> Option<std::net::Ipv4Addr> {
    result["ips"][0]["address"].as_str()?.split('/').next()?.parse().ok()
}

/// Brings the loopback of a namespace up.
fn raise_loopback(namespace: &std::fs::File) -> io::Result<()> {
    Netlink::open_in(namespace)?.set_up("lo")
}
