//! A cluster is what EKS says that it is: highly available, its creator's alone, sealed, and reached from where it may be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use e2e::{Client, Cluster, Process, Region, components, say, steps, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ADMIN: &str = "arn:aws:iam::111122223333:user/admin";

#[test]
fn a_cluster_is_real_its_own_and_sealed() {
    let region = Region::for_clusters();
    let cluster = region.create_cluster("first");
    steps!((&region, &cluster):
        describe_says_what_is_true,
        kubectl_is_its_creator_and_may_do_everything,
        three_etcd_and_two_api_machines_run_apart,
        objects_are_kept_and_secrets_are_encrypted_on_disk,
        what_is_done_is_audited,
        private_keys_are_in_no_file,
        nobody_else_gets_in,
        forged_tokens_get_nowhere,
        tokens_of_another_time_key_or_kind_get_nowhere,
    );
}

fn describe_says_what_is_true(region: &Region, cluster: &Cluster) {
    let found = region.describe(&cluster.name);
    assert_eq!((&found["status"], &found["version"]), (&json!("ACTIVE"), &json!("1.36")));
    assert_eq!(found["health"]["issues"], json!([]));
    assert_eq!(found["platformVersion"], "eks.1");
    assert_eq!(found["endpoint"], format!("https://{}", cluster.host()));
    let server = cluster.kubectl_json(&["version"])["serverVersion"].clone();
    assert_eq!(server["gitVersion"], "v1.36.3");
    // Its certificate authority signs its own serving certificate: kubectl would not have answered otherwise. Its
    // issuer is who its service accounts' tokens name.
    let token = cluster.kubectl(&["create", "token", "default"]).text();
    let claims = token.split('.').nth(1).expect("a token has claims");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    assert_eq!(claims["iss"], found["identity"]["oidc"]["issuer"]);
    let kubernetes = cluster.kubectl_json(&["get", "service", "kubernetes"]);
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.100.0.1");
    let slices =
        cluster.kubectl_json(&["get", "endpointslices", "--selector", "kubernetes.io/service-name=kubernetes"]);
    assert_eq!(slices["items"][0]["ports"][0]["port"], 443, "{slices:#}");
}

fn kubectl_is_its_creator_and_may_do_everything(_: &Region, cluster: &Cluster) {
    let who = cluster.kubectl_json(&["auth", "whoami"]);
    assert_eq!(who["status"]["userInfo"]["username"], ADMIN);
    assert_eq!(cluster.kubectl(&["auth", "can-i", "*", "*", "--all-namespaces"]).text().trim(), "yes");
    let names = cluster.kubectl(&["get", "namespaces", "--output", "name"]).text();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert!(names.contains(&format!("namespace/{name}\n")), "{names}");
    }
}

fn three_etcd_and_two_api_machines_run_apart(region: &Region, _: &Cluster) {
    let processes = region.processes();
    let on = |program: &str| -> Vec<&Process> { processes.iter().filter(|p| p.program == program).collect() };
    let machines = |program: &str| -> BTreeSet<&str> { on(program).iter().map(|p| p.machine.as_str()).collect() };
    assert_eq!((on("etcd").len(), machines("etcd").len()), (3, 3), "{processes:#?}");
    assert_eq!((on("kube-apiserver").len(), machines("kube-apiserver").len()), (2, 2), "{processes:#?}");
    for program in ["kube-controller-manager", "kube-scheduler"] {
        assert_eq!(machines(program), machines("kube-apiserver"), "{program}");
    }
    assert!(machines("etcd").is_disjoint(&machines("kube-apiserver")));
    for kind in ["net", "pid", "mnt", "uts", "ipc", "cgroup"] {
        let first: Vec<&Process> = processes.iter().filter(|p| p.inside == 1).collect();
        let apart: BTreeSet<PathBuf> = first.iter().map(|p| p.namespace(kind)).collect();
        assert_eq!((first.len(), apart.len()), (5, 5), "{kind} namespaces: {first:#?}");
    }
    let names: BTreeSet<&str> = on("etcd").iter().map(|p| p.flag("name")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| on("etcd").iter().all(|p| p.flag("initial-cluster").contains(name))));
}

