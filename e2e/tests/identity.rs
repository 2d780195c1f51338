//! Who calls: sessions of roles, what nodes get their role by, and what finds the image for a node.

use e2e::{Answer, Client, Region, Request, call, merged, refusal, steps, text, until};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

const ACCOUNT: &str = "111122223333";
const TRUST_ACCOUNT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole","Condition":{"StringEqualsIfExists":{"sts:ExternalId":"42"}}}]}"#;
const EVERYTHING: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const INVALID: &str = "The security token included in the request is invalid.";
const IMAGE: &str = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";

/// Who has these credentials.
fn holder(region: &Region, credentials: &Value) -> Client {
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| text(credentials, name));
    region.client().with_key(id, secret).with("AWS_SESSION_TOKEN", token)
}

fn assume(client: &Client, role: &str, more: &[&str]) -> Value {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    let command = ["sts", "assume-role", "--role-arn", &arn, "--role-session-name", "ada@example.com"];
    client.aws(&[&command, more].concat())
}

fn create_role(region: &Region, name: &str) {
    region.aws(&["iam", "create-role", "--role-name", name, "--assume-role-policy-document", TRUST_ACCOUNT]);
}

#[test]
fn a_role_lends_its_name_for_a_while() {
    let region = Region::start();
    create_role(&region, "dev");
    region.aws(&["iam", "attach-role-policy", "--role-name", "dev", "--policy-arn", EVERYTHING]);
    steps!((&region):
        a_session_calls_as_its_role,
        a_session_is_nothing_without_its_own_token,
        a_profile_assumes_its_role_by_itself,
        a_role_is_assumed_as_it_allows_and_no_longer,
        a_session_is_narrowed_by_policies_of_its_own,
        a_users_own_session_is_the_user,
        the_sessions_of_a_deleted_role_are_over,
    );
}

fn a_session_calls_as_its_role(region: &Region) {
    let answer = assume(&region.client(), "dev", &["--external-id", "42"]);
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/dev/ada@example.com");
    assert_eq!(text(&answer["AssumedRoleUser"], "Arn"), arn);
    let session = holder(region, &answer["Credentials"]);
    let identity = session.aws(&["sts", "get-caller-identity"]);
    assert_eq!((text(&identity, "Arn"), text(&identity, "Account")), (arn.as_str(), ACCOUNT));
    assert_eq!(identity["UserId"], answer["AssumedRoleUser"]["AssumedRoleId"]);
    assert_eq!(session.aws(&["eks", "list-clusters"])["clusters"], json!([]));
    assert_eq!(session.aws(&["ec2", "describe-vpcs"])["Vpcs"].as_array().map(Vec::len), Some(1));
    let presigned = Request::new("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15").presigned(60);
    let reply = session.send(vec![presigned]).remove(0);
    assert!(reply.status == 200 && reply.body.contains(&arn), "{reply:?}");
    let why = "Must specify userName when calling with non-User credentials";
    assert_eq!(session.aws_refuses(&["iam", "get-user"]), refusal("ValidationError", why));
}

