//! What belongs to a cluster, by boto3: access entries, add-ons, node groups without nodes, updates, tags. One cluster for
//! all of it; that nodes and pods run, others show.

use e2e::pages::{list, sweep};
use e2e::{Answer, Call, Region, call, components, merged, say, steps, until};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

const ACCOUNT: &str = "111122223333";
const CLUSTER: &str = "one";
const PATIENCE: Duration = Duration::from_secs(60);
const IN_USE: &str = "ResourceInUseException";
const INVALID: &str = "InvalidParameterException";
const REQUEST: &str = "InvalidRequestException";
const MISSING: &str = "ResourceNotFoundException";

#[test]
fn what_belongs_to_a_cluster_is_made_found_changed_and_unmade() {
    let region = Region::for_clusters();
    region.ask_for_cluster(CLUSTER, "", &["--access-config", "authenticationMode=API_AND_CONFIG_MAP"]);
    region.await_active(CLUSTER);
    steps!((&region):
        access_entries_are_made_listed_changed_and_deleted,
        addons_are_installed_changed_and_removed,
        a_node_group_without_nodes_is_changed_and_deleted,
        what_is_asked_for_twice_is_done_once,
        the_endpoint_is_narrowed_closed_and_opened_again,
        what_is_changed_of_a_cluster_is_changed_one_by_one,
        clusters_have_tags_and_what_is_gone_has_none,
        what_is_not_there_is_named,
        lists_are_cut_into_pages,
        security_groups_are_those_of_the_interfaces,
        the_control_plane_goes_to_other_subnets_while_it_serves,
        a_version_update_takes_one_api_server_at_a_time,
    );
}

/// A call on what belongs to the cluster.
fn on(operation: &str, more: Value) -> Call {
    call("eks", operation, with("clusterName", CLUSTER, &more))
}

/// A call on a cluster itself or on its updates.
fn of(cluster: &str, operation: &str, more: Value) -> Call {
    call("eks", operation, with("name", cluster, &more))
}

fn with(member: &str, value: &str, more: &Value) -> Value {
    merged(json!({ member: value }), more)
}

/// A member of an answer.
fn member(answer: &Answer, path: &str) -> Value {
    let value = answer.clone().value();
    value.pointer(path).unwrap_or_else(|| panic!("no {path} in {value}")).clone()
}

/// Asks again until the member is so.
fn becomes(region: &Region, ask: &Call, path: &str, wanted: &str) {
    let what = format!("{path} is {wanted}");
    until(&what, PATIENCE, || {
        let answer = region.boto(vec![ask.clone()]).remove(0);
        (answer.code() == "OK" && member(&answer, path) == wanted).then_some(())
    });
}

