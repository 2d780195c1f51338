//! A cluster is what EKS says that it is: highly available, its creator's alone, sealed, and reached from where it may be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use e2e::{Cluster, Process, Region, say, steps, within};
use serde_json::{Value, json};
use std::collections::BTreeSet;
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
        private_keys_are_in_no_file,
        nobody_else_gets_in,
        forged_tokens_get_nowhere,
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
    let etcd = files_below(&region.data().join("host/disks"));
    let holding = |text: &str| etcd.iter().filter(|path| holds(path, text.as_bytes())).count();
    assert!(
        within(Duration::from_secs(5), || (holding(open) >= 3).then_some(())).is_some(),
        "the search finds what is there"
    );
    assert_eq!(holding(hidden), 0, "the secret is in a file of etcd");
    assert_eq!(holding(&STANDARD.encode(hidden)), 0, "the secret is in a file of etcd");
}

/// Of the keys of the cluster's machines, and of the admin's: what is kept is sealed, what is open is in memory.
fn private_keys_are_in_no_file(region: &Region, _: &Cluster) {
    let server = region.running("kube-apiserver").remove(0);
    let etcd = region.running("etcd").remove(0);
    let [pki, etc_etcd] = [server.file("/etc/kubernetes/pki"), etcd.file("/etc/etcd")];
    let keys: Vec<PathBuf> = [files_below(&pki), files_below(&etc_etcd)].concat();
    let keys: Vec<PathBuf> = keys.into_iter().filter(|path| path.extension().is_some_and(|e| e == "key")).collect();
    assert!(keys.len() >= 5, "a control plane has private keys: {keys:?}");
    let kept = files_below(&region.data());
    assert!(kept.iter().any(|path| holds(path, b"eks-cluster-role")), "the search finds what is there");
    for key in &keys {
        let pem = fs::read_to_string(key).expect("a key can be read by root");
        let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body.concat()).expect("a key is PEM");
        for (form, bytes) in [("PEM", body[0].as_bytes()), ("DER", &der[der.len() / 2..])] {
            let found: Vec<&PathBuf> = kept.iter().filter(|path| holds(path, bytes)).collect();
            assert!(found.is_empty(), "{} stands as {form} in {found:?}", key.display());
        }
    }
    let client = region.client();
    let secret = client.variable("AWS_SECRET_ACCESS_KEY").as_bytes();
    let found: Vec<&PathBuf> = kept.iter().filter(|path| holds(path, secret)).collect();
    assert_eq!(found, [&region.data().join("admin.json")]);
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
    assert!(cluster.serves(&token), "{}", cluster.kubectl_with(&token, &["get", "namespaces"]));
    region.aws(&["iam", "delete-access-key", "--user-name", "admin", "--access-key-id", id]);
    let began = Instant::now();
    let until = Duration::from_secs(10);
    let refused = within(until, || (!cluster.kubectl_with(&token, &["get", "--raw=/api"]).ok()).then_some(()));
    assert!(refused.is_some() && cluster.refuses(&token), "a deleted key still opens the cluster after {until:?}");
    say(&format!("{:6.1} s  DeleteAccessKey to 401", began.elapsed().as_secs_f64()));
    assert!(cluster.refuses(&second.token()), "a new token by the deleted key");
}

fn forged_tokens_get_nowhere(region: &Region, cluster: &Cluster) {
    let good = cluster.token();
    assert!(cluster.serves(&good));
    assert!(cluster.refuses(&cluster.token_for("another")), "a token for another cluster");
    let (prefix, encoded) = good.split_once('.').expect("a token has a prefix");
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).expect("base64")).expect("text");
    let forge = |url: &str| format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(url));
    assert!(cluster.serves(&forge(&url)), "the forger's own tools work");
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
    // get-token's own program, an hour ago and an hour ahead.
    for seconds in [-3600, 3600] {
        let token = region.client().script("get_token.py", &json!({ "cluster": cluster.name, "clock": seconds }));
        assert!(cluster.refuses(token.as_str().unwrap_or_default()), "signed {seconds} s off");
    }
    let token = region.client().script("get_token.py", &json!({ "cluster": cluster.name }));
    assert!(cluster.serves(token.as_str().unwrap_or_default()), "the script's own tokens are good");
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
    assert!(!narrow.kubectl(&["get", "namespaces", "--request-timeout=2s"]).ok());
}

fn an_address_inside_the_cidrs_is(_: &Region, narrow: &Cluster) {
    let reply = narrow.dial(&json!({ "source": "127.0.0.2", "path": "/readyz" }));
    assert_eq!(reply, json!({ "status": 200, "body": "ok" }));
}

fn a_private_cluster_has_no_public_address(region: &Region, _: &Cluster) {
    let found = region.describe("private");
    let network = &found["resourcesVpcConfig"];
    assert_eq!((&network["endpointPublicAccess"], &network["endpointPrivateAccess"]), (&json!(false), &json!(true)));
    assert_eq!((&found["status"], &network["publicAccessCidrs"]), (&json!("ACTIVE"), &json!([])));
    let endpoint = found["endpoint"].as_str().unwrap_or_default();
    assert!(endpoint.starts_with("https://172.31."), "{endpoint}");
    let dialled = region.cluster("private").dial(&json!({}));
    assert!(dialled["failed"].is_string(), "{dialled}");
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

/// Every file below a folder; what vanishes meanwhile is left out.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Whether the file holds these bytes.
fn holds(path: &Path, needle: &[u8]) -> bool {
    let text = fs::read(path).unwrap_or_default();
    let first = needle[0];
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
    starts.into_iter().any(|at| text[at..].starts_with(needle))
}
