//! What the nodes driver decides by, case by case.

use super::{
    Blocker, Drain, Draining, EXCLUDE_FROM_BALANCERS, Edit, Fate, Node, NodesSpec, Taint, Verdict, blocker, edit, fate,
    instance, is_left_over, judge, state, strangers,
};
use crate::eks::kube::Access;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use roadstead_types::{Millis, Sealed};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const NAME: &str = "ip-10-0-1-5.ec2.internal";
const USER: &str = "system:node:ip-10-0-1-5.ec2.internal";

fn node() -> Node {
    Node {
        cluster: "C1".into(),
        name: NAME.into(),
        instance: "i-0a".into(),
        zone: "us-east-1a".into(),
        addresses: vec!["10.0.1.5".parse().unwrap()],
        labels: BTreeMap::new(),
        taints: vec![],
        cordon: false,
        drain: None,
    }
}

fn spec(nodes: &[Node]) -> NodesSpec {
    let access = Access {
        network: "vpc-1".into(),
        addresses: vec![],
        port: 443,
        authority: String::new(),
        certificate: String::new(),
        key: Sealed { context: String::new(), ciphertext: String::new() },
    };
    let nodes = nodes.iter().map(|node| (node.instance.clone(), node.clone())).collect();
    NodesSpec { access, nodes, self_managed: BTreeMap::new(), gone: BTreeSet::new() }
}

/// What a kubelet asks for.
struct Asks {
    user: &'static str,
    groups: &'static [&'static str],
    usages: &'static [&'static str],
    common_name: &'static str,
    organisation: &'static str,
    names: Vec<SanType>,
}

fn name(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn address(address: &str) -> SanType {
    SanType::IpAddress(address.parse().unwrap())
}

fn honest() -> Asks {
    Asks {
        user: USER,
        groups: &["system:bootstrappers", "system:nodes", "system:authenticated"],
        usages: &["digital signature", "server auth"],
        common_name: USER,
        organisation: "system:nodes",
        names: vec![name(NAME), address("10.0.1.5")],
    }
}

fn request(asks: &Asks) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, asks.organisation);
    params.distinguished_name.push(DnType::CommonName, asks.common_name);
    params.subject_alt_names.clone_from(&asks.names);
    let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({"metadata": {"name": "csr-1"}, "spec": {
        "signerName": "kubernetes.io/kubelet-serving", "request": STANDARD.encode(pem),
        "username": asks.user, "groups": asks.groups, "usages": asks.usages,
    }})
}

#[test]
fn a_kubelet_gets_a_certificate_for_its_own_instance() {
    assert_eq!(judge(&spec(&[node()]), &request(&honest())), Verdict::Approve);
    let more = Asks { usages: &["key encipherment", "server auth", "digital signature"], ..honest() };
    assert_eq!(judge(&spec(&[node()]), &request(&more)), Verdict::Approve);
    let fewer = Asks { names: vec![address("10.0.1.5")], ..honest() };
    assert_eq!(judge(&spec(&[node()]), &request(&fewer)), Verdict::Approve);
}

#[test]
fn whoever_is_not_the_instance_gets_no_certificate_and_is_told_why() {
    let other = "system:node:ip-10-0-1-6.ec2.internal";
    let cases = [
        (Asks { user: "admin", ..honest() }, "'admin' is not a node"),
        (Asks { groups: &["system:authenticated"], ..honest() }, "not in the group system:nodes"),
        (Asks { usages: &["client auth", "digital signature", "server auth"], ..honest() }, "not for 'client auth'"),
        (Asks { usages: &["digital signature"], ..honest() }, "must be for 'server auth'"),
        (Asks { common_name: other, ..honest() }, "common name is 'system:node:ip-10-0-1-6.ec2.internal'"),
        (Asks { organisation: "system:masters", ..honest() }, "organisation is 'system:masters'"),
        (Asks { names: vec![], ..honest() }, "names neither the node nor an address"),
        (Asks { names: vec![name("kubernetes.default.svc")], ..honest() }, "is not a name of instance i-0a"),
        (Asks { names: vec![name(NAME), address("10.0.1.6")], ..honest() }, "10.0.1.6 is not an address of"),
        (Asks { names: vec![name(NAME), address("fd00::1")], ..honest() }, "is not an address of instance i-0a"),
        (Asks { names: vec![SanType::Rfc822Name("a@b".try_into().unwrap())], ..honest() }, "is not a name of"),
    ];
    for (asks, why) in cases {
        match judge(&spec(&[node()]), &request(&asks)) {
            Verdict::Deny(said) => assert!(said.contains(why), "{said} instead of {why}"),
            other => panic!("{other:?} instead of {why}"),
        }
    }
    let mut garbled = request(&honest());
    for text in ["", "bm9uc2Vuc2U=", "%"] {
        garbled["spec"]["request"] = json!(text);
        assert!(matches!(judge(&spec(&[node()]), &garbled), Verdict::Deny(_)), "{text}");
    }
}

