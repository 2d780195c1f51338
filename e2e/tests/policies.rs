//! Managed policies: a customer's own in versions, those of AWS, and who has them.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["eks:Describe*","eks:List*"],"Resource":"*"}]}"#;
const WRITE: &str =
    r#"{"Version":"2012-10-17","Statement":{"Sid":"All","Effect":"Allow","Action":"eks:*","Resource":"*"}}"#;
const TRUST_EC2: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const CLUSTER_POLICY: &str = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy";

fn arn(path_and_name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/{path_and_name}")
}

fn iam(operation: &str, input: Value) -> Call {
    call("iam", operation, input)
}

fn names(list: &Value, name: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| text(item, name).to_owned()).collect()
}

#[test]
fn policies_are_kept_in_versions_and_given_to_roles() {
    let region = Region::start();
    steps!((&region):
        a_policy_is_made_once_and_shown_as_it_was_given,
        a_policy_has_up_to_five_versions_of_which_one_counts,
        a_policy_that_somebody_has_is_not_deleted,
        policies_are_listed_by_whose_they_are,
        those_of_aws_are_shown_and_never_changed,
        what_is_no_policy_is_refused,
        every_operation_says_what_is_not_there,
    );
}

fn a_policy_is_made_once_and_shown_as_it_was_given(region: &Region) {
    let make = ["iam", "create-policy", "--policy-name", "reader", "--path", "/team/", "--policy-document", READ];
    let more = ["--description", "what ada reads", "--tags", "Key=team,Value=blue"];
    let made = region.aws(&[&make[..], &more].concat())["Policy"].clone();
    assert_eq!(text(&made, "Arn"), arn("team/reader"));
    assert!(text(&made, "PolicyId").starts_with("ANPA") && made["AttachmentCount"] == 0, "{made}");
    let why = "A policy called READER already exists. Duplicate names are not allowed.";
    let again = ["iam", "create-policy", "--policy-name", "READER", "--policy-document", READ];
    assert_eq!(region.aws_refuses(&again), refusal("EntityAlreadyExists", why));
    let found = region.aws(&["iam", "get-policy", "--policy-arn", &arn("team/reader")])["Policy"].clone();
    assert_eq!(found, made);
    assert_eq!((text(&found, "Description"), text(&found, "DefaultVersionId")), ("what ada reads", "v1"));
    assert_eq!(found["Tags"], json!([{"Key": "team", "Value": "blue"}]));
    let version = ["iam", "get-policy-version", "--policy-arn", &arn("team/reader"), "--version-id", "v1"];
    let version = region.aws(&version)["PolicyVersion"].clone();
    assert_eq!(version["Document"], serde_json::from_str::<Value>(READ).expect("it is JSON"));
    let tags = |operation: &str, more: Value| {
        let input = merged(json!({"PolicyArn": arn("team/reader")}), &more);
        ("OK", iam(operation, input))
    };
    let answers = region.gets(vec![
        tags("tag_policy", json!({"Tags": [{"Key": "TEAM", "Value": "red"}, {"Key": "a", "Value": ""}]})),
        tags("untag_policy", json!({"TagKeys": ["a", "none"]})),
        tags("list_policy_tags", json!({})),
    ]);
    assert_eq!(answers[2].clone().value()["Tags"], json!([{"Key": "TEAM", "Value": "red"}]));
}

fn a_policy_has_up_to_five_versions_of_which_one_counts(region: &Region) {
    let policy = arn("team/reader");
    let make = |default: bool| {
        let input = json!({"PolicyArn": policy, "PolicyDocument": WRITE, "SetAsDefault": default});
        iam("create_policy_version", input)
    };
    let version = |operation: &str, id: &str| iam(operation, json!({"PolicyArn": policy, "VersionId": id}));
    let list = || iam("list_policy_versions", json!({"PolicyArn": policy}));
    let answers = region.gets(vec![
        ("OK", make(true)),
        ("OK", make(false)),
        ("OK", make(false)),
        ("OK", make(false)),
        ("LimitExceeded", make(true)),
        ("DeleteConflict", version("delete_policy_version", "v2")),
        ("OK", version("set_default_policy_version", "v1")),
        ("OK", version("delete_policy_version", "v5")),
        ("OK", make(false)),
        ("OK", list()),
        ("NoSuchEntity", version("get_policy_version", "v5")),
        ("OK", iam("get_policy", json!({"PolicyArn": policy}))),
    ]);
    let versions = answers[9].clone().value()["Versions"].clone();
    assert_eq!(names(&versions, "VersionId"), ["v6", "v4", "v3", "v2", "v1"], "a number is given once");
    assert!(versions[4]["IsDefaultVersion"] == true && versions[0]["IsDefaultVersion"] == false, "{versions}");
    assert!(versions[0]["Document"].is_null(), "lists leave documents out");
    assert_eq!(text(&answers[11].clone().value()["Policy"], "DefaultVersionId"), "v1");
    let pages = region.boto(vec![list().in_pages_of(2)]).remove(0).value();
    let pages: Vec<_> =
        pages.as_array().into_iter().flatten().flat_map(|page| names(&page["Versions"], "VersionId")).collect();
    assert_eq!(pages, ["v6", "v4", "v3", "v2", "v1"]);
    let why = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.";
    assert_eq!(answers[4].refusal(), refusal("LimitExceeded", why));
    assert_eq!(answers[5].refusal(), refusal("DeleteConflict", "Cannot delete the default version of a policy."));
    let why = format!("Policy {policy} version v5 does not exist or is not attachable.");
    assert_eq!(answers[10].refusal(), refusal("NoSuchEntity", &why));
}

