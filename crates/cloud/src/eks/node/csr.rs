//! Whose serving certificate is signed: kubelet's, for the instance that it runs on and for nothing else.
//!
//! The signer itself checks only the form (Kubernetes docs, "Kubernetes signers": kubelet-serving); that a kubelet may have
//! the names and addresses which it asks for is for an approver who knows the instance. Who asks is known by the token of the
//! instance's own role: `system:node:PRIVATE-DNS-NAME`.

use super::model::{Node, NodesSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::net::Ipv4Addr;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

/// The signer of kubelets' serving certificates.
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// What every kubelet's user name begins with.
const USER: &str = "system:node:";
/// The group of all kubelets, and the organisation in their certificates.
const GROUP: &str = "system:nodes";
/// What such a certificate may be for.
const USAGES: [&str; 3] = ["digital signature", "key encipherment", "server auth"];

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is decided already, another signer's, or of nobody who is known (yet).
    Leave,
    /// It is signed.
    Approve,
    /// It is not; why, for people.
    Deny(String),
}

/// Judges a CertificateSigningRequest.
pub fn judge(spec: &NodesSpec, request: &Value) -> Verdict {
    let decided = request["status"]["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty());
    if decided || request["spec"]["signerName"] != SERVING_SIGNER {
        return Verdict::Leave;
    }
    let user = request["spec"]["username"].as_str().unwrap_or_default();
    let Some(name) = user.strip_prefix(USER) else { return Verdict::Deny(format!("'{user}' is not a node")) };
    let mut known = spec.nodes.values().chain(spec.self_managed.values());
    // A user's own node is known once its Node object is seen, which is about then: what is asked is looked at again.
    let Some(node) = known.find(|node| node.name == name) else { return Verdict::Leave };
    match check(node, &request["spec"]) {
        Ok(()) => Verdict::Approve,
        Err(why) => Verdict::Deny(why),
    }
}

fn check(node: &Node, request: &Value) -> Result<(), String> {
    let user = request["username"].as_str().unwrap_or_default();
    if !texts(&request["groups"]).contains(&GROUP) {
        return Err(format!("'{user}' is not in the group {GROUP}"));
    }
    check_usages(&texts(&request["usages"]))?;
    let pem = STANDARD.decode(request["request"].as_str().unwrap_or_default()).map_err(|e| e.to_string())?;
    let (_, pem) = parse_x509_pem(&pem).map_err(|e| format!("the request is not PEM: {e}"))?;
    let (_, csr) = X509CertificationRequest::from_der(&pem.contents).map_err(|e| format!("the request: {e}"))?;
    check_subject(&csr, user)?;
    check_names(&csr, node)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn check_usages(usages: &[&str]) -> Result<(), String> {
    if let Some(other) = usages.iter().find(|usage| !USAGES.contains(usage)) {
        return Err(format!("a serving certificate is not for '{other}'"));
    }
    match ["digital signature", "server auth"].iter().find(|needed| !usages.contains(needed)) {
        Some(missing) => Err(format!("a serving certificate must be for '{missing}'")),
        None => Ok(()),
    }
}

/// The subject must be who asks, and nobody else as well.
fn check_subject(csr: &X509CertificationRequest, user: &str) -> Result<(), String> {
    let subject = &csr.certification_request_info.subject;
    let names: Vec<_> = subject.iter_common_name().map(|name| name.as_str().unwrap_or_default()).collect();
    let groups: Vec<_> = subject.iter_organization().map(|name| name.as_str().unwrap_or_default()).collect();
    if names != [user] {
        return Err(format!("the subject's common name is '{}', and '{user}' asks", names.join("', '")));
    }
    if groups != [GROUP] {
        return Err(format!("the subject's organisation is '{}', not '{GROUP}'", groups.join("', '")));
    }
    Ok(())
}

/// Only the node's own name and addresses, and at least one of them.
fn check_names(csr: &X509CertificationRequest, node: &Node) -> Result<(), String> {
    let extensions = csr.requested_extensions().into_iter().flatten();
    let names = extensions.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let names: Vec<_> = names.flatten().collect();
    if names.is_empty() {
        return Err("the request names neither the node nor an address of it".into());
    }
    let other = names.iter().find(|name| match name {
        GeneralName::DNSName(name) => *name != node.name,
        GeneralName::IPAddress(bytes) => !address(bytes).is_some_and(|address| node.addresses.contains(&address)),
        _ => true,
    });
    match other {
        Some(GeneralName::IPAddress(bytes)) => {
            let shown = address(bytes).map_or_else(|| format!("{bytes:?}"), |address| address.to_string());
            Err(format!("{shown} is not an address of instance {}", node.instance))
        }
        Some(other) => Err(format!("{other} is not a name of instance {}", node.instance)),
        None => Ok(()),
    }
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}