#[test]
fn what_is_decided_or_another_signers_is_left_alone() {
    let mut decided = request(&honest());
    decided["status"] = json!({"conditions": [{"type": "Denied"}]});
    assert_eq!(judge(&spec(&[node()]), &decided), Verdict::Leave);
    let mut other = request(&honest());
    other["spec"]["signerName"] = json!("kubernetes.io/kube-apiserver-client-kubelet");
    assert_eq!(judge(&spec(&[node()]), &other), Verdict::Leave);
}

fn object() -> Value {
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-30T04:00:00Z"});
    json!({
        "metadata": {"name": NAME, "uid": "u1", "resourceVersion": "7", "labels": {"a": "b"}},
        "spec": {"providerID": "aws:///us-east-1a/i-0a"},
        "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, ready],
            "nodeInfo": {"kubeletVersion": "v1.36.3"}},
    })
}

#[test]
fn a_user_s_own_node_is_waited_for_and_gets_a_certificate_for_itself_alone() {
    assert_eq!(judge(&spec(&[]), &request(&honest())), Verdict::Leave);
    let own = NodesSpec { self_managed: spec(&[node()]).nodes, ..spec(&[]) };
    assert_eq!(judge(&own, &request(&honest())), Verdict::Approve);
    let other = Asks { names: vec![address("10.0.1.6")], ..honest() };
    assert!(matches!(judge(&own, &request(&other)), Verdict::Deny(_)));
}

#[test]
fn the_node_of_an_instance_that_nobody_stated_is_a_stranger_and_goes_only_with_its_instance() {
    let spec = spec(&[node()]);
    assert_eq!(instance(&object()), Some("i-0a"));
    let with = |id: Value| json!({"spec": {"providerID": id}});
    let other = with(json!("aws:///us-east-1a/i-0b"));
    let hybrid = with(json!("eks-hybrid:///us-east-1/c/mi-1"));
    let all = [object(), other.clone(), hybrid.clone(), with(json!("aws:///us-east-1a/")), with(Value::Null)];
    assert_eq!(strangers(&spec, &all), BTreeMap::from([("i-0b".to_owned(), "us-east-1a".to_owned())]));
    assert!(all.iter().all(|object| !is_left_over(&spec, object)));
    let later = NodesSpec { gone: BTreeSet::from(["i-0b".to_owned()]), ..spec };
    assert_eq!([&object(), &other, &hybrid].map(|object| is_left_over(&later, object)), [false, true, false]);
}

#[test]
fn a_node_is_as_its_object_says_unless_that_is_an_earlier_instances() {
    let seen = state(&node(), Some(&object()), None);
    assert!(seen.registered && seen.ready && !seen.drained);
    assert_eq!((seen.since, seen.kubelet_version.as_str()), (Millis::secs(1_796_011_200), "v1.36.3"));
    let mut earlier = object();
    earlier["spec"]["providerID"] = json!("aws:///us-east-1a/i-0z");
    for absent in [None, Some(&earlier)] {
        let seen = state(&node(), absent, None);
        assert!(!seen.registered && !seen.ready && seen.why.contains("has not registered"), "{seen:?}");
    }
    let mut away = object();
    away["status"]["conditions"][1] =
        json!({"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."});
    let seen = state(&node(), Some(&away), None);
    assert_eq!((seen.ready, seen.why.as_str()), (false, "Kubelet stopped posting node status."));
}

#[test]
fn a_node_is_drained_when_no_pod_is_left_that_has_to_go() {
    let drained = |draining: Draining, object: &Value| {
        let node = Node { drain: Some(Drain { since: Millis(0), force: false }), ..node() };
        state(&node, Some(object), Some(&draining)).drained
    };
    assert!(drained(Draining::default(), &object()));
    assert!(!drained(Draining { left: 1, ..Draining::default() }, &object()));
    let leaving = Draining { leaving: 1, ..Draining::default() };
    assert!(!drained(leaving.clone(), &object()));
    let mut away = object();
    away["status"]["conditions"][1]["status"] = json!("Unknown");
    assert!(drained(leaving, &away), "nobody there ends a pod any more");
    assert!(!state(&node(), Some(&object()), Some(&Draining::default())).drained, "nobody asked for it");
}

/// The object as the API has it after an edit, as far as these tests look.
fn edited(object: &Value, edit: Edit) -> Value {
    let mut after = object.clone();
    match edit {
        Edit::Apply(fields) => {
            let labels = fields["metadata"]["labels"].as_object().unwrap().clone();
            let owned: serde_json::Map<_, _> = labels.keys().map(|key| (format!("f:{key}"), json!({}))).collect();
            let mut fields_v1 = json!({"f:metadata": {"f:labels": owned}});
            after["spec"].as_object_mut().unwrap().remove("unschedulable");
            if fields["spec"]["unschedulable"] == true {
                after["spec"]["unschedulable"] = json!(true);
                fields_v1["f:spec"] = json!({"f:unschedulable": {}});
            }
            after["metadata"]["labels"].as_object_mut().unwrap().extend(labels);
            after["metadata"]["managedFields"] = json!([{"manager": "kubelet", "operation": "Update"}, {"manager": "eks", "operation": "Apply", "fieldsV1": fields_v1}]);
        }
        Edit::Merge(fields) => {
            after["spec"]["taints"] = fields["spec"]["taints"].clone();
            after["metadata"]["annotations"] = fields["metadata"]["annotations"].clone();
        }
    }
    after
}