fn a_session_is_nothing_without_its_own_token(region: &Region) {
    let [one, two] = [(); 2].map(|()| assume(&region.client(), "dev", &[])["Credentials"].clone());
    let session = holder(region, &one);
    let foreign = session.with("AWS_SESSION_TOKEN", text(&two, "SessionToken"));
    let bare = region.client().with_key(text(&one, "AccessKeyId"), text(&one, "SecretAccessKey"));
    let users = region.client().with("AWS_SESSION_TOKEN", text(&one, "SessionToken"));
    let calls = [
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("eks", "list_clusters", "UnrecognizedClientException"),
        ("ssm", "get_parameters_by_path", "UnrecognizedClientException"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ];
    for client in [foreign, bare, users] {
        let answers = client.boto(calls.map(|(service, name, _)| call(service, name, json!({}))).into());
        for (answer, (service, _, code)) in answers.iter().zip(calls) {
            let found = answer.refusal();
            assert_eq!(found.code, code, "{service}: {found:?}");
        }
        assert_eq!(answers[0].refusal(), refusal("InvalidClientTokenId", INVALID));
    }
    assert!(session.aws(&["sts", "get-caller-identity"])["Arn"].is_string());
}

fn a_profile_assumes_its_role_by_itself(region: &Region) {
    let admin = region.client();
    let [id, secret, endpoint] =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"].map(|name| admin.variable(name));
    let file = admin.home().join("profiles");
    let profiles = format!(
        "[profile admin]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\
         [profile dev]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/dev\nsource_profile = admin\n\
         endpoint_url = {endpoint}\nregion = us-east-1\n"
    );
    fs::write(&file, profiles).expect("a file can be written");
    let identity = admin.with("AWS_CONFIG_FILE", &file.to_string_lossy());
    let identity = identity.aws(&["--profile", "dev", "sts", "get-caller-identity"]);
    let prefix = format!("arn:aws:sts::{ACCOUNT}:assumed-role/dev/botocore-session-");
    assert!(text(&identity, "Arn").starts_with(&prefix), "{identity}");
    fs::remove_file(&file).expect("the file can be removed");
}

fn a_role_is_assumed_as_it_allows_and_no_longer(region: &Region) {
    let dev = format!("arn:aws:iam::{ACCOUNT}:role/dev");
    let refused = |client: &Client, role: &str, more: &[&str]| {
        let command = ["sts", "assume-role", "--role-session-name", "ada", "--role-arn", role];
        client.aws_refuses(&[&command, more].concat())
    };
    let denied = |role: &str| {
        let who = format!("arn:aws:iam::{ACCOUNT}:user/admin");
        let why = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {role}");
        refusal("AccessDenied", &why)
    };
    let admin = &region.client();
    // EC2 may be this one, and nobody else; that there is none is not told.
    for role in ["eks-node-role", "none"].map(|name| format!("arn:aws:iam::{ACCOUNT}:role/{name}")) {
        assert_eq!(refused(admin, &role, &[]), denied(&role));
    }
    assert_eq!(refused(admin, &dev, &["--external-id", "43"]), denied(&dev));
    let why = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    assert_eq!(refused(admin, &dev, &["--duration-seconds", "3601"]), refusal("ValidationError", why));
    region.aws(&["iam", "update-role", "--role-name", "dev", "--max-session-duration", "43200"]);
    let session = holder(region, &assume(admin, "dev", &["--duration-seconds", "43200"])["Credentials"]);
    let why = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
    assert_eq!(refused(&session, &dev, &["--duration-seconds", "3601"]), refusal("ValidationError", why));
    assert!(assume(&session, "dev", &[])["Credentials"].is_object());
    let tags = refused(admin, &dev, &["--tags", "Key=team,Value=blue"]);
    assert!(tags.code == "ValidationError" && tags.message.contains("does not evaluate Tags"), "{tags:?}");
}

/// The role may do everything; each of its sessions what one of its own policies allows.
fn a_session_is_narrowed_by_policies_of_its_own(region: &Region) {
    let admin = &region.client();
    let only = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "eks:List*", "Resource": "*"}}"#;
    let reader = "arn=arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    let narrow = holder(region, &assume(admin, "dev", &["--policy", only])["Credentials"]);
    narrow.aws(&["eks", "list-clusters"]);
    let found = narrow.aws_refuses(&["ec2", "describe-vpcs"]);
    assert_eq!(found.code, "UnauthorizedOperation");
    let found = narrow.aws_refuses(&["iam", "list-roles"]);
    assert!(found.message.ends_with("because no session policy allows the iam:ListRoles action"), "{found:?}");
    let both = holder(region, &assume(admin, "dev", &["--policy", only, "--policy-arns", reader])["Credentials"]);
    both.aws(&["eks", "list-clusters"]);
    both.aws(&["ec2", "describe-vpcs"]);
    let whole = holder(region, &assume(admin, "dev", &[])["Credentials"]);
    whole.aws(&["iam", "list-roles"]);
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/dev");
    let refused =
        admin.aws_refuses(&["sts", "assume-role", "--role-session-name", "ada", "--role-arn", &arn, "--policy", "{}"]);
    assert_eq!(refused.code, "MalformedPolicyDocument");
}

