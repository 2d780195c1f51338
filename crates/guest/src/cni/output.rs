//! What a plugin says: a result of the form that the configuration's version has, or an error with a code.
//! <https://www.cni.dev/docs/spec/#section-5-result-types>

use super::wire::{Ends, ROUTER};
use serde_json::{Value, json};
use std::fmt::Display;
use std::net::Ipv4Addr;

/// A version of the specification that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Without CHECK; results as in 0.4.0. containerd's own configuration of `loopback` is of this one.
    V0_3,
    V0_4,
    V1_0,
    V1_1,
}

impl Version {
    const ALL: [Version; 4] = [Version::V0_3, Version::V0_4, Version::V1_0, Version::V1_1];

    /// The version of a configuration; `any`: whatever it says.
    pub fn of(text: Option<&str>, any: bool) -> Result<Version, Failure> {
        let text = text.unwrap_or("0.1.0");
        let found = Version::ALL.into_iter().find(|version| version.name() == text);
        found.or(any.then_some(Version::V1_1)).ok_or_else(|| {
            let text = format!("cniVersion {text} is not supported, only {}", names().join(", "));
            Failure::new(Code::IncompatibleVersion, text, "")
        })
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Version::V0_3 => "0.3.1",
            Version::V0_4 => "0.4.0",
            Version::V1_0 => "1.0.0",
            Version::V1_1 => "1.1.0",
        }
    }
}

fn names() -> Vec<&'static str> {
    Version::ALL.map(Version::name).to_vec()
}

/// A success.
pub enum Outcome {
    /// There is nothing to say.
    Nothing,
    /// The versions spoken.
    Versions,
    /// A pod has its interface.
    Added {
        version: Version,
        link: String,
        interface: String,
        sandbox: String,
        address: Ipv4Addr,
        mtu: u32,
        ends: Ends,
    },
    /// A result as it is.
    Raw(Value),
}

impl Outcome {
    /// As JSON; empty where nothing is said.
    pub fn text(&self) -> String {
        match self {
            Outcome::Nothing => String::new(),
            Outcome::Versions => {
                json!({ "cniVersion": Version::V1_1.name(), "supportedVersions": names() }).to_string()
            }
            Outcome::Raw(value) => value.to_string(),
            Outcome::Added { version, link, interface, sandbox, address, mtu, ends } => {
                let mut near = json!({ "name": link, "mac": ends.node.to_string() });
                let mut far = json!({ "name": interface, "mac": ends.pod.to_string(), "sandbox": sandbox });
                let mut ip = json!({ "interface": 1, "address": format!("{address}/32") });
                match version {
                    Version::V0_3 | Version::V0_4 => ip["version"] = "4".into(),
                    Version::V1_0 => {}
                    Version::V1_1 => [&mut near, &mut far].into_iter().for_each(|end| end["mtu"] = (*mtu).into()),
                }
                let route = json!({ "dst": "0.0.0.0/0", "gw": ROUTER });
                let (interfaces, ips, routes) = (json!([near, far]), json!([ip]), json!([route]));
                let version = version.name();
                json!({ "cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": routes, "dns": {} })
                    .to_string()
            }
        }
    }
}

/// Error codes: up to 99 the specification's, from 100 on ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The configuration's `cniVersion` is not spoken here.
    IncompatibleVersion = 1,
    /// A field's value is not supported.
    UnsupportedField = 2,
    /// The container is not known, or its namespace is gone: no DEL is needed.
    UnknownContainer = 3,
    /// A variable of the environment is missing or wrong.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// The configuration is no JSON of the right form.
    Decode = 6,
    /// The configuration says something that can't be.
    InvalidConfig = 7,
    /// It may work later: no address is free now.
    TryAgain = 11,
    /// No pod can be added now.
    NotAvailable = 50,
    /// The kernel refused a step, or something of a pod's wiring is missing.
    Wiring = 100,
    /// The daemon is away or does not understand.
    Daemon = 101,
}

impl Code {
    /// The code with that number; an unknown one is the daemon's fault.
    pub fn from_number(number: u32) -> Code {
        use Code::{
            Daemon, Decode, IncompatibleVersion, InvalidConfig, InvalidEnvironment, Io, NotAvailable, TryAgain,
            UnknownContainer, UnsupportedField, Wiring,
        };
        let all = [
            IncompatibleVersion,
            UnsupportedField,
            UnknownContainer,
            InvalidEnvironment,
            Io,
            Decode,
            InvalidConfig,
            TryAgain,
            NotAvailable,
            Wiring,
        ];
        all.into_iter().find(|code| *code as u32 == number).unwrap_or(Daemon)
    }
}

/// An error.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// A sentence for people: it becomes an event of the pod.
    pub message: String,
    /// The cause, maybe empty.
    pub details: String,
    version: Version,
}

impl Failure {
    /// An error with its cause.
    pub fn new(code: Code, message: impl Into<String>, cause: impl Display) -> Failure {
        Failure { code, message: message.into(), details: cause.to_string(), version: Version::V1_0 }
    }

    /// Told in that version of the specification.
    pub(super) fn in_version(self, version: Version) -> Failure {
        Failure { version, ..self }
    }

    /// As JSON. The message has the cause, too: runtimes show people nothing else.
    pub fn text(&self) -> String {
        let message = match self.details.as_str() {
            "" => self.message.clone(),
            details => format!("{}: {details}", self.message),
        };
        let (version, code) = (self.version.name(), self.code as u32);
        json!({ "cniVersion": version, "code": code, "msg": message, "details": self.details }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_types::Mac;

    fn added(version: Version) -> Value {
        let ends = Ends { node: Mac([2, 0, 0, 0, 0, 1]), pod: Mac([2, 0, 0, 0, 0, 2]) };
        let [link, interface, sandbox] = ["eni1", "eth0", "/run/netns/x"].map(str::to_owned);
        let address = Ipv4Addr::new(10, 0, 0, 5);
        let outcome = Outcome::Added { version, link, interface, sandbox, address, mtu: 9001, ends };
        serde_json::from_str(&outcome.text()).unwrap()
    }

    #[test]
    fn a_result_has_the_form_of_its_version() {
        let (old, new, newest) = (added(Version::V0_4), added(Version::V1_0), added(Version::V1_1));
        assert_eq!(old["ips"][0], json!({ "version": "4", "interface": 1, "address": "10.0.0.5/32" }));
        assert_eq!(new["ips"][0], json!({ "interface": 1, "address": "10.0.0.5/32" }));
        assert_eq!(new["interfaces"][1]["mtu"], Value::Null);
        assert_eq!(newest["interfaces"][1]["mtu"], 9001);
        assert_eq!(newest["interfaces"][1]["sandbox"], "/run/netns/x");
        assert_eq!([&old, &new, &newest].map(|r| r["cniVersion"].clone()), ["0.4.0", "1.0.0", "1.1.0"]);
    }

    #[test]
    fn a_failure_says_its_cause_in_the_message() {
        let text = Failure::new(Code::TryAgain, "no address", "subnet-1 is empty").text();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["code"].clone(), value["msg"].clone()), (11.into(), "no address: subnet-1 is empty".into()));
    }
}
