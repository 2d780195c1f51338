//! What people do with pods works as `kubectl` and Kubernetes' own documentation say, on one cluster with two nodes.
//!
//! Nearly all objects ([`OBJECTS`]) are applied at once, since pods take their time to come; each step then looks at
//! its own.

use e2e::{Cluster, Region, components, run, say, signal, spawn, steps, until};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CLUSTER: &str = "pods";
/// From the wish until it is so, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(180);
/// What a pod may need until it is told of.
const A_MOMENT: Duration = Duration::from_secs(30);
/// What the pod `client` runs with, and no other.
const CLIENT_PORT: &str = "--http-port=1080";
const OBJECTS: &str = include_str!("../manifests/pods.yaml");

#[test]
fn what_people_do_with_pods_works() {
    let built = fs::read_dir(components()).expect("components are built").flatten();
    let has_metrics = built.into_iter().any(|set| set.file_name().to_string_lossy().starts_with("metrics-server-"));
    assert!(has_metrics, "no metrics-server is built: cargo xtask components --add-ons");
    let region = Region::for_nodes();
    let cluster = region.create_cluster(CLUSTER).with_token();
    steps!((&region, &cluster):
        nodes_join,
        metrics_server_is_an_add_on_to_ask_for,
        objects_of_every_kind_are_applied,
        jobs_end_as_their_pods_do,
        a_stateful_set_has_names_and_keeps_what_it_wrote,
        probes_of_every_kind_are_asked,
        init_containers_sidecars_and_hooks_run_in_order,
        configuration_secrets_and_the_pod_itself_are_files_and_variables,
        kubectl_runs_copies_attaches_follows_forwards_and_debugs,
        a_cpu_limit_is_kept,
        ports_of_nodes_lead_to_pods,
        a_service_keeps_a_client_with_one_pod,
        an_admission_webhook_in_a_pod_is_asked,
        a_pod_reaches_its_vpc_and_nothing_else,
        a_pod_reaches_the_region_by_an_endpoint_of_its_vpc,
        what_cannot_be_says_why,
        helm_installs_upgrades_and_removes_a_chart,
        taints_keep_pods_away_and_tolerations_let_them_in,
        a_node_is_drained_as_budgets_allow,
        kubectl_top_shows_nodes_and_pods,
        nothing_leaks_when_programs_die_while_a_node_fills_up,
        an_add_on_that_is_deleted_takes_its_api_along,
    );
}

fn nodes_join(region: &Region, cluster: &Cluster) {
    let role = region.aws(&["iam", "get-role", "--role-name", "eks-node-role", "--query", "Role.Arn"]);
    let subnets = region.default_subnets();
    let mut words = vec!["eks", "create-nodegroup", "--cluster-name", CLUSTER, "--nodegroup-name", "workers"];
    words.extend(["--instance-types", "t3.medium", "--scaling-config", "minSize=2,maxSize=2,desiredSize=2"]);
    words.extend(["--node-role", role.as_str().expect("a role has an ARN"), "--subnets"]);
    words.extend(subnets.split(',').take(2));
    region.aws(&words);
    let waiter = ["eks", "wait", "nodegroup-active", "--cluster-name", CLUSTER, "--nodegroup-name", "workers"];
    region.client().run("aws", &waiter).text();
    assert_eq!(nodes(cluster).len(), 2);
}

fn metrics_server_is_an_add_on_to_ask_for(region: &Region, _: &Cluster) {
    let offered = region.aws(&["eks", "describe-addon-versions", "--addon-name", "metrics-server"])["addons"].clone();
    assert_eq!((&offered[0]["owner"], &offered[0]["type"]), (&json!("community"), &json!("observability")));
    let version = offered[0]["addonVersions"][0]["addonVersion"].as_str().expect("it has a version");
    let asked = ["--addon-name", "metrics-server", "--addon-version", version];
    let schema = region.aws(&[&["eks", "describe-addon-configuration"], &asked[..]].concat());
    assert!(schema["configurationSchema"].as_str().is_some_and(|text| text.contains("replicas")), "{schema}");
    let create = ["eks", "create-addon", "--cluster-name", CLUSTER, "--addon-name", "metrics-server"];
    let refusal = region.aws_refuses(&[&create[..], &["--configuration-values", "replicas: none"]].concat());
    assert_eq!(refusal.code, "InvalidParameterException");
    assert!(refusal.message.contains("$.replicas: string found, integer expected"), "{}", refusal.message);
    // It comes while the rest is looked at.
    assert_eq!(region.aws(&create)["addon"]["status"], "CREATING");
}

