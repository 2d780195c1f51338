//! User data of nodes: MIME multipart, in it the NodeConfig that nodes are set up by (awslabs/amazon-eks-ami, nodeadm).

use crate::eks::node::Taint;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The media type of a NodeConfig.
const NODE_CONFIG: &str = "application/node.eks.aws";
/// What parts are divided by, where the user has no parts.
const BOUNDARY: &str = "//";

/// What a node must know of its cluster, and what of itself.
pub struct NodeConfig<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// Where its API is reached from inside the VPC.
    pub endpoint: String,
    /// Base64 of its authority's PEM.
    pub authority: String,
    /// Addresses of its services.
    pub service_cidr: String,
    /// The address of cluster DNS.
    pub dns: String,
    /// Pods that the node has addresses for.
    pub max_pods: u32,
    /// Labels that it registers with.
    pub labels: BTreeMap<String, String>,
    /// Taints that it registers with.
    pub taints: &'a [Taint],
}

impl NodeConfig<'_> {
    /// As it stands in user data: JSON is YAML.
    fn text(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let taints: Vec<String> = self.taints.iter().map(|t| format!("{}={}:{}", t.key, t.value, t.effect)).collect();
        let mut flags = vec![format!("--node-labels={}", labels.join(","))];
        if !taints.is_empty() {
            flags.push(format!("--register-with-taints={}", taints.join(",")));
        }
        let config = serde_json::json!({
            "apiVersion": "node.eks.aws/v1alpha1",
            "kind": "NodeConfig",
            "spec": {
                "cluster": {
                    "name": self.cluster,
                    "apiServerEndpoint": self.endpoint,
                    "certificateAuthority": self.authority,
                    "cidr": self.service_cidr,
                },
                "kubelet": {
                    "config": { "maxPods": self.max_pods, "clusterDNS": [self.dns] },
                    "flags": flags,
                },
            },
        });
        format!("{config:#}")
    }
}

/// Whether user data can be merged with a NodeConfig: it is MIME multipart.
pub fn is_multipart(user_data: &str) -> bool {
    boundary(user_data).is_some()
}

/// The user's parts, if there are any, and the NodeConfig after them: of two, nodeadm lets the later one decide.
pub fn merge(user: Option<&str>, config: &NodeConfig) -> String {
    let (boundary, parts) = match user.and_then(|user| Some((boundary(user)?, user))) {
        Some((boundary, user)) => (boundary, parts(user, boundary)),
        None => (BOUNDARY, vec![]),
    };
    let mut text = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
    for part in parts {
        let _written = writeln!(text, "--{boundary}\n{}", part.trim_matches(['\r', '\n']));
    }
    let _written = write!(text, "--{boundary}\nContent-Type: {NODE_CONFIG}\n\n{}\n\n--{boundary}--\n", config.text());
    text
}

/// What the parts of a multipart message are divided by (RFC 2046, 5.1.1).
fn boundary(message: &str) -> Option<&str> {
    let head = message.split("\n\n").next()?.split("\r\n\r\n").next()?;
    let lower = head.to_ascii_lowercase();
    let kind = lower.find("content-type:")?;
    lower[kind..].contains("multipart/").then_some(())?;
    let at = lower[kind..].find("boundary=")? + kind + "boundary=".len();
    let value = head.get(at..)?.lines().next()?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([';', ' ']).next()?,
    };
    (!value.is_empty()).then_some(value)
}

fn parts<'a>(message: &'a str, boundary: &str) -> Vec<&'a str> {
    let divider = format!("--{boundary}");
    let mut parts: Vec<&str> = message.split(divider.as_str()).skip(1).collect();
    // What follows the closing divider is no part.
    let end = parts.iter().position(|part| part.starts_with("--")).unwrap_or(parts.len());
    parts.truncate(end);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(taints: &[Taint]) -> NodeConfig<'_> {
        NodeConfig {
            cluster: "a",
            endpoint: "https://10.0.0.9:443".into(),
            authority: "Q0E=".into(),
            service_cidr: "10.100.0.0/16".into(),
            dns: "10.100.0.10".into(),
            max_pods: 17,
            labels: BTreeMap::from([("team".into(), "x".into()), ("eks.amazonaws.com/nodegroup".into(), "n".into())]),
            taints,
        }
    }

    #[test]
    fn a_node_config_is_a_part_of_its_own() {
        let taints = [Taint { key: "gpu".into(), value: String::new(), effect: "NoSchedule".into() }];
        let text = merge(None, &config(&taints));
        assert!(is_multipart(&text), "{text}");
        let [part] = &parts(&text, BOUNDARY)[..] else { panic!("one part: {text}") };
        let (head, body) = part.trim().split_once("\n\n").unwrap();
        assert_eq!(head, "Content-Type: application/node.eks.aws");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["spec"]["cluster"]["apiServerEndpoint"], "https://10.0.0.9:443");
        assert_eq!(body["spec"]["kubelet"]["config"]["maxPods"], 17);
        let flags = &body["spec"]["kubelet"]["flags"];
        assert_eq!(flags[0], "--node-labels=eks.amazonaws.com/nodegroup=n,team=x");
        assert_eq!(flags[1], "--register-with-taints=gpu=:NoSchedule");
    }

    #[test]
    fn a_users_parts_stay_and_come_first() {
        let user = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"==X==\"\r\n\r\n--==X==\r\n\
                    Content-Type: text/x-shellscript\r\n\r\n#!/bin/sh\r\necho --hi\r\n--==X==--\r\n";
        let text = merge(Some(user), &config(&[]));
        let all = parts(&text, "==X==");
        assert_eq!(all.len(), 2, "{text}");
        assert!(all[0].contains("echo --hi") && all[1].contains("node.eks.aws"), "{text}");
    }

    #[test]
    fn what_is_not_multipart_cannot_be_merged() {
        for text in ["", "#!/bin/sh\necho", "Content-Type: text/plain\n\nx", "Content-Type: multipart/mixed\n\nx"] {
            assert!(!is_multipart(text), "{text}");
        }
    }
}
