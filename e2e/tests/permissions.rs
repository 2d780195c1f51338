//! Who may do what: policies decide the very next request, on every protocol.

use e2e::{Call, Client, Region, call, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const NODE_POLICIES: [&str; 3] =
    ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"];
const DENIED: &str = "with an explicit deny in an identity-based policy";

/// A new user without policies, and what its tools call as.
fn user(region: &Region, name: &str) -> Client {
    region.aws(&["iam", "create-user", "--user-name", name]);
    let key = region.aws(&["iam", "create-access-key", "--user-name", name])["AccessKey"].clone();
    region.client().with_key(text(&key, "AccessKeyId"), text(&key, "SecretAccessKey"))
}

fn policy(statements: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn allow(action: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": "*"})
}

fn with(mut statement: Value, condition: Value) -> Value {
    statement["Condition"] = condition;
    statement
}

/// Gives a user its only inline policy.
fn put(region: &Region, user: &str, statements: Value) {
    let input = json!({"UserName": user, "PolicyName": "own", "PolicyDocument": policy(statements)});
    region.gets(vec![("OK", call("iam", "put_user_policy", input))]);
}

fn because(action: &str) -> String {
    format!("because no identity-based policy allows the {action} action")
}

fn list_clusters() -> Call {
    call("eks", "list_clusters", json!({}))
}

fn describe_vpcs() -> Call {
    call("ec2", "describe_vpcs", json!({}))
}

#[test]
fn policies_decide_who_may_do_what() {
    let region = Region::start();
    steps!((&region):
        who_has_no_policy_is_refused_in_each_services_own_words,
        a_policy_decides_the_next_request,
        a_denial_counts_more_than_any_permission,
        conditions_are_met_or_not,
        a_dry_run_says_whether_one_may,
        a_role_is_passed_only_by_whom_policies_let,
        a_session_may_do_what_its_role_may,
        a_node_may_do_what_aws_lets_it,
        what_policies_would_say_is_simulated,
        a_boundary_ends_what_policies_allow,
    );
}

fn who_has_no_policy_is_refused_in_each_services_own_words(region: &Region) {
    let ada = user(region, "ada");
    let who = format!("User: arn:aws:iam::{ACCOUNT}:user/ada is not authorized to perform:");
    let why = format!(
        "{who} eks:ListClusters on resource: arn:aws:eks:us-east-1:{ACCOUNT}:cluster/* {}",
        because("eks:ListClusters")
    );
    assert_eq!(ada.aws_refuses(&["eks", "list-clusters"]), refusal("AccessDeniedException", &why));
    let why = format!(
        "You are not authorized to perform this operation. {who} ec2:DescribeVpcs {}",
        because("ec2:DescribeVpcs")
    );
    assert_eq!(ada.aws_refuses(&["ec2", "describe-vpcs"]), refusal("UnauthorizedOperation", &why));
    let why = format!("{who} iam:ListUsers on resource: arn:aws:iam::{ACCOUNT}:user/* {}", because("iam:ListUsers"));
    assert_eq!(ada.aws_refuses(&["iam", "list-users"]), refusal("AccessDenied", &why));
    let before = region.account();
    ada.gets(vec![
        ("AccessDeniedException", call("kms", "list_keys", json!({}))),
        ("AccessDeniedException", call("ecr", "get_authorization_token", json!({}))),
        ("AccessDeniedException", call("logs", "create_log_group", json!({"logGroupName": "/ada"}))),
        ("AccessDeniedException", call("ssm", "get_parameters", json!({"Names": ["/none"]}))),
        ("AccessDenied", call("autoscaling", "describe_auto_scaling_groups", json!({}))),
        ("AccessDenied", call("iam", "create_user", json!({"UserName": "mallory"}))),
        ("UnauthorizedOperation", call("ec2", "create_vpc", json!({"CidrBlock": "10.7.0.0/16"}))),
        ("OK", call("sts", "get_caller_identity", json!({}))),
    ]);
    assert_eq!(region.account(), before);
}

fn a_policy_decides_the_next_request(region: &Region) {
    let bob = user(region, "bob");
    let of = |operation: &str, more: Value| {
        let input = e2e::merged(json!({"UserName": "bob"}), &more);
        region.gets(vec![("OK", call("iam", operation, input))]);
    };
    let reader = json!({"PolicyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"});
    let inline = json!({"PolicyName": "own", "PolicyDocument": policy(allow("eks:List*"))});
    let may = |codes: [&str; 2]| drop(bob.gets(vec![(codes[0], list_clusters()), (codes[1], describe_vpcs())]));
    may(["AccessDeniedException", "UnauthorizedOperation"]);
    of("put_user_policy", inline);
    may(["OK", "UnauthorizedOperation"]);
    of("attach_user_policy", reader.clone());
    may(["OK", "OK"]);
    of("delete_user_policy", json!({"PolicyName": "own"}));
    of("detach_user_policy", reader);
    may(["AccessDeniedException", "UnauthorizedOperation"]);
    // By a group, and by a policy of the account's own.
    let made = json!({"PolicyName": "list", "PolicyDocument": policy(allow("eks:ListClusters"))});
    let arn = format!("arn:aws:iam::{ACCOUNT}:policy/list");
    region.gets(vec![
        ("OK", call("iam", "create_group", json!({"GroupName": "readers"}))),
        ("OK", call("iam", "create_policy", made)),
        ("OK", call("iam", "attach_group_policy", json!({"GroupName": "readers", "PolicyArn": arn}))),
    ]);
    of("add_user_to_group", json!({"GroupName": "readers"}));
    may(["OK", "UnauthorizedOperation"]);
    let next = json!({"PolicyArn": arn, "PolicyDocument": policy(allow("ec2:*")), "SetAsDefault": true});
    region.gets(vec![("OK", call("iam", "create_policy_version", next))]);
    may(["AccessDeniedException", "OK"]);
    of("remove_user_from_group", json!({"GroupName": "readers"}));
    may(["AccessDeniedException", "UnauthorizedOperation"]);
}

fn a_denial_counts_more_than_any_permission(region: &Region) {
    let carl = user(region, "carl");
    put(region, "carl", json!([allow("*"), {"Effect": "Deny", "Action": "eks:*", "Resource": "*"}]));
    let answers = carl.gets(vec![("AccessDeniedException", list_clusters()), ("OK", describe_vpcs())]);
    assert!(answers[0].refusal().message.ends_with(DENIED), "{answers:?}");
}

fn conditions_are_met_or_not(region: &Region) {
    let dora = user(region, "dora");
    let home = |at: &str| json!({"StringEquals": {"aws:RequestedRegion": at}});
    put(region, "dora", with(allow("eks:List*"), home("eu-west-1")));
    dora.gets(vec![("AccessDeniedException", list_clusters())]);
    put(region, "dora", with(allow("eks:List*"), home("us-east-1")));
    dora.gets(vec![("OK", list_clusters())]);
    let tagged = json!({"StringEquals": {"aws:RequestTag/team": "blue"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}});
    let on_create = json!({"StringEquals": {"ec2:CreateAction": "CreateVpc"}});
    let own = json!({"StringEquals": {"aws:ResourceTag/team": "blue"}});
    put(
        region,
        "dora",
        json!([
            with(allow("ec2:CreateVpc"), tagged),
            with(allow("ec2:CreateTags"), on_create),
            with(allow("ec2:DeleteVpc"), own)
        ]),
    );
    let create = |tags: &str| {
        let tags = format!("ResourceType=vpc,Tags=[{tags}]");
        ["ec2", "create-vpc", "--cidr-block", "10.7.0.0/16", "--tag-specifications", &tags].map(str::to_owned)
    };
    for tags in ["{Key=team,Value=red}", "{Key=team,Value=blue},{Key=more,Value=x}"] {
        let found = dora.aws_refuses(&create(tags).each_ref().map(String::as_str));
        assert!(found.code == "UnauthorizedOperation" && found.message.contains("ec2:CreateVpc"), "{found:?}");
    }
    let made = dora.aws(&create("{Key=team,Value=blue}").each_ref().map(String::as_str))["Vpc"].clone();
    let id = text(&made, "VpcId");
    let delete = || call("ec2", "delete_vpc", json!({"VpcId": id}));
    let tag =
        |value: &str| call("ec2", "create_tags", json!({"Resources": [id], "Tags": [{"Key": "team", "Value": value}]}));
    let found = dora.gets(vec![("UnauthorizedOperation", tag("red"))]).remove(0).refusal();
    assert!(found.message.contains("ec2:CreateTags on resource: "), "{found:?}");
    region.gets(vec![("OK", tag("red"))]);
    dora.gets(vec![("UnauthorizedOperation", delete())]);
    region.gets(vec![("OK", tag("blue"))]);
    dora.gets(vec![("OK", delete())]);
}

fn a_dry_run_says_whether_one_may(region: &Region) {
    let eve = user(region, "eve");
    let dry = || call("ec2", "create_vpc", json!({"CidrBlock": "10.7.0.0/16", "DryRun": true}));
    eve.gets(vec![("UnauthorizedOperation", dry())]);
    put(region, "eve", allow("ec2:CreateVpc"));
    eve.gets(vec![("DryRunOperation", dry())]);
}

fn a_role_is_passed_only_by_whom_policies_let(region: &Region) {
    let finn = user(region, "finn");
    let role = format!("arn:aws:iam::{ACCOUNT}:role/eks-cluster-role");
    let subnets = region.aws(&["ec2", "describe-subnets", "--query", "Subnets[].SubnetId"]);
    let input = json!({"name": "passed", "roleArn": role, "resourcesVpcConfig": {"subnetIds": subnets}});
    let create = || call("eks", "create_cluster", input.clone());
    let pass = |service: &str| {
        let mut statement = with(allow("iam:PassRole"), json!({"StringEquals": {"iam:PassedToService": service}}));
        statement["Resource"] = json!(role);
        statement
    };
    let refused = || {
        let found = finn.gets(vec![("AccessDeniedException", create())]).remove(0).refusal();
        let why = format!("iam:PassRole on resource: {role} {}", because("iam:PassRole"));
        assert!(found.message.ends_with(&why), "{found:?}");
    };
    put(region, "finn", allow("eks:*"));
    refused();
    put(region, "finn", json!([allow("eks:*"), pass("ec2.amazonaws.com")]));
    refused();
    put(region, "finn", json!([allow("eks:*"), pass("eks.amazonaws.com")]));
    finn.gets(vec![("OK", create()), ("OK", call("eks", "delete_cluster", json!({"name": "passed"})))]);
}

/// Who has a session of the role.
fn session(region: &Region, role: &str) -> Client {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    let command = ["sts", "assume-role", "--role-arn", &arn, "--role-session-name", "story"];
    let credentials = region.aws(&command)["Credentials"].clone();
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| text(&credentials, name));
    region.client().with_key(id, secret).with("AWS_SESSION_TOKEN", token)
}

fn create_role(region: &Region, name: &str) {
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    let trust = policy(json!({"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}));
    region.aws(&["iam", "create-role", "--role-name", name, "--assume-role-policy-document", &trust]);
}

fn a_session_may_do_what_its_role_may(region: &Region) {
    create_role(region, "limited");
    let limited = session(region, "limited");
    let found = limited.aws_refuses(&["eks", "list-clusters"]);
    let who = format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/limited/story is not authorized");
    assert!(found.message.starts_with(&who), "{found:?}");
    let document = policy(with(allow("eks:List*"), json!({"StringLike": {"aws:userid": "*:story"}})));
    let named = ["--role-name", "limited", "--policy-name", "own", "--policy-document", &document];
    region.aws(&[&["iam", "put-role-policy"][..], &named].concat());
    limited.gets(vec![("OK", list_clusters()), ("UnauthorizedOperation", describe_vpcs())]);
    // How sessions are revoked (IAM user guide, "Revoke IAM role temporary security credentials").
    let before = json!({"DateLessThan": {"aws:TokenIssueTime": "2999-01-01T00:00:00Z"}});
    let older = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": before});
    let document = policy(older);
    let named = ["--role-name", "limited", "--policy-name", "AWSRevokeOlderSessions", "--policy-document", &document];
    region.aws(&[&["iam", "put-role-policy"][..], &named].concat());
    let answers = limited.gets(vec![("AccessDeniedException", list_clusters())]);
    assert!(answers[0].refusal().message.ends_with(DENIED), "{answers:?}");
}

fn a_node_may_do_what_aws_lets_it(region: &Region) {
    create_role(region, "worker");
    for name in NODE_POLICIES {
        let arn = format!("arn:aws:iam::aws:policy/{name}");
        region.aws(&["iam", "attach-role-policy", "--role-name", "worker", "--policy-arn", &arn]);
    }
    let worker = session(region, "worker");
    let subnet = region.aws(&["ec2", "describe-subnets", "--query", "Subnets[0].SubnetId"]);
    let tags = json!([{"ResourceType": "network-interface", "Tags": [{"Key": "node.k8s.amazonaws.com/instance_id", "Value": "i-1"}]}]);
    let made = call("ec2", "create_network_interface", json!({"SubnetId": subnet, "TagSpecifications": tags}));
    let interface = worker.gets(vec![("OK", made)]).remove(0).value()["NetworkInterface"].clone();
    let id = text(&interface, "NetworkInterfaceId");
    let tag = |id: &Value| call("ec2", "create_tags", json!({"Resources": [id], "Tags": [{"Key": "a", "Value": "b"}]}));
    worker.gets(vec![
        ("OK", tag(&json!(id))),
        ("UnauthorizedOperation", tag(&subnet)),
        (
            "OK",
            call(
                "ec2",
                "assign_private_ip_addresses",
                json!({"NetworkInterfaceId": id, "SecondaryPrivateIpAddressCount": 1}),
            ),
        ),
        ("OK", call("ec2", "describe_network_interfaces", json!({}))),
        ("OK", call("ec2", "delete_network_interface", json!({"NetworkInterfaceId": id}))),
        ("OK", call("ecr", "get_authorization_token", json!({}))),
        ("ResourceNotFoundException", call("eks", "describe_cluster", json!({"name": "none"}))),
        ("AccessDeniedException", list_clusters()),
        ("AccessDeniedException", call("ecr", "create_repository", json!({"repositoryName": "mine"}))),
        ("UnauthorizedOperation", call("ec2", "delete_subnet", json!({"SubnetId": subnet}))),
        ("AccessDenied", call("iam", "list_users", json!({}))),
    ]);
}

fn what_policies_would_say_is_simulated(region: &Region) {
    user(region, "gale");
    put(
        region,
        "gale",
        json!([
            with(allow("eks:*"), json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}})),
            {"Effect": "Deny", "Action": "eks:Delete*", "Resource": "arn:aws:eks:*:*:cluster/prod"},
            {"Effect": "Allow", "Action": "iam:*AccessKey*", "Resource": "arn:aws:iam::*:user/${aws:username}"}
        ]),
    );
    let gale = format!("arn:aws:iam::{ACCOUNT}:user/gale");
    let reader = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    region.aws(&["iam", "attach-user-policy", "--user-name", "gale", "--policy-arn", reader]);
    let simulated = |more: &[&str]| {
        let command = ["iam", "simulate-principal-policy", "--policy-source-arn", &gale];
        region.aws(&[&command, more].concat())["EvaluationResults"].clone()
    };
    let found = simulated(&["--action-names", "eks:ListClusters", "ec2:DescribeVpcs", "ec2:DeleteVpc"]);
    let decisions = |found: &Value| -> Vec<String> {
        found.as_array().into_iter().flatten().map(|result| text(result, "EvalDecision").to_owned()).collect()
    };
    assert_eq!(decisions(&found), ["implicitDeny", "allowed", "implicitDeny"]);
    assert_eq!(found[0]["MissingContextValues"], json!(["aws:RequestedRegion"]));
    let source = json!([{"SourcePolicyId": "AmazonEKSWorkerNodePolicy", "SourcePolicyType": "aws-managed"}]);
    assert_eq!(found[1]["MatchedStatements"], source);
    let home = "ContextKeyName=aws:requestedregion,ContextKeyValues=us-east-1,ContextKeyType=string";
    let clusters = ["prod", "test"].map(|name| format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{name}"));
    let [prod, test] = clusters.each_ref().map(String::as_str);
    let asked = ["--action-names", "eks:DeleteCluster", "--resource-arns", prod, test, "--context-entries", home];
    let found = simulated(&asked);
    assert_eq!(decisions(&found), ["explicitDeny", "allowed"]);
    assert_eq!(found[1]["ResourceSpecificResults"][0]["EvalResourceDecision"], "allowed");
    assert_eq!(found[0]["MatchedStatements"], json!([{"SourcePolicyId": "own", "SourcePolicyType": "user"}]));
    let keys = ["--action-names", "iam:CreateAccessKey", "--resource-arns", &gale];
    assert_eq!(decisions(&simulated(&keys)), ["allowed"]);
    let custom = |policies: Value, action: &str| {
        call("iam", "simulate_custom_policy", json!({"PolicyInputList": policies, "ActionNames": [action]}))
    };
    let principal = |arn: &str| {
        call("iam", "simulate_principal_policy", json!({"PolicySourceArn": arn, "ActionNames": ["eks:ListClusters"]}))
    };
    let answers = region.gets(vec![
        ("OK", custom(json!([policy(allow("eks:List*"))]), "eks:ListClusters")),
        ("InvalidInput", custom(json!(["{"]), "eks:ListClusters")),
        ("InvalidInput", custom(json!([policy(allow("*"))]), "eks:*")),
        ("NoSuchEntity", principal(&format!("arn:aws:iam::{ACCOUNT}:user/none"))),
        ("InvalidInput", principal(&format!("arn:aws:sts::{ACCOUNT}:assumed-role/limited/story"))),
    ]);
    let custom = answers[0].clone().value()["EvaluationResults"][0].clone();
    assert_eq!(custom["EvalDecision"], "allowed");
    assert_eq!(custom["MatchedStatements"][0]["SourcePolicyId"], "PolicyInputList.1");
}

fn a_boundary_ends_what_policies_allow(region: &Region) {
    let made =
        ["iam", "create-policy", "--policy-name", "limit", "--policy-document", &policy(json!([allow("eks:*")]))];
    let limit = text(&region.aws(&made)["Policy"], "Arn").to_owned();
    let hal = user(region, "hal");
    put(region, "hal", json!([allow("eks:ListClusters"), allow("ec2:*")]));
    hal.gets(vec![("OK", list_clusters()), ("OK", describe_vpcs())]);
    region.aws(&["iam", "put-user-permissions-boundary", "--user-name", "hal", "--permissions-boundary", &limit]);
    let answers = hal.gets(vec![("OK", list_clusters()), ("UnauthorizedOperation", describe_vpcs())]);
    let why = answers[1].refusal().message;
    assert!(why.ends_with("because no permissions boundary allows the ec2:DescribeVpcs action"), "{why}");
    let shown = region.aws(&["iam", "get-user", "--user-name", "hal"])["User"]["PermissionsBoundary"].clone();
    assert_eq!(text(&shown, "PermissionsBoundaryArn"), limit);
    let hal_arn = format!("arn:aws:iam::{ACCOUNT}:user/hal");
    let simulate = ["iam", "simulate-principal-policy", "--policy-source-arn", &hal_arn];
    let actions = ["--action-names", "eks:ListClusters", "ec2:DescribeVpcs"];
    let found = region.aws(&[&simulate[..], &actions].concat())["EvaluationResults"].clone();
    let said = |n: usize| (found[n]["EvalDecision"].clone(), found[n]["PermissionsBoundaryDecisionDetail"].clone());
    assert_eq!(said(0), (json!("allowed"), json!({"AllowedByPermissionsBoundary": true})));
    assert_eq!(said(1), (json!("implicitDeny"), json!({"AllowedByPermissionsBoundary": false})));

    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}});
    let role = json!({"RoleName": "bounded", "AssumeRolePolicyDocument": policy(trust), "PermissionsBoundary": limit});
    let of = |name: &str| json!({"RoleName": name});
    let with = |name: &str, boundary: &str| json!({"RoleName": name, "PermissionsBoundary": boundary});
    let of_user = |name: &str| json!({"UserName": name});
    let with_user = |name: &str, boundary: &str| json!({"UserName": name, "PermissionsBoundary": boundary});
    let iam = |operation: &str, input: Value| call("iam", operation, input);
    let entities =
        |usage: &str| ("OK", iam("list_entities_for_policy", json!({"PolicyArn": limit, "PolicyUsageFilter": usage})));
    let answers = region.gets(vec![
        ("OK", iam("create_role", role)),
        ("OK", iam("get_policy", json!({"PolicyArn": limit}))),
        entities("PermissionsBoundary"),
        entities("PermissionsPolicy"),
        ("OK", iam("list_policies", json!({"PolicyUsageFilter": "PermissionsBoundary"}))),
        ("DeleteConflict", iam("delete_policy", json!({"PolicyArn": limit}))),
        ("OK", iam("put_role_permissions_boundary", with("bounded", "arn:aws:iam::aws:policy/AdministratorAccess"))),
        ("NoSuchEntity", iam("put_role_permissions_boundary", with("bounded", "arn:aws:iam::aws:policy/None"))),
        ("NoSuchEntity", iam("put_role_permissions_boundary", with("none", &limit))),
        ("OK", iam("delete_role_permissions_boundary", of("bounded"))),
        ("NoSuchEntity", iam("delete_role_permissions_boundary", of("none"))),
        ("InvalidInput", iam("put_user_permissions_boundary", with_user("hal", &hal_arn))),
        ("NoSuchEntity", iam("put_user_permissions_boundary", with_user("none", &limit))),
        ("OK", iam("delete_user_permissions_boundary", of_user("hal"))),
        ("NoSuchEntity", iam("delete_user_permissions_boundary", of_user("none"))),
        ("OK", iam("delete_policy", json!({"PolicyArn": limit}))),
        ("OK", iam("delete_role", of("bounded"))),
    ]);
    let made = answers[0].clone().value()["Role"]["PermissionsBoundary"].clone();
    assert_eq!(made["PermissionsBoundaryArn"], json!(limit));
    assert_eq!(answers[1].clone().value()["Policy"]["PermissionsBoundaryUsageCount"], 2);
    let bounded = answers[2].clone().value();
    let names = (&bounded["PolicyRoles"][0]["RoleName"], &bounded["PolicyUsers"][0]["UserName"]);
    assert_eq!(names, (&json!("bounded"), &json!("hal")));
    let attached = answers[3].clone().value();
    assert_eq!((&attached["PolicyRoles"], &attached["PolicyUsers"]), (&json!([]), &json!([])));
    assert_eq!(answers[4].clone().value()["Policies"][0]["PolicyName"], "limit");
    hal.gets(vec![("OK", list_clusters()), ("OK", describe_vpcs())]);
}