fn objects_of_every_kind_are_applied(_: &Region, cluster: &Cluster) {
    let (key, certificate) = certificate("webhook.default.svc");
    let node = name(&nodes(cluster)[0]);
    let given =
        [("IMAGE", agnhost(cluster)), ("NODE", node), ("KEY", base64(&key)), ("CERTIFICATE", base64(&certificate))];
    let text = given.iter().fold(OBJECTS.to_owned(), |text, (name, value)| text.replace(name, value));
    cluster.kubectl_fed(&text, &["apply", "--filename", "-"]).text();
}

fn jobs_end_as_their_pods_do(_: &Region, cluster: &Cluster) {
    await_that(cluster, "condition=Complete", "job/ends");
    await_that(cluster, "condition=Failed", "job/fails");
    let failed = cluster.kubectl_json(&["get", "job", "fails"])["status"]["conditions"].clone();
    assert!(failed.to_string().contains("BackoffLimitExceeded"), "{failed}");
    cluster.kubectl(&["create", "job", "--from=cronjob/nightly", "by-hand"]).text();
    await_that(cluster, "condition=Complete", "job/by-hand");
}

fn a_stateful_set_has_names_and_keeps_what_it_wrote(region: &Region, cluster: &Cluster) {
    rolled_out(cluster, "statefulset/store");
    let addresses = || {
        let all = ["store-0", "store-1"].map(|pod| address(cluster, pod));
        json!(all.into_iter().collect::<BTreeSet<_>>())
    };
    // A headless Service's name has every pod's address, and each pod has a name of its own there.
    until("cluster DNS knows both pods", A_MOMENT, || {
        let found = resolve(region, cluster, "store.default.svc.cluster.local", "A");
        (found == addresses()).then_some(())
    });
    let mut found = resolve(region, cluster, "_http._tcp.store.default.svc.cluster.local", "SRV");
    found.as_array_mut().expect("a list").sort_by_key(Value::to_string);
    let own = |n: u8| json!([8080, format!("store-{n}.store.default.svc.cluster.local")]);
    assert_eq!(found, json!([own(0), own(1)]));
    let uid = |pod: &str| cluster.kubectl_json(&["get", "pod", pod])["metadata"]["uid"].clone();
    let before = uid("store-0");
    cluster.kubectl(&["delete", "pod", "store-0"]).text();
    until("it is there again", PATIENCE, || {
        let said = cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=5s", "pod/store-0"]);
        (said.ok() && uid("store-0") != before).then_some(())
    });
    let written = exec(cluster, "store-0", "cat /host/store-0 /empty/f");
    assert_eq!(written, "store-0\nstore-0\nx\n", "the node's folder stays, the pod's own goes with it");
    until("cluster DNS knows the new one", A_MOMENT, || {
        let found = resolve(region, cluster, "store-0.store.default.svc.cluster.local", "A");
        (found == json!([address(cluster, "store-0")])).then_some(())
    });
}

fn probes_of_every_kind_are_asked(_: &Region, cluster: &Cluster) {
    await_that(cluster, "condition=Ready", "pod/probed");
    let dying = until("it was restarted", PATIENCE, || {
        let status = cluster.kubectl_json(&["get", "pod", "dying"])["status"]["containerStatuses"][0].clone();
        (status["restartCount"].as_u64() > Some(0)).then_some(status)
    });
    assert_eq!(dying["lastState"]["terminated"]["exitCode"], 137, "{dying}");
    assert_eq!(cluster.kubectl(&["logs", "--previous", "dying"]).text(), "one life\n");
    event(cluster, "dying", "Liveness probe failed");
    event(cluster, "unready", "Readiness probe failed");
    let unready = cluster.kubectl_json(&["get", "pod", "unready"])["status"].clone();
    assert_eq!((&unready["phase"], &unready["containerStatuses"][0]["ready"]), (&json!("Running"), &json!(false)));
    cluster.kubectl(&["delete", "pod", "dying", "unready", "--wait=false"]).text();
}

fn init_containers_sidecars_and_hooks_run_in_order(_: &Region, cluster: &Cluster) {
    await_that(cluster, "condition=Ready", "pod/ordered");
    assert_eq!(exec(cluster, "ordered", "cat /empty/log"), "first\nside\nlast\nhook\n");
    cluster.kubectl(&["delete", "pod", "ordered"]).text();
    assert_eq!(exec(cluster, "store-1", "cat /host/bye"), "bye\n", "a pod that ends is told so");
}

