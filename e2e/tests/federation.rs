//! Whom an account trusts besides its own users: identity providers of OpenID Connect, and services by their roles.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const URL: &str = "https://oidc.eks.us-east-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
const THUMBPRINT: &str = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280";

fn iam(operation: &str, input: Value) -> Call {
    call("iam", operation, input)
}

fn provider() -> String {
    format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{}", URL.trim_start_matches("https://"))
}

/// A call on the provider of that ARN.
fn of(arn: &str, operation: &str, more: Value) -> Call {
    let input = merged(json!({"OpenIDConnectProviderArn": arn}), &more);
    iam(operation, input)
}

#[test]
fn accounts_trust_issuers_of_tokens_and_services() {
    let region = Region::start();
    steps!((&region):
        a_provider_is_made_shown_changed_and_deleted,
        a_provider_is_an_issuer_over_https,
        a_service_has_a_role_that_only_it_defines,
        every_operation_says_what_is_not_there,
    );
}

fn a_provider_is_made_shown_changed_and_deleted(region: &Region) {
    let make = ["iam", "create-open-id-connect-provider", "--url", URL, "--client-id-list", "sts.amazonaws.com"];
    let more = ["--thumbprint-list", THUMBPRINT, "--tags", "Key=team,Value=blue"];
    let made = region.aws(&[&make[..], &more].concat());
    assert_eq!(text(&made, "OpenIDConnectProviderArn"), provider());
    let this = |operation: &str, more: Value| ("OK", of(&provider(), operation, more));
    let show = || this("get_open_id_connect_provider", json!({}));
    let other = THUMBPRINT.replace('9', "a");
    let answers = region.gets(vec![
        show(),
        this("add_client_id_to_open_id_connect_provider", json!({"ClientID": "mine"})),
        this("add_client_id_to_open_id_connect_provider", json!({"ClientID": "mine"})),
        this("remove_client_id_from_open_id_connect_provider", json!({"ClientID": "sts.amazonaws.com"})),
        this("update_open_id_connect_provider_thumbprint", json!({"ThumbprintList": [other]})),
        this("tag_open_id_connect_provider", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        this("untag_open_id_connect_provider", json!({"TagKeys": ["team"]})),
        this("list_open_id_connect_provider_tags", json!({})),
        show(),
        ("OK", iam("list_open_id_connect_providers", json!({}))),
        ("EntityAlreadyExists", iam("create_open_id_connect_provider", json!({"Url": URL}))),
        this("delete_open_id_connect_provider", json!({})),
        this("delete_open_id_connect_provider", json!({})),
        ("OK", iam("list_open_id_connect_providers", json!({}))),
    ]);
    let answer = |n: usize| answers[n].clone().value();
    assert_eq!(text(&answer(0), "Url"), URL.trim_start_matches("https://"));
    assert_eq!(
        (&answer(0)["ClientIDList"], &answer(0)["ThumbprintList"]),
        (&json!(["sts.amazonaws.com"]), &json!([THUMBPRINT]))
    );
    assert_eq!((&answer(8)["ClientIDList"], &answer(8)["ThumbprintList"]), (&json!(["mine"]), &json!([other])));
    assert_eq!(answer(7)["Tags"], json!([{"Key": "a", "Value": "b"}]));
    assert_eq!(answer(9)["OpenIDConnectProviderList"], json!([{"Arn": provider()}]));
    assert_eq!(answers[10].refusal().message, format!("Provider with url {URL} already exists."));
    assert_eq!(answer(13)["OpenIDConnectProviderList"], json!([]));
}

fn a_provider_is_an_issuer_over_https(region: &Region) {
    let make = |input: Value| iam("create_open_id_connect_provider", input);
    let plain =
        ["http://issuer.example.com", "https://", "https://issuer.example.com:8443", "https://issuer.example.com/?a=b"];
    let mut cases: Vec<_> = plain.iter().map(|url| ("ValidationError", make(json!({"Url": url})))).collect();
    cases.push(("InvalidInput", make(json!({"Url": URL, "ThumbprintList": vec![THUMBPRINT; 6]}))));
    cases.push(("InvalidInput", make(json!({"Url": URL, "ThumbprintList": [THUMBPRINT.replace('9', "x")]}))));
    cases.push(("OK", iam("list_open_id_connect_providers", json!({}))));
    let answers = region.gets(cases);
    assert_eq!(answers[0].refusal().message, "Invalid Open ID Connect Provider URL");
    assert_eq!(answers[6].clone().value()["OpenIDConnectProviderList"], json!([]));
}

fn a_service_has_a_role_that_only_it_defines(region: &Region) {
    let make = ["iam", "create-service-linked-role", "--aws-service-name", "eks-nodegroup.amazonaws.com"];
    let role = region.aws(&make)["Role"].clone();
    let name = "AWSServiceRoleForAmazonEKSNodegroup";
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/eks-nodegroup.amazonaws.com/{name}");
    assert_eq!((text(&role, "RoleName"), text(&role, "Arn")), (name, arn.as_str()));
    let trusted = &role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"];
    assert_eq!(trusted, "eks-nodegroup.amazonaws.com");
    let policies = region.aws(&["iam", "list-attached-role-policies", "--role-name", name]);
    let policy = format!("arn:aws:iam::aws:policy/aws-service-role/{name}");
    assert_eq!(text(&policies["AttachedPolicies"][0], "PolicyArn"), policy);
    let taken = format!("Service role name {name} has been taken in this account, please try a different suffix.");
    assert_eq!(region.aws_refuses(&make), refusal("InvalidInput", &taken));

    let this = |operation: &str, more: Value| {
        let input = merged(json!({"RoleName": name}), &more);
        ("UnmodifiableEntity", iam(operation, input))
    };
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    let aws = "arn:aws:iam::aws:policy/AdministratorAccess";
    let profile = json!({"InstanceProfileName": "linked", "RoleName": name});
    let auto_scaling = json!({"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": "mine"});
    let reserved =
        json!({"RoleName": "x", "Path": "/aws-service-role/eks.amazonaws.com/", "AssumeRolePolicyDocument": trust});
    let answers = region.gets(vec![
        this("delete_role", json!({})),
        this("attach_role_policy", json!({"PolicyArn": aws})),
        this("detach_role_policy", json!({"PolicyArn": policy})),
        this("put_role_policy", json!({"PolicyName": "p", "PolicyDocument": document})),
        this("delete_role_policy", json!({"PolicyName": "p"})),
        this("update_assume_role_policy", json!({"PolicyDocument": trust})),
        this("update_role", json!({"MaxSessionDuration": 43200})),
        ("OK", iam("update_role", json!({"RoleName": name, "Description": "of node groups"}))),
        ("OK", iam("create_instance_profile", json!({"InstanceProfileName": "linked"}))),
        ("UnmodifiableEntity", iam("add_role_to_instance_profile", profile)),
        ("OK", iam("delete_instance_profile", json!({"InstanceProfileName": "linked"}))),
        ("OK", iam("create_service_linked_role", auto_scaling)),
        (
            "InvalidInput",
            iam("create_service_linked_role", json!({"AWSServiceName": "eks.amazonaws.com", "CustomSuffix": "x"})),
        ),
        ("InvalidInput", iam("create_service_linked_role", json!({"AWSServiceName": "none.amazonaws.com"}))),
        ("InvalidInput", iam("create_role", reserved)),
        ("OK", iam("get_role", json!({"RoleName": "AWSServiceRoleForAutoScaling_mine"}))),
    ]);
    let why =
        format!("Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS");
    assert_eq!(answers[0].refusal(), refusal("UnmodifiableEntity", &why));
    assert_eq!(answers[12].refusal().message, "Custom suffix is not allowed for eks.amazonaws.com");

    let task = region.aws(&["iam", "delete-service-linked-role", "--role-name", name]);
    let task = text(&task, "DeletionTaskId");
    assert!(task.starts_with(&format!("task/aws-service-role/eks-nodegroup.amazonaws.com/{name}/")), "{task}");
    let status = region.aws(&["iam", "get-service-linked-role-deletion-status", "--deletion-task-id", task]);
    assert_eq!(text(&status, "Status"), "SUCCEEDED");
    region.gets(vec![("NoSuchEntity", iam("get_role", json!({"RoleName": name})))]);
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let none = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/none.example.com");
    let missing = |operation: &str, more: Value| ("NoSuchEntity", of(&none, operation, more));
    let task = "task/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS/none";
    let answers = region.gets(vec![
        missing("get_open_id_connect_provider", json!({})),
        missing("update_open_id_connect_provider_thumbprint", json!({"ThumbprintList": [THUMBPRINT]})),
        missing("add_client_id_to_open_id_connect_provider", json!({"ClientID": "x"})),
        missing("remove_client_id_from_open_id_connect_provider", json!({"ClientID": "x"})),
        missing("tag_open_id_connect_provider", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        missing("untag_open_id_connect_provider", json!({"TagKeys": ["a"]})),
        missing("list_open_id_connect_provider_tags", json!({})),
        ("InvalidInput", of(&none.replace("oidc", "saml"), "delete_open_id_connect_provider", json!({}))),
        ("NoSuchEntity", iam("delete_service_linked_role", json!({"RoleName": "none"}))),
        ("NoSuchEntity", iam("delete_service_linked_role", json!({"RoleName": "eks-node-role"}))),
        ("NoSuchEntity", iam("get_service_linked_role_deletion_status", json!({"DeletionTaskId": task}))),
        ("InvalidInput", iam("get_service_linked_role_deletion_status", json!({"DeletionTaskId": "none"}))),
    ]);
    let why = format!("OpenIDConnect Provider not found for arn {none}");
    assert_eq!(answers[0].refusal(), refusal("NoSuchEntity", &why));
    // This one has no errors of its own that a caller could bring about.
    region.client().stranger().gets(vec![("InvalidClientTokenId", iam("list_open_id_connect_providers", json!({})))]);
}
