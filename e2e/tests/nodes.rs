//! A node group brings nodes that join by themselves, and pods on them have addresses of the VPC.

use e2e::{Cluster, Outside, Region, call, say, steps, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const GROUP: &str = "workers";
/// From the wish until a node or a pod is as it should be, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn a_node_group_brings_nodes_and_pods_with_addresses_of_the_vpc() {
    let outside = Outside::start();
    let region = Region::for_nodes_with(outside.flags());
    let cluster = region.create_cluster("first");
    steps!((&region, &cluster):
        a_node_group_that_cannot_be_is_refused_and_nothing_is_made,
        a_node_group_becomes_active_when_its_nodes_are_ready,
        a_node_shows_what_its_instance_type_has,
        the_cluster_s_own_pods_run,
        a_node_s_machine_serves_its_network_until_the_pod_of_aws_node_does,
        pods_spread_over_nodes_and_hold_addresses_of_their_interfaces,
        a_service_is_reached_by_name_and_every_pod_behind_it,
        pods_reach_the_outside_as_their_subnets_routes_say,
        pods_go_outside_by_another_node_when_a_route_leads_to_it,
        a_network_acl_comes_between_pods_of_two_subnets,
        logs_exec_and_port_forward_work,
        a_container_that_takes_too_much_memory_is_killed_alone,
        kubelet_containerd_and_the_cni_come_back_and_pods_stay,
        a_terminated_instance_leaves_the_cluster_and_is_replaced,
        labels_taints_and_sizes_reach_nodes_in_seconds,
        a_launch_template_rolls_out_as_soon_as_a_budget_lets_it,
        an_instance_that_its_user_joins_is_a_node_until_it_is_terminated,
        a_cluster_with_node_groups_is_not_deleted,
        a_deleted_node_group_leaves_nothing,
    );
}

/// What `aws eks create-nodegroup` is given, but for its name.
fn wish(region: &Region) -> Vec<String> {
    let role = region.aws(&["iam", "get-role", "--role-name", "eks-node-role", "--query", "Role.Arn"]);
    let mut words = ["eks", "create-nodegroup", "--cluster-name", "first", "--node-role"].map(str::to_owned).to_vec();
    words.push(role.as_str().expect("a role has an ARN").to_owned());
    words.push("--subnets".into());
    words.extend(region.default_subnets().split(',').map(str::to_owned));
    words
}

fn a_node_group_that_cannot_be_is_refused_and_nothing_is_made(region: &Region, _: &Cluster) {
    let before = region.aws(&["eks", "list-nodegroups", "--cluster-name", "first"]);
    let asked = wish(region);
    let base: Vec<&str> = asked.iter().map(String::as_str).collect();
    let refused = |code: &str, more: &[&str]| {
        let refusal = region.aws_refuses(&[&base[..], &["--nodegroup-name", GROUP], more].concat());
        assert_eq!(refusal.code, code, "{more:?}: {}", refusal.message);
    };
    refused("InvalidParameterException", &["--scaling-config", "minSize=3,maxSize=2,desiredSize=2"]);
    refused("InvalidParameterException", &["--instance-types", "t9.gigantic"]);
    refused("InvalidParameterException", &["--kubernetes-version", "1.11"]);
    refused("InvalidParameterException", &["--update-config", "maxUnavailable=1,maxUnavailablePercentage=10"]);
    refused("InvalidParameterException", &["--launch-template", "version=1"]);
    assert_eq!(region.aws(&["eks", "list-nodegroups", "--cluster-name", "first"]), before);
    let refusal =
        region.aws_refuses(&["eks", "describe-nodegroup", "--cluster-name", "first", "--nodegroup-name", "none"]);
    assert_eq!(
        (&*refusal.code, &*refusal.message),
        ("ResourceNotFoundException", "No node group found for name: none.")
    );
}

fn a_node_group_becomes_active_when_its_nodes_are_ready(region: &Region, cluster: &Cluster) {
    let began = Instant::now();
    let asked = wish(region);
    let base: Vec<&str> = asked.iter().map(String::as_str).collect();
    let more = [
        "--nodegroup-name",
        GROUP,
        "--instance-types",
        "t3.medium",
        "--scaling-config",
        "minSize=1,maxSize=3,desiredSize=2",
        "--labels",
        "team=sea",
    ];
    let made = region.aws(&[&base, &more[..]].concat())["nodegroup"].clone();
    assert_eq!((&made["status"], &made["health"]["issues"]), (&json!("CREATING"), &json!([])));
    let said = region
        .client()
        .run("aws", &["eks", "wait", "nodegroup-active", "--cluster-name", "first", "--nodegroup-name", GROUP]);
    let found = describe(region);
    assert!(said.ok() && found["status"] == "ACTIVE", "{said}\n{found:#}");
    say(&format!("{:6.1} s  CreateNodegroup to ACTIVE, two nodes", began.elapsed().as_secs_f64()));
    assert_eq!(ready_nodes(cluster).len(), 2);
    let zones: BTreeSet<String> = nodes(cluster).iter().map(|n| label(n, "topology.kubernetes.io/zone")).collect();
    assert_eq!(zones.len(), 2, "two nodes, two zones");
}