fn configuration_secrets_and_the_pod_itself_are_files_and_variables(_: &Region, cluster: &Cluster) {
    await_that(cluster, "jsonpath={.status.phase}=Succeeded", "pod/seen");
    let logs = cluster.kubectl(&["logs", "seen"]).text();
    let lines: Vec<&str> = logs.lines().filter(|line| !line.starts_with("topology.")).collect();
    let last = format!("{} {} s3cret", address(cluster, "seen"), 64 << 20);
    assert_eq!(lines, ["a setting", "app=\"seen\"", "400", &last], "{logs}");
}

fn kubectl_runs_copies_attaches_follows_forwards_and_debugs(region: &Region, cluster: &Cluster) {
    follow(cluster);
    let heard = cluster.kubectl_fed("a word\n", &["attach", "--stdin", "listener"]).text();
    assert!(heard.contains("heard a word"), "{heard}");
    let echoed = cluster.kubectl_fed("to and fro\n", &["exec", "--stdin", "client", "--", "cat"]).text();
    assert_eq!(echoed, "to and fro\n");
    let said = cluster.kubectl(&["exec", "client", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, &*said.out), (Some(7), "out\n"), "{said}");
    copy(&region.folder().join("copied"), cluster);
    forward(region, cluster);
    let image = agnhost(cluster);
    let debug = ["debug", "client", "--profile=general", "--container=look", "--image-pull-policy=IfNotPresent"];
    cluster.kubectl(&[&debug[..], &["--image", &image, "--", "/agnhost", "connect", "127.0.0.1:1080"]].concat()).text();
    let ended = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0";
    await_that(cluster, ended, "pod/client");
}

/// What a pod says, while it says it and until it ends.
fn follow(cluster: &Cluster) {
    let mut child = spawn(cluster.command(&["logs", "--follow", "counter"]).stdout(Stdio::piped()));
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    exec(cluster, "counter", "touch /tmp/go");
    assert_eq!(lines.collect::<Vec<_>>(), ["line 1", "line 2", "line 3", "line 4"]);
    assert!(child.wait().is_ok_and(|status| status.success()));
}

/// Both ways, a folder with a file of a megabyte that is no text.
fn copy(folder: &Path, cluster: &Cluster) {
    let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (to, back) = (folder.join("to"), folder.join("back"));
    fs::create_dir_all(&to).expect("a folder can be made");
    fs::write(to.join("file"), &bytes).expect("a file can be written");
    cluster.kubectl(&["cp", &to.to_string_lossy(), "client:/tmp/there"]).text();
    cluster.kubectl(&["cp", "client:/tmp/there", &back.to_string_lossy()]).text();
    assert!(fs::read(back.join("file")).is_ok_and(|read| read == bytes), "it comes back as it went");
}

fn forward(region: &Region, cluster: &Cluster) {
    let mut command = cluster.command(&["port-forward", "pod/client", ":1080"]);
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    // Open until the end: kubectl says more, and ends if nobody listens.
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let said = lines.next().and_then(Result::ok);
    let at = said.as_deref().and_then(|line| line.strip_prefix("Forwarding from ")?.split(' ').next());
    let url = format!("http://{}/hostname", at.unwrap_or_else(|| panic!("kubectl port-forward said {said:?}")));
    let reply = region.client().script("fetch.py", &json!({"url": url}));
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().expect("it can be waited for");
    assert_eq!(reply["body"], "client", "{reply}");
}

fn a_cpu_limit_is_kept(_: &Region, cluster: &Cluster) {
    await_that(cluster, "condition=Ready", "pod/throttled");
    until("it was made to wait", A_MOMENT, || {
        let stat = exec(cluster, "throttled", "cat /sys/fs/cgroup/cpu/cpu.stat || cat /sys/fs/cgroup/cpu.stat");
        let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse::<u64>().ok());
        (throttled > Some(5)).then_some(())
    });
    cluster.kubectl(&["delete", "pod", "throttled", "--wait=false"]).text();
}

fn ports_of_nodes_lead_to_pods(region: &Region, cluster: &Cluster) {
    for what in ["daemonset/each", "deployment/web"] {
        rolled_out(cluster, what);
    }
    await_that(cluster, "condition=Ready", "pod/hostnet");
    let nodes: Vec<String> = nodes(cluster).iter().map(node_address).collect();
    let answers = |from: &[String], url: &str| {
        let reply = ask(region, from, &json!({"url": url}));
        reply["body"].as_str().map(str::to_owned).unwrap_or_else(|| reply.to_string())
    };
    let places =
        [("a pod", in_pod(region)), ("a node", in_node(region)), ("the VPC's router", in_router(region, &nodes[0]))];
    for (place, from) in &places {
        for node in &nodes {
            let by_node_port = answers(from, &format!("http://{node}:30080/hostname"));
            assert!(by_node_port.starts_with("web-"), "NodePort of {node} from {place}: {by_node_port}");
            let by_host_port = answers(from, &format!("http://{node}:18090/hostname"));
            assert!(by_host_port.starts_with("each-"), "hostPort of {node} from {place}: {by_host_port}");
        }
        // A pod in its node's network has the node's address and name.
        let by_address = answers(from, &format!("http://{}:19000/hostname", nodes[0]));
        assert!(by_address.starts_with("ip-"), "hostNetwork from {place}: {by_address}");
    }
}