fn a_policy_that_somebody_has_is_not_deleted(region: &Region) {
    let policy = arn("team/reader");
    let role = |operation: &str| iam(operation, json!({"RoleName": "eks-node-role", "PolicyArn": policy}));
    let this = |operation: &str| iam(operation, json!({"PolicyArn": policy}));
    let delete = |id: &str| ("OK", iam("delete_policy_version", json!({"PolicyArn": policy, "VersionId": id})));
    let answers = region.gets(vec![
        ("OK", role("attach_role_policy")),
        ("OK", role("attach_role_policy")),
        ("OK", this("get_policy")),
        ("OK", this("list_entities_for_policy")),
        ("DeleteConflict", this("delete_policy")),
        ("OK", role("detach_role_policy")),
        ("NoSuchEntity", role("detach_role_policy")),
        ("DeleteConflict", this("delete_policy")),
        delete("v2"),
        delete("v3"),
        delete("v4"),
        delete("v6"),
        ("OK", this("delete_policy")),
        ("NoSuchEntity", this("get_policy")),
        ("NoSuchEntity", role("attach_role_policy")),
    ]);
    assert_eq!(answers[2].clone().value()["Policy"]["AttachmentCount"], 1);
    let entities = answers[3].clone().value();
    assert_eq!(names(&entities["PolicyRoles"], "RoleName"), ["eks-node-role"]);
    assert_eq!((&entities["PolicyUsers"], &entities["PolicyGroups"]), (&json!([]), &json!([])));
    let refused = |n: usize, code: &str, why: &str| assert_eq!(answers[n].refusal(), refusal(code, why));
    refused(4, "DeleteConflict", "Cannot delete a policy attached to entities.");
    let why = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
    refused(7, "DeleteConflict", why);
    refused(13, "NoSuchEntity", &format!("Policy {policy} was not found."));
    refused(14, "NoSuchEntity", &format!("Policy {policy} does not exist or is not attachable."));
}

fn policies_are_listed_by_whose_they_are(region: &Region) {
    let make = |name: &str, path: &str| {
        ("OK", iam("create_policy", json!({"PolicyName": name, "Path": path, "PolicyDocument": READ})))
    };
    let list = |input: Value| ("OK", iam("list_policies", input));
    let answers = region.gets(vec![
        make("one", "/"),
        make("two", "/team/"),
        list(json!({"Scope": "Local"})),
        list(json!({"Scope": "Local", "PathPrefix": "/team/"})),
        list(json!({"Scope": "Local", "OnlyAttached": true})),
        list(json!({"Scope": "AWS", "OnlyAttached": true})),
        list(json!({"Scope": "AWS", "PathPrefix": "/service-role/"})),
        list(json!({"PolicyUsageFilter": "PermissionsBoundary"})),
    ]);
    let listed = |n: usize| names(&answers[n].clone().value()["Policies"], "PolicyName");
    assert_eq!(listed(2), ["one", "two"]);
    assert_eq!(listed(3), ["two"]);
    assert_eq!(listed(4), [""; 0]);
    let attached = [
        "AdministratorAccess",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
    ];
    assert_eq!(listed(5), attached, "what the first user and the roles of a new region have");
    assert_eq!(listed(6), ["AmazonEBSCSIDriverPolicy"]);
    assert_eq!(listed(7), [""; 0]);
    let all = region.boto(vec![iam("list_policies", json!({})).in_pages_of(10)]).remove(0).value();
    let every = |name: &str| -> Vec<String> {
        all.as_array().into_iter().flatten().flat_map(|page| names(&page["Policies"], name)).collect()
    };
    let (by_name, arns) = (every("PolicyName"), every("Arn"));
    assert!(by_name.len() > 20 && by_name.is_sorted() && arns.contains(&arn("team/two")), "{arns:?}");
}

