//! What the AWS APIs answer, and what they refuse: to the real clients, and to who forges their requests.

use e2e::{Answer, Call, Client, Options, Refusal, Region, Request, call, refusal, steps};
use serde_json::{Value, json};
use std::fs;

const ACCOUNT: &str = "111122223333";
const CLUSTER_POLICY: &str = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy";
const TRUST_EKS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const TRUST_EC2: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// Those that a new region has.
const ROLES: [&str; 2] = ["eks-cluster-role", "eks-node-role"];
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The values of one member of a list of objects.
fn each(list: &Value, member: &str) -> Vec<String> {
    let values = list.as_array().into_iter().flatten().map(|item| &item[member]);
    values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

fn only(mut answers: Vec<Answer>) -> Answer {
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

#[test]
fn a_new_region_is_a_set_up_account() {
    let region = Region::start();
    steps!((&region):
        its_user_is_the_admin,
        a_presigned_question_is_answered,
        its_default_vpc_has_a_subnet_in_each_of_three_zones,
        its_cluster_role_is_good_for_eks,
        it_has_no_clusters_and_offers_four_versions,
    );
}

fn its_user_is_the_admin(region: &Region) {
    let identity = region.aws(&["sts", "get-caller-identity"]);
    assert_eq!(identity["Arn"], format!("arn:aws:iam::{ACCOUNT}:user/admin"));
    assert_eq!(identity["Account"], ACCOUNT);
    assert!(identity["UserId"].as_str().is_some_and(|id| id.starts_with("AIDA") && id.len() == 21), "{identity}");
}

fn a_presigned_question_is_answered(region: &Region) {
    // STS answers each such URL for 15 minutes, also one that says 60 s.
    let ask = || Request::new("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15").presigned(60);
    let (late, too_late) = (ask().with_clock_off_by(-90), ask().with_clock_off_by(-16 * 60));
    let replies = region.client().send(vec![ask(), ask().header("Accept", "application/json"), late, too_late]);
    assert!(
        replies[0].status == 200 && replies[0].body.contains("<Arn>arn:aws:iam::111122223333:user/admin</Arn>"),
        "{replies:?}"
    );
    let body: Value = serde_json::from_str(&replies[1].body).unwrap_or_else(|why| panic!("{why}: {replies:?}"));
    assert_eq!(body["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"], ACCOUNT);
    assert_eq!(replies[2].status, 200, "{replies:?}");
    assert_eq!((replies[3].status, &*replies[3].code()), (403, "SignatureDoesNotMatch"), "{replies:?}");
}

fn its_default_vpc_has_a_subnet_in_each_of_three_zones(region: &Region) {
    let zones = region.aws(&["ec2", "describe-availability-zones"])["AvailabilityZones"].clone();
    assert_eq!(each(&zones, "ZoneName"), ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert_eq!(each(&zones, "ZoneId"), ["use1-az1", "use1-az2", "use1-az3"]);
    let vpcs = region.aws(&["ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true"])["Vpcs"].clone();
    assert_eq!(each(&vpcs, "CidrBlock"), ["172.31.0.0/16"]);
    let vpc = vpcs[0]["VpcId"].as_str().unwrap_or_default();
    let subnets = region.aws(&["ec2", "describe-subnets", "--filters", &format!("Name=vpc-id,Values={vpc}")]);
    let mut found = each(&subnets["Subnets"], "AvailabilityZone");
    found.sort();
    assert_eq!(found, ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert_eq!(each(&subnets["Subnets"], "DefaultForAz"), ["true"; 3]);
    // A /20 without the five addresses that EC2 keeps.
    assert_eq!(each(&subnets["Subnets"], "AvailableIpAddressCount"), ["4091"; 3]);
    let groups = region.aws(&["ec2", "describe-security-groups"])["SecurityGroups"].clone();
    assert_eq!(each(&groups, "GroupName"), ["default"]);
}

fn its_cluster_role_is_good_for_eks(region: &Region) {
    let role = region.aws(&["iam", "get-role", "--role-name", "eks-cluster-role"])["Role"].clone();
    assert_eq!(role["Arn"], format!("arn:aws:iam::{ACCOUNT}:role/eks-cluster-role"));
    assert_eq!(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"], "eks.amazonaws.com");
    let policies = region.aws(&["iam", "list-attached-role-policies", "--role-name", "eks-cluster-role"]);
    assert_eq!(each(&policies["AttachedPolicies"], "PolicyArn"), [CLUSTER_POLICY]);
}

fn it_has_no_clusters_and_offers_four_versions(region: &Region) {
    assert_eq!(region.aws(&["eks", "list-clusters"])["clusters"], json!([]));
    let versions = region.aws(&["eks", "describe-cluster-versions"])["clusterVersions"].clone();
    let mut found = each(&versions, "clusterVersion");
    found.sort();
    assert_eq!(found, ["1.34", "1.35", "1.36", "1.37"]);
    let default = region.aws(&["eks", "describe-cluster-versions", "--default-only"])["clusterVersions"].clone();
    assert_eq!(each(&default, "kubernetesPatchVersion"), ["1.36.3"]);
    let one =
        region.aws(&["eks", "describe-cluster-versions", "--cluster-versions", "1.35"])["clusterVersions"].clone();
    assert_eq!(each(&one, "clusterVersion"), ["1.35"]);
}

#[test]
fn region_account_and_zones_are_what_the_configuration_says() {
    let file = std::env::temp_dir().join(format!("roadstead-e2e-{}.toml", std::process::id()));
    let text = "region = 'eu-west-2'\naccount-id = '999999999999'\nzones = ['eu-west-2a', 'eu-west-2c', 'eu-west-2d', 'eu-west-2f']";
    fs::write(&file, text).expect("a file can be written");
    let flags = vec!["--config".to_owned(), file.display().to_string(), "--account-id".into(), "123456789012".into()];
    let region = Region::with(Options { flags, ..Options::default() });
    assert_eq!(region.aws(&["sts", "get-caller-identity"])["Arn"], "arn:aws:iam::123456789012:user/admin");
    let zones = region.aws(&["ec2", "describe-availability-zones"])["AvailabilityZones"].clone();
    assert_eq!(each(&zones, "ZoneName"), ["eu-west-2a", "eu-west-2c", "eu-west-2d", "eu-west-2f"]);
    assert_eq!(each(&zones, "RegionName"), ["eu-west-2"; 4]);
    assert_eq!(region.default_subnets().split(',').count(), 4);
    // IAM's clients sign for us-east-1 unless they are told otherwise; both are good.
    let foreign = region.client().with("AWS_DEFAULT_REGION", "us-east-1").with("AWS_REGION", "us-east-1");
    assert_eq!(each(&foreign.aws(&["iam", "list-roles"])["Roles"], "RoleName"), ROLES);
    let expected = refusal("InvalidSignatureException", "Credential should be scoped to a valid region.");
    assert_eq!(foreign.aws_refuses(&["eks", "list-clusters"]), expected);
    drop(region);
    fs::remove_file(&file).expect("the file can be removed");
}

#[test]
fn networks_are_made_found_and_unmade() {
    let region = Region::start();
    let before = region.account();
    let vpc = region.aws(&[
        "ec2",
        "create-vpc",
        "--cidr-block",
        "10.9.0.0/16",
        "--query",
        "Vpc.VpcId",
        "--tag-specifications",
        "ResourceType=vpc,Tags=[{Key=team,Value=blue}]",
    ]);
    let vpc = vpc.as_str().expect("a VPC has an id");
    let subnet = |zone: &str, cidr: &str| {
        let id = region.aws(&[
            "ec2",
            "create-subnet",
            "--vpc-id",
            vpc,
            "--cidr-block",
            cidr,
            "--availability-zone",
            zone,
            "--query",
            "Subnet.SubnetId",
        ]);
        id.as_str().expect("a subnet has an id").to_owned()
    };
    let subnets = [subnet("us-east-1a", "10.9.0.0/24"), subnet("us-east-1b", "10.9.1.0/24")];
    let group = region.aws(&[
        "ec2",
        "create-security-group",
        "--group-name",
        "web",
        "--description",
        "web servers",
        "--vpc-id",
        vpc,
    ])["GroupId"]
        .clone();
    let group = group.as_str().expect("a security group has an id");
    let found = region.aws(&["ec2", "describe-vpcs", "--filters", "Name=tag:team,Values=bl*"])["Vpcs"].clone();
    assert_eq!(each(&found, "VpcId"), [vpc]);
    let found = region.boto(vec![
        call("ec2", "describe_subnets", json!({})).in_pages_of(5),
        call("ec2", "describe_subnets", json!({ "SubnetIds": [subnets[1]] })),
        call("ec2", "create_vpc", json!({ "CidrBlock": "10.10.0.0/16", "DryRun": true })),
        call("ec2", "create_subnet", json!({ "VpcId": vpc, "CidrBlock": "10.9.1.128/25" })),
        call("ec2", "create_subnet", json!({ "VpcId": vpc, "CidrBlock": "10.8.0.0/24" })),
        call("ec2", "create_vpc", json!({ "CidrBlock": "10.0.0.0/8" })),
        call("ec2", "create_security_group", json!({ "GroupName": "web", "Description": "again", "VpcId": vpc })),
        call("ec2", "delete_vpc", json!({ "VpcId": vpc })),
        call("ec2", "describe_vpcs", json!({ "VpcIds": ["vpc-00000000000000000"] })),
        call("ec2", "describe_subnets", json!({ "NextToken": "invented" })),
    ]);
    assert_eq!(found[0].clone().value()[0]["Subnets"].as_array().map(Vec::len), Some(5));
    assert_eq!(found[1].clone().value()["Subnets"][0]["CidrBlock"], "10.9.1.0/24");
    let expected = [
        ("DryRunOperation", "Request would have succeeded, but DryRun flag is set.".to_owned()),
        ("InvalidSubnet.Conflict", "The CIDR '10.9.1.128/25' conflicts with another subnet".into()),
        ("InvalidSubnet.Range", "The CIDR '10.8.0.0/24' is invalid.".into()),
        ("InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid.".into()),
        ("InvalidGroup.Duplicate", format!("The security group 'web' already exists for VPC '{vpc}'")),
        ("DependencyViolation", format!("The vpc '{vpc}' has dependencies and cannot be deleted.")),
        ("InvalidVpcID.NotFound", "The vpc ID 'vpc-00000000000000000' does not exist".into()),
        ("InvalidParameterValue", "The token is not valid for this request.".into()),
    ];
    let refused: Vec<Refusal> = found[2..].iter().map(Answer::refusal).collect();
    assert_eq!(refused, expected.map(|(code, message)| refusal(code, &message)));
    region.aws(&["ec2", "delete-security-group", "--group-id", group]);
    for subnet in &subnets {
        region.aws(&["ec2", "delete-subnet", "--subnet-id", subnet]);
    }
    region.aws(&["ec2", "delete-vpc", "--vpc-id", vpc]);
    assert_eq!(region.account(), before);
}

#[test]
fn roles_users_and_keys_live_and_die() {
    let region = Region::start();
    steps!((&region):
        roles_are_listed_in_pages,
        a_role_goes_only_without_policies,
        a_key_works_until_it_is_deleted,
        iam_refuses_in_its_own_words,
    );
}

fn roles_are_listed_in_pages(region: &Region) {
    for name in ["blue", "green"] {
        let role = region.aws(&[
            "iam",
            "create-role",
            "--role-name",
            name,
            "--assume-role-policy-document",
            TRUST_EKS,
            "--path",
            "/teams/",
        ]);
        assert_eq!(role["Role"]["Arn"], format!("arn:aws:iam::{ACCOUNT}:role/teams/{name}"));
    }
    let pages = only(region.boto(vec![call("iam", "list_roles", json!({})).in_pages_of(1)])).value();
    let names: Vec<String> =
        pages.as_array().into_iter().flatten().flat_map(|page| each(&page["Roles"], "RoleName")).collect();
    assert_eq!(names, ["blue", ROLES[0], ROLES[1], "green"]);
    let cli = region.aws(&[
        "iam",
        "list-roles",
        "--path-prefix",
        "/teams/",
        "--page-size",
        "1",
        "--query",
        "Roles[].RoleName",
    ]);
    assert_eq!(cli, json!(["blue", "green"]));
}

fn a_role_goes_only_without_policies(region: &Region) {
    region.aws(&["iam", "attach-role-policy", "--role-name", "blue", "--policy-arn", CLUSTER_POLICY]);
    let expected = refusal("DeleteConflict", "Cannot delete entity, must detach all policies first.");
    assert_eq!(region.aws_refuses(&["iam", "delete-role", "--role-name", "blue"]), expected);
    region.aws(&["iam", "detach-role-policy", "--role-name", "blue", "--policy-arn", CLUSTER_POLICY]);
    for name in ["blue", "green"] {
        region.aws(&["iam", "delete-role", "--role-name", name]);
        let expected = refusal("NoSuchEntity", &format!("The role with name {name} cannot be found."));
        assert_eq!(region.aws_refuses(&["iam", "get-role", "--role-name", name]), expected);
    }
}

fn a_key_works_until_it_is_deleted(region: &Region) {
    region.aws(&["iam", "create-user", "--user-name", "ada"]);
    let key = region.aws(&["iam", "create-access-key", "--user-name", "ada"])["AccessKey"].clone();
    let [id, secret] = ["AccessKeyId", "SecretAccessKey"].map(|name| key[name].as_str().unwrap_or_default());
    assert_eq!((id.len(), &id[..4], secret.len()), (20, "AKIA", 40), "{key}");
    let ada = region.client().with_key(id, secret);
    assert_eq!(ada.aws(&["sts", "get-caller-identity"])["Arn"], format!("arn:aws:iam::{ACCOUNT}:user/ada"));
    region.aws(&["iam", "delete-access-key", "--user-name", "ada", "--access-key-id", id]);
    is_unknown(&ada);
    is_unknown(&region.client().with_key("AKIAIOSFODNN7EXAMPLE", secret));
}

/// Each service has its own word for a key that it does not know.
fn is_unknown(client: &Client) {
    let message = "The security token included in the request is invalid.";
    let calls = [("sts", "get_caller_identity"), ("eks", "list_clusters"), ("iam", "list_roles")];
    let answers = client.boto(calls.iter().map(|(service, name)| call(service, name, json!({}))).collect());
    let expected = ["InvalidClientTokenId", "UnrecognizedClientException", "InvalidClientTokenId"];
    for (answer, code) in answers.iter().zip(expected) {
        assert_eq!(answer.refusal(), refusal(code, message));
    }
    assert_eq!(only(client.boto(vec![call("ec2", "describe_vpcs", json!({}))])).refusal().code, "AuthFailure");
}

fn iam_refuses_in_its_own_words(region: &Region) {
    let role = |name: &str, trust: &str| {
        call("iam", "create_role", json!({ "RoleName": name, "AssumeRolePolicyDocument": trust }))
    };
    let attach =
        |role: &str, policy: &str| call("iam", "attach_role_policy", json!({ "RoleName": role, "PolicyArn": policy }));
    let before = region.account();
    let cases: [(Call, &str, &str); 8] = [
        (role("eks-cluster-role", TRUST_EKS), "EntityAlreadyExists", "Role with name eks-cluster-role already exists."),
        (role("bad", "{"), "MalformedPolicyDocument", "This policy contains invalid Json"),
        (
            role("bad", r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}"#),
            "MalformedPolicyDocument",
            "Missing required field Principal",
        ),
        (
            attach("eks-cluster-role", "arn:aws:iam::aws:policy/NoSuchPolicy"),
            "NoSuchEntity",
            "Policy arn:aws:iam::aws:policy/NoSuchPolicy does not exist or is not attachable.",
        ),
        (attach("nobody", CLUSTER_POLICY), "NoSuchEntity", "The role with name nobody cannot be found."),
        (
            call("iam", "create_user", json!({ "UserName": "ada" })),
            "EntityAlreadyExists",
            "User with name ada already exists.",
        ),
        (
            call("iam", "create_access_key", json!({ "UserName": "nobody" })),
            "NoSuchEntity",
            "The user with name nobody cannot be found.",
        ),
        (call("iam", "list_roles", json!({ "Marker": "invented" })), "ValidationError", "Invalid Marker."),
    ];
    refuses_all(region, cases.map(|(call, code, message)| (call, code, message.to_owned())).into());
    let answer = only(region.boto(vec![role("no good", TRUST_EKS)])).refusal();
    assert_eq!(answer.code, "ValidationError");
    assert!(answer.message.contains("Value 'no good' at 'roleName' failed to satisfy constraint"), "{answer:?}");
    assert_eq!(region.account(), before);
}

/// Makes all calls and says of every one that is not refused as it must be.
#[track_caller]
fn refuses_all(region: &Region, cases: Vec<(Call, &str, String)>) {
    let answers = region.boto(cases.iter().map(|(call, ..)| call.clone()).collect());
    let wrong = cases.iter().zip(&answers).filter_map(|((call, code, message), answer)| {
        let expected = refusal(code, message);
        (answer.refusal() != expected)
            .then(|| format!("{call:?}\n  should get {expected:?}\n  got        {:?}", answer.refusal()))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clusters_are_asked_for_listed_tagged_and_dismissed() {
    let region = Region::start();
    steps!((&region):
        a_new_cluster_is_creating_and_has_no_endpoint_yet,
        a_repeated_request_is_one_cluster,
        names_come_in_pages,
        tags_are_put_listed_and_taken,
        a_cluster_that_never_was_active_can_be_deleted,
    );
}

fn a_new_cluster_is_creating_and_has_no_endpoint_yet(region: &Region) {
    let cluster = region.ask_for_cluster("blue", "", &["--tags", "team=blue", "--kubernetes-version", "1.35"]);
    assert_eq!(cluster["arn"], format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/blue"));
    for cluster in [cluster, region.describe("blue")] {
        assert_eq!(cluster["status"], "CREATING");
        assert_eq!(cluster["version"], "1.35");
        assert_eq!(cluster["endpoint"], Value::Null);
        assert_eq!(cluster["certificateAuthority"], json!({}));
        assert_eq!(cluster["tags"], json!({ "team": "blue" }));
        assert_eq!(cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"], "10.100.0.0/16");
        let network = &cluster["resourcesVpcConfig"];
        assert_eq!(
            (&network["endpointPublicAccess"], &network["endpointPrivateAccess"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(network["publicAccessCidrs"], json!(["0.0.0.0/0"]));
        assert_eq!(network["subnetIds"].as_array().map(Vec::len), Some(3));
        assert!(network["clusterSecurityGroupId"].as_str().is_some_and(|id| id.starts_with("sg-")), "{network}");
        assert_eq!(cluster["accessConfig"]["bootstrapClusterCreatorAdminPermissions"], true);
    }
}

fn a_repeated_request_is_one_cluster(region: &Region) {
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let request = |version: &str| {
        let network = json!({ "subnetIds": subnets });
        let token = "6d1e8f0a-0000-4000-8000-000000000001";
        call(
            "eks",
            "create_cluster",
            json!({ "name": "green", "version": version, "roleArn": region.cluster_role(), "resourcesVpcConfig": network, "clientRequestToken": token }),
        )
    };
    let answers = region.boto(vec![request("1.36"), request("1.36"), request("1.37")]);
    let [first, second] = [0, 1].map(|n| answers[n].clone().value());
    assert_eq!(first, second);
    let expected = "The client request token was already used by a request with other parameters.";
    assert_eq!(answers[2].refusal(), refusal("InvalidParameterException", expected));
    assert_eq!(region.describe("green")["version"], "1.36");
}

fn names_come_in_pages(region: &Region) {
    region.ask_for_cluster("amber", "", &[]);
    assert_eq!(
        region.aws(&["eks", "list-clusters", "--page-size", "1"])["clusters"],
        json!(["amber", "blue", "green"])
    );
    let answers = region.boto(vec![
        call("eks", "list_clusters", json!({})).in_pages_of(2),
        call("eks", "list_clusters", json!({ "maxResults": 2 })),
        call("eks", "list_clusters", json!({ "nextToken": "invented" })),
        call("eks", "list_clusters", json!({ "maxResults": 101 })),
        call("eks", "describe_cluster_versions", json!({ "maxResults": 1 })),
    ]);
    let pages = answers[0].clone().value();
    assert_eq!((&pages[0]["clusters"], &pages[1]["clusters"]), (&json!(["amber", "blue"]), &json!(["green"])));
    let token = |answer: &Answer| answer.clone().value()["nextToken"].clone();
    assert!(token(&answers[1]).is_string());
    let bad = refusal("InvalidParameterException", "The nextToken parameter is not valid.");
    assert_eq!(answers[2].refusal(), bad);
    assert!(
        answers[3]
            .refusal()
            .message
            .contains("at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100")
    );
    // A token is good for the list that it came from.
    let foreign = call("eks", "list_clusters", json!({ "nextToken": token(&answers[4]) }));
    assert_eq!(only(region.boto(vec![foreign])).refusal(), bad);
}

fn tags_are_put_listed_and_taken(region: &Region) {
    let arn = format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/blue");
    region.aws(&["eks", "tag-resource", "--resource-arn", &arn, "--tags", "stage=test,cost=low"]);
    region.aws(&["eks", "untag-resource", "--resource-arn", &arn, "--tag-keys", "team", "cost", "never-there"]);
    assert_eq!(
        region.aws(&["eks", "list-tags-for-resource", "--resource-arn", &arn])["tags"],
        json!({ "stage": "test" })
    );
    assert_eq!(region.describe("blue")["tags"], json!({ "stage": "test" }));
    let missing = format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/nobody");
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    let tag = |arn: &str, tags: Value| call("eks", "tag_resource", json!({ "resourceArn": arn, "tags": tags }));
    refuses_all(
        region,
        vec![
            (tag(&missing, json!({ "a": "b" })), "NotFoundException", format!("Resource not found: {missing}")),
            (
                tag(&arn, json!({ "aws:mine": "b" })),
                "BadRequestException",
                "Tag key 'aws:mine' is reserved: keys may not begin with aws:".into(),
            ),
            (
                tag("not-an-arn", json!({ "a": "b" })),
                "BadRequestException",
                "Invalid parameter: resourceArn 'not-an-arn' is not an ARN of EKS".into(),
            ),
        ],
    );
    let answer = only(region.boto(vec![tag(&arn, Value::Object(many))])).refusal();
    assert_eq!(answer.code, "BadRequestException");
    assert_eq!(region.describe("blue")["tags"], json!({ "stage": "test" }));
}

fn a_cluster_that_never_was_active_can_be_deleted(region: &Region) {
    for name in ["amber", "blue", "green"] {
        assert_eq!(region.aws(&["eks", "delete-cluster", "--name", name])["cluster"]["status"], "DELETING");
    }
    for name in ["amber", "blue", "green"] {
        region.aws(&["eks", "wait", "cluster-deleted", "--name", name]);
    }
    assert_eq!(region.aws(&["eks", "list-clusters"])["clusters"], json!([]));
    let expected = refusal("ResourceNotFoundException", "No cluster found for name: blue.");
    for operation in ["describe-cluster", "delete-cluster"] {
        assert_eq!(region.aws_refuses(&["eks", operation, "--name", "blue"]), expected);
    }
    let answer = only(region.boto(vec![call("eks", "describe_cluster", json!({ "name": "blue" }))]));
    let (status, members) = answer.members();
    assert_eq!((status, &members["clusterName"], &members["nodegroupName"]), (404, &json!("blue"), &Value::Null));
}

#[test]
fn what_eks_refuses_of_a_new_cluster_changes_nothing() {
    let region = Region::start();
    region.ask_for_cluster("taken", "", &[]);
    let role = |name: &str, trust: &str| {
        region.aws(&["iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust]);
        format!("arn:aws:iam::{ACCOUNT}:role/{name}")
    };
    let (bare, untrusting) = (role("bare", TRUST_EKS), role("untrusting", TRUST_EC2));
    region.aws(&["iam", "attach-role-policy", "--role-name", "untrusting", "--policy-arn", CLUSTER_POLICY]);
    let before = region.account();
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    let good =
        json!({ "name": "blue", "roleArn": region.cluster_role(), "resourcesVpcConfig": { "subnetIds": subnets } });
    // The good request but for one member.
    let but = |path: &str, value: Value| {
        let mut input = good.clone();
        *input.pointer_mut(path).unwrap_or(&mut Value::Null) = value.clone();
        if input.pointer(path).is_none() {
            let (parent, name) = path.rsplit_once('/').unwrap_or_default();
            input.pointer_mut(parent).expect("the parent is there")[name] = value;
        }
        call("eks", "create_cluster", input)
    };
    let invalid = "InvalidParameterException";
    let name = |name: &str, constraint: &str| {
        format!(
            "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must {constraint}"
        )
    };
    let pattern = r"satisfy regular expression pattern: ^[0-9A-Za-z][A-Za-z0-9\-_]*";
    let nobody = format!("arn:aws:iam::{ACCOUNT}:role/nobody");
    let network = |value: &str| but("/kubernetesNetworkConfig", json!({ "serviceIpv4Cidr": value }));
    refuses_all(
        &region,
        vec![
            (but("/name", json!("taken")), "ResourceInUseException", "Cluster already exists with name: taken".into()),
            (but("/name", json!("-blue")), invalid, name("-blue", pattern)),
            (but("/name", json!("blue!")), invalid, name("blue!", pattern)),
            (
                but("/name", json!("b".repeat(101))),
                invalid,
                name(&"b".repeat(101), "have length less than or equal to 100"),
            ),
            (
                but("/resourcesVpcConfig/subnetIds", json!([subnets[0]])),
                invalid,
                "Subnets specified must be in at least two different AZs".into(),
            ),
            (
                but("/resourcesVpcConfig/subnetIds", json!([subnets[0], subnets[0]])),
                invalid,
                "Subnets specified must be in at least two different AZs".into(),
            ),
            (
                but("/resourcesVpcConfig/subnetIds", json!([subnets[0], "subnet-0123"])),
                invalid,
                "The subnet ID 'subnet-0123' does not exist".into(),
            ),
            (but("/roleArn", json!(nobody)), invalid, format!("Role with arn: {nobody}, does not exist.")),
            (
                but("/roleArn", json!("nobody")),
                invalid,
                "The role ARN 'nobody' is invalid. Error in role params".into(),
            ),
            (
                but("/roleArn", json!(untrusting)),
                invalid,
                "Role could not be assumed because the trusted entity is not correct".into(),
            ),
            (
                but("/roleArn", json!(bare)),
                invalid,
                format!(
                    "The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the following policy is attached: {CLUSTER_POLICY}"
                ),
            ),
            (but("/version", json!("1.12")), invalid, "unsupported Kubernetes version".into()),
            (
                network("8.8.0.0/16"),
                invalid,
                "serviceIpv4Cidr must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16".into(),
            ),
            (network("10.0.0.0/8"), invalid, "serviceIpv4Cidr must be between /24 and /12".into()),
            (network("172.31.0.0/20"), invalid, "serviceIpv4Cidr must not overlap with the CIDR of the VPC".into()),
            (
                but("/resourcesVpcConfig/publicAccessCidrs", json!(["300.0.0.0/8"])),
                invalid,
                "The following CIDRs are invalid in publicAccessCidrs: [300.0.0.0/8]".into(),
            ),
            (
                but("/kubeApiServerConfig", json!({ "eventTtl": "30m" })),
                invalid,
                "kubeApiServerConfig is not available in this region yet: leave it out".into(),
            ),
            (
                but("/resourcesVpcConfig/controlPlaneEgressMode", json!("CUSTOMER_ROUTED")),
                invalid,
                "resourcesVpcConfig.controlPlaneEgressMode is not available in this region yet: leave it out".into(),
            ),
            (
                but("/tags", json!({ "aws:x": "y" })),
                invalid,
                "Tag key 'aws:x' is reserved: keys may not begin with aws:".into(),
            ),
        ],
    );
    let answers = region.boto(vec![
        but("/name", Value::Null),
        but("/resourcesVpcConfig/endpointPublicAccess", json!(false)),
        network("ten"),
    ]);
    let messages = [
        "'name' failed to satisfy constraint: Member must not be null",
        "Private and public endpoint access cannot be false",
        "serviceIpv4Cidr",
    ];
    for (answer, message) in answers.iter().zip(messages) {
        let found = answer.refusal();
        assert!(found.code == invalid && found.message.contains(message), "{found:?}");
    }
    assert_eq!(region.account(), before);
}

#[test]
fn what_is_not_signed_right_is_refused_and_changes_nothing() {
    let region = Region::start();
    let before = region.account();
    steps!((&region):
        unsigned_requests_are_refused,
        requests_of_another_time_are_refused,
        tampered_and_replayed_requests_are_refused,
        a_wrong_secret_is_refused,
    );
    assert_eq!(region.account(), before);
}

fn form(body: &str) -> Request {
    Request::form("iam", body)
}

const CREATE_USER: &str = "Action=CreateUser&Version=2010-05-08&UserName=mallory";

fn unsigned_requests_are_refused(region: &Region) {
    let replies = region.client().send(vec![
        Request::new("eks", "GET", "/clusters").unsigned(),
        form(CREATE_USER).unsigned(),
        Request::form("ec2", "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16").unsigned(),
        Request::new("eks", "GET", "/no-such-thing").unsigned(),
    ]);
    let found: Vec<_> = replies.iter().map(|r| (r.status, r.code(), r.message())).collect();
    let missing = "Missing Authentication Token";
    let expected = [
        (403, "MissingAuthenticationTokenException"),
        (403, "MissingAuthenticationToken"),
        (403, "MissingAuthenticationToken"),
    ];
    assert_eq!(found[..3], expected.map(|(status, code)| (status, code.to_owned(), missing.to_owned())));
    assert!(matches!(found[3].0, 403 | 404), "{found:?}");
    for reply in &replies {
        assert!(reply.headers["x-amzn-requestid"].is_string(), "every answer names its request: {reply:?}");
    }
}

fn requests_of_another_time_are_refused(region: &Region) {
    let list = |seconds| call("eks", "list_clusters", json!({})).with_clock_off_by(seconds);
    let answers = region.boto(vec![
        list(-240),
        list(240),
        list(-400),
        list(400),
        call("ec2", "describe_vpcs", json!({})).with_clock_off_by(-400),
        call("iam", "list_roles", json!({})).with_clock_off_by(-400),
    ]);
    for good in &answers[..2] {
        good.clone().value();
    }
    let found: Vec<Refusal> = answers[2..].iter().map(Answer::refusal).collect();
    let codes: Vec<&str> = found.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(
        codes,
        ["InvalidSignatureException", "InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"]
    );
    assert!(found[0].message.starts_with("Signature expired: ") && found[0].message.ends_with("5 min.)"), "{found:?}");
    assert!(found[1].message.starts_with("Signature not yet current: "), "{found:?}");
}

fn tampered_and_replayed_requests_are_refused(region: &Region) {
    let cluster = r#"{"name":"mallory","roleArn":"r","resourcesVpcConfig":{}}"#;
    let post = Request::new("eks", "POST", "/clusters").body(cluster).header("Content-Type", "application/json");
    let replies = region.client().send(vec![
        Request::new("eks", "GET", "/clusters?maxResults=1").tampered("maxResults=1", "maxResults=2"),
        Request::new("eks", "GET", "/clusters/blue").tampered("/clusters/blue", "/clusters/green"),
        post.tampered("mallory", "eve"),
        form(CREATE_USER).tampered("mallory", "eve"),
        Request::new("eks", "GET", "/clusters").header("X-Amz-Meta", "one").tampered("one", "two"),
        Request::new("eks", "GET", "/clusters").tampered("SignedHeaders=host;", "SignedHeaders="),
        Request::new("eks", "GET", "/clusters").tampered("/eks/", "/ec2/"),
        Request::new("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15")
            .presigned(60)
            .tampered("X-Amz-Expires=60", "X-Amz-Expires=600"),
    ]);
    let found: Vec<_> = replies.iter().map(|r| (r.status, r.code())).collect();
    let rest = (403, "InvalidSignatureException".to_owned());
    let query = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(
        found,
        [rest.clone(), rest.clone(), rest.clone(), query.clone(), rest.clone(), rest.clone(), rest, query],
        "{replies:?}"
    );
    assert_eq!(replies[0].message(), MISMATCH);
}

fn a_wrong_secret_is_refused(region: &Region) {
    let client = region.client();
    let forged = client.with_key(client.variable("AWS_ACCESS_KEY_ID"), "wrong");
    assert_eq!(forged.aws_refuses(&["eks", "list-clusters"]), refusal("InvalidSignatureException", MISMATCH));
    assert_eq!(forged.aws_refuses(&["iam", "list-roles"]), refusal("SignatureDoesNotMatch", MISMATCH));
    assert_eq!(forged.aws_refuses(&["ec2", "describe-vpcs"]).code, "AuthFailure");
}

#[test]
fn what_is_too_big_too_deep_or_no_request_at_all_is_refused() {
    let region = Region::start();
    let before = region.account();
    let json_body =
        |body: String| Request::new("eks", "POST", "/clusters").body(body).header("Content-Type", "application/json");
    let many = |n: usize| (0..n).map(|i| format!("&k{i}=v")).collect::<String>();
    let deep = "a".to_owned() + &".1.a".repeat(20_000);
    let cases: Vec<(&str, Request, u64, &str)> = vec![
        (
            "an oversized body",
            json_body(format!(r#"{{"name":"{}"}}"#, "b".repeat(5 << 20))),
            413,
            "RequestEntityTooLargeException",
        ),
        ("an oversized form", form(&format!("{CREATE_USER}&x={}", "y".repeat(5 << 20))), 413, "RequestEntityTooLarge"),
        (
            "deep JSON",
            json_body(format!(r#"{{"tags":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))),
            400,
            "SerializationException",
        ),
        (
            "deep JSON in the way of the model",
            json_body(format!(r#"{{"logging":{}1{}}}"#, r#"{"x":"#.repeat(50_000), "}".repeat(50_000))),
            400,
            "SerializationException",
        ),
        ("half of JSON", json_body(r#"{"name":"#.into()), 400, "SerializationException"),
        ("JSON of another type", json_body(r#"{"name":[1]}"#.into()), 400, "SerializationException"),
        ("no JSON", json_body("\u{1}\u{2}".into()), 400, "SerializationException"),
        ("a form of many parameters", form(&format!("{CREATE_USER}{}", many(100_000))), 400, "MalformedInput"),
        ("a form of great depth", form(&format!("{CREATE_USER}&{deep}=v")), 400, "MalformedInput"),
        (
            "a list with a huge index",
            Request::form("ec2", "Action=DescribeVpcs&Version=2016-11-15&VpcId.999999999=vpc-1"),
            400,
            "InvalidVpcID.NotFound",
        ),
        ("a form without an action", form("Version=2010-05-08"), 400, "MissingAction"),
        ("an unknown action", form("Action=NoSuchAction&Version=2010-05-08"), 400, "InvalidAction"),
        ("an unknown path", Request::new("eks", "GET", "/no/such/path"), 404, "UnknownOperationException"),
        ("an unknown method", Request::new("eks", "PATCH", "/clusters"), 404, "UnknownOperationException"),
    ];
    let replies = region.client().send(cases.iter().map(|(_, request, ..)| request.clone()).collect());
    let wrong = cases.iter().zip(&replies).filter_map(|((what, _, status, code), reply)| {
        let found = (reply.status, reply.code());
        (found != (*status, (*code).to_owned()))
            .then(|| format!("{what}: should get {status} {code}, got {found:?}: {}", reply.message()))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(region.account(), before);
}