fn a_service_keeps_a_client_with_one_pod(_: &Region, cluster: &Cluster) {
    let dial = |host: &str| {
        let ask = format!("/dial?request=hostname&protocol=http&host={host}&port=80&tries=20");
        let path = format!("/api/v1/namespaces/default/pods/http:client:1080/proxy{ask}");
        let said = cluster.kubectl(&["get", "--raw", &path]).json();
        let names = list(&said["responses"]).into_iter().map(|name| name.as_str().unwrap_or_default().to_owned());
        assert_eq!(said["errors"], Value::Null, "{said}");
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(dial("web").len(), 2, "of twenty connections both pods have some");
    assert_eq!(dial("sticky").len(), 1);
}

fn an_admission_webhook_in_a_pod_is_asked(_: &Region, cluster: &Cluster) {
    await_that(cluster, "condition=Ready", "pod/webhook");
    let create = |name: &str, data: Value| {
        let metadata = json!({"name": name, "labels": {"asked": "true"}});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        cluster.kubectl_fed(&map.to_string(), &["create", "--filename", "-"])
    };
    create("allowed", json!({"a": "b"})).text();
    let why = create("refused", json!({"webhook-e2e-test": "webhook-disallow"})).complaint();
    assert!(why.contains("admission webhook \"deny.story.local\" denied the request"), "{why}");
}

fn a_pod_reaches_its_vpc_and_nothing_else(region: &Region, _: &Cluster) {
    // EKS's nodes answer IMDSv2 over one more hop, so that pods have it unless the launch template says otherwise.
    let imds = "http://169.254.169.254/latest";
    let ask = |order: Value| ask(region, &in_pod(region), &order);
    let ttl = json!({"X-aws-ec2-metadata-token-ttl-seconds": "60"});
    let token = ask(json!({"url": format!("{imds}/api/token"), "method": "PUT", "headers": ttl}));
    assert_eq!(token["status"], 200, "{token}");
    let headers = json!({"X-aws-ec2-metadata-token": token["body"]});
    let id = ask(json!({"url": format!("{imds}/meta-data/instance-id"), "headers": headers}));
    assert!(id["body"].as_str().is_some_and(|id| id.starts_with("i-")), "{id}");
    assert_eq!(ask(json!({"url": format!("{imds}/meta-data/")}))["status"], 401, "version 1 is off");
    // Another VPC's, the machine's that all of this runs on, the world's (RFC 5737).
    for outside in ["10.0.0.10", "172.17.0.1", "203.0.113.7"] {
        let said = ask(json!({"url": format!("http://{outside}/")}));
        assert!(said["failed"].as_str().is_some_and(|why| why.contains("unreachable")), "{outside}: {said}");
    }
}

/// The names of a service lead to its endpoint, which answers as the region does once its group lets the pod in.
fn a_pod_reaches_the_region_by_an_endpoint_of_its_vpc(region: &Region, _: &Cluster) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let subnet = region.default_subnets().split(',').next().expect("there are three").to_owned();
    let found = region.aws(&["ec2", "describe-subnets", "--subnet-ids", &subnet]);
    let vpc = text(&found["Subnets"][0]["VpcId"]);
    let group = ["--group-name", "endpoint", "--description", "endpoint", "--vpc-id", &vpc];
    let group = text(&region.aws(&[&["ec2", "create-security-group"], &group[..]].concat())["GroupId"]);
    let wish = ["--vpc-endpoint-type", "Interface", "--vpc-id", &vpc, "--service-name", "com.amazonaws.us-east-1.ec2"];
    let place = ["--subnet-ids", &subnet, "--security-group-ids", &group];
    let made = region.aws(&[&["ec2", "create-vpc-endpoint"], &wish[..], &place].concat());
    let id = text(&made["VpcEndpoint"]["VpcEndpointId"]);
    let shown = || region.aws(&["ec2", "describe-vpc-endpoints", "--vpc-endpoint-ids", &id])["VpcEndpoints"][0].clone();
    until("the endpoint is available", A_MOMENT, || (shown()["State"] == "available").then_some(()));
    let eni = text(&shown()["NetworkInterfaceIds"][0]);
    let eni = region.aws(&["ec2", "describe-network-interfaces", "--network-interface-ids", &eni]);
    let address = text(&eni["NetworkInterfaces"][0]["PrivateIpAddress"]);
    let names = shown()["DnsEntries"].as_array().cloned().unwrap_or_default();
    for name in names.iter().map(|entry| text(&entry["DnsName"])) {
        let order = json!({"server": "169.254.169.253", "name": name, "type": "A"});
        assert_eq!(script(region, &in_node(region), "resolve.py", &order), json!([address]), "{name}");
    }
    let asks = || {
        let from = in_pod(region);
        let mut command = region.client().command(&from[0], &[]);
        command.args(&from[1..]).args([
            "aws",
            "--endpoint-url",
            &format!("http://{address}"),
            "--cli-connect-timeout=1",
        ]);
        command.args(["ec2", "describe-vpcs", "--vpc-ids", &vpc]).env("AWS_MAX_ATTEMPTS", "1");
        run(command, None, A_MOMENT)
    };
    assert!(!asks().ok(), "its group lets nobody in");
    let rule = ["--group-id", &group, "--protocol", "tcp", "--port", "80", "--cidr", "172.31.0.0/16"];
    region.aws(&[&["ec2", "authorize-security-group-ingress"], &rule[..]].concat());
    let began = Instant::now();
    let answer = until("the endpoint answers a pod", A_MOMENT, || Some(asks()).filter(e2e::Said::ok)).json();
    say(&format!("{:6.1} s  until a pod is answered by an endpoint", began.elapsed().as_secs_f64()));
    assert_eq!(answer["Vpcs"][0]["VpcId"], vpc.as_str());
    region.aws(&["ec2", "delete-vpc-endpoints", "--vpc-endpoint-ids", &id]);
    until("the endpoint's group is free", A_MOMENT, || {
        let delete = ["ec2", "delete-security-group", "--group-id", &group];
        region.client().run("aws", &delete).ok().then_some(())
    });
}

