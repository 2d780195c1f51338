//! What others need is not deleted, and the refusal says why and changes nothing.

use e2e::{Call, Region, call, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const DEPENDENCY: &str = "DependencyViolation";
const CONFLICT: &str = "DeleteConflict";

#[test]
fn what_is_in_use_is_not_deleted() {
    let region = Region::start();
    let cases = [of_a_network(&region), of_identities(&region), of_a_group_and_a_repository(&region)].concat();
    let before = region.account();
    let answers = region.gets(cases);
    for answer in answers {
        assert!(!answer.refusal().message.is_empty(), "{answer:?} says nothing");
    }
    assert_eq!(region.account(), before);
}

#[track_caller]
fn ok(region: &Region, service: &str, operation: &str, input: Value) -> Value {
    region.gets(vec![("OK", call(service, operation, input))]).remove(0).value()
}

/// A VPC in which everything holds something else.
fn of_a_network(region: &Region) -> Vec<(&'static str, Call)> {
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let make = |operation: &str, input: Value| ok(region, "ec2", operation, input);
    let vpc = make("create_vpc", json!({"CidrBlock": "10.1.0.0/16"}))["Vpc"]["VpcId"].clone();
    let subnet = json!({"VpcId": vpc, "CidrBlock": "10.1.1.0/24"});
    let subnet = make("create_subnet", subnet)["Subnet"]["SubnetId"].clone();
    let group = |name: &str| {
        let input = json!({"VpcId": vpc, "GroupName": name, "Description": name});
        make("create_security_group", input)["GroupId"].clone()
    };
    let (worn, named, naming) = (group("worn"), group("named"), group("naming"));
    let from = json!([{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": named}]}]);
    make("authorize_security_group_ingress", json!({"GroupId": naming, "IpPermissions": from}));
    let interface = make("create_network_interface", json!({"SubnetId": subnet, "Groups": [worn]}));
    let interface = interface["NetworkInterface"]["NetworkInterfaceId"].clone();
    let gateway = make("create_internet_gateway", json!({}))["InternetGateway"]["InternetGatewayId"].clone();
    make("attach_internet_gateway", json!({"VpcId": vpc, "InternetGatewayId": gateway}));
    let table = make("create_route_table", json!({"VpcId": vpc}))["RouteTable"]["RouteTableId"].clone();
    make("associate_route_table", json!({"RouteTableId": table, "SubnetId": subnet}));
    let address = make("allocate_address", json!({"Domain": "vpc"}))["AllocationId"].clone();
    make("associate_address", json!({"AllocationId": address, "NetworkInterfaceId": interface}));
    let run = json!({"ImageId": image(region), "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet});
    let instance = make("run_instances", run)["Instances"][0].clone();
    let first = instance["NetworkInterfaces"][0]["NetworkInterfaceId"].clone();
    let attached = instance["NetworkInterfaces"][0]["Attachment"]["AttachmentId"].clone();
    vec![
        (DEPENDENCY, ec2("delete_vpc", json!({"VpcId": vpc}))),
        (DEPENDENCY, ec2("delete_subnet", json!({"SubnetId": subnet}))),
        (DEPENDENCY, ec2("delete_security_group", json!({"GroupId": worn}))),
        (DEPENDENCY, ec2("delete_security_group", json!({"GroupId": named}))),
        (DEPENDENCY, ec2("delete_route_table", json!({"RouteTableId": table}))),
        (DEPENDENCY, ec2("delete_internet_gateway", json!({"InternetGatewayId": gateway}))),
        (DEPENDENCY, ec2("detach_internet_gateway", json!({"InternetGatewayId": gateway, "VpcId": vpc}))),
        ("InvalidIPAddress.InUse", ec2("release_address", json!({"AllocationId": address}))),
        ("InvalidParameterValue", ec2("delete_network_interface", json!({"NetworkInterfaceId": first}))),
        ("OperationNotPermitted", ec2("detach_network_interface", json!({"AttachmentId": attached}))),
    ]
}

/// The image of nodes.
fn image(region: &Region) -> Value {
    let name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";
    ok(region, "ssm", "get_parameter", json!({"Name": name}))["Parameter"]["Value"].clone()
}

/// Users, groups, roles and policies that each hold one thing.
fn of_identities(region: &Region) -> Vec<(&'static str, Call)> {
    let iam = |operation: &str, input: Value| call("iam", operation, input);
    let policy = |name: &str| json!(format!("arn:aws:iam::{ACCOUNT}:policy/{name}"));
    let made = |name: &str| iam("create_policy", json!({"PolicyName": name, "PolicyDocument": ALLOW}));
    let inline = |of: Value| e2e::merged(of, &json!({"PolicyName": "inline", "PolicyDocument": ALLOW}));
    let attached = |of: Value| e2e::merged(of, &json!({"PolicyArn": policy("held")}));
    let (user, role, group) = (
        |name: &str| json!({"UserName": name}),
        |name: &str| json!({"RoleName": name}),
        |name: &str| json!({"GroupName": name}),
    );
    let trusted = |name: &str| iam("create_role", e2e::merged(role(name), &json!({"AssumeRolePolicyDocument": TRUST})));
    let profile = json!({"InstanceProfileName": "held"});
    let scene = vec![
        made("held"),
        made("versioned"),
        iam("create_policy_version", json!({"PolicyArn": policy("versioned"), "PolicyDocument": ALLOW})),
        iam("create_user", user("with-key")),
        iam("create_access_key", user("with-key")),
        iam("create_user", user("with-policy")),
        iam("attach_user_policy", attached(user("with-policy"))),
        iam("create_user", user("with-inline")),
        iam("put_user_policy", inline(user("with-inline"))),
        iam("create_user", user("member")),
        iam("create_group", group("with-member")),
        iam("add_user_to_group", json!({"UserName": "member", "GroupName": "with-member"})),
        iam("create_group", group("with-policy")),
        iam("attach_group_policy", attached(group("with-policy"))),
        iam("create_group", group("with-inline")),
        iam("put_group_policy", inline(group("with-inline"))),
        trusted("with-policy"),
        iam("attach_role_policy", attached(role("with-policy"))),
        trusted("with-inline"),
        iam("put_role_policy", inline(role("with-inline"))),
        trusted("with-profile"),
        iam("create_instance_profile", profile.clone()),
        iam("add_role_to_instance_profile", e2e::merged(profile.clone(), &role("with-profile"))),
    ];
    region.gets(scene.into_iter().map(|call| ("OK", call)).collect());
    let refused = [
        ["with-key", "with-policy", "with-inline", "member"].map(|name| iam("delete_user", user(name))).to_vec(),
        ["with-member", "with-policy", "with-inline"].map(|name| iam("delete_group", group(name))).to_vec(),
        ["with-policy", "with-inline", "with-profile"].map(|name| iam("delete_role", role(name))).to_vec(),
        ["held", "versioned"].map(|name| iam("delete_policy", json!({"PolicyArn": policy(name)}))).to_vec(),
        vec![
            iam("delete_policy_version", json!({"PolicyArn": policy("versioned"), "VersionId": "v1"})),
            iam("delete_instance_profile", profile),
        ],
    ];
    refused.concat().into_iter().map(|call| (CONFLICT, call)).collect()
}

/// An Auto Scaling group with an instance, and a repository with an image.
fn of_a_group_and_a_repository(region: &Region) -> Vec<(&'static str, Call)> {
    let data = json!({"ImageId": image(region), "InstanceType": "t3.medium"});
    ok(region, "ec2", "create_launch_template", json!({"LaunchTemplateName": "small", "LaunchTemplateData": data}));
    let group = json!({"AutoScalingGroupName": "fleet", "MinSize": 1, "MaxSize": 1,
        "LaunchTemplate": {"LaunchTemplateName": "small"}, "VPCZoneIdentifier": region.default_subnets()});
    ok(region, "autoscaling", "create_auto_scaling_group", group);
    let instances = call("autoscaling", "describe_auto_scaling_instances", json!({}));
    e2e::until("the group has its instance", std::time::Duration::from_secs(30), || {
        let found = region.gets(vec![("OK", instances.clone())]).remove(0).value();
        found["AutoScalingInstances"][0]["InstanceId"].is_string().then_some(())
    });
    let repository = ok(region, "ecr", "create_repository", json!({"repositoryName": "full"}));
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": []}).to_string();
    let name = text(&repository["repository"], "repositoryName");
    ok(region, "ecr", "put_image", json!({"repositoryName": name, "imageTag": "one", "imageManifest": index}));
    vec![
        // Its instance never comes up here: the activity goes on.
        (
            "ScalingActivityInProgress",
            call("autoscaling", "delete_auto_scaling_group", json!({"AutoScalingGroupName": "fleet"})),
        ),
        ("RepositoryNotEmptyException", call("ecr", "delete_repository", json!({"repositoryName": name}))),
    ]
}