fn objects_are_kept_and_secrets_are_encrypted_on_disk(region: &Region, cluster: &Cluster) {
    let (open, hidden) = ("written-in-the-open-4711", "nobody-may-read-this-4711");
    cluster.kubectl(&["create", "configmap", "note", &format!("--from-literal=text={open}")]).text();
    cluster.kubectl(&["create", "secret", "generic", "vault", &format!("--from-literal=text={hidden}")]).text();
    assert_eq!(cluster.kubectl_json(&["get", "configmap", "note"])["data"]["text"], open);
    assert_eq!(cluster.kubectl_json(&["get", "secret", "vault"])["data"]["text"], STANDARD.encode(hidden));
    let needles = BTreeMap::from([
        ("open".to_owned(), open.as_bytes().to_vec()),
        ("hidden".to_owned(), hidden.as_bytes().to_vec()),
        ("encoded".to_owned(), STANDARD.encode(hidden).into_bytes()),
    ]);
    let found = until("the configmap is on all three disks", Duration::from_secs(10), || {
        let found = region.files_with(&needles);
        (found["open"].iter().filter(|path| path.contains("/host/disks/")).count() >= 3).then_some(found)
    });
    assert!(found["hidden"].is_empty() && found["encoded"].is_empty(), "the secret is in the open: {found:?}");
}

fn what_is_done_is_audited(region: &Region, cluster: &Cluster) {
    cluster.kubectl(&["create", "namespace", "on-the-record"]).text();
    let needles = BTreeMap::from([("event".to_owned(), b"/api/v1/namespaces?fieldManager=kubectl-create".to_vec())]);
    let audit = until("the request is in an audit log", Duration::from_secs(30), || {
        region.files_with(&needles)["event"].iter().find(|path| path.ends_with("audit.log")).cloned()
    });
    let text = fs::read_to_string(audit).expect("it can be read");
    let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = events.find(|event| event["requestURI"].to_string().contains("namespaces?fieldManager=kubectl-create"));
    let event = event.expect("an event is a line of JSON");
    assert_eq!(event["user"]["username"], ADMIN);
}

/// Of the keys of the cluster's machines, and of the admin's: what is kept is sealed, what is open is in memory.
fn private_keys_are_in_no_file(region: &Region, _: &Cluster) {
    let server = region.running("kube-apiserver").remove(0);
    let etcd = region.running("etcd").remove(0);
    let keys = [keys_below(&server.file("/etc/kubernetes")), keys_below(&etcd.file("/etc/etcd"))].concat();
    assert!(keys.len() >= 5, "a control plane has private keys: {keys:?}");
    let client = region.client();
    let mut needles = BTreeMap::from([
        ("control".to_owned(), b"eks-cluster-role".to_vec()),
        ("admin".to_owned(), client.variable("AWS_SECRET_ACCESS_KEY").as_bytes().to_vec()),
    ]);
    for key in &keys {
        let pem = fs::read_to_string(key).expect("a key can be read by root");
        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(lines.concat()).expect("a key is PEM");
        // The first half names the algorithm, which is no secret.
        needles.insert(
            format!("{} as PEM", key.display()),
            lines.concat().as_bytes()[lines.concat().len() / 2..].to_vec(),
        );
        needles.insert(format!("{} as DER", key.display()), der[der.len() / 2..].to_vec());
    }
    let mut found = region.files_with(&needles);
    assert!(!found["control"].is_empty(), "the search finds what is there");
    assert_eq!(found["admin"], [region.data().join("admin.json").to_string_lossy()]);
    found.retain(|name, files| !["control", "admin"].contains(&name.as_str()) && !files.is_empty());
    assert!(found.is_empty(), "private keys stand in files: {found:#?}");
}

/// The private keys of a folder.
fn keys_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let keys = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "key"));
    folders.iter().flat_map(|folder| keys_below(folder)).chain(keys).collect()
}

fn nobody_else_gets_in(region: &Region, cluster: &Cluster) {
    region.aws(&["iam", "create-user", "--user-name", "eve"]);
    let key = region.aws(&["iam", "create-access-key", "--user-name", "eve"])["AccessKey"].clone();
    let [id, secret] = ["AccessKeyId", "SecretAccessKey"].map(|name| key[name].as_str().unwrap_or_default());
    let eve = region.client().with_key(id, secret);
    assert_eq!(eve.aws(&["sts", "get-caller-identity"])["Arn"], "arn:aws:iam::111122223333:user/eve");
    let hers = cluster.used_by(&eve);
    let said = hers.kubectl(&["get", "namespaces"]).complaint();
    assert!(said.contains("Unauthorized") || said.contains("provide credentials"), "{said}");
    assert!(cluster.refuses(&hers.token()));
    // The creator's own second key is the creator; deleted, it is nobody's.
    let key = region.aws(&["iam", "create-access-key", "--user-name", "admin"])["AccessKey"].clone();
    let [id, secret] = ["AccessKeyId", "SecretAccessKey"].map(|name| key[name].as_str().unwrap_or_default());
    let second = cluster.used_by(&region.client().with_key(id, secret));
    let token = second.token();
    cluster.must_serve(&token);
    region.aws(&["iam", "delete-access-key", "--user-name", "admin", "--access-key-id", id]);
    let began = Instant::now();
    // Each API server remembers a good token for 5 s, and which one is asked is chance.
    let mut last = began;
    until("the deleted key opens nothing", Duration::from_secs(30), || {
        if cluster.kubectl_with(&token, &["get", "--raw=/api"]).ok() {
            last = Instant::now();
        }
        (last.elapsed() > Duration::from_secs(6)).then_some(())
    });
    assert!(cluster.refuses(&token));
    say(&format!("{:6.1} s  DeleteAccessKey to 401", last.duration_since(began).as_secs_f64()));
    assert!(cluster.refuses(&second.token()), "a new token by the deleted key");
}

