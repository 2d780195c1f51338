//! What a plugin is told: the verb and the attachment by the environment, the network's configuration by standard input.
//! <https://www.cni.dev/docs/spec/>

use super::daemon::{Key, SOCKET};
use super::output::{Code, Failure, Version};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// As the VPC's: jumbo frames.
const MTU: u32 = 9001;
/// What host ends' names begin with.
const PREFIX: &str = "eni";
/// The longest name of an interface, bytes (`IFNAMSIZ` - 1 of `linux/if.h`).
const LONGEST_NAME: usize = 15;
/// Characters of a hash in a host end's name, as amazon-vpc-cni-k8s has it.
const HASH: usize = 11;

/// All that a plugin is told.
pub struct Input {
    pub command: Command,
    pub config: Config,
}

/// The verb and what it is about.
pub enum Command {
    Add(Attachment),
    Del(Attachment),
    Check(Attachment),
    /// The attachments that the runtime knows.
    Gc(Vec<Key>),
    Status,
    Version,
}

/// A pod's interface.
pub struct Attachment {
    pub key: Key,
    /// The file of the pod's network namespace; none if it is gone.
    pub netns: Option<String>,
    pub pod_namespace: String,
    pub pod_name: String,
    /// The host end's name.
    pub link: String,
}

/// The network's configuration, as far as it matters here.
pub struct Config {
    pub version: Version,
    /// Of pods' interfaces, bytes.
    pub mtu: u32,
    /// Where the daemon listens.
    pub socket: PathBuf,
    /// Ports of the node that lead to the pod.
    pub ports: Vec<PortMapping>,
    /// What ADD said.
    previous: Option<Value>,
}

/// A port of the node that leads to a pod (capability `portMappings`). The convention's names begin with small letters
/// (CNI, CONVENTIONS.md); containerd writes capitals, as Go does by itself, and Go's plugins do not care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Of the node.
    #[serde(alias = "HostPort")]
    pub host_port: u16,
    /// Of the pod.
    #[serde(alias = "ContainerPort")]
    pub container_port: u16,
    /// `tcp`, `udp`; in lower case.
    #[serde(alias = "Protocol", deserialize_with = "lower_case")]
    pub protocol: String,
    /// The one address of the node that has it; none: all.
    #[serde(rename = "hostIP", alias = "HostIP", default, deserialize_with = "some_address")]
    pub host_ip: Option<Ipv4Addr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    #[serde(default)]
    cni_version: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mtu: Option<Value>,
    #[serde(default)]
    veth_prefix: Option<String>,
    #[serde(default)]
    ipamd_socket: Option<PathBuf>,
    #[serde(default)]
    runtime_config: Runtime,
    #[serde(default)]
    prev_result: Option<Value>,
    #[serde(rename = "cni.dev/valid-attachments", default)]
    valid: Option<Vec<Valid>>,
}

#[derive(Default, Deserialize)]
struct Runtime {
    #[serde(rename = "portMappings", default)]
    ports: Option<Vec<PortMapping>>,
}

#[derive(Deserialize)]
struct Valid {
    #[serde(rename = "containerID")]
    container: String,
    ifname: String,
}

impl Input {
    /// Reads the environment and the configuration.
    pub fn parse(env: impl Fn(&str) -> Option<String>, config: &[u8]) -> Result<Input, Failure> {
        let verb = env("CNI_COMMAND").unwrap_or_default();
        let network: Network = match serde_json::from_slice(config) {
            Ok(network) => network,
            // VERSION is also asked without a configuration.
            Err(_) if verb == "VERSION" && config.iter().all(u8::is_ascii_whitespace) => empty(),
            Err(why) => return Err(Failure::new(Code::Decode, "the network configuration can't be read", why)),
        };
        let version = Version::of(network.cni_version.as_deref(), verb == "VERSION")?;
        Input::of(&verb, env, network, version).map_err(|failure| failure.in_version(version))
    }

    fn of(
        verb: &str,
        env: impl Fn(&str) -> Option<String>,
        network: Network,
        version: Version,
    ) -> Result<Input, Failure> {
        if network.name.is_empty() && verb != "VERSION" {
            return Err(Failure::new(Code::InvalidConfig, "the network configuration has no name", ""));
        }
        let prefix = network.veth_prefix.as_deref().unwrap_or(PREFIX);
        let attachment = |netns_needed| Attachment::of(&env, prefix, netns_needed);
        let command = match verb {
            "ADD" => Command::Add(attachment(true)?),
            "DEL" => Command::Del(attachment(false)?),
            "CHECK" if version >= Version::V0_4 => Command::Check(attachment(true)?),
            "GC" if version >= Version::V1_1 => Command::Gc(known(network.valid)?),
            "STATUS" if version >= Version::V1_1 => Command::Status,
            "VERSION" => Command::Version,
            other => {
                let text = format!("CNI_COMMAND '{other}' is none of CNI {}", version.name());
                return Err(Failure::new(Code::InvalidEnvironment, text, ""));
            }
        };
        let config = Config {
            version,
            mtu: mtu(network.mtu.as_ref())?,
            socket: network.ipamd_socket.unwrap_or_else(|| SOCKET.into()),
            ports: network.runtime_config.ports.unwrap_or_default(),
            previous: network.prev_result,
        };
        Ok(Input { command, config })
    }
}