fn what_cannot_be_says_why(_: &Region, cluster: &Cluster) {
    event(cluster, "noimage", "Failed to pull image");
    event(cluster, "noimage", "Back-off pulling image");
    event(cluster, "never", "is not present with pull policy of Never");
    event(cluster, "huge", "2 Insufficient memory");
    let waiting = |pod: &str| {
        let status = cluster.kubectl_json(&["get", "pod", pod])["status"]["containerStatuses"][0].clone();
        status["state"]["waiting"]["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(waiting("never"), "ErrImageNeverPull");
    assert!(["ErrImagePull", "ImagePullBackOff"].contains(&&*waiting("noimage")));
    cluster.kubectl(&["delete", "pod", "noimage", "never", "huge", "--wait=false"]).text();
}

fn helm_installs_upgrades_and_removes_a_chart(_: &Region, cluster: &Cluster) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/web");
    let chart = chart.to_string_lossy();
    let image = format!("image={}", agnhost(cluster));
    let missing = cluster.helm(&["install", "hello", &chart]).complaint();
    assert!(missing.contains("--set image=IMAGE"), "{missing}");
    let wait = ["--wait", "--timeout", "1m"];
    cluster.helm(&[&["install", "hello", &chart, "--set", &image], &wait[..]].concat()).text();
    let ready = || cluster.kubectl_json(&["get", "deployment", "hello"])["status"]["readyReplicas"].clone();
    assert_eq!(ready(), 1);
    let hook = cluster.kubectl(&["get", "job", "hello-before"]).complaint();
    assert!(hook.contains("NotFound"), "a hook that succeeded is deleted: {hook}");
    cluster.helm(&[&["upgrade", "hello", &chart, "--reuse-values", "--set", "replicas=2"], &wait[..]].concat()).text();
    assert_eq!(ready(), 2);
    let releases: Value = cluster.helm(&["list", "--output", "json"]).json();
    assert_eq!((&releases[0]["revision"], &releases[0]["status"]), (&json!("2"), &json!("deployed")));
    cluster.helm(&[&["rollback", "hello", "1"], &wait[..]].concat()).text();
    assert_eq!(ready(), 1);
    cluster.helm(&[&["uninstall", "hello"], &wait[..]].concat()).text();
    let gone = cluster.kubectl(&["get", "deployment", "hello"]).complaint();
    assert!(gone.contains("NotFound"), "{gone}");
}

fn taints_keep_pods_away_and_tolerations_let_them_in(_: &Region, cluster: &Cluster) {
    let node = name(&nodes(cluster)[1]);
    cluster.kubectl(&["taint", "node", &node, "only=some:NoSchedule"]).text();
    let pod = |name: &str, tolerations: Value| {
        let mut spec = idle(cluster);
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        spec["tolerations"] = tolerations;
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}));
    };
    pod("plain", json!([]));
    pod("tolerant", json!([{"key": "only", "value": "some", "effect": "NoSchedule"}]));
    await_that(cluster, "condition=Ready", "pod/tolerant");
    event(cluster, "plain", "untolerated taint");
    cluster.kubectl(&["taint", "node", &node, "only-"]).text();
    await_that(cluster, "condition=Ready", "pod/plain");
    cluster.kubectl(&["delete", "pod", "plain", "tolerant", "--wait=false"]).text();
}