fn a_node_shows_what_its_instance_type_has(region: &Region, cluster: &Cluster) {
    for node in nodes(cluster) {
        assert_eq!(node["status"]["capacity"]["cpu"], "2");
        assert_eq!(node["status"]["capacity"]["memory"], "4Gi");
        // Three interfaces of six addresses: 3 x (6 - 1) + 2.
        assert_eq!(node["status"]["capacity"]["pods"], "17");
        let labels = [
            ("node.kubernetes.io/instance-type", "t3.medium"),
            ("eks.amazonaws.com/nodegroup", GROUP),
            ("eks.amazonaws.com/capacityType", "ON_DEMAND"),
            ("team", "sea"),
            ("topology.kubernetes.io/region", "us-east-1"),
        ];
        for (name, value) in labels {
            assert_eq!(label(&node, name), value, "{name}");
        }
        let provider = node["spec"]["providerID"].as_str().unwrap_or_default();
        let id = provider.rsplit('/').next().unwrap_or_default();
        let zone = label(&node, "topology.kubernetes.io/zone");
        assert_eq!(provider, format!("aws:///{zone}/{id}"));
        let found =
            region.aws(&["ec2", "describe-instances", "--instance-ids", id])["Reservations"][0]["Instances"][0].clone();
        assert_eq!((&found["State"]["Name"], &found["PrivateDnsName"]), (&json!("running"), &node["metadata"]["name"]));
        assert_eq!(found["PrivateIpAddress"], address(&node, "InternalIP"));
        let console = region.aws(&["ec2", "get-console-output", "--instance-id", id, "--query", "Output"]);
        let console = console.as_str().unwrap_or_default();
        assert!(console.contains("\n[containerd] ") && console.contains("\n[kubelet] "), "{console}");
    }
}

fn the_cluster_s_own_pods_run(_: &Region, cluster: &Cluster) {
    for (kind, name) in [("daemonset", "aws-node"), ("daemonset", "kube-proxy"), ("deployment", "coredns")] {
        rolled_out(cluster, &["--namespace", "kube-system", &format!("{kind}/{name}")]);
    }
}

fn a_node_s_machine_serves_its_network_until_the_pod_of_aws_node_does(region: &Region, cluster: &Cluster) {
    let kubelets = region.running("kubelet");
    assert_eq!(kubelets.len(), nodes(cluster).len());
    for kubelet in kubelets {
        let log = fs::read_to_string(kubelet.file("/var/log/roadstead/network.log")).expect("it has said something");
        let ready = log.find("pods can come").unwrap_or_else(|| panic!("it has not served: {log}"));
        let left = log.find("another daemon takes this one's place").unwrap_or_else(|| panic!("it serves on: {log}"));
        assert!(ready < left, "{log}");
        let all = region.processes().into_iter().filter(|process| process.machine == kubelet.machine);
        let with = |word: &str| all.clone().filter(|process| process.arguments.iter().any(|a| a == word)).count();
        assert_eq!((with("network"), with("aws-node")), (0, 1), "one serves, and its work is not begun again");
        let plugin = fs::symlink_metadata(kubelet.file("/opt/cni/bin/aws-cni")).expect("the plugin is there");
        assert!(plugin.is_file(), "it is the pod's own");
    }
}

fn pods_spread_over_nodes_and_hold_addresses_of_their_interfaces(region: &Region, cluster: &Cluster) {
    let began = Instant::now();
    cluster.apply(&web(cluster, 4));
    rolled_out(cluster, &["deployment/web"]);
    say(&format!("{:6.1} s  a Deployment of four rolled out", began.elapsed().as_secs_f64()));
    let interfaces = region.aws(&["ec2", "describe-network-interfaces"])["NetworkInterfaces"].clone();
    let mut held: BTreeMap<String, String> = BTreeMap::new();
    for interface in interfaces.as_array().into_iter().flatten() {
        let instance = interface["Attachment"]["InstanceId"].as_str().unwrap_or_default();
        for address in interface["PrivateIpAddresses"].as_array().into_iter().flatten() {
            held.insert(address["PrivateIpAddress"].as_str().unwrap_or_default().to_owned(), instance.to_owned());
        }
    }
    let instances: BTreeMap<String, String> = nodes(cluster)
        .iter()
        .map(|node| {
            (
                name(node),
                node["spec"]["providerID"]
                    .as_str()
                    .unwrap_or_default()
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            )
        })
        .collect();
    let pods = pods(cluster, "app=web");
    let addresses: BTreeSet<Ipv4Addr> = pods.iter().map(|pod| pod_address(pod).parse().expect("an address")).collect();
    assert_eq!((pods.len(), addresses.len()), (4, 4));
    for pod in &pods {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        assert_eq!(held.get(pod_address(pod)), instances.get(node), "{} is of its own node's interfaces", name(pod));
    }
    let on: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    assert_eq!(on.len(), 2, "pods spread over both nodes");
}

