//! NodeConfig: what a node is told about its cluster, and how its kubelet is to differ from ours.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_types::Cidr;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

/// What counts of a NodeConfig's `spec`.
/// <https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeConfig {
    pub cluster: Cluster,
    #[serde(default)]
    pub kubelet: Kubelet,
    /// What we don't heed.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    pub name: String,
    /// E.g. `https://….eks.amazonaws.com`.
    pub api_server_endpoint: String,
    /// PEM in base64.
    pub certificate_authority: String,
    /// Of the cluster's Services.
    pub cidr: String,
}

#[derive(Debug, Default, Deserialize)]
pub struct Kubelet {
    /// A KubeletConfiguration, merged over ours.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Arguments, after ours.
    #[serde(default)]
    pub flags: Vec<String>,
}

impl NodeConfig {
    /// Reads configurations, YAML or JSON; of several a later one wins, but that all flags count.
    ///
    /// # Errors
    /// One is no NodeConfig, or together they lack something.
    pub fn read(texts: &[String]) -> Result<NodeConfig> {
        let (mut all, mut flags) = (Value::Object(Map::new()), Vec::new());
        for text in texts {
            let mut spec = spec(text)?;
            if let Some(own) = spec.pointer_mut("/kubelet/flags").and_then(Value::as_array_mut) {
                flags.append(own);
            }
            merge(&mut all, spec);
        }
        if !flags.is_empty() {
            all["kubelet"]["flags"] = flags.into();
        }
        let config: NodeConfig = serde_json::from_value(all).context("the NodeConfig's spec")?;
        let Cluster { name, api_server_endpoint, certificate_authority, cidr } = &config.cluster;
        let given = [name, api_server_endpoint, certificate_authority, cidr].iter().all(|text| !text.is_empty());
        ensure!(
            given,
            "the NodeConfig's spec.cluster must have name, apiServerEndpoint, certificateAuthority and cidr"
        );
        Ok(config)
    }

    /// Names of the parts of the spec that mean nothing here.
    pub fn unheeded(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }
}

impl Cluster {
    /// The PEM of its authority's certificates.
    ///
    /// # Errors
    /// It is not base64.
    pub fn authority(&self) -> Result<Vec<u8>> {
        STANDARD.decode(&self.certificate_authority).context("the NodeConfig's certificateAuthority is not base64")
    }

    /// The address of the cluster's DNS: the tenth of its Services.
    ///
    /// # Errors
    /// `cidr` is no IPv4 block of at least sixteen addresses.
    pub fn dns(&self) -> Result<Ipv4Addr> {
        let wrong = || format!("the NodeConfig's spec.cluster.cidr '{}' is no IPv4 block of Services", self.cidr);
        let cidr: Cidr = self.cidr.parse().ok().with_context(wrong)?;
        cidr.nth(10).with_context(wrong)
    }
}

/// The `spec` of one document.
fn spec(text: &str) -> Result<Value> {
    let mut document: Value = serde_saphyr::from_str(text).context("the NodeConfig is neither YAML nor JSON")?;
    let word = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    match (word("kind"), word("apiVersion")) {
        ("NodeConfig", "node.eks.aws/v1alpha1") => {}
        (kind, version) => {
            bail!("the user data has a '{kind}' of '{version}', not a NodeConfig of node.eks.aws/v1alpha1")
        }
    }
    Ok(document.get_mut("spec").map_or(Value::Object(Map::new()), Value::take))
}

/// Lays `over` on `base`: maps are merged, whatever else is there takes the place of what was.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
---
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: dev
    apiServerEndpoint: https://example.com
    certificateAuthority: Y2E=
    cidr: 10.100.0.0/16
  kubelet:
    config:
      maxPods: 29
      evictionHard: {memory.available: 5%}
    flags:
    - --node-labels=a=b,c=d
";

    fn read(texts: &[&str]) -> Result<NodeConfig> {
        NodeConfig::read(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let json = r#"{"apiVersion":"node.eks.aws/v1alpha1","kind":"NodeConfig","spec":{"cluster":{"name":"dev",
            "apiServerEndpoint":"https://example.com","certificateAuthority":"Y2E=","cidr":"10.100.0.0/16"},
            "kubelet":{"config":{"maxPods":29,"evictionHard":{"memory.available":"5%"}},"flags":["--node-labels=a=b,c=d"]}}}"#;
        for text in [YAML, json] {
            let config = read(&[text]).unwrap();
            assert_eq!(config.cluster.name, "dev");
            assert_eq!(config.cluster.dns().unwrap(), Ipv4Addr::new(10, 100, 0, 10));
            assert_eq!(config.kubelet.config["maxPods"], 29);
            assert_eq!(config.kubelet.config["evictionHard"]["memory.available"], "5%");
            assert_eq!(config.kubelet.flags, ["--node-labels=a=b,c=d"]);
        }
    }

    #[test]
    fn of_several_the_later_wins_and_all_flags_count() {
        let later = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  kubelet:\n    config: {maxPods: 5}\n    \
                     flags: [--v=4]\n  containerd: {config: x}\n";
        let config = read(&[YAML, later]).unwrap();
        assert_eq!(config.kubelet.config["maxPods"], 5);
        assert_eq!(config.kubelet.config["evictionHard"]["memory.available"], "5%");
        assert_eq!(config.kubelet.flags, ["--node-labels=a=b,c=d", "--v=4"]);
        assert_eq!(config.unheeded().collect::<Vec<_>>(), ["containerd"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let wrong = |from: &str, to: &str| format!("{:#}", read(&[&YAML.replace(from, to)]).unwrap_err());
        assert!(wrong("kind: NodeConfig", "kind: Pod").contains("a 'Pod' of 'node.eks.aws/v1alpha1'"));
        assert!(wrong("    cidr: 10.100.0.0/16\n", "").contains("cidr"));
        assert!(wrong("name: dev", "name: ''").contains("spec.cluster must have name"));
        assert!(wrong("kind: ", "\t: ").contains("neither YAML nor JSON"));
        let six = read(&[&YAML.replace("10.100.0.0/16", "fd00::/108")]).unwrap();
        assert!(six.cluster.dns().unwrap_err().to_string().contains("'fd00::/108' is no IPv4 block"));
    }
}