fn forged_tokens_get_nowhere(_: &Region, cluster: &Cluster) {
    let good = cluster.token();
    cluster.must_serve(&good);
    assert!(cluster.refuses(&cluster.token_for("another")), "a token for another cluster");
    let (prefix, encoded) = good.split_once('.').expect("a token has a prefix");
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).expect("base64")).expect("text");
    let forge = |url: &str| format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(url));
    cluster.must_serve(&forge(&url));
    let signature = url.split("X-Amz-Signature=").nth(1).and_then(|rest| rest.get(..8)).expect("a signature");
    let forgeries = [
        ("another signature", url.replace(signature, "00000000")),
        ("without the cluster's name", url.replace("host%3Bx-k8s-aws-id", "host")),
        ("a longer life", url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
        ("another action", url.replace("GetCallerIdentity", "GetSessionToken")),
        ("another host", url.replacen("://", "://evil.example/", 1)),
        ("nothing signed", url.split('?').next().unwrap_or_default().to_owned()),
    ];
    for (what, forged) in &forgeries {
        assert_ne!(*forged, url, "the forgery '{what}' changes nothing of {url}");
        assert!(cluster.refuses(&forge(forged)), "{what}");
    }
    assert!(cluster.refuses("k8s-aws-v1.not-base64!"));
    assert!(cluster.refuses(good.trim_start_matches("k8s-aws-v1.")));
}

/// A token is good for 15 minutes, by which clock ever.
fn tokens_of_another_time_key_or_kind_get_nowhere(region: &Region, cluster: &Cluster) {
    let client = region.client();
    let made = |client: &Client, order: Value| {
        let token = client.script("get_token.py", &order);
        token.as_str().expect("get_token.py prints a token").to_owned()
    };
    let off_by = |seconds: i64| made(&client, json!({ "cluster": cluster.name, "clock": seconds }));
    for seconds in [0, -14 * 60] {
        cluster.must_serve(&off_by(seconds));
    }
    for seconds in [-16 * 60, -3600, 3600] {
        assert!(cluster.refuses(&off_by(seconds)), "signed {seconds} s off");
    }
    assert!(cluster.refuses(&made(&client, json!({}))), "the cluster's name is not signed along");
    let stranger = client.with_key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    assert!(cluster.refuses(&made(&stranger, json!({ "cluster": cluster.name }))), "an unknown key");
    let forger = client.with_key(client.variable("AWS_ACCESS_KEY_ID"), "wrong");
    assert!(cluster.refuses(&made(&forger, json!({ "cluster": cluster.name }))), "a wrong secret");
}

#[test]
fn clusters_are_reached_from_where_they_may_be() {
    let region = Region::for_clusters();
    let open = region.create_cluster("open");
    let subnets = same_network_as_the_default(&region);
    let only = format!("subnetIds={subnets},publicAccessCidrs=192.0.2.0/24,127.0.0.2/32");
    let private = format!("subnetIds={subnets},endpointPublicAccess=false,endpointPrivateAccess=true");
    // The CLI's shorthand takes a list only between brackets.
    let only = only.replace(&format!("={subnets}"), &format!("=[{subnets}]"));
    let only = only.replace("192.0.2.0/24,127.0.0.2/32", "[192.0.2.0/24,127.0.0.2/32]");
    let private = private.replace(&format!("={subnets}"), &format!("=[{subnets}]"));
    let began = Instant::now();
    region.ask_for_cluster("narrow", &only, &[]);
    region.ask_for_cluster("private", &private, &[]);
    region.await_active("narrow");
    region.await_active("private");
    say(&format!("{:6.1} s  two CreateClusters to ACTIVE side by side", began.elapsed().as_secs_f64()));
    let narrow = region.cluster("narrow");
    steps!((&region, &narrow):
        an_address_outside_the_cidrs_is_not_let_in,
        an_address_inside_the_cidrs_is,
        a_private_cluster_has_no_public_address,
    );
    clusters_with_the_same_addresses_are_strangers(&open, &narrow);
}

