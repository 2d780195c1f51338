//! Registered clusters: metadata of clusters of other providers.

use e2e::{Call, Region, call, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn register(name: &str, role_name: &str) -> Call {
    let config = json!({"roleArn": role(role_name), "provider": "GKE"});
    call("eks", "register_cluster", json!({"name": name, "connectorConfig": config, "tags": {"team": "blue"}}))
}

#[test]
fn clusters_of_others_are_registered() {
    let region = Region::start();
    region.aws(&["iam", "create-role", "--role-name", "agent", "--assume-role-policy-document", TRUST]);
    steps!((&region):
        a_registered_cluster_is_shown_beside_those_of_eks,
        a_registration_needs_a_name_and_a_role_for_the_agent,
        a_registration_is_taken_back,
    );
}

fn a_registered_cluster_is_shown_beside_those_of_eks(region: &Region) {
    let config = format!("roleArn={},provider=GKE", role("agent"));
    let command = ["eks", "register-cluster", "--name", "theirs", "--connector-config", &config, "--tags", "team=blue"];
    let made = region.aws(&command)["cluster"].clone();
    assert_eq!(text(&made, "status"), "PENDING");
    assert!(text(&made["connectorConfig"], "activationCode").len() == 20, "{made}");
    let shown = region.aws(&["eks", "describe-cluster", "--name", "theirs"])["cluster"].clone();
    assert_eq!(shown["connectorConfig"]["activationId"], made["connectorConfig"]["activationId"]);
    assert!(shown["connectorConfig"]["activationCode"].is_null(), "it is shown once: {shown}");
    assert_eq!((text(&shown, "status"), text(&shown["connectorConfig"], "provider")), ("PENDING", "GKE"));
    let list = |input: Value| call("eks", "list_clusters", input);
    let arn = json!({"resourceArn": format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/theirs")});
    let answers = region.gets(vec![
        ("OK", list(json!({}))),
        ("OK", list(json!({"include": ["all"]}))),
        ("InvalidParameterException", list(json!({"include": ["some"]}))),
        ("OK", call("eks", "list_tags_for_resource", arn)),
        ("InvalidRequestException", call("eks", "delete_cluster", json!({"name": "theirs"}))),
        ("ResourceNotFoundException", call("eks", "list_nodegroups", json!({"clusterName": "theirs"}))),
    ]);
    let answer = |n: usize| answers[n].clone().value();
    assert_eq!((&answer(0)["clusters"], &answer(1)["clusters"]), (&json!([]), &json!(["theirs"])));
    assert_eq!(answer(3)["tags"], json!({"team": "blue"}));
}

fn a_registration_needs_a_name_and_a_role_for_the_agent(region: &Region) {
    let answers = region.gets(vec![
        ("ResourceInUseException", register("theirs", "agent")),
        ("InvalidParameterException", register("more", "none")),
        ("InvalidParameterException", register("more", "eks-node-role")),
        ("ResourceNotFoundException", call("eks", "deregister_cluster", json!({"name": "more"}))),
    ]);
    assert_eq!(answers[0].refusal().message, "Cluster already exists with name: theirs");
}

fn a_registration_is_taken_back(region: &Region) {
    let gone = region.aws(&["eks", "deregister-cluster", "--name", "theirs"])["cluster"].clone();
    assert_eq!(text(&gone, "status"), "DELETING");
    region.gets(vec![("ResourceNotFoundException", call("eks", "describe_cluster", json!({"name": "theirs"})))]);
    region.gets(vec![("OK", register("theirs", "agent"))]);
}