/// What a pod is answered that asks so often. The API server reaches it by its address.
fn asks(cluster: &Cluster, pod: &Value, host: &str, port: u16, tries: usize) -> Value {
    let pod = name(pod);
    let path = format!(
        "/api/v1/namespaces/default/pods/http:{pod}:8080/proxy/dial?request=hostname&protocol=http&host={host}&port={port}&tries={tries}"
    );
    cluster.kubectl(&["get", "--raw", &path]).json()
}

fn a_service_is_reached_by_name_and_every_pod_behind_it(_: &Region, cluster: &Cluster) {
    // The pod asks the cluster's DNS, then the Service.
    let asks = |host: &str, port: u16, tries: usize| asks(cluster, &pods(cluster, "app=web")[0], host, port, tries);
    let wanted: BTreeSet<String> = pods(cluster, "app=web").iter().map(name).collect();
    let mut seen = BTreeSet::new();
    until("every pod behind the service answered", PATIENCE, || {
        let said = asks("web.default.svc.cluster.local", 80, 20);
        seen.extend(said["responses"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        (seen == wanted).then_some(())
    });
    // Every pod directly: those of its own node and those of the other.
    for pod in pods(cluster, "app=web") {
        assert_eq!(asks(pod_address(&pod), 8080, 1)["responses"], json!([name(&pod)]));
    }
}

/// The outside tells who asks it: by an internet gateway the address of the pod's node, by a NAT gateway that one's.
fn pods_reach_the_outside_as_their_subnets_routes_say(region: &Region, cluster: &Cluster) {
    let pod = pods(cluster, "app=web").remove(0);
    let who = || asks(cluster, &pod, Outside::SERVER, 80, 1)["responses"][0].as_str().map(str::to_owned);
    let becomes = |what: &str, wanted: Option<&str>| {
        let began = Instant::now();
        until(what, PATIENCE, || (who().as_deref() == wanted).then_some(()));
        say(&format!("{:6.1} s  until {what}", began.elapsed().as_secs_f64()));
    };
    let node = nodes(cluster).into_iter().find(|node| name(node) == pod["spec"]["nodeName"]).expect("it runs on one");
    let found = region.aws(&["ec2", "describe-instances", "--instance-ids", &instance(&node)]);
    let found = found["Reservations"][0]["Instances"][0].clone();
    let id = |answer: Value, pointer: &str| answer.pointer(pointer).and_then(Value::as_str).expect("an id").to_owned();
    let (vpc, subnet) = (id(found.clone(), "/VpcId"), id(found.clone(), "/SubnetId"));
    let public = id(found, "/PublicIpAddress");
    becomes("its node's address is seen outside", Some(&public));
    let other = region.default_subnets().split(',').find(|other| *other != subnet).expect("there are three").to_owned();
    let made = region.aws(&["ec2", "allocate-address"]);
    let (allocation, elastic) = (id(made.clone(), "/AllocationId"), id(made, "/PublicIp"));
    let made = region.aws(&["ec2", "create-nat-gateway", "--subnet-id", &other, "--allocation-id", &allocation]);
    let nat = id(made, "/NatGateway/NatGatewayId");
    let waited = region.client().run("aws", &["ec2", "wait", "nat-gateway-available", "--nat-gateway-ids", &nat]);
    assert!(waited.ok(), "{waited}");
    let table = id(region.aws(&["ec2", "create-route-table", "--vpc-id", &vpc]), "/RouteTable/RouteTableId");
    let to = ["--route-table-id", &table, "--destination-cidr-block", "0.0.0.0/0"];
    region.aws(&[&["ec2", "create-route", "--nat-gateway-id", &nat], &to[..]].concat());
    let associated = region.aws(&["ec2", "associate-route-table", "--route-table-id", &table, "--subnet-id", &subnet]);
    becomes("the NAT gateway's address is seen outside", Some(&elastic));
    region.aws(&[&["ec2", "delete-route"], &to[..]].concat());
    becomes("there is no way out", None);
    let association = id(associated, "/AssociationId");
    region.aws(&["ec2", "disassociate-route-table", "--association-id", &association]);
    becomes("its node's address is seen again", Some(&public));
    region.aws(&["ec2", "delete-route-table", "--route-table-id", &table]);
    region.aws(&["ec2", "delete-nat-gateway", "--nat-gateway-id", &nat]);
    let waited = region.client().run("aws", &["ec2", "wait", "nat-gateway-deleted", "--nat-gateway-ids", &nat]);
    assert!(waited.ok(), "{waited}");
    region.aws(&["ec2", "release-address", "--allocation-id", &allocation]);
}

/// A node does what a NAT instance does: the VPC CNI translates whatever leaves its node for an address that is not the
/// VPC's. With the check of its interface's source and destination nothing comes of it.
fn pods_go_outside_by_another_node_when_a_route_leads_to_it(region: &Region, cluster: &Cluster) {
    let pod = pods(cluster, "app=web").remove(0);
    let who = || asks(cluster, &pod, Outside::SERVER, 80, 1)["responses"][0].as_str().map(str::to_owned);
    let (own, other): (Vec<Value>, Vec<Value>) =
        nodes(cluster).into_iter().partition(|node| name(node) == pod["spec"]["nodeName"]);
    let (own, other) = (described(region, &instance(&own[0])), described(region, &instance(&other[0])));
    let id = |answer: &Value, name: &str| answer[name].as_str().expect("an id").to_owned();
    let first = list(&other["NetworkInterfaces"]).into_iter().find(|eni| eni["Attachment"]["DeviceIndex"] == 0);
    let nat = id(&first.expect("every instance has one"), "NetworkInterfaceId");
    let (vpc, subnet) = (id(&own, "VpcId"), id(&own, "SubnetId"));
    let table = id(&region.aws(&["ec2", "create-route-table", "--vpc-id", &vpc])["RouteTable"], "RouteTableId");
    let to = ["--route-table-id", &table, "--destination-cidr-block", "0.0.0.0/0"];
    region.aws(&[&["ec2", "create-route", "--network-interface-id", &nat], &to[..]].concat());
    let associated = region.aws(&["ec2", "associate-route-table", "--route-table-id", &table, "--subnet-id", &subnet]);
    until("nothing comes back from an instance that may not forward", PATIENCE, || who().is_none().then_some(()));
    let check = ["ec2", "modify-network-interface-attribute", "--network-interface-id", &nat];
    region.aws(&[&check[..], &["--no-source-dest-check"]].concat());
    let began = Instant::now();
    let public = other["PublicIpAddress"].as_str();
    until("the other node's address is seen outside", PATIENCE, || (who().as_deref() == public).then_some(()));
    say(&format!("{:6.1} s  until a pod goes outside by another node", began.elapsed().as_secs_f64()));
    let association = id(&associated, "AssociationId");
    region.aws(&["ec2", "disassociate-route-table", "--association-id", &association]);
    region.aws(&["ec2", "delete-route-table", "--route-table-id", &table]);
    region.aws(&[&check[..], &["--source-dest-check"]].concat());
}

/// An instance, as EC2 describes it.
fn described(region: &Region, instance: &str) -> Value {
    let found = region.aws(&["ec2", "describe-instances", "--instance-ids", instance]);
    found["Reservations"][0]["Instances"][0].clone()
}

/// An entry of the subnets' ACL stops one pod's packets to another, and lets them through again.
fn a_network_acl_comes_between_pods_of_two_subnets(region: &Region, cluster: &Cluster) {
    let all = pods(cluster, "app=web");
    let one = &all[0];
    let other =
        all.iter().find(|pod| pod["spec"]["nodeName"] != one["spec"]["nodeName"]).expect("nodes are in two zones");
    let answers = || asks(cluster, one, pod_address(other), 8080, 1)["responses"] == json!([name(other)]);
    assert!(answers());
    let subnet = region.default_subnets().split(',').next().expect("there are three").to_owned();
    let of = format!("Name=association.subnet-id,Values={subnet}");
    let acl = region.aws(&["ec2", "describe-network-acls", "--filters", &of])["NetworkAcls"][0]["NetworkAclId"].clone();
    let entry = ["--network-acl-id", acl.as_str().expect("an id"), "--ingress", "--rule-number", "50"];
    let asker = format!("{}/32", pod_address(one));
    let to_pods = ["--protocol", "tcp", "--port-range", "From=8080,To=8080", "--cidr-block", &asker];
    let acts = |operation: &str, action: &str| {
        region.aws(&[&["ec2", operation], &entry[..], &to_pods, &["--rule-action", action]].concat());
        Instant::now()
    };
    let changed = acts("create-network-acl-entry", "deny");
    let mut passed = Duration::ZERO;
    until("the ACL stops the pod's packets", PATIENCE, || {
        let asked = changed.elapsed();
        let stopped = !answers();
        passed = if stopped { passed } else { asked };
        stopped.then_some(())
    });
    say(&format!("{:6.1} s  after a refusal by an ACL was made a packet still passed", passed.as_secs_f64()));
    assert!(passed < Duration::from_secs(1), "{passed:?}");
    let changed = acts("replace-network-acl-entry", "allow");
    until("the ACL lets them through", PATIENCE, || answers().then_some(()));
    say(&format!("{:6.1} s  until an ACL lets a pod's packets through again", changed.elapsed().as_secs_f64()));
    region.aws(&[&["ec2", "delete-network-acl-entry"], &entry[..]].concat());
}

fn logs_exec_and_port_forward_work(_: &Region, cluster: &Cluster) {
    let pod = name(&pods(cluster, "app=web")[0]);
    let logs = cluster.kubectl(&["logs", &pod]).text();
    assert!(logs.contains("HTTP server"), "{logs}");
    let said = cluster.kubectl(&["exec", &pod, "--", "/agnhost", "connect", "--timeout=5s", "web:80"]);
    assert!(said.ok(), "{said}");
    let said = cluster.kubectl(&["exec", &pod, "--", "/agnhost", "connect", "--timeout=5s", "nowhere:80"]);
    assert!(!said.ok() && said.err.contains("DNS"), "{said}");
}

fn a_container_that_takes_too_much_memory_is_killed_alone(_: &Region, cluster: &Cluster) {
    let args = ["stress", "--mem-total", "268435456", "--mem-alloc-size", "16777216", "--mem-alloc-sleep", "10ms"];
    let container = json!({"name": "greedy", "image": agnhost(cluster), "args": args,
        "resources": {"limits": {"memory": "64Mi"}}});
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "greedy"},
        "spec": {"restartPolicy": "Never", "containers": [container]}}));
    let reason = until("it was killed", PATIENCE, || {
        let pod = cluster.kubectl_json(&["get", "pod", "greedy"]);
        let state = pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
        state.is_object().then(|| state["reason"].clone())
    });
    assert_eq!(reason, "OOMKilled");
    assert_eq!(ready_nodes(cluster).len(), 2);
    cluster.kubectl(&["delete", "pod", "greedy", "--wait=false"]).text();
}