fn a_node_is_drained_as_budgets_allow(_: &Region, cluster: &Cluster) {
    let node = cluster.kubectl_json(&["get", "pods", "--selector=app=web"])["items"][0]["spec"]["nodeName"].clone();
    let node = node.as_str().expect("it runs on a node");
    let drain = |timeout: &str| {
        let how = ["--ignore-daemonsets", "--delete-emptydir-data", "--force"];
        let within = Duration::from_secs(90);
        cluster.kubectl_within(within, &[&["drain", node, timeout, "--pod-selector=app=web"], &how[..]].concat())
    };
    let why = drain("--timeout=3s").complaint();
    assert!(why.contains("violate the pod's disruption budget"), "{why}");
    cluster.kubectl(&["patch", "poddisruptionbudget", "web", "--patch={\"spec\":{\"minAvailable\":1}}"]).text();
    drain("--timeout=60s").text();
    rolled_out(cluster, "deployment/web");
    let left = cluster.kubectl_json(&[
        "get",
        "pods",
        "--selector=app=web",
        "--field-selector",
        &format!("spec.nodeName={node}"),
    ]);
    assert_eq!(left["items"], json!([]), "all its pods are on the other");
    cluster.kubectl(&["uncordon", node]).text();
}

fn kubectl_top_shows_nodes_and_pods(region: &Region, cluster: &Cluster) {
    let began = Instant::now();
    let addon = ["--cluster-name", CLUSTER, "--addon-name", "metrics-server"];
    let said = region.client().run("aws", &[&["eks", "wait", "addon-active"], &addon[..]].concat());
    let shown = region.aws(&[&["eks", "describe-addon"], &addon[..]].concat());
    let objects = |ok: bool| if ok { String::new() } else { cluster.kubectl(&["get", "pods,events", "-A"]).out };
    assert!(said.ok(), "{said}\n{shown:#}\n{}", objects(said.ok()));
    // ACTIVE means that it answers: nothing is waited for.
    let nodes_of = |text: &str| text.lines().filter(|line| line.starts_with("ip-")).count();
    let shown = cluster.kubectl(&["top", "nodes"]).text();
    assert_eq!(nodes_of(&shown), 2, "{shown}");
    let shown = cluster.kubectl(&["top", "pods", "--all-namespaces"]).text();
    assert!(shown.contains("coredns-") && shown.contains("aws-node-"), "{shown}");
    let deployment = cluster.kubectl_json(&["--namespace=kube-system", "get", "deployment", "metrics-server"]);
    assert_eq!(deployment["status"]["availableReplicas"], 2);
    cluster.kubectl(&["--namespace=kube-system", "get", "poddisruptionbudget", "metrics-server"]).text();
    assert!(!deployment.to_string().contains("insecure-tls"), "kubelets' certificates are checked");
    say(&format!("{:6.1} s  of it waited until metrics-server was ACTIVE", began.elapsed().as_secs_f64()));
}