fn a_users_own_session_is_the_user(region: &Region) {
    let credentials = region.aws(&["sts", "get-session-token", "--duration-seconds", "900"])["Credentials"].clone();
    let session = holder(region, &credentials);
    let identity = session.aws(&["sts", "get-caller-identity"]);
    assert_eq!(identity, region.aws(&["sts", "get-caller-identity"]));
    let why = "Cannot call GetSessionToken with session credentials";
    assert_eq!(session.aws_refuses(&["sts", "get-session-token"]), refusal("AccessDenied", why));
}

fn the_sessions_of_a_deleted_role_are_over(region: &Region) {
    let session = holder(region, &assume(&region.client(), "dev", &[])["Credentials"]);
    region.aws(&["iam", "detach-role-policy", "--role-name", "dev", "--policy-arn", EVERYTHING]);
    region.aws(&["iam", "delete-role", "--role-name", "dev"]);
    let ask = || session.boto(vec![call("sts", "get_caller_identity", json!({}))]).remove(0);
    let answer = until("the session is over", Duration::from_secs(10), || Some(ask()).filter(Answer::is_refusal));
    assert_eq!(answer.refusal(), refusal("InvalidClientTokenId", INVALID));
}

#[test]
fn nodes_find_their_role_and_their_image() {
    let region = Region::start();
    steps!((&region):
        a_new_region_has_a_role_for_nodes,
        an_instance_profile_holds_a_role,
        a_role_has_policies_of_its_own,
        profiles_have_tags_and_are_listed,
        a_role_trusts_whom_it_is_told_to,
        the_image_for_a_node_is_a_public_parameter,
        every_operation_says_what_is_not_there,
    );
}