/// Asks again until it is not there any more.
fn goes(region: &Region, ask: &Call) {
    until("it is gone", PATIENCE, || (region.boto(vec![ask.clone()]).remove(0).code() == MISSING).then_some(()));
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn access_entries_are_made_listed_changed_and_deleted(region: &Region) {
    let principal = json!({"principalArn": role("eks-cluster-role")});
    let entry = |more: Value| with("principalArn", &role("eks-cluster-role"), &more);
    let named = json!({"username": "ops:{{SessionName}}", "kubernetesGroups": ["ops"]});
    let other = |arn: &str| on("create_access_entry", json!({"principalArn": arn}));
    let answers = region.gets(vec![
        ("OK", on("create_access_entry", entry(named))),
        (IN_USE, on("create_access_entry", principal.clone())),
        ("OK", on("update_access_entry", entry(json!({"kubernetesGroups": ["dev", "ops"]})))),
        ("OK", on("describe_access_entry", principal.clone())),
        ("OK", on("list_access_entries", json!({}))),
        (INVALID, other(&role("none"))),
        (INVALID, other("arn:aws:sts::111122223333:assumed-role/eks-cluster-role/x")),
        (INVALID, on("create_access_entry", with("principalArn", &role("eks-node-role"), &json!({"type": "DANCER"})))),
        (INVALID, on("update_access_entry", entry(json!({"username": "system:admin"})))),
        (INVALID, on("update_access_entry", entry(json!({"username": "{{SessionName}}"})))),
        ("OK", on("delete_access_entry", principal.clone())),
        (MISSING, on("describe_access_entry", principal.clone())),
        (MISSING, on("update_access_entry", principal.clone())),
        (MISSING, on("delete_access_entry", principal.clone())),
    ]);
    let shown = member(&answers[3], "/accessEntry");
    assert_eq!(shown["kubernetesGroups"], json!(["dev", "ops"]));
    assert_eq!((&shown["username"], &shown["type"]), (&json!("ops:{{SessionName}}"), &json!("STANDARD")));
    let arn = shown["accessEntryArn"].as_str().unwrap_or_default();
    let gone = call("eks", "list_tags_for_resource", json!({ "resourceArn": arn }));
    region.gets(vec![("NotFoundException", gone)]);
    let begins = format!("arn:aws:eks:us-east-1:{ACCOUNT}:access-entry/{CLUSTER}/role/{ACCOUNT}/eks-cluster-role/");
    assert!(arn.starts_with(&begins), "{arn}");
    let listed = member(&answers[4], "/accessEntries");
    assert!(listed.as_array().is_some_and(|all| all.contains(&json!(role("eks-cluster-role")))), "{listed}");
    let made = region.gets(vec![("OK", on("create_access_entry", principal.clone()))]);
    is_tagged(region, member(&made[0], "/accessEntry/accessEntryArn").as_str().unwrap_or_default());
    region.gets(vec![("OK", on("delete_access_entry", principal))]);
}

fn addons_are_installed_changed_and_removed(region: &Region) {
    let addon = json!({"addonName": "kube-proxy"});
    let named = |more: Value| with("addonName", "kube-proxy", &more);
    let answers = region.gets(vec![
        ("OK", call("eks", "describe_addon_versions", json!({"addonName": "kube-proxy"}))),
        (MISSING, call("eks", "describe_addon_versions", json!({"addonName": "none"}))),
        (INVALID, call("eks", "describe_addon_versions", json!({"kubernetesVersion": "1.12"}))),
        (INVALID, on("create_addon", named(json!({"configurationValues": "{\"mode\": \"ipvs\"}"})))),
        (INVALID, on("create_addon", named(json!({"addonVersion": "v0.0.1"})))),
        ("OK", on("create_addon", named(json!({"resolveConflicts": "OVERWRITE"})))),
        (IN_USE, on("create_addon", addon.clone())),
        ("OK", on("list_addons", json!({}))),
        (MISSING, on("describe_addon", json!({"addonName": "coredns"}))),
        (MISSING, on("update_addon", json!({"addonName": "coredns"}))),
        (MISSING, on("delete_addon", json!({"addonName": "coredns"}))),
    ]);
    assert_eq!(member(&answers[7], "/addons"), json!(["kube-proxy"]));
    let version = member(&answers[5], "/addon/addonVersion");
    let schema = |version: &str| {
        call("eks", "describe_addon_configuration", with("addonName", "kube-proxy", &json!({"addonVersion": version})))
    };
    is_tagged(region, member(&answers[5], "/addon/addonArn").as_str().unwrap_or_default());
    let describe = on("describe_addon", addon.clone());
    becomes(region, &describe, "/addon/status", "ACTIVE");
    let change = json!({"configurationValues": "{\"podLabels\": {\"team\": \"sea\"}}"});
    let answers = region.gets(vec![
        ("OK", schema(version.as_str().unwrap_or_default())),
        (MISSING, schema("v0.0.1")),
        ("OK", on("update_addon", named(change))),
    ]);
    assert!(member(&answers[0], "/configurationSchema").as_str().is_some_and(|schema| schema.contains("nftables")));
    let id = member(&answers[2], "/update/id");
    let selected = json!({"addonName": "kube-proxy"});
    let update = of(CLUSTER, "describe_update", with("updateId", id.as_str().unwrap_or_default(), &selected));
    becomes(region, &update, "/update/status", "Successful");
    let answers = region.gets(vec![
        ("OK", update),
        ("OK", of(CLUSTER, "list_updates", selected)),
        (MISSING, of(CLUSTER, "describe_update", json!({"updateId": id}))),
        (MISSING, of(CLUSTER, "list_updates", json!({"addonName": "none"}))),
        ("OK", on("delete_addon", addon)),
    ]);
    assert_eq!(member(&answers[0], "/update/type"), "AddonUpdate");
    assert_eq!(member(&answers[1], "/updateIds"), json!([id]));
    goes(region, &describe);
}

fn a_node_group_without_nodes_is_changed_and_deleted(region: &Region) {
    let group = json!({"nodegroupName": "idle"});
    let named = |more: Value| with("nodegroupName", "idle", &more);
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let sizes = json!({"minSize": 0, "maxSize": 2, "desiredSize": 0});
    let wish = named(json!({"subnets": subnets, "nodeRole": role("eks-node-role"), "scalingConfig": sizes}));
    let answers = region.gets(vec![
        ("OK", on("create_nodegroup", wish.clone())),
        (IN_USE, on("create_nodegroup", wish)),
        ("OK", on("list_nodegroups", json!({}))),
    ]);
    assert_eq!(member(&answers[2], "/nodegroups"), json!(["idle"]));
    is_tagged(region, member(&answers[0], "/nodegroup/nodegroupArn").as_str().unwrap_or_default());
    let describe = on("describe_nodegroup", group.clone());
    becomes(region, &describe, "/nodegroup/status", "ACTIVE");
    let labels = |labels: Value| on("update_nodegroup_config", named(json!({ "labels": labels })));
    let answers = region.gets(vec![
        (INVALID, on("update_nodegroup_config", group.clone())),
        (INVALID, on("update_nodegroup_version", named(json!({"version": "1.12"})))),
        ("OK", labels(json!({"addOrUpdateLabels": {"team": "sea"}}))),
    ]);
    let ask = |answer: &Answer| {
        let id = member(answer, "/update/id");
        let selected = json!({"nodegroupName": "idle"});
        of(CLUSTER, "describe_update", with("updateId", id.as_str().unwrap_or_default(), &selected))
    };
    becomes(region, &ask(&answers[2]), "/update/status", "Successful");
    becomes(region, &describe, "/nodegroup/status", "ACTIVE");
    let version = region.gets(vec![("OK", on("update_nodegroup_version", group.clone()))]);
    becomes(region, &ask(&version[0]), "/update/status", "Successful");
    becomes(region, &describe, "/nodegroup/status", "ACTIVE");
    let answers = region.gets(vec![
        ("OK", of(CLUSTER, "list_updates", json!({"nodegroupName": "idle"}))),
        (IN_USE, of(CLUSTER, "delete_cluster", json!({}))),
        ("OK", on("delete_nodegroup", group.clone())),
    ]);
    assert_eq!(member(&answers[0], "/updateIds").as_array().map(Vec::len), Some(2));
    assert_eq!(member(&answers[2], "/nodegroup/status"), "DELETING");
    goes(region, &describe);
}

fn what_is_asked_for_twice_is_done_once(region: &Region) {
    let entry = |token: &str, more: Value| {
        let asked = with("principalArn", &role("eks-cluster-role"), &more);
        on("create_access_entry", with("clientRequestToken", token, &asked))
    };
    let gone = on("delete_access_entry", json!({"principalArn": role("eks-cluster-role")}));
    let answers = region.gets(vec![
        ("OK", entry("once", json!({}))),
        ("OK", entry("once", json!({}))),
        (INVALID, entry("once", json!({"username": "other"}))),
        (IN_USE, entry("twice", json!({}))),
        ("OK", gone.clone()),
        ("OK", entry("once", json!({}))),
        ("OK", gone),
    ]);
    let arns = [0, 1, 5].map(|n| member(&answers[n], "/accessEntry/accessEntryArn"));
    assert!(arns[0] == arns[1] && arns[0] != arns[2], "what was deleted is made anew: {arns:?}");
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let sizes = json!({"minSize": 0, "maxSize": 1, "desiredSize": 0});
    let group = json!({"subnets": subnets, "nodeRole": role("eks-node-role"), "scalingConfig": sizes});
    by_a_crowd(region, "access_entry", &json!({"principalArn": role("eks-cluster-role")}), &json!({}));
    by_a_crowd(region, "addon", &json!({"addonName": "kube-proxy"}), &json!({}));
    by_a_crowd(region, "nodegroup", &json!({"nodegroupName": "twin"}), &group);
}

/// At the same time, each with a token of its own, and then all with one.
fn by_a_crowd(region: &Region, kind: &str, name: &Value, more: &Value) {
    let create = |more: Value| on(&format!("create_{kind}"), merged(name.clone(), &more));
    let delete = || {
        region.gets(vec![("OK", on(&format!("delete_{kind}"), name.clone()))]);
        goes(region, &on(&format!("describe_{kind}"), name.clone()));
    };
    let crowd = |call: Call| region.boto(vec![call.at_once(8)]).remove(0).each();
    let mut codes: Vec<String> = crowd(create(more.clone())).iter().map(|one| one.code().to_owned()).collect();
    codes.sort();
    assert_eq!((codes[0].as_str(), &codes[1..]), ("OK", &[(); 7].map(|()| IN_USE.to_owned())[..]), "{kind}");
    delete();
    let token = json!({"clientRequestToken": format!("crowd-{kind}")});
    let with_token = merged(more.clone(), &token);
    let answers = crowd(create(with_token.clone()));
    let first = answers[0].clone().value();
    assert!(answers.into_iter().all(|one| one.value() == first), "{kind}: one token, one answer");
    let other = merged(with_token, &json!({"tags": {"another": "one"}}));
    region.gets(vec![(INVALID, create(other))]);
    delete();
}

/// Begins an update of the cluster and waits until it is done.
fn update(region: &Region, change: Value) {
    let begun = region.gets(vec![("OK", of(CLUSTER, "update_cluster_config", change))]);
    let id = member(&begun[0], "/update/id");
    becomes(region, &of(CLUSTER, "describe_update", json!({"updateId": id})), "/update/status", "Successful");
}

fn access(more: Value) -> Value {
    json!({ "resourcesVpcConfig": more })
}

fn the_endpoint_is_narrowed_closed_and_opened_again(region: &Region) {
    let cluster = region.cluster(CLUSTER);
    let reached = |source: &str| cluster.dial(&json!({ "source": source }))["connected"] == true;
    assert!(reached("127.0.0.1"));
    let config = |more: Value| of(CLUSTER, "update_cluster_config", access(more));
    region.gets(vec![
        (INVALID, config(json!({"publicAccessCidrs": ["0.0.0.0/0"]}))),
        (INVALID, config(json!({"publicAccessCidrs": ["300.0.0.0/8"]}))),
        (INVALID, config(json!({"endpointPublicAccess": false}))),
        (INVALID, config(json!({"subnetIds": ["subnet-1"]}))),
        (INVALID, config(json!({}))),
    ]);
    update(region, access(json!({"publicAccessCidrs": ["127.0.0.2/32"]})));
    assert!(!reached("127.0.0.1") && reached("127.0.0.2"), "what Successful says is so");
    update(region, access(json!({"endpointPublicAccess": false, "endpointPrivateAccess": true})));
    assert!(!reached("127.0.0.1") && !reached("127.0.0.2"));
    let endpoint =
        member(&region.gets(vec![("OK", of(CLUSTER, "describe_cluster", json!({})))])[0], "/cluster/endpoint");
    assert!(endpoint.as_str().is_some_and(|endpoint| endpoint.starts_with("https://172.31.")), "{endpoint}");
    update(region, access(json!({"endpointPublicAccess": true})));
    assert!(reached("127.0.0.1"), "under the address that it had");
}

fn what_is_changed_of_a_cluster_is_changed_one_by_one(region: &Region) {
    let change = |more: Value| of(CLUSTER, "update_cluster_config", more);
    let logging = json!({"logging": {"clusterLogging": [{"types": ["api", "audit"], "enabled": true}]}});
    update(region, logging.clone());
    update(region, json!({"deletionProtection": true}));
    update(region, json!({"accessConfig": {"authenticationMode": "API"}}));
    update(region, json!({"upgradePolicy": {"supportType": "STANDARD"}}));
    let back = json!({"accessConfig": {"authenticationMode": "CONFIG_MAP"}});
    let answers = region.gets(vec![
        (INVALID, change(logging)),
        (INVALID, change(json!({"deletionProtection": true, "upgradePolicy": {"supportType": "EXTENDED"}}))),
        (INVALID, change(back)),
        (REQUEST, of(CLUSTER, "delete_cluster", json!({}))),
        ("OK", of(CLUSTER, "describe_cluster", json!({}))),
        ("OK", of(CLUSTER, "list_updates", json!({}))),
    ]);
    let messages: Vec<String> = answers[..4].iter().map(|answer| answer.refusal().message).collect();
    assert_eq!(
        messages,
        [
            "No changes needed for the logging config provided",
            "Only one type of update can be allowed.",
            "Unsupported authentication mode update from API to CONFIG_MAP",
            "Cluster has deletion protection enabled. Disable deletion protection to delete the cluster.",
        ]
    );
    let shown = member(&answers[4], "/cluster");
    assert_eq!((&shown["status"], &shown["deletionProtection"]), (&json!("ACTIVE"), &json!(true)));
    assert_eq!(shown["logging"]["clusterLogging"][0]["types"], json!(["api", "audit"]));
    assert_eq!(shown["accessConfig"]["authenticationMode"], "API");
    assert_eq!(shown["upgradePolicy"]["supportType"], "STANDARD");
    assert_eq!(member(&answers[5], "/updateIds").as_array().map(Vec::len), Some(7));
    update(region, json!({"deletionProtection": false}));
}

fn security_groups_are_those_of_the_interfaces(region: &Region) {
    let shown = region.gets(vec![("OK", of(CLUSTER, "describe_cluster", json!({})))]);
    let vpc = member(&shown[0], "/cluster/resourcesVpcConfig/vpcId");
    let group = json!({"GroupName": "extra", "Description": "of the user", "VpcId": vpc});
    let made = region.gets(vec![("OK", call("ec2", "create_security_group", group))]);
    let extra = member(&made[0], "/GroupId");
    region.gets(vec![
        (INVALID, of(CLUSTER, "update_cluster_config", access(json!({"securityGroupIds": ["sg-1"]})))),
        (INVALID, of(CLUSTER, "update_cluster_config", access(json!({"securityGroupIds": []})))),
    ]);
    update(region, access(json!({"securityGroupIds": [extra]})));
    let with_it = json!({"Filters": [{"Name": "group-id", "Values": [extra]}]});
    let delete = json!({"GroupId": extra});
    let answers = region.gets(vec![
        ("OK", call("ec2", "describe_network_interfaces", with_it)),
        ("DependencyViolation", call("ec2", "delete_security_group", delete.clone())),
    ]);
    assert_eq!(member(&answers[0], "/NetworkInterfaces").as_array().map(Vec::len), Some(4), "two servers, two zones");
    update(region, access(json!({"securityGroupIds": []})));
    region.gets(vec![("OK", call("ec2", "delete_security_group", delete))]);
}

/// The old subnets can be deleted the moment its update is Successful.
fn the_control_plane_goes_to_other_subnets_while_it_serves(region: &Region) {
    let cluster = region.cluster(CLUSTER);
    let token = cluster.token();
    let shown = region.gets(vec![("OK", of(CLUSTER, "describe_cluster", json!({})))]);
    let (vpc, old) = (member(&shown[0], "/cluster/resourcesVpcConfig/vpcId"), subnets_of(&shown[0]));
    let subnet = |(n, zone): (u8, &str)| {
        let block = format!("172.31.{n}.0/24");
        let zone = format!("us-east-1{zone}");
        ("OK", call("ec2", "create_subnet", json!({"VpcId": vpc, "AvailabilityZone": zone, "CidrBlock": block})))
    };
    let made = region.gets([(201, "a"), (202, "b"), (203, "c")].map(subnet).to_vec());
    let new: Vec<Value> = made.iter().map(|answer| member(answer, "/Subnet/SubnetId")).collect();
    let refused = region.gets(vec![
        (INVALID, of(CLUSTER, "update_cluster_config", access(json!({"subnetIds": new[..2]})))),
        (INVALID, of(CLUSTER, "update_cluster_config", access(json!({"subnetIds": old})))),
    ]);
    assert!(
        refused[0].refusal().message.starts_with("Provided subnets belong to the AZs 'us-east-1a,us-east-1b'. But")
    );
    let began = Instant::now();
    let begun = region.gets(vec![("OK", of(CLUSTER, "update_cluster_config", access(json!({ "subnetIds": new }))))]);
    assert_eq!(member(&begun[0], "/update/params/0/type"), "Subnets");
    let ask = of(CLUSTER, "describe_update", json!({"updateId": member(&begun[0], "/update/id")}));
    let (done, missed) = thread::scope(|scope| {
        let waiting = scope.spawn(|| becomes(region, &ask, "/update/status", "Successful"));
        let mut missed = 0;
        while !waiting.is_finished() {
            if !cluster.answers(&token) {
                missed += 1;
                cluster.must_serve(&token);
            }
        }
        (waiting.join().is_ok(), missed)
    });
    assert!(done, "the update is Successful");
    say(&format!("{:6.1} s  to other subnets; {missed} requests were tried again", began.elapsed().as_secs_f64()));
    region.gets(old.iter().map(|id| ("OK", call("ec2", "delete_subnet", json!({ "SubnetId": id })))).collect());
    let answers = region.gets(vec![
        ("OK", of(CLUSTER, "describe_cluster", json!({}))),
        ("OK", call("ec2", "describe_network_interfaces", json!({"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}))),
    ]);
    assert_eq!(subnets_of(&answers[0]), new);
    let endpoint = |answer: &Answer| member(answer, "/cluster/endpoint");
    assert_eq!(endpoint(&answers[0]), endpoint(&shown[0]));
    let interfaces = member(&answers[1], "/NetworkInterfaces");
    let places = interfaces.as_array().into_iter().flatten().map(|interface| &interface["SubnetId"]);
    assert!(places.clone().count() == 4 && places.clone().all(|place| new.contains(place)), "{interfaces}");
    let slices = ["get", "endpointslice", "kubernetes"];
    let slice = cluster.kubectl_json(&slices);
    let addresses: Vec<&Value> =
        slice["endpoints"].as_array().into_iter().flatten().map(|e| &e["addresses"][0]).collect();
    let has = |interface: &Value| addresses.contains(&&interface["PrivateIpAddress"]);
    let balancers = interfaces.as_array().into_iter().flatten().filter(|interface| has(interface)).count();
    assert_eq!(balancers, 2, "pods are told of the new addresses: {slice} {interfaces}");
    cluster.must_serve(&token);
}

fn subnets_of(answer: &Answer) -> Vec<Value> {
    member(answer, "/cluster/resourcesVpcConfig/subnetIds").as_array().cloned().unwrap_or_default()
}

/// The last step. Where the next minor is not built, its update fails and touches nothing.
fn a_version_update_takes_one_api_server_at_a_time(region: &Region) {
    let to = |version: &str| of(CLUSTER, "update_cluster_version", json!({ "version": version }));
    let cluster = region.cluster(CLUSTER);
    let answers = region.gets(vec![
        (INVALID, to("1.36")),
        (INVALID, to("1.35")),
        (INVALID, to("1.38")),
        ("OK", to("1.37")),
        (IN_USE, to("1.37")),
        ("OK", of(CLUSTER, "describe_cluster", json!({}))),
    ]);
    let refusal = answers[0].refusal().message;
    assert_eq!(refusal, "Unsupported Kubernetes minor version update from 1.36 to 1.36");
    assert_eq!(
        (member(&answers[3], "/update/type"), member(&answers[3], "/update/status")),
        (json!("VersionUpdate"), json!("InProgress"))
    );
    assert_eq!(
        (member(&answers[5], "/cluster/version"), member(&answers[5], "/cluster/status")),
        (json!("1.36"), json!("UPDATING"))
    );
    let ask = of(CLUSTER, "describe_update", json!({"updateId": member(&answers[3], "/update/id")}));
    let shown = until("an API server goes, or both have gone and come, or none goes", PATIENCE, || {
        let shown = member(&region.gets(vec![("OK", ask.clone())])[0], "/update");
        (region.running("kube-apiserver").len() == 1 || shown["status"] != "InProgress").then_some(shown)
    });
    let is_built = components().join("kubernetes-1.37.2/kube-apiserver").exists();
    let message = shown["errors"][0]["errorMessage"].as_str().unwrap_or_default();
    assert_eq!(message.contains("`cargo xtask components kubernetes-1.37`"), !is_built, "{shown}");
    cluster.kubectl(&["get", "--raw", "/readyz"]).text();
}

fn clusters_have_tags_and_what_is_gone_has_none(region: &Region) {
    let arn = format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{CLUSTER}");
    is_tagged(region, &arn);
    let gone = format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/none");
    let tags = |operation: &str, more: Value| call("eks", operation, with("resourceArn", &gone, &more));
    region.gets(vec![
        ("NotFoundException", tags("tag_resource", json!({"tags": {"a": "b"}}))),
        ("NotFoundException", tags("untag_resource", json!({"tagKeys": ["a"]}))),
        ("NotFoundException", tags("list_tags_for_resource", json!({}))),
    ]);
}

fn is_tagged(region: &Region, arn: &str) {
    let tags = |operation: &str, more: Value| call("eks", operation, with("resourceArn", arn, &more));
    let answers = region.gets(vec![
        ("OK", tags("tag_resource", json!({"tags": {"team": "sea", "stage": "test"}}))),
        ("OK", tags("untag_resource", json!({"tagKeys": ["stage", "absent"]}))),
        ("OK", tags("list_tags_for_resource", json!({}))),
        ("BadRequestException", tags("tag_resource", json!({"tags": {"aws:a": "b"}}))),
    ]);
    assert_eq!(member(&answers[2], "/tags"), json!({"team": "sea"}), "{arn}");
}

fn what_is_not_there_is_named(region: &Region) {
    let none = |operation: &str, more: Value| (MISSING, call("eks", operation, with("clusterName", "none", &more)));
    let (group, addon) = (json!({"nodegroupName": "n"}), json!({"addonName": "kube-proxy"}));
    let entry = json!({"principalArn": role("eks-node-role")});
    let own = |operation: &str, more: Value| (MISSING, of("none", operation, more));
    region.gets(vec![
        own("describe_cluster", json!({})),
        own("delete_cluster", json!({})),
        own("list_updates", json!({})),
        own("update_cluster_config", json!({"deletionProtection": true})),
        own("update_cluster_version", json!({"version": "1.37"})),
        own("describe_update", json!({"updateId": "u"})),
        none("list_nodegroups", json!({})),
        none("describe_nodegroup", group.clone()),
        none("delete_nodegroup", group.clone()),
        none("update_nodegroup_config", group.clone()),
        none("update_nodegroup_version", group),
        none("list_addons", json!({})),
        none("describe_addon", addon.clone()),
        none("create_addon", addon.clone()),
        none("update_addon", addon.clone()),
        none("delete_addon", addon),
        none("list_access_entries", json!({})),
        none("create_access_entry", entry.clone()),
        none("describe_access_entry", entry),
        (INVALID, call("eks", "describe_cluster_versions", json!({"clusterVersions": ["1.12"]}))),
    ]);
}

fn lists_are_cut_into_pages(region: &Region) {
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let sizes = json!({"minSize": 0, "maxSize": 1, "desiredSize": 0});
    let all = json!({"subnets": subnets, "nodeRole": role("eks-node-role"), "scalingConfig": sizes});
    let group = |name: &str| on("create_nodegroup", with("nodegroupName", name, &all));
    let addon = |name: &str| on("create_addon", json!({ "addonName": name }));
    let entry = |name: &str| on("create_access_entry", json!({"principalArn": role(name)}));
    let made = [group("one"), group("two"), addon("kube-proxy"), addon("vpc-cni"), entry("eks-cluster-role")];
    region.gets(made.map(|call| ("OK", call)).to_vec());
    let lists = ["list_nodegroups", "list_addons", "list_access_entries"];
    let of_cluster = |operation| list("eks", operation, 2).of(json!({"clusterName": CLUSTER}));
    let updates = list("eks", "list_updates", 2).of(json!({"name": CLUSTER})).unlike(json!({"nodegroupName": "one"}));
    sweep(region, &[lists.map(of_cluster).to_vec(), vec![updates]].concat());
    // A page of one list is none of another.
    let first = region.gets(vec![("OK", call("eks", "describe_addon_versions", json!({"maxResults": 1})))]);
    let token = member(&first[0], "/nextToken");
    region.gets(lists.map(|operation| (INVALID, on(operation, json!({ "nextToken": token })))).to_vec());
    let unmade = ["one", "two"].map(|name| on("delete_nodegroup", json!({"nodegroupName": name})));
    region.gets(unmade.map(|call| ("OK", call)).to_vec());
    for name in ["kube-proxy", "vpc-cni"] {
        region.gets(vec![("OK", on("delete_addon", json!({ "addonName": name })))]);
        goes(region, &on("describe_addon", json!({ "addonName": name })));
    }
    for name in ["one", "two"] {
        goes(region, &on("describe_nodegroup", json!({"nodegroupName": name})));
    }
    region.gets(vec![("OK", on("delete_access_entry", json!({"principalArn": role("eks-cluster-role")})))]);
}

#[test]
fn what_needs_an_active_cluster_is_refused_before() {
    let region = Region::start();
    region.ask_for_cluster(CLUSTER, "", &[]);
    let before = region.account();
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let group = json!({"nodegroupName": "early", "subnets": subnets, "nodeRole": role("eks-node-role")});
    let answers = region.gets(vec![
        (REQUEST, on("create_nodegroup", group)),
        (REQUEST, on("create_addon", json!({"addonName": "kube-proxy"}))),
        (REQUEST, of(CLUSTER, "update_cluster_config", json!({"deletionProtection": true}))),
        // Its authentication mode is CONFIG_MAP, as EKS's default is.
        (REQUEST, on("create_access_entry", json!({"principalArn": role("eks-cluster-role")}))),
        (REQUEST, on("list_access_entries", json!({}))),
    ]);
    assert_eq!(answers[0].refusal().message, format!("Cluster '{CLUSTER}' is not in ACTIVE status"));
    assert_eq!(region.account(), before);
}