fn kubelet_containerd_and_the_cni_come_back_and_pods_stay(region: &Region, cluster: &Cluster) {
    let before: BTreeSet<String> = pods(cluster, "app=web").iter().map(|pod| pod_address(pod).to_owned()).collect();
    for program in ["kubelet", "containerd"] {
        let process = region.running(program).remove(0);
        e2e::kill(process.pid);
        until(&format!("{program} is back"), PATIENCE, || {
            region.running(program).iter().any(|p| p.machine == process.machine && p.pid != process.pid).then_some(())
        });
    }
    let agents = region.processes().into_iter().filter(|p| {
        fs::read(format!("/proc/{}/cmdline", p.pid)).is_ok_and(|line| line.windows(9).any(|w| w == b"\0aws-node"))
    });
    for agent in agents.collect::<Vec<_>>() {
        e2e::kill(agent.pid);
    }
    cluster.apply(&web(cluster, 8));
    rolled_out(cluster, &["deployment/web"]);
    let after = pods(cluster, "app=web");
    let addresses: BTreeSet<String> = after.iter().map(|pod| pod_address(pod).to_owned()).collect();
    assert_eq!((after.len(), addresses.len()), (8, 8), "no address is given twice");
    assert!(addresses.is_superset(&before), "those that ran keep theirs");
    until("both nodes are ready", PATIENCE, || (ready_nodes(cluster).len() == 2).then_some(()));
}

