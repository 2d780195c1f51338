//! Everything that can be made, asked for twice: one after the other and by a crowd, with an idempotency token and without.
//! What needs a cluster that is ACTIVE, `eks.rs` asks for.

use e2e::twice::{Create, Second, all_creates, ask_twice, create};
use e2e::{Answer, Call, Region, call, merged, steps, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;

const ACCOUNT: &str = "111122223333";
/// Asked for by `eks.rs`.
const OF_AN_ACTIVE_CLUSTER: [&str; 3] = ["eks create_access_entry", "eks create_addon", "eks create_nodegroup"];
/// Of which there can be but a few: a step of its own.
const FEW: [&str; 3] = ["ec2 allocate_address", "iam create_access_key", "iam create_policy_version"];
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","ssm.amazonaws.com"]},"Action":"sts:AssumeRole"}]}"#;
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@example.com";
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

#[test]
fn what_is_asked_for_twice_is_made_once_where_there_can_be_one() {
    let region = Region::start();
    steps!((&region):
        everything_is_asked_for_twice_and_by_a_crowd,
        a_crowd_does_not_get_more_than_there_can_be,
        nothing_has_more_tags_than_it_may,
        ten_thousand_tags_are_told_page_by_page,
    );
}

fn ok(region: &Region, service: &str, operation: &str, input: Value) -> Value {
    region.gets(vec![("OK", call(service, operation, input))]).remove(0).value()
}

fn everything_is_asked_for_twice_and_by_a_crowd(region: &Region) {
    let creates = [of_eks(region), of_iam(), of_others(region), of_ec2(region)];
    let creates: Vec<Create> = creates.into_iter().flatten().collect();
    let named: BTreeSet<String> = creates.iter().map(Create::name).collect();
    let elsewhere: BTreeSet<String> = OF_AN_ACTIVE_CLUSTER.iter().chain(&FEW).map(|name| (*name).to_owned()).collect();
    let served: BTreeSet<String> = all_creates(region).into_keys().collect();
    assert_eq!(served, &named | &elsewhere, "something can be made that nobody asks for twice");
    ask_twice(region, &creates);
    let addresses = ok(region, "ec2", "describe_addresses", json!({}))["Addresses"].clone();
    ok(region, "ec2", "release_address", json!({"AllocationId": addresses[0]["AllocationId"]}));
}

/// The image of nodes.
fn image(region: &Region) -> Value {
    let name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";
    ok(region, "ssm", "get_parameter", json!({ "Name": name }))["Parameter"]["Value"].clone()
}

fn of_eks(region: &Region) -> Vec<Create> {
    let in_use = Second::Refused("ResourceInUseException");
    let subnets: Vec<String> = region.default_subnets().split(',').map(str::to_owned).collect();
    ok(region, "iam", "create_role", json!({"RoleName": "twice", "AssumeRolePolicyDocument": TRUST}));
    let (cluster, agent) = (region.cluster_role(), format!("arn:aws:iam::{ACCOUNT}:role/twice"));
    let ask = move |name: &str| json!({"name": name, "roleArn": cluster, "resourcesVpcConfig": {"subnetIds": subnets}});
    let register = move |name: &str| json!({"name": name, "connectorConfig": {"roleArn": agent, "provider": "GKE"}});
    vec![
        create("eks", "create_cluster", in_use, ask).unlike(json!({"version": "1.35"})),
        create("eks", "register_cluster", in_use, register).unlike(json!({"tags": {"a": "b"}})),
    ]
}

fn of_iam() -> Vec<Create> {
    let exists = Second::Refused("EntityAlreadyExists");
    let iam = |operation, input: fn(&str) -> Value| create("iam", operation, exists, input);
    let suffixed = |name: &str| json!({"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": name});
    vec![
        iam("create_account_alias", |name| json!({ "AccountAlias": name })),
        iam("create_group", |name| json!({ "GroupName": name })),
        iam("create_instance_profile", |name| json!({ "InstanceProfileName": name })),
        iam("create_open_id_connect_provider", |name| json!({"Url": format!("https://{name}.example.com")})),
        iam("create_policy", |name| json!({"PolicyName": name, "PolicyDocument": ALLOW})),
        iam("create_role", |name| json!({"RoleName": name, "AssumeRolePolicyDocument": TRUST})),
        create("iam", "create_service_linked_role", Second::Refused("InvalidInput"), suffixed),
        iam("create_user", |name| json!({ "UserName": name })),
    ]
}

/// A group of none, from the template `fleet`.
fn fleet(name: &str, subnets: &str) -> Value {
    json!({"AutoScalingGroupName": name, "MinSize": 0, "MaxSize": 0, "VPCZoneIdentifier": subnets,
        "LaunchTemplate": {"LaunchTemplateName": "fleet"}})
}

fn fleet_tag(group: &str, key: &str) -> Value {
    json!({"ResourceId": group, "ResourceType": "auto-scaling-group", "Key": key, "Value": "v", "PropagateAtLaunch": true})
}

fn of_others(region: &Region) -> Vec<Create> {
    let key = ok(region, "kms", "create_key", json!({}));
    let key = text(&key["KeyMetadata"], "KeyId").to_owned();
    let data = json!({"ImageId": image(region), "InstanceType": "t3.medium"});
    let template = json!({"LaunchTemplateName": "fleet", "LaunchTemplateData": data});
    ok(region, "ec2", "create_launch_template", template);
    let subnets = region.default_subnets();
    ok(region, "autoscaling", "create_auto_scaling_group", fleet("tagged", &subnets));
    let tag = |name: &str| json!({"Tags": [fleet_tag("tagged", name)]});
    vec![
        create(
            "kms",
            "create_alias",
            Second::Refused("AlreadyExistsException"),
            move |name| json!({"AliasName": format!("alias/{name}"), "TargetKeyId": key}),
        ),
        create("kms", "create_key", Second::Another, |name| json!({ "Description": name })),
        create(
            "logs",
            "create_log_group",
            Second::Refused("ResourceAlreadyExistsException"),
            |name| json!({ "logGroupName": name }),
        ),
        create(
            "ecr",
            "create_repository",
            Second::Refused("RepositoryAlreadyExistsException"),
            |name| json!({ "repositoryName": name }),
        ),
        create("autoscaling", "create_auto_scaling_group", Second::Refused("AlreadyExists"), move |name| {
            fleet(name, &subnets)
        }),
        create("autoscaling", "create_or_update_tags", Second::Same, tag),
    ]
}

/// The number in a name, which is below 256.
fn number(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or_default()
}

fn of_ec2(region: &Region) -> Vec<Create> {
    let refused = Second::Refused;
    let ec2 = |operation, second, input: Box<dyn Fn(&str) -> Value>| create("ec2", operation, second, input);
    let vpc = ok(region, "ec2", "create_vpc", json!({"CidrBlock": "10.9.0.0/16"}));
    let vpc = text(&vpc["Vpc"], "VpcId").to_owned();
    let gateway = ok(region, "ec2", "create_internet_gateway", json!({}));
    let gateway = text(&gateway["InternetGateway"], "InternetGatewayId").to_owned();
    ok(region, "ec2", "attach_internet_gateway", json!({"VpcId": vpc, "InternetGatewayId": gateway}));
    let table = ok(region, "ec2", "create_route_table", json!({ "VpcId": vpc }));
    let table = text(&table["RouteTable"], "RouteTableId").to_owned();
    let subnet = region.default_subnets().split(',').next().unwrap_or_default().to_owned();
    let image = image(region);
    // There is no internet gateway in its VPC: each fails, and there may be many.
    let closed = ok(region, "ec2", "create_vpc", json!({"CidrBlock": "10.6.0.0/16"}))["Vpc"]["VpcId"].clone();
    let closed = ok(region, "ec2", "create_subnet", json!({"VpcId": closed, "CidrBlock": "10.6.0.0/24"}));
    let address = ok(region, "ec2", "allocate_address", json!({}))["AllocationId"].clone();
    let nat = json!({"SubnetId": closed["Subnet"]["SubnetId"], "AllocationId": address});
    let tagged_nat =
        json!({"TagSpecifications": [{"ResourceType": "natgateway", "Tags": [{"Key": "a", "Value": "b"}]}]});
    let described = || json!({"Description": "another"});
    let in_vpc = |more: Value| merged(json!({ "VpcId": vpc }), &more);
    let (of_vpc, tagged) = (in_vpc(json!({})), vpc.clone());
    let endpoint = in_vpc(json!({"VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.ec2",
        "PrivateDnsEnabled": false}));
    let interface = json!({ "SubnetId": subnet });
    let run = json!({"ImageId": image, "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet});
    let (group, cut) = (of_vpc.clone(), of_vpc.clone());
    let team = json!({"TagSpecifications": [{"ResourceType": "route-table", "Tags": [{"Key": "team", "Value": "a"}]}]});
    let (of_acls, acl) = (json!({ "VpcId": vpc }), ok(region, "ec2", "create_network_acl", json!({ "VpcId": vpc })));
    let acl = text(&acl["NetworkAcl"], "NetworkAclId").to_owned();
    let acl_team =
        json!({"TagSpecifications": [{"ResourceType": "network-acl", "Tags": [{"Key": "team", "Value": "a"}]}]});
    vec![
        ec2("create_internet_gateway", Second::Another, Box::new(|_| json!({}))),
        ec2(
            "create_key_pair",
            refused("InvalidKeyPair.Duplicate"),
            Box::new(|name| json!({"KeyName": name, "KeyType": "ed25519"})),
        ),
        ec2(
            "import_key_pair",
            refused("InvalidKeyPair.Duplicate"),
            Box::new(|name| json!({"KeyName": name, "PublicKeyMaterial": PUBLIC_KEY})),
        ),
        ec2(
            "create_launch_template",
            refused("InvalidLaunchTemplateName.AlreadyExistsException"),
            Box::new(|name| json!({"LaunchTemplateName": name, "LaunchTemplateData": {"InstanceType": "t3.medium"}})),
        )
        .unlike(json!({"VersionDescription": "another"})),
        ec2(
            "create_launch_template_version",
            Second::Another,
            Box::new(|_| json!({"LaunchTemplateName": "fleet", "LaunchTemplateData": {"InstanceType": "t3.medium"}})),
        )
        .unlike(json!({"VersionDescription": "another"})),
        ec2(
            "create_managed_prefix_list",
            Second::Another,
            Box::new(|_| json!({"PrefixListName": "twice", "AddressFamily": "IPv4", "MaxEntries": 1})),
        )
        .unlike(json!({"MaxEntries": 2})),
        ec2("create_nat_gateway", Second::Another, Box::new(move |_| nat.clone())).unlike(tagged_nat),
        ec2("create_network_acl", Second::Another, Box::new(move |_| of_acls.clone())).unlike(acl_team),
        ec2(
            "create_network_acl_entry",
            refused("NetworkAclEntryAlreadyExists"),
            Box::new(move |name| {
                let number: i32 = number(name).parse().expect("a name ends with a number");
                json!({"NetworkAclId": acl, "RuleNumber": number + 1, "Protocol": "-1", "RuleAction": "allow",
                    "Egress": false, "CidrBlock": "192.0.2.0/24"})
            }),
        ),
        ec2("create_network_interface", Second::Another, Box::new(move |_| interface.clone())).unlike(described()),
        ec2(
            "create_route",
            refused("RouteAlreadyExists"),
            Box::new(move |name| {
                let cidr = format!("192.0.{}.0/24", number(name));
                json!({"RouteTableId": table, "DestinationCidrBlock": cidr, "GatewayId": gateway})
            }),
        ),
        ec2("create_route_table", Second::Another, Box::new(move |_| of_vpc.clone())).unlike(team),
        ec2(
            "create_security_group",
            refused("InvalidGroup.Duplicate"),
            Box::new(move |name| merged(group.clone(), &json!({"GroupName": name, "Description": "twice"}))),
        ),
        ec2(
            "create_subnet",
            refused("InvalidSubnet.Conflict"),
            Box::new(move |name| merged(cut.clone(), &json!({"CidrBlock": format!("10.9.{}.0/24", number(name))}))),
        ),
        ec2(
            "create_tags",
            Second::Same,
            Box::new(move |name| json!({"Resources": [tagged], "Tags": [{"Key": name, "Value": "v"}]})),
        ),
        ec2("create_vpc", Second::Another, Box::new(|_| json!({"CidrBlock": "10.8.0.0/16"}))),
        ec2("create_vpc_endpoint", Second::Another, Box::new(move |_| endpoint.clone()))
            .unlike(json!({"ServiceName": "com.amazonaws.us-east-1.sts"})),
        ec2("run_instances", Second::Another, Box::new(move |_| run.clone()))
            .unlike(json!({"InstanceType": "t3.small"})),
    ]
}

fn a_crowd_does_not_get_more_than_there_can_be(region: &Region) {
    ok(region, "iam", "create_user", json!({"UserName": "few"}));
    let policy = ok(region, "iam", "create_policy", json!({"PolicyName": "few", "PolicyDocument": ALLOW}));
    let version = json!({"PolicyArn": policy["Policy"]["Arn"], "PolicyDocument": ALLOW});
    let cases = [
        (2, "LimitExceeded", call("iam", "create_access_key", json!({"UserName": "few"}))),
        // The fifth is the one that it was made with.
        (4, "LimitExceeded", call("iam", "create_policy_version", version)),
        (5, "AddressLimitExceeded", call("ec2", "allocate_address", json!({"Domain": "vpc"}))),
    ];
    for (most, code, call) in cases {
        let answers = region.boto(vec![call.at_once(8)]).remove(0).each();
        let codes: Vec<&str> = answers.iter().map(Answer::code).collect();
        let count = |wanted: &str| codes.iter().filter(|code| **code == wanted).count();
        assert_eq!((count("OK"), count(code)), (most, 8 - most), "{codes:?}");
        let made: BTreeSet<String> =
            answers.into_iter().filter(|one| !one.is_refusal()).map(|one| one.value().to_string()).collect();
        assert_eq!(made.len(), most, "each is another one");
    }
}

/// Tags with these numbers, each written by `tag`.
fn tags(numbers: Range<usize>, tag: impl Fn(String) -> Value) -> Value {
    numbers.map(|n| tag(format!("key-{n}"))).collect()
}

fn pairs(numbers: Range<usize>) -> Value {
    tags(numbers, |key| json!({"Key": key, "Value": "v"}))
}

fn map(numbers: Range<usize>) -> Value {
    numbers.map(|n| (format!("key-{n}"), json!("v"))).collect()
}

/// Tags something with the tags of these numbers.
type Tag = Box<dyn Fn(Range<usize>) -> Call>;

/// Fifty, everywhere; then one more.
fn nothing_has_more_tags_than_it_may(region: &Region) {
    let vpc = ok(region, "ec2", "create_vpc", json!({"CidrBlock": "10.7.0.0/16"}))["Vpc"]["VpcId"].clone();
    let key = ok(region, "kms", "create_key", json!({}))["KeyMetadata"]["KeyId"].clone();
    ok(region, "iam", "create_user", json!({"UserName": "full"}));
    ok(region, "logs", "create_log_group", json!({"logGroupName": "full"}));
    ok(region, "ecr", "create_repository", json!({"repositoryName": "full"}));
    ok(region, "autoscaling", "create_auto_scaling_group", fleet("full", &region.default_subnets()));
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:us-east-1:{ACCOUNT}:{rest}");
    let (cluster, group) = (arn("eks", "cluster/twice-0"), arn("logs", "log-group:full"));
    let repository = arn("ecr", "repository/full");
    let of_key = |n| tags(n, |key| json!({"TagKey": key, "TagValue": "v"}));
    let cases: Vec<(&str, Tag)> = vec![
        (
            "TagLimitExceeded",
            Box::new(move |n| call("ec2", "create_tags", json!({"Resources": [vpc], "Tags": pairs(n)}))),
        ),
        ("LimitExceeded", Box::new(|n| call("iam", "tag_user", json!({"UserName": "full", "Tags": pairs(n)})))),
        ("TagException", Box::new(move |n| call("kms", "tag_resource", json!({"KeyId": key, "Tags": of_key(n)})))),
        (
            "TooManyTagsException",
            Box::new(move |n| call("logs", "tag_resource", json!({"resourceArn": group, "tags": map(n)}))),
        ),
        (
            "TooManyTagsException",
            Box::new(move |n| call("ecr", "tag_resource", json!({"resourceArn": repository, "tags": pairs(n)}))),
        ),
        (
            "LimitExceeded",
            Box::new(|n| {
                let tags = tags(n, |key| fleet_tag("full", &key));
                call("autoscaling", "create_or_update_tags", json!({ "Tags": tags }))
            }),
        ),
        (
            "BadRequestException",
            Box::new(move |n| call("eks", "tag_resource", json!({"resourceArn": cluster, "tags": map(n)}))),
        ),
    ];
    region.gets(
        cases.iter().flat_map(|(code, tag)| [("OK", tag(0..50)), ("OK", tag(49..50)), (*code, tag(50..51))]).collect(),
    );
}

fn ten_thousand_tags_are_told_page_by_page(region: &Region) {
    let subnet = region.default_subnets().split(',').next().unwrap_or_default().to_owned();
    let tags = json!([{"ResourceType": "network-interface", "Tags": pairs(0..50)}]);
    let input = json!({"SubnetId": subnet, "TagSpecifications": tags});
    let made = region.gets(vec![("OK", call("ec2", "create_network_interface", input)); 200]);
    let ids: BTreeSet<String> =
        made.into_iter().map(|one| text(&one.value()["NetworkInterface"], "NetworkInterfaceId").to_owned()).collect();
    let filter = json!({"Filters": [{"Name": "resource-type", "Values": ["network-interface"]}]});
    let pages = region.boto(vec![call("ec2", "describe_tags", filter).in_pages_of(1000)]).remove(0).value();
    let pages = pages.as_array().cloned().unwrap_or_default();
    let sizes: Vec<Option<usize>> = pages.iter().map(|page| page["Tags"].as_array().map(Vec::len)).collect();
    assert_eq!(sizes, vec![Some(1000); 10]);
    let seen = pages.iter().flat_map(|page| page["Tags"].as_array().cloned().unwrap_or_default());
    let seen: BTreeSet<(String, String)> =
        seen.map(|tag| (text(&tag, "ResourceId").to_owned(), text(&tag, "Key").to_owned())).collect();
    assert_eq!(seen.len(), 10_000, "each once");
    assert_eq!(seen.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), ids);
}