fn those_of_aws_are_shown_and_never_changed(region: &Region) {
    let found = region.aws(&["iam", "get-policy", "--policy-arn", CLUSTER_POLICY])["Policy"].clone();
    assert_eq!(found["AttachmentCount"], 1, "the cluster role has it");
    let version = text(&found, "DefaultVersionId");
    let shown = ["iam", "get-policy-version", "--policy-arn", CLUSTER_POLICY, "--version-id", version];
    let document = region.aws(&shown)["PolicyVersion"]["Document"].clone();
    assert!(document["Statement"][0]["Action"].as_array().is_some_and(|a| a.contains(&json!("ec2:DescribeVpcs"))));
    let of_role = "arn:aws:iam::aws:policy/aws-service-role/AmazonEKSServiceRolePolicy";
    let role = json!({"RoleName": "eks-node-role", "PolicyArn": of_role});
    let answers = region.gets(vec![
        ("AccessDenied", iam("delete_policy", json!({"PolicyArn": CLUSTER_POLICY}))),
        ("AccessDenied", iam("create_policy_version", json!({"PolicyArn": CLUSTER_POLICY, "PolicyDocument": READ}))),
        ("NoSuchEntity", iam("get_policy_version", json!({"PolicyArn": CLUSTER_POLICY, "VersionId": "v99"}))),
        ("NoSuchEntity", iam("get_policy", json!({"PolicyArn": "arn:aws:iam::aws:policy/Invented"}))),
        ("PolicyNotAttachable", iam("attach_role_policy", role)),
        ("AccessDenied", iam("get_policy", json!({"PolicyArn": "arn:aws:iam::444455556666:policy/theirs"}))),
    ]);
    let why = "Cannot attach a Service Role Policy to a Customer Role.";
    assert_eq!(answers[4].refusal(), refusal("PolicyNotAttachable", why));
}

fn what_is_no_policy_is_refused(region: &Region) {
    let before = region.boto(vec![iam("list_policies", json!({"Scope": "Local"}))]).remove(0).value();
    let statement = |more: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow"{more}}}]}}"#);
    let long = READ.replace("eks:List*", &format!("eks:{}", "x".repeat(6144)));
    let cases = [
        ("{", "MalformedPolicyDocument", "This policy contains invalid Json"),
        ("{}", "MalformedPolicyDocument", "Syntax errors in policy."),
        (
            &READ.replace("2012", "2008"),
            "MalformedPolicyDocument",
            "Policy document must be version 2012-10-17 or greater.",
        ),
        (TRUST_EC2, "MalformedPolicyDocument", "Policy document should not specify a principal."),
        (&statement(r#","Resource":"*""#), "MalformedPolicyDocument", "Policy statement must contain actions."),
        (&statement(r#","Action":"eks:*""#), "MalformedPolicyDocument", "Policy statement must contain resources."),
        (
            &statement(r#","Action":"eks:*","Resource":"mine""#),
            "MalformedPolicyDocument",
            "Resource mine must be in ARN format or \"*\".",
        ),
        (&long, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144"),
    ];
    let make = |document: &str| iam("create_policy", json!({"PolicyName": "bad", "PolicyDocument": document}));
    let answers = region.gets(cases.iter().map(|(document, code, _)| (*code, make(document))).collect());
    for (answer, (document, code, why)) in answers.iter().zip(cases) {
        assert_eq!(answer.refusal(), refusal(code, why), "{document}");
    }
    let inline = |document: &str| {
        iam("put_role_policy", json!({"RoleName": "eks-node-role", "PolicyName": "p", "PolicyDocument": document}))
    };
    let answers = region.gets(vec![
        ("MalformedPolicyDocument", inline(TRUST_EC2)),
        (
            "MalformedPolicyDocument",
            iam("create_policy_version", json!({"PolicyArn": arn("one"), "PolicyDocument": "x"})),
        ),
        ("InvalidInput", iam("get_policy", json!({"PolicyArn": "arn:aws:iam::111122223333:role/x"}))),
    ]);
    let why = "ARN arn:aws:iam::111122223333:role/x is not valid.";
    assert_eq!(answers[2].refusal(), refusal("InvalidInput", why));
    let after = region.boto(vec![iam("list_policies", json!({"Scope": "Local"}))]).remove(0).value();
    assert_eq!(after["Policies"], before["Policies"]);
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let none = arn("none");
    let missing = |operation: &str, more: Value| {
        let input = merged(json!({"PolicyArn": none}), &more);
        ("NoSuchEntity", iam(operation, input))
    };
    region.gets(vec![
        missing("get_policy", json!({})),
        missing("delete_policy", json!({})),
        missing("list_entities_for_policy", json!({})),
        missing("list_policy_versions", json!({})),
        missing("list_policy_tags", json!({})),
        missing("create_policy_version", json!({"PolicyDocument": READ})),
        missing("get_policy_version", json!({"VersionId": "v1"})),
        missing("set_default_policy_version", json!({"VersionId": "v1"})),
        missing("delete_policy_version", json!({"VersionId": "v1"})),
        missing("tag_policy", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        missing("untag_policy", json!({"TagKeys": ["a"]})),
    ]);
    // This one has no errors of its own that a caller could bring about.
    region.client().stranger().gets(vec![("InvalidClientTokenId", iam("list_policies", json!({})))]);
}