fn nothing_leaks_when_programs_die_while_a_node_fills_up(region: &Region, cluster: &Cluster) {
    cluster.kubectl(&["delete", "statefulset,deployment,daemonset,job,pod", "--all"]).text();
    let labels = json!({"app": "crowd"});
    let template = json!({"metadata": {"labels": labels}, "spec": idle(cluster)});
    let spec = json!({"replicas": 40, "selector": {"matchLabels": labels}, "template": template});
    cluster.apply(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crowd"}, "spec": spec}));
    let crowd = || list(&cluster.kubectl_json(&["get", "pods", "--selector=app=crowd"])["items"]);
    let has_address = |pod: &&Value| !pod["status"]["podIP"].is_null();
    until("some are on their way", PATIENCE, || (crowd().iter().filter(has_address).count() > 2).then_some(()));
    for program in ["containerd", "kubelet", "roadstead"] {
        // Of each node's, whatever it is doing.
        let is_agent = |p: &e2e::Process| program != "roadstead" || p.arguments.iter().any(|a| a == "aws-node");
        region.running(program).iter().filter(|p| is_agent(p)).for_each(|p| _ = signal(p.pid, Signal::SIGKILL));
    }
    // As many as the interfaces have addresses for: 3 x (6 - 1) on each node, some of them for the cluster's own pods.
    until("both nodes are full", PATIENCE, || {
        let leases: usize = leases(region).iter().map(BTreeSet::len).sum();
        (leases == 30 && crowd().iter().filter(|pod| is_running(pod)).count() >= 20).then_some(())
    });
    event(cluster, "crowd", "2 Too many pods");
    agree(region, cluster);
    until("nodes that are full are ready", A_MOMENT, || nodes(cluster).iter().all(is_ready).then_some(()));
    cluster.kubectl(&["delete", "deployment", "crowd", "--wait=false"]).text();
    until("they are gone", PATIENCE, || crowd().is_empty().then_some(()));
    agree(region, cluster);
}

/// The CNI leases what pods have, each address once, and nothing else.
fn agree(region: &Region, cluster: &Cluster) {
    until("the CNI's leases are the pods' addresses", PATIENCE, || {
        let pods = list(&cluster.kubectl_json(&["get", "pods", "--all-namespaces"])["items"]);
        let own = pods.iter().filter(|pod| pod["spec"]["hostNetwork"] != true && !pod["status"]["podIP"].is_null());
        let held: Vec<String> = own.map(|pod| pod["status"]["podIP"].as_str().unwrap_or_default().to_owned()).collect();
        let leased: BTreeSet<String> = leases(region).into_iter().flatten().collect();
        (held.len() == leased.len() && held.into_iter().collect::<BTreeSet<_>>() == leased).then_some(())
    });
}

fn an_add_on_that_is_deleted_takes_its_api_along(region: &Region, cluster: &Cluster) {
    let addon = ["--cluster-name", CLUSTER, "--addon-name", "metrics-server"];
    region.aws(&[&["eks", "delete-addon"], &addon[..]].concat());
    region.client().run("aws", &[&["eks", "wait", "addon-deleted"], &addon[..]].concat()).text();
    let why = cluster.kubectl(&["top", "nodes"]).complaint();
    assert!(why.contains("Metrics API not available"), "{why}");
    let left = cluster.kubectl(&["get", "apiservices", "v1beta1.metrics.k8s.io"]).complaint();
    assert!(left.contains("NotFound"), "{left}");
}

/// The addresses that the CNI has leased, by node: what its daemon says of itself.
fn leases(region: &Region) -> Vec<BTreeSet<String>> {
    let look = |node: &e2e::Process| {
        let order = json!({"url": "http://127.0.0.1:61679/v1/pods"});
        let reply = ask(region, &entered(node.pid), &order);
        // One that has just been started says that it is not ready yet.
        let body = reply["body"].as_str().filter(|_| reply["status"] == 200).unwrap_or("{}");
        let pods: Value = serde_json::from_str(body).expect("it answers in JSON");
        let all = pods.as_object().into_iter().flatten().filter_map(|(_, pod)| pod["IP"].as_str().map(str::to_owned));
        all.collect()
    };
    in_nodes(region).iter().map(look).collect()
}

/// What a HTTP request gets from some place.
#[track_caller]
fn ask(region: &Region, from: &[String], order: &Value) -> Value {
    script(region, from, "fetch.py", order)
}

/// What cluster DNS answers a pod.
#[track_caller]
fn resolve(region: &Region, cluster: &Cluster, name: &str, kind: &str) -> Value {
    let service = cluster.kubectl_json(&["--namespace=kube-system", "get", "service", "kube-dns"]);
    let order = json!({"server": service["spec"]["clusterIP"], "name": name, "type": kind});
    script(region, &in_pod(region), "resolve.py", &order)
}

/// Runs one of `e2e/clients` in a network namespace.
#[track_caller]
fn script(region: &Region, from: &[String], name: &str, order: &Value) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
    let mut command: Command = region.client().command(&from[0], &[]);
    command.args(&from[1..]).arg("python3").arg(path);
    run(command, Some(order.to_string()), A_MOMENT).json()
}

fn entered(pid: i32) -> Vec<String> {
    ["nsenter".to_owned(), "--net".to_owned(), format!("--target={pid}")].to_vec()
}

/// In the network of the pod `client`.
#[track_caller]
fn in_pod(region: &Region) -> Vec<String> {
    let client = region.running("agnhost").into_iter().find(|p| p.arguments.iter().any(|a| a == CLIENT_PORT));
    entered(client.expect("the client runs").pid)
}