fn a_terminated_instance_leaves_the_cluster_and_is_replaced(region: &Region, cluster: &Cluster) {
    let victim = nodes(cluster).remove(0);
    let id =
        victim["spec"]["providerID"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    let began = Instant::now();
    region.aws(&["ec2", "terminate-instances", "--instance-ids", &id]);
    until("its node is gone", PATIENCE, || nodes(cluster).iter().all(|n| name(n) != name(&victim)).then_some(()));
    say(&format!("{:6.1} s  TerminateInstances until its Node is gone", began.elapsed().as_secs_f64()));
    until("another took its place", PATIENCE, || (ready_nodes(cluster).len() == 2).then_some(()));
    say(&format!("{:6.1} s  until two nodes are ready again", began.elapsed().as_secs_f64()));
    rolled_out(cluster, &["deployment/web"]);
}

fn labels_taints_and_sizes_reach_nodes_in_seconds(region: &Region, cluster: &Cluster) {
    let base = ["eks", "update-nodegroup-config", "--cluster-name", "first", "--nodegroup-name", GROUP];
    let update = |more: &[&str]| {
        let began = Instant::now();
        let update = region.aws(&[&base, more].concat())["update"].clone();
        assert_eq!(update["type"], "ConfigUpdate");
        (began, update["id"].as_str().expect("an update has an id").to_owned())
    };
    let all = |so: &dyn Fn(&Value) -> bool| nodes(cluster).iter().all(so).then_some(());
    let is_tainted = |node: &Value| list(&node["spec"]["taints"]).iter().any(|taint| taint["key"] == "rough");
    let taint = "addOrUpdateTaints=[{key=rough,value=sea,effect=PREFER_NO_SCHEDULE}]";
    let (began, id) = update(&["--labels", "addOrUpdateLabels={team=land}", "--taints", taint]);
    until("labels and taints are there", PATIENCE, || all(&|node| label(node, "team") == "land" && is_tainted(node)));
    say(&format!("{:6.1} s  UpdateNodegroupConfig until all nodes have it", began.elapsed().as_secs_f64()));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(ended(region, GROUP, &id)["status"], "Successful");
    let updates = ["eks", "list-updates", "--name", "first", "--nodegroup-name", GROUP, "--query", "updateIds"];
    assert!(list(&region.aws(&updates)).contains(&json!(id)));
    let (_, id) =
        update(&["--labels", "removeLabels=team", "--taints", "removeTaints=[{key=rough,effect=PREFER_NO_SCHEDULE}]"]);
    until("they are gone", PATIENCE, || all(&|node| label(node, "team").is_empty() && !is_tainted(node)));
    assert_eq!(ended(region, GROUP, &id)["status"], "Successful");

    let (began, _) = update(&["--scaling-config", "minSize=1,maxSize=3,desiredSize=3"]);
    until("three nodes are ready", PATIENCE, || (ready_nodes(cluster).len() == 3).then_some(()));
    say(&format!("{:6.1} s  a third node", began.elapsed().as_secs_f64()));
    let (began, _) = update(&["--scaling-config", "minSize=1,maxSize=3,desiredSize=1"]);
    until("one node is left", PATIENCE, || (nodes(cluster).len() == 1).then_some(()));
    say(&format!("{:6.1} s  until two of them are drained and gone", began.elapsed().as_secs_f64()));
    until("it is ACTIVE", PATIENCE, || (describe(region)["status"] == "ACTIVE").then_some(()));
}

/// An update, once it has ended.
fn ended(region: &Region, group: &str, id: &str) -> Value {
    let describe = ["eks", "describe-update", "--name", "first", "--nodegroup-name", group, "--update-id", id];
    until("the update ends", 2 * PATIENCE, || {
        Some(region.aws(&describe)["update"].clone()).filter(|update| update["status"] != "InProgress")
    })
}

fn a_launch_template_rolls_out_as_soon_as_a_budget_lets_it(region: &Region, cluster: &Cluster) {
    const ROLLED: &str = "rolled";
    let data = |crew: &str| {
        let tags = json!([{"Key": "crew", "Value": crew}]);
        json!({"TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]}).to_string()
    };
    let named = ["--launch-template-name", "crew", "--launch-template-data"];
    region.aws(&[&["ec2", "create-launch-template"], &named[..], &[&data("one")]].concat());
    let mut asked = wish(region);
    asked.truncate(8); // one subnet of them: a surge of two
    let base: Vec<&str> = asked.iter().map(String::as_str).collect();
    let more = ["--nodegroup-name", ROLLED, "--scaling-config", "minSize=1,maxSize=1,desiredSize=1"];
    let template = ["--launch-template", "name=crew,version=1"];
    region.aws(&[&base[..], &more, &template].concat());
    let group = ["--cluster-name", "first", "--nodegroup-name", ROLLED];
    let said = region.client().run("aws", &[&["eks", "wait", "nodegroup-active"], &group[..]].concat());
    assert!(said.ok(), "{said}");
    let of_group = || nodes(cluster).into_iter().filter(|node| label(node, "eks.amazonaws.com/nodegroup") == ROLLED);
    let old = name(&of_group().next().expect("the group has a node"));

    cluster.apply(&guarded(cluster, ROLLED));
    rolled_out(cluster, &["deployment/guarded"]);
    region.aws(&[&["ec2", "create-launch-template-version"], &named[..], &[&data("two")]].concat());
    let update = ["eks", "update-nodegroup-version", "--launch-template", "name=crew,version=2"];
    let began = Instant::now();
    let update = region.aws(&[&update[..], &group].concat())["update"].clone();
    assert_eq!((&update["type"], &update["status"]), (&json!("VersionUpdate"), &json!("InProgress")));
    let id = update["id"].as_str().expect("an update has an id");
    let refusal = region.aws_refuses(&[&["eks", "update-nodegroup-version", "--force"], &group[..]].concat());
    assert_eq!(refusal.code, "ResourceInUseException", "one update at a time: {}", refusal.message);

    // What an operator sees of a drain that waits: the pod, and the budget that keeps it.
    let states = || region.roadstead(&["admin", "get", "nodes-state", "-o", "json"]).text();
    until("the budget is named", PATIENCE, || {
        let states = states();
        (states.contains("\"pdb\": \"guarded\"") && states.contains("\"pod\": \"guarded-")).then_some(())
    });
    assert_eq!(pods(cluster, "app=guarded")[0]["spec"]["nodeName"], json!(old), "the pod is where it was");
    cluster.kubectl(&["delete", "poddisruptionbudget", "guarded"]).text();
    let update = ended(region, ROLLED, id);
    assert_eq!((&update["status"], &update["errors"]), (&json!("Successful"), &json!([])), "{update:#}");
    say(&format!("{:6.1} s  UpdateNodegroupVersion, one node", began.elapsed().as_secs_f64()));
    let left = until("the new node is the only one", PATIENCE, || {
        let left: Vec<Value> = of_group().collect();
        (left.len() == 1 && name(&left[0]) != old).then_some(left)
    });
    let tag = "Reservations[].Instances[].Tags[?Key=='crew'].Value[]";
    assert_eq!(
        region.aws(&["ec2", "describe-instances", "--instance-ids", &instance(&left[0]), "--query", tag]),
        json!(["two"])
    );
    rolled_out(cluster, &["deployment/guarded"]);
    cluster.kubectl(&["delete", "deployment", "guarded"]).text();
    region.aws(&[&["eks", "delete-nodegroup"], &group[..]].concat());
    let said = region.client().run("aws", &[&["eks", "wait", "nodegroup-deleted"], &group[..]].concat());
    assert!(said.ok(), "{said}");
    region.aws(&["ec2", "delete-launch-template", "--launch-template-name", "crew"]);
}

/// A Deployment of one pod on the group's nodes, and a budget that keeps it there.
fn guarded(cluster: &Cluster, group: &str) -> Value {
    let container = json!({"name": "pause", "image": agnhost(cluster), "args": ["pause"]});
    let pod = json!({"terminationGracePeriodSeconds": 1, "containers": [container],
        "nodeSelector": {"eks.amazonaws.com/nodegroup": group}});
    let labels = json!({"app": "guarded"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "guarded"}, "spec": {
            "replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "guarded"}, "spec": {
            "minAvailable": 1, "selector": {"matchLabels": labels}}},
    ]})
}