fn a_new_region_has_a_role_for_nodes(region: &Region) {
    let role = region.aws(&["iam", "get-role", "--role-name", "eks-node-role"])["Role"].clone();
    assert_eq!(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
    let policies = region.aws(&["iam", "list-attached-role-policies", "--role-name", "eks-node-role"]);
    let names: Vec<&str> = policies["AttachedPolicies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|policy| text(policy, "PolicyName"))
        .collect();
    assert_eq!(names, ["AmazonEC2ContainerRegistryReadOnly", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"]);
}

fn an_instance_profile_holds_a_role(region: &Region) {
    let named = ["--instance-profile-name", "nodes"];
    let both = ["--instance-profile-name", "nodes", "--role-name", "eks-node-role"];
    let iam = |operation: &str, arguments: &[&str]| region.aws(&[&["iam", operation], arguments].concat());
    let refused = |operation: &str, arguments: &[&str]| region.aws_refuses(&[&["iam", operation], arguments].concat());
    iam("create-instance-profile", &named);
    iam("add-role-to-instance-profile", &both);
    let found = iam("get-instance-profile", &named)["InstanceProfile"].clone();
    assert_eq!(text(&found, "Arn"), format!("arn:aws:iam::{ACCOUNT}:instance-profile/nodes"));
    assert_eq!(text(&found["Roles"][0], "RoleName"), "eks-node-role");
    let why = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
    assert_eq!(refused("add-role-to-instance-profile", &both), refusal("LimitExceeded", why));
    let why = "Cannot delete entity, must remove roles from instance profile first.";
    assert_eq!(refused("delete-role", &["--role-name", "eks-node-role"]), refusal("DeleteConflict", why));
    assert_eq!(refused("delete-instance-profile", &named), refusal("DeleteConflict", why));
    let listed = iam("list-instance-profiles-for-role", &["--role-name", "eks-node-role"]);
    assert_eq!(text(&listed["InstanceProfiles"][0], "InstanceProfileName"), "nodes");
    iam("remove-role-from-instance-profile", &both);
    iam("delete-instance-profile", &named);
    let why = "Instance Profile nodes cannot be found.";
    assert_eq!(refused("get-instance-profile", &named), refusal("NoSuchEntity", why));
}

fn a_role_has_policies_of_its_own(region: &Region) {
    let iam = |operation: &str, arguments: &[&str]| {
        region.aws(&[&["iam", operation, "--role-name", "eks-node-role"], arguments].concat())
    };
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let named = ["--policy-name", "inline"];
    iam("put-role-policy", &[&named[..], &["--policy-document", document]].concat());
    let found = iam("get-role-policy", &named);
    assert_eq!(found["PolicyDocument"], serde_json::from_str::<Value>(document).expect("it is JSON"));
    assert_eq!(iam("list-role-policies", &[])["PolicyNames"], json!(["inline"]));
    iam("tag-role", &["--tags", "Key=team,Value=blue"]);
    assert_eq!(iam("list-role-tags", &[])["Tags"], json!([{"Key": "team", "Value": "blue"}]));
    iam("untag-role", &["--tag-keys", "TEAM"]);
    assert_eq!(iam("list-role-tags", &[])["Tags"], json!([]));
    iam("delete-role-policy", &named);
    let users = region.aws(&["iam", "list-users"])["Users"].clone();
    assert_eq!(text(&users[0], "UserName"), "admin");
    let why = "Cannot delete entity, must delete access keys first.";
    let refused = region.aws_refuses(&["iam", "delete-user", "--user-name", "admin"]);
    assert_eq!(refused, refusal("DeleteConflict", why));
    let keys = region.aws(&["iam", "list-access-keys"])["AccessKeyMetadata"].clone();
    assert_eq!(text(&keys[0], "AccessKeyId"), region.client().variable("AWS_ACCESS_KEY_ID"));
}

fn profiles_have_tags_and_are_listed(region: &Region) {
    let iam = |operation: &str, more: Value| {
        let input = merged(json!({"InstanceProfileName": "tagged"}), &more);
        call("iam", operation, input)
    };
    let answers = region.gets(vec![
        ("OK", iam("create_instance_profile", json!({}))),
        ("EntityAlreadyExists", iam("create_instance_profile", json!({}))),
        ("OK", iam("tag_instance_profile", json!({"Tags": [{"Key": "team", "Value": "blue"}]}))),
        ("OK", iam("list_instance_profile_tags", json!({}))),
        ("OK", iam("untag_instance_profile", json!({"TagKeys": ["team"]}))),
        ("OK", iam("list_instance_profile_tags", json!({}))),
        ("OK", call("iam", "list_instance_profiles", json!({}))),
        ("OK", iam("delete_instance_profile", json!({}))),
    ]);
    assert_eq!(answers[3].clone().value()["Tags"], json!([{"Key": "team", "Value": "blue"}]));
    assert_eq!(answers[5].clone().value()["Tags"], json!([]));
    let listed = answers[6].clone().value()["InstanceProfiles"].clone();
    let names = listed.as_array().into_iter().flatten().map(|profile| text(profile, "InstanceProfileName"));
    assert_eq!(names.collect::<Vec<_>>(), ["tagged"]);
}

fn a_role_trusts_whom_it_is_told_to(region: &Region) {
    let trust = |document: &str| {
        call("iam", "update_assume_role_policy", json!({"RoleName": "lent", "PolicyDocument": document}))
    };
    let nobody = TRUST_ACCOUNT.replace("Allow", "Deny");
    create_role(region, "lent");
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/lent");
    let assume = || call("sts", "assume_role", json!({"RoleArn": arn, "RoleSessionName": "ada"}));
    region.gets(vec![
        ("OK", assume()),
        ("OK", trust(&nobody)),
        ("AccessDenied", assume()),
        ("MalformedPolicyDocument", trust("{")),
        ("OK", call("iam", "delete_role", json!({"RoleName": "lent"}))),
    ]);
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let before = region.account();
    let iam = |operation: &str, input: Value| ("NoSuchEntity", call("iam", operation, input));
    let (role, profile, user) =
        (json!({"RoleName": "none"}), json!({"InstanceProfileName": "none"}), json!({"UserName": "none"}));
    let both = json!({"RoleName": "none", "InstanceProfileName": "none"});
    let policy = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy";
    let attached = json!({"RoleName": "none", "PolicyArn": policy});
    let inline = json!({"RoleName": "none", "PolicyName": "p"});
    let tags = json!([{"Key": "a", "Value": "b"}]);
    region.gets(vec![
        iam("get_role", role.clone()),
        iam("delete_role", role.clone()),
        iam("update_role", role.clone()),
        iam("list_attached_role_policies", role.clone()),
        iam("list_role_policies", role.clone()),
        iam("list_role_tags", role.clone()),
        iam("list_instance_profiles_for_role", role),
        iam("attach_role_policy", attached.clone()),
        iam("detach_role_policy", attached),
        iam("get_role_policy", inline.clone()),
        iam("delete_role_policy", inline),
        iam("put_role_policy", json!({"RoleName": "none", "PolicyName": "p", "PolicyDocument": TRUST_ACCOUNT})),
        iam("tag_role", json!({"RoleName": "none", "Tags": tags})),
        iam("untag_role", json!({"RoleName": "none", "TagKeys": ["a"]})),
        iam("update_assume_role_policy", json!({"RoleName": "none", "PolicyDocument": TRUST_ACCOUNT})),
        iam("get_instance_profile", profile.clone()),
        iam("delete_instance_profile", profile.clone()),
        iam("list_instance_profile_tags", profile),
        iam("tag_instance_profile", json!({"InstanceProfileName": "none", "Tags": tags})),
        iam("untag_instance_profile", json!({"InstanceProfileName": "none", "TagKeys": ["a"]})),
        iam("add_role_to_instance_profile", both.clone()),
        iam("remove_role_from_instance_profile", both),
        iam("get_user", user.clone()),
        iam("delete_user", user.clone()),
        iam("create_access_key", user.clone()),
        iam("list_access_keys", user),
        iam("delete_access_key", json!({"UserName": "admin", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE"})),
        ("OK", call("iam", "create_user", json!({"UserName": "ada"}))),
        ("EntityAlreadyExists", call("iam", "create_user", json!({"UserName": "ada"}))),
        (
            "NoSuchEntity",
            call(
                "iam",
                "create_user",
                json!({"UserName": "eve", "PermissionsBoundary": "arn:aws:iam::aws:policy/None"}),
            ),
        ),
        ("OK", call("iam", "get_user", json!({"UserName": "ada"}))),
        ("OK", call("iam", "delete_user", json!({"UserName": "ada"}))),
        ("ParameterNotFound", call("ssm", "get_parameter", json!({"Name": "/none"}))),
        ("InvalidNextToken", call("ssm", "get_parameters_by_path", json!({"Path": "/", "NextToken": "invented"}))),
    ]);
    assert_eq!(region.account(), before);
    // These have no errors of their own that a caller could bring about.
    let list = |code: &'static str, service: &str, operation: &str| (code, call(service, operation, json!({})));
    region.client().stranger().gets(vec![
        list("InvalidClientTokenId", "iam", "list_roles"),
        list("InvalidClientTokenId", "iam", "list_users"),
        list("InvalidClientTokenId", "iam", "list_instance_profiles"),
        list("InvalidClientTokenId", "sts", "get_caller_identity"),
        ("UnrecognizedClientException", call("ssm", "get_parameters", json!({"Names": ["/none"]}))),
    ]);
}

fn the_image_for_a_node_is_a_public_parameter(region: &Region) {
    let parameter = region.aws(&["ssm", "get-parameter", "--name", IMAGE])["Parameter"].clone();
    assert!(text(&parameter, "Value").starts_with("ami-"), "{parameter}");
    assert_eq!(text(&parameter, "ARN"), format!("arn:aws:ssm:us-east-1::parameter{IMAGE}"));
    let some = region.aws(&["ssm", "get-parameters", "--names", IMAGE, "/none"]);
    assert_eq!(some["InvalidParameters"], json!(["/none"]));
    let missing = region.aws_refuses(&["ssm", "get-parameter", "--name", "/none"]);
    assert_eq!(missing.code, "ParameterNotFound");
    let folder = "/aws/service/eks/optimized-ami/1.36";
    let all = region.aws(&["ssm", "get-parameters-by-path", "--path", folder, "--recursive"]);
    assert_eq!(all["Parameters"].as_array().map(Vec::len), Some(4));
}