/// In the network of a node.
#[track_caller]
fn in_node(region: &Region) -> Vec<String> {
    entered(in_nodes(region).first().expect("a node runs").pid)
}

/// The first process of each node's machine, which lives on when its programs are killed. A node's machine is one whose
/// first process runs, or last ran, a kubelet: it alone has kubelet's folder.
fn in_nodes(region: &Region) -> Vec<e2e::Process> {
    let is_node = |p: &e2e::Process| p.inside == 1 && p.file("/var/lib/kubelet").is_dir();
    region.processes().into_iter().filter(is_node).collect()
}

/// In the router of the VPC that has this address.
#[track_caller]
fn in_router(region: &Region, address: &str) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").expect("there are networks").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let leads = |name: &String| {
        let mut command = Command::new("ip");
        command.args(["-netns", name, "route", "get", address]);
        name.starts_with(&format!("{}-net-", region.mark())) && run(command, None, A_MOMENT).out.contains(address)
    };
    let found = names.into_iter().find(leads).expect("a router leads there");
    ["ip", "netns", "exec", &found].map(str::to_owned).to_vec()
}

#[track_caller]
fn await_that(cluster: &Cluster, is: &str, object: &str) {
    let (is, timeout) = (format!("--for={is}"), format!("--timeout={}s", PATIENCE.as_secs()));
    let said = cluster.kubectl_within(PATIENCE + A_MOMENT, &["wait", &is, &timeout, object]);
    let shown = if said.ok() { String::new() } else { cluster.kubectl(&["describe", object]).out };
    assert!(said.ok(), "{said}\n{shown}");
}

#[track_caller]
fn rolled_out(cluster: &Cluster, what: &str) {
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let said = cluster.kubectl_within(PATIENCE + A_MOMENT, &["rollout", "status", &timeout, what]);
    let shown = if said.ok() { String::new() } else { cluster.kubectl(&["get", "pods,events", "--output=wide"]).out };
    assert!(said.ok(), "{said}\n{shown}");
}

/// Waits until something is told of a pod, or of one whose name begins so.
#[track_caller]
fn event(cluster: &Cluster, pod: &str, text: &str) {
    let mut told = Vec::new();
    until(&format!("an event of {pod} says: {text}"), PATIENCE, || {
        let events = list(&cluster.kubectl_json(&["get", "events"])["items"]);
        let of = events
            .into_iter()
            .filter(|event| event["involvedObject"]["name"].as_str().is_some_and(|name| name.starts_with(pod)));
        told = of.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect();
        told.iter().any(|message| message.contains(text)).then_some(())
    });
}

#[track_caller]
fn exec(cluster: &Cluster, pod: &str, line: &str) -> String {
    cluster.kubectl(&["exec", pod, "--", "sh", "-c", line]).text()
}

#[track_caller]
fn address(cluster: &Cluster, pod: &str) -> String {
    let pod = cluster.kubectl_json(&["get", "pod", pod]);
    pod["status"]["podIP"].as_str().unwrap_or_default().to_owned()
}

fn nodes(cluster: &Cluster) -> Vec<Value> {
    list(&cluster.kubectl_json(&["get", "nodes"])["items"])
}

fn node_address(node: &Value) -> String {
    let of = list(&node["status"]["addresses"]).into_iter().find(|address| address["type"] == "InternalIP");
    of.and_then(|address| address["address"].as_str().map(str::to_owned)).expect("a node has an address")
}

fn is_ready(node: &Value) -> bool {
    list(&node["status"]["conditions"]).iter().any(|is| is["type"] == "Ready" && is["status"] == "True")
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("an object has a name").to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The image that every node has for tests, at the version of this cluster.
fn agnhost(cluster: &Cluster) -> String {
    until("a node says that it has agnhost", PATIENCE, || {
        let images = nodes(cluster).iter().flat_map(|node| list(&node["status"]["images"])).collect::<Vec<_>>();
        let names = images.iter().flat_map(|image| list(&image["names"]));
        names.filter_map(|name| name.as_str().map(str::to_owned)).find(|name| name.contains("/agnhost:"))
    })
}

/// Of a pod that does nothing.
fn idle(cluster: &Cluster) -> Value {
    let container = json!({"name": "c", "image": agnhost(cluster), "args": ["pause"]});
    json!({"terminationGracePeriodSeconds": 1, "containers": [container]})
}

/// A key, and a certificate that it signed for itself, as PEM.
fn certificate(name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key can be made");
    let params = CertificateParams::new([name.to_owned()]).expect("it is a name");
    let certificate = params.self_signed(&key).expect("a certificate can be made");
    (key.serialize_pem(), certificate.pem())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