fn an_instance_that_its_user_joins_is_a_node_until_it_is_terminated(region: &Region, cluster: &Cluster) {
    let id = join_by_hand(region, cluster);
    let found =
        region.aws(&["ec2", "describe-instances", "--instance-ids", &id])["Reservations"][0]["Instances"][0].clone();
    let own = found["PrivateDnsName"].as_str().expect("an instance has a name").to_owned();
    until("it is a node", PATIENCE, || ready_nodes(cluster).contains(&own).then_some(()));
    // Its kubelet answers under a certificate that somebody signed: only then does the API server speak with it.
    let path = format!("/api/v1/nodes/{own}/proxy/healthz");
    until("its kubelet has a certificate", PATIENCE, || cluster.kubectl(&["get", "--raw", &path]).ok().then_some(()));
    assert!(ready_nodes(cluster).contains(&own), "nobody takes away what no node group has");
    region.aws(&["ec2", "terminate-instances", "--instance-ids", &id]);
    until("it is gone with its instance", PATIENCE, || nodes(cluster).iter().all(|n| name(n) != own).then_some(()));
}

/// Runs an instance of the cluster's own image, told by its user data what to join; its id.
fn join_by_hand(region: &Region, cluster: &Cluster) -> String {
    let found = region.describe("first");
    let endpoint =
        cluster.kubectl_json(&["get", "endpoints", "kubernetes"])["subsets"][0]["addresses"][0]["ip"].clone();
    let config = json!({"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"cluster": {
        "name": "first",
        "apiServerEndpoint": format!("https://{}:443", endpoint.as_str().expect("the API has an address in the VPC")),
        "certificateAuthority": found["certificateAuthority"]["data"],
        "cidr": found["kubernetesNetworkConfig"]["serviceIpv4Cidr"],
    }}});
    let file = region.folder().join("user-data");
    let text = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n\
         --B\nContent-Type: application/node.eks.aws\n\n{config}\n--B--\n"
    );
    fs::write(&file, text).expect("user data can be written");
    let version = found["version"].as_str().expect("a cluster has a version");
    let parameter =
        format!("/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/x86_64/standard/recommended/image_id");
    let image = region.aws(&["ssm", "get-parameter", "--name", &parameter, "--query", "Parameter.Value"]);
    // The profile that the node group's own instances have.
    let query = "Reservations[].Instances[].IamInstanceProfile.Arn | [0]";
    let filter = format!("Name=tag:eks:nodegroup-name,Values={GROUP}");
    let profile = region.aws(&["ec2", "describe-instances", "--filters", &filter, "--query", query]);
    let profile = profile.as_str().and_then(|arn| arn.rsplit('/').next()).expect("nodes have a profile").to_owned();
    let user_data = format!("file://{}", file.display());
    let (profile, image) = (format!("Name={profile}"), image.as_str().expect("a cluster has images").to_owned());
    let groups = found["resourcesVpcConfig"]["clusterSecurityGroupId"].as_str().expect("it has a group").to_owned();
    let tags = "ResourceType=instance,Tags=[{Key=kubernetes.io/cluster/first,Value=owned}]";
    let run = region.aws(&[
        "ec2",
        "run-instances",
        "--image-id",
        &image,
        "--instance-type",
        "t3.small",
        "--user-data",
        &user_data,
        "--iam-instance-profile",
        &profile,
        "--security-group-ids",
        &groups,
        "--tag-specifications",
        tags,
    ]);
    run["Instances"][0]["InstanceId"].as_str().expect("an instance has an id").to_owned()
}