impl Config {
    /// The address that ADD gave.
    pub fn previous_address(&self) -> Option<Ipv4Addr> {
        super::first_address(self.previous.as_ref()?)
    }
}

impl Attachment {
    fn of(env: &impl Fn(&str) -> Option<String>, prefix: &str, netns_needed: bool) -> Result<Attachment, Failure> {
        let mut wrong = Vec::new();
        let mut need = |name: &'static str, fine: fn(&str) -> bool| {
            let value = env(name).unwrap_or_default();
            if !fine(&value) {
                wrong.push(name);
            }
            value
        };
        let container = need("CNI_CONTAINERID", is_container);
        let interface = need("CNI_IFNAME", is_interface);
        let netns =
            if netns_needed { need("CNI_NETNS", |v| !v.is_empty()) } else { env("CNI_NETNS").unwrap_or_default() };
        if !wrong.is_empty() {
            let text = format!("missing or invalid in the environment: {}", wrong.join(", "));
            return Err(Failure::new(Code::InvalidEnvironment, text, ""));
        }
        if prefix.is_empty() || prefix.len() + HASH > LONGEST_NAME || !is_interface(prefix) {
            let text = format!("vethPrefix '{prefix}' must have one to four characters");
            return Err(Failure::new(Code::InvalidConfig, text, ""));
        }
        let args = env("CNI_ARGS").unwrap_or_default();
        let arg = |name: &str| {
            let pairs = args.split(';').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        let (pod_namespace, pod_name) = (arg("K8S_POD_NAMESPACE"), arg("K8S_POD_NAME"));
        let link = link_name(prefix, (&pod_namespace, &pod_name), (&container, &interface));
        let key = Key { container, interface };
        Ok(Attachment { key, netns: (!netns.is_empty()).then_some(netns), pod_namespace, pod_name, link })
    }
}

/// The host end of a pod's interface, as amazon-vpc-cni-k8s names it: Calico and others find a pod's by that. What is no
/// pod has a name of its container; a second interface has one of its own.
fn link_name(prefix: &str, (namespace, pod): (&str, &str), (container, interface): (&str, &str)) -> String {
    let mut text = if pod.is_empty() { container.to_owned() } else { format!("{namespace}.{pod}") };
    if interface != "eth0" {
        text += &format!(".{interface}");
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{}", &hash[..HASH])
}

/// The attachments that GC leaves. Whoever names none at all has forgotten the list: it would end what runs.
fn known(valid: Option<Vec<Valid>>) -> Result<Vec<Key>, Failure> {
    let text = "GC needs the list cni.dev/valid-attachments, which may be empty";
    let valid = valid.ok_or_else(|| Failure::new(Code::InvalidConfig, text, ""))?;
    Ok(valid.into_iter().map(|v| Key { container: v.container, interface: v.ifname }).collect())
}

fn is_container(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(rest)
}

fn is_interface(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= LONGEST_NAME && text != "." && text != "..";
    fits && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
}

/// A number, or a text as amazon-vpc-cni-k8s's configuration has it.
fn mtu(value: Option<&Value>) -> Result<u32, Failure> {
    let Some(value) = value else { return Ok(MTU) };
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    // RFC 791: every IPv4 host takes 576 bytes; the VPC takes 9001.
    number
        .and_then(|mtu| u32::try_from(mtu).ok())
        .filter(|mtu| (576..=MTU).contains(mtu))
        .ok_or_else(|| Failure::new(Code::InvalidConfig, format!("mtu {value} is not within 576 and {MTU}"), ""))
}

fn empty() -> Network {
    let (cni_version, mtu, veth_prefix, ipamd_socket, prev_result) = (None, None, None, None, None);
    let runtime_config = Runtime::default();
    Network {
        cni_version,
        name: String::new(),
        mtu,
        veth_prefix,
        ipamd_socket,
        runtime_config,
        prev_result,
        valid: None,
    }
}

fn lower_case<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(String::deserialize(from)?.to_lowercase())
}