#[test]
fn a_node_without_wishes_is_left_alone_even_if_somebody_cordons_it() {
    assert_eq!(edit(&node(), &object()), None);
    let mut cordoned = object();
    cordoned["spec"]["unschedulable"] = json!(true);
    assert_eq!(edit(&node(), &cordoned), None);
}

#[test]
fn a_cordon_is_applied_once_and_taken_back_as_ours_alone() {
    let wished = Node { cordon: true, ..node() };
    let Some(Edit::Apply(fields)) = edit(&wished, &object()) else { panic!("a cordon is applied") };
    assert_eq!(fields["spec"]["unschedulable"], true);
    assert_eq!(fields["metadata"]["labels"][EXCLUDE_FROM_BALANCERS], "true");
    assert_eq!(fields["metadata"]["uid"], "u1");
    let after = edited(&object(), Edit::Apply(fields));
    assert_eq!(edit(&wished, &after), None);
    let Some(Edit::Apply(fields)) = edit(&node(), &after) else { panic!("it is taken back") };
    assert_eq!((&fields["spec"], &fields["metadata"]["labels"]), (&json!({}), &json!({})));
}

#[test]
fn labels_are_kept_against_everybody_and_let_go_when_they_are_no_longer_wished() {
    let wished = Node { labels: BTreeMap::from([("eks.amazonaws.com/nodegroup".into(), "ng".into())]), ..node() };
    let after = edited(&object(), edit(&wished, &object()).unwrap());
    assert_eq!(edit(&wished, &after), None);
    let mut changed = after.clone();
    changed["metadata"]["labels"]["eks.amazonaws.com/nodegroup"] = json!("other");
    assert!(matches!(edit(&wished, &changed), Some(Edit::Apply(_))));
    assert!(matches!(edit(&node(), &after), Some(Edit::Apply(_))));
}

#[test]
fn taints_of_others_stay_and_ours_go_when_they_are_no_longer_wished() {
    let taint = |key: &str, value: &str| Taint { key: key.into(), value: value.into(), effect: "NoSchedule".into() };
    let theirs = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"});
    let mut before = object();
    before["spec"]["taints"] = json!([theirs]);
    let wished = Node { taints: vec![taint("team", "a")], ..node() };
    let Some(Edit::Merge(fields)) = edit(&wished, &before) else { panic!("a taint is merged") };
    assert_eq!(fields["metadata"]["resourceVersion"], "7", "nobody else's change is lost");
    assert_eq!(fields["spec"]["taints"], json!([theirs, {"key": "team", "effect": "NoSchedule", "value": "a"}]));
    let with = edited(&before, Edit::Merge(fields));
    assert_eq!(edit(&wished, &with), None);
    let other = Node { taints: vec![taint("team", "b")], ..node() };
    let Some(Edit::Merge(fields)) = edit(&other, &with) else { panic!("its value is changed") };
    assert_eq!(fields["spec"]["taints"][1]["value"], "b");
    let Some(Edit::Merge(fields)) = edit(&node(), &with) else { panic!("it goes") };
    assert_eq!(fields["spec"]["taints"], json!([theirs]));
    assert_eq!(edit(&node(), &edited(&with, Edit::Merge(fields))), None);
}

#[test]
fn a_drain_evicts_what_is_not_the_nodes_own() {
    let owned_by = |kind: &str| json!({"metadata": {"ownerReferences": [{"kind": kind, "controller": true}]}});
    let cases = [
        (json!({"metadata": {}}), Fate::Goes),
        (owned_by("ReplicaSet"), Fate::Goes),
        (owned_by("DaemonSet"), Fate::Stays),
        (json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}), Fate::Stays),
        (json!({"metadata": {}, "status": {"phase": "Succeeded"}}), Fate::Stays),
        (json!({"metadata": {"deletionTimestamp": "2026-11-30T04:00:00Z"}}), Fate::Leaving),
    ];
    for (pod, wanted) in cases {
        assert_eq!(fate(&pod), wanted, "{pod}");
    }
}

#[test]
fn a_refused_eviction_names_the_budget() {
    let pod = json!({"metadata": {"name": "web-1", "namespace": "shop"}});
    let cause = json!({"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"});
    let answer = json!({"message": "Cannot evict pod as it would violate the pod's disruption budget.", "details": {"causes": [cause]}});
    let named = |pdb: &str| Blocker { namespace: "shop".into(), pod: "web-1".into(), pdb: pdb.into() };
    assert_eq!(blocker(&pod, &answer), named("web"));
    let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!(blocker(&pod, &json!({"message": several})), named(several));
}