/// The id of the instance that a node stands for.
fn instance(node: &Value) -> String {
    node["spec"]["providerID"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
}

fn a_cluster_with_node_groups_is_not_deleted(region: &Region, _: &Cluster) {
    let refusal = region.aws_refuses(&["eks", "delete-cluster", "--name", "first"]);
    assert_eq!((&*refusal.code, &*refusal.message), ("ResourceInUseException", "Cluster has nodegroups attached"));
}

fn a_deleted_node_group_leaves_nothing(region: &Region, cluster: &Cluster) {
    // With the last nodes goes what a budget keeps: a deletion respects budgets for five minutes first, as EKS does.
    cluster.kubectl(&["--namespace", "kube-system", "delete", "poddisruptionbudgets", "--all"]).text();
    let began = Instant::now();
    let arguments = ["--cluster-name", "first", "--nodegroup-name", GROUP];
    region.aws(&[&["eks", "delete-nodegroup"], &arguments[..]].concat());
    let said = region.client().run("aws", &[&["eks", "wait", "nodegroup-deleted"], &arguments[..]].concat());
    assert!(said.ok(), "{said}");
    say(&format!("{:6.1} s  DeleteNodegroup until it is gone", began.elapsed().as_secs_f64()));
    assert_eq!(nodes(cluster).len(), 0);
    assert!(region.running("kubelet").is_empty() && region.running("containerd").is_empty());
    let answers = region.boto(vec![
        call("autoscaling", "describe_auto_scaling_groups", json!({})),
        call("ec2", "describe_launch_templates", json!({})),
    ]);
    assert_eq!(answers[0].clone().value()["AutoScalingGroups"], json!([]));
    assert_eq!(answers[1].clone().value()["LaunchTemplates"], json!([]));
    let left = region.aws(&["ec2", "describe-network-interfaces", "--filters", "Name=requester-managed,Values=false"]);
    assert_eq!(left["NetworkInterfaces"], json!([]), "{left:#}");
    region.aws(&["eks", "delete-cluster", "--name", "first"]);
    let said = region.client().run("aws", &["eks", "wait", "cluster-deleted", "--name", "first"]);
    assert!(said.ok(), "{said}");
}

fn describe(region: &Region) -> Value {
    region.aws(&["eks", "describe-nodegroup", "--cluster-name", "first", "--nodegroup-name", GROUP])["nodegroup"]
        .clone()
}

fn nodes(cluster: &Cluster) -> Vec<Value> {
    cluster.kubectl_json(&["get", "nodes"])["items"].as_array().cloned().unwrap_or_default()
}

fn ready_nodes(cluster: &Cluster) -> Vec<String> {
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    nodes(cluster).iter().filter(is_ready).map(name).collect()
}

fn pods(cluster: &Cluster, selector: &str) -> Vec<Value> {
    let all =
        cluster.kubectl_json(&["get", "pods", "--selector", selector])["items"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("an object has a name").to_owned()
}

fn label(object: &Value, key: &str) -> String {
    object["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned()
}

fn address(node: &Value, kind: &str) -> Value {
    let addresses = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
    addresses.into_iter().find(|a| a["type"] == kind).map(|a| a["address"].clone()).unwrap_or_default()
}

fn pod_address(pod: &Value) -> &str {
    pod["status"]["podIP"].as_str().unwrap_or_default()
}

/// The image that every node has for tests, at the version of this cluster.
fn agnhost(cluster: &Cluster) -> String {
    until("a node says that it has agnhost", PATIENCE, || {
        let images = nodes(cluster).iter().flat_map(|node| list(&node["status"]["images"])).collect::<Vec<_>>();
        let names = images.iter().flat_map(|image| list(&image["names"]));
        names.filter_map(|name| name.as_str().map(str::to_owned)).find(|name| name.contains("/agnhost:"))
    })
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A Deployment of web servers that say their name, and its Service.
fn web(cluster: &Cluster, replicas: u32) -> Value {
    let container = json!({"name": "web", "image": agnhost(cluster), "args": ["netexec", "--http-port=8080"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}}]);
    let pod =
        json!({"terminationGracePeriodSeconds": 1, "topologySpreadConstraints": spread, "containers": [container]});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        }},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
            "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}},
    ]})
}

#[track_caller]
fn rolled_out(cluster: &Cluster, what: &[&str]) {
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let said =
        cluster.kubectl_within(PATIENCE + Duration::from_secs(10), &[&["rollout", "status", &timeout], what].concat());
    let shown = if said.ok() {
        String::new()
    } else {
        cluster.kubectl(&["get", "events,pods,nodes", "--all-namespaces", "--output", "wide"]).out
    };
    assert!(said.ok(), "{said}\n{shown}");
}