/// Runtimes write "all addresses" as an empty text or as `0.0.0.0`.
fn some_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Ipv4Addr>, D::Error> {
    let text = Option::<String>::deserialize(from)?.unwrap_or_default();
    Ok(text.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"cniVersion": "1.0.0", "name": "aws-cni", "type": "aws-cni", "mtu": "1500"}"#;

    fn parse(pairs: &[(&str, &str)], config: &str) -> Result<Input, Failure> {
        let env = |name: &str| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        Input::parse(env, config.as_bytes())
    }

    fn code(pairs: &[(&str, &str)], config: &str) -> Code {
        parse(pairs, config).err().unwrap().code
    }

    const ADD: [(&str, &str); 5] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=coredns-1"),
    ];

    #[test]
    fn a_pod_s_link_has_the_name_that_amazon_s_plugin_gives_it() {
        let Command::Add(attachment) = parse(&ADD, CONFIG).unwrap().command else { panic!() };
        // printf kube-system.coredns-1 | sha1sum | cut -c-11
        assert_eq!(attachment.link, "eni5adc4ab58e2");
        assert_eq!(attachment.pod_name, "coredns-1");
    }

    #[test]
    fn errors_have_the_codes_of_the_specification() {
        let without = |name: &str| ADD.into_iter().filter(|(own, _)| *own != name).collect::<Vec<_>>();
        assert_eq!(code(&ADD, &CONFIG.replace("1.0.0", "0.2.0")), Code::IncompatibleVersion);
        assert_eq!(code(&ADD, "{"), Code::Decode);
        assert_eq!(code(&ADD, ""), Code::Decode);
        assert_eq!(code(&ADD, &CONFIG.replace("1500", "100")), Code::InvalidConfig);
        for missing in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_COMMAND"] {
            let failure = parse(&without(missing), CONFIG).err().unwrap();
            assert_eq!(failure.code, Code::InvalidEnvironment);
            assert!(failure.message.contains(missing), "{}", failure.message);
        }
        assert_eq!(code(&ADD, &CONFIG.replace("aws-cni", "")), Code::InvalidConfig, "the network has no name");
        let prefix = CONFIG.replace("\"mtu\"", "\"vethPrefix\": \"longer\", \"mtu\"");
        assert_eq!(code(&ADD, &prefix), Code::InvalidConfig);
        let bad = |name: &'static str, value: &'static str| {
            let pairs = ADD.into_iter().filter(|(own, _)| *own != name).chain([(name, value)]).collect::<Vec<_>>();
            code(&pairs, CONFIG)
        };
        for (name, value) in [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "a/b"), ("CNI_IFNAME", "sixteen-letters-")] {
            assert_eq!(bad(name, value), Code::InvalidEnvironment, "{name}={value}");
        }
    }

    #[test]
    fn each_verb_is_of_the_versions_that_have_it() {
        let verb = |verb: &'static str, version: &str| {
            let pairs = ADD.into_iter().skip(1).chain([("CNI_COMMAND", verb)]).collect::<Vec<_>>();
            let list = r#", "cni.dev/valid-attachments": []}"#;
            parse(&pairs, &CONFIG.replace("1.0.0", version).replace('}', list))
                .map(drop)
                .map_err(|failure| failure.code)
        };
        let refused = Err(Code::InvalidEnvironment);
        for (name, first) in
            [("ADD", "0.3.1"), ("DEL", "0.3.1"), ("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")]
        {
            for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
                assert_eq!(verb(name, version), if version < first { refused } else { Ok(()) }, "{name} {version}");
            }
        }
        assert_eq!(verb("PING", "1.1.0"), refused);
    }

    #[test]
    fn gc_is_told_what_the_runtime_knows() {
        let gc = |more: &str| {
            let config = CONFIG.replace("1.0.0", "1.1.0").replace('}', &format!(", {more}}}"));
            parse(&[("CNI_COMMAND", "GC")], &config)
        };
        let valid = r#""cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]"#;
        let Command::Gc(known) = gc(valid).unwrap().command else { panic!() };
        assert_eq!(known.iter().map(Key::to_string).collect::<Vec<_>>(), ["c1/eth0"]);
        let malformed = gc(r#""cni.dev/valid-attachments": [{"containerID": "c1"}]"#).err().unwrap();
        assert_eq!(malformed.code, Code::Decode, "half a list would end what runs");
        let Command::Gc(none) = gc(r#""cni.dev/valid-attachments": []"#).unwrap().command else { panic!() };
        assert!(none.is_empty());
        let without = parse(&[("CNI_COMMAND", "GC")], &CONFIG.replace("1.0.0", "1.1.0")).err().unwrap();
        assert_eq!(without.code, Code::InvalidConfig);
    }

    #[test]
    fn a_version_is_told_to_who_sends_no_configuration() {
        assert!(matches!(parse(&[("CNI_COMMAND", "VERSION")], "").unwrap().command, Command::Version));
    }

    #[test]
    fn port_mappings_are_read_as_runtimes_write_them() {
        let config = |ports: &str| {
            format!(r#"{{"cniVersion": "1.0.0", "name": "n", "runtimeConfig": {{"portMappings": {ports}}}}}"#)
        };
        let mapping = PortMapping { host_port: 80, container_port: 8080, protocol: "tcp".into(), host_ip: None };
        for ports in [
            r#"[{"hostPort": 80, "containerPort": 8080, "protocol": "TCP", "hostIP": ""}]"#,
            // containerd 2.3 (go-cni's PortMapping has no names for JSON).
            r#"[{"HostPort": 80, "ContainerPort": 8080, "Protocol": "tcp", "HostIP": "0.0.0.0"}]"#,
        ] {
            assert_eq!(parse(&ADD, &config(ports)).unwrap().config.ports, std::slice::from_ref(&mapping), "{ports}");
        }
        assert_eq!(parse(&ADD, &config("null")).unwrap().config.ports, []);
        assert_eq!(code(&ADD, &config(r#"[{"hostPort": 70000}]"#)), Code::Decode);
    }
}