/// A VPC with the blocks of the default one, so that every address is in use twice.
fn same_network_as_the_default(region: &Region) -> String {
    let vpc = region.aws(&["ec2", "create-vpc", "--cidr-block", "172.31.0.0/16", "--query", "Vpc.VpcId"]);
    let subnet = |(zone, block): (&str, &str)| {
        let arguments =
            ["--vpc-id", vpc.as_str().unwrap_or_default(), "--availability-zone", zone, "--cidr-block", block];
        let id = region.aws(&[&["ec2", "create-subnet", "--query", "Subnet.SubnetId"], &arguments[..]].concat());
        id.as_str().expect("a subnet has an id").to_owned()
    };
    [("us-east-1a", "172.31.0.0/20"), ("us-east-1b", "172.31.16.0/20")].map(subnet).join(",")
}

fn an_address_outside_the_cidrs_is_not_let_in(region: &Region, narrow: &Cluster) {
    let found = region.describe("narrow");
    assert_eq!(found["resourcesVpcConfig"]["publicAccessCidrs"], json!(["192.0.2.0/24", "127.0.0.2/32"]));
    let dialled = narrow.dial(&json!({}));
    assert!(dialled["failed"].is_string(), "{dialled}");
    assert!(!narrow.kubectl(&["get", "--raw=/readyz", "--request-timeout=2s"]).ok());
}

fn an_address_inside_the_cidrs_is(_: &Region, narrow: &Cluster) {
    let reply = narrow.dial(&json!({ "source": "127.0.0.2", "path": "/readyz" }));
    assert_eq!(reply, json!({ "status": 200, "body": "ok" }));
}

fn a_private_cluster_has_no_public_address(region: &Region, narrow: &Cluster) {
    let found = region.describe("private");
    let network = &found["resourcesVpcConfig"];
    assert_eq!((&network["endpointPublicAccess"], &network["endpointPrivateAccess"]), (&json!(false), &json!(true)));
    assert_eq!((&found["status"], &network["publicAccessCidrs"]), (&json!("ACTIVE"), &json!([])));
    let endpoint = found["endpoint"].as_str().unwrap_or_default();
    assert!(endpoint.starts_with("https://172.31."), "{endpoint}");
    // Two clusters are public, and nothing on the machine leads to another.
    assert_eq!(region.public_addresses().len(), 2, "{:?}", region.public_addresses());
    assert!(region.public_addresses().contains(&narrow.host()));
}

fn clusters_with_the_same_addresses_are_strangers(open: &Cluster, narrow: &Cluster) {
    let asked = json!({ "source": "127.0.0.2", "path": "/api/v1/namespaces/kube-system" });
    let ask = |token: String| {
        let mut order = asked.clone();
        order["token"] = token.into();
        narrow.dial(&order)
    };
    let reply = ask(narrow.token());
    let theirs: Value = serde_json::from_str(reply["body"].as_str().unwrap_or_default()).expect("JSON");
    let ours = open.kubectl_json(&["get", "namespace", "kube-system"]);
    assert!(theirs["metadata"]["uid"].is_string() && ours["metadata"]["uid"].is_string(), "{reply}");
    assert_ne!(theirs["metadata"]["uid"], ours["metadata"]["uid"]);
    assert_eq!(ask(open.token())["status"], 401, "a token of the one is none of the other");
    assert_ne!(open.host(), narrow.host());
}

/// On a machine where nobody built more than a first cluster needs this is the default version alone.
#[test]
fn every_version_whose_programs_are_built_runs() {
    let region = Region::for_clusters();
    let offered = region.aws(&["eks", "describe-cluster-versions"])["clusterVersions"].clone();
    let offered = offered.as_array().expect("versions are a list").iter().map(|version| {
        let text = |name: &str| version[name].as_str().unwrap_or_else(|| panic!("{version:#}")).to_owned();
        (text("clusterVersion"), text("kubernetesPatchVersion"))
    });
    let is_built = |patch: &str| components().join(format!("kubernetes-{patch}/kube-scheduler")).exists();
    let built: Vec<_> = offered.filter(|(_, patch)| is_built(patch)).collect();
    assert!(built.iter().any(|(minor, _)| minor == "1.36"), "the default is built: {built:?}");
    for (minor, patch) in built {
        let name = format!("v{}", minor.replace('.', "-"));
        region.ask_for_cluster(&name, "", &["--kubernetes-version", &minor]);
        region.await_active(&name);
        assert_eq!(region.describe(&name)["version"], minor);
        let server = region.cluster(&name).kubectl_json(&["version"])["serverVersion"].clone();
        assert_eq!(server["gitVersion"], format!("v{patch}"));
        region.aws(&["eks", "delete-cluster", "--name", &name]);
    }
}
