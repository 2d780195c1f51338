//! What eksctl and kubetest2-eksapi really call, in their order, replayed by boto3 with what each expects of its answers.
//!
//! Both leave part of their work to CloudFormation, which is not here: what their templates make is made by the calls that
//! the templates' resources stand for, in the order in which they depend on each other. Left out: IPv6, NAT gateways, policies
//! of services that are not here.

use e2e::{Call, Region, State, call, merged, steps, text};
use serde_json::{Value, json};
use std::fs;

const ACCOUNT: &str = "111122223333";
const MISSING: &str = "ResourceNotFoundException";
const IMAGE: &str = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";

/// `eksctl create cluster --name sail --nodes 1 --ssh-access --with-oidc`, `scale nodegroup` and `delete cluster`: a VPC of
/// its own with three public and three private subnets.
#[test]
fn eksctl_creates_scales_and_deletes() {
    let region = Region::for_nodes();
    let before = region.there();
    let state = State::default();
    steps!((&region, &state):
        eksctl_looks_before_it_begins,
        the_cluster_s_stack_is_made,
        add_ons_and_the_provider_follow_the_cluster,
        the_node_group_s_stack_is_made,
        the_node_group_is_scaled,
        the_node_group_s_stack_goes,
        the_cluster_s_stack_goes,
    );
    assert_eq!(region.there(), before, "nothing is left");
}

/// `kubetest2 eksapi --up --down --nodes 1 --expected-ami`.
#[test]
fn kubetest2_eksapi_goes_up_and_down() {
    let region = Region::for_nodes();
    let before = region.there();
    let state = State::default();
    steps!((&region, &state):
        the_infrastructure_stack_is_made,
        the_cluster_under_test_is_made,
        its_nodes_are_of_types_that_there_are,
        all_goes_down,
    );
    assert_eq!(region.there(), before, "nothing is left");
}

fn ec2(operation: &str, input: Value) -> Call {
    call("ec2", operation, input)
}

/// A call on what belongs to a cluster.
fn on(cluster: &str, operation: &str, more: Value) -> Call {
    call("eks", operation, merged(json!({ "clusterName": cluster }), &more))
}

/// All of these succeed.
#[track_caller]
fn ok(region: &Region, calls: Vec<Call>) -> Vec<Value> {
    let answers = region.gets(calls.into_iter().map(|call| ("OK", call)).collect());
    answers.into_iter().map(e2e::Answer::value).collect()
}

fn only(name: &str, values: &[&str]) -> Value {
    json!({"Name": name, "Values": values})
}

fn tag(kind: &str, name: &str) -> Value {
    json!([{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}])
}

fn trust(service: &str) -> String {
    let statement =
        json!({"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Principal": {"Service": service}});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// A role with policies of AWS's.
#[track_caller]
fn role(region: &Region, state: &State, name: &'static str, service: &str, policies: &[&str]) {
    let made = call("iam", "create_role", json!({"RoleName": name, "AssumeRolePolicyDocument": trust(service)}));
    let attach = policies.iter().map(|policy| {
        let arn = format!("arn:aws:iam::aws:policy/{policy}");
        call("iam", "attach_role_policy", json!({"RoleName": name, "PolicyArn": arn}))
    });
    let made = ok(region, [made].into_iter().chain(attach).collect());
    state.keep(name, &made[0]["Role"]["Arn"]);
}

/// The role and its policies go.
#[track_caller]
fn role_goes(region: &Region, name: &str) {
    let attached = region.one("iam", "list_attached_role_policies", json!({ "RoleName": name }));
    let attached = attached["AttachedPolicies"].as_array().cloned().unwrap_or_default();
    let detach = attached
        .iter()
        .map(|policy| call("iam", "detach_role_policy", json!({"RoleName": name, "PolicyArn": policy["PolicyArn"]})));
    ok(region, detach.chain([call("iam", "delete_role", json!({ "RoleName": name }))]).collect());
}

/// A VPC with a gateway, a route table for its public subnets, and subnets in zones.
#[track_caller]
fn network(region: &Region, state: &State, subnets: &[(&'static str, &str, &str, bool)]) {
    let vpc = json!({"CidrBlock": "192.168.0.0/16", "TagSpecifications": tag("vpc", "VPC")});
    let made = ok(region, vec![ec2("create_vpc", vpc), ec2("create_internet_gateway", json!({}))]);
    state.keep("vpc", &made[0]["Vpc"]["VpcId"]);
    state.keep("gateway", &made[1]["InternetGateway"]["InternetGatewayId"]);
    let vpc = state.id("vpc");
    let cut = subnets.iter().map(|(name, cidr, zone, _)| {
        let tags = tag("subnet", name);
        let input = json!({"VpcId": vpc, "CidrBlock": cidr, "AvailabilityZone": zone, "TagSpecifications": tags});
        ec2("create_subnet", input)
    });
    let calls = [
        ec2("modify_vpc_attribute", json!({"VpcId": vpc, "EnableDnsSupport": {"Value": true}})),
        ec2("modify_vpc_attribute", json!({"VpcId": vpc, "EnableDnsHostnames": {"Value": true}})),
        ec2("attach_internet_gateway", json!({"VpcId": vpc, "InternetGatewayId": state.id("gateway")})),
        ec2("create_route_table", json!({"VpcId": vpc, "TagSpecifications": tag("route-table", "Public")})),
    ];
    let made = ok(region, calls.into_iter().chain(cut).collect());
    state.keep("table", &made[3]["RouteTable"]["RouteTableId"]);
    let mut calls = vec![ec2(
        "create_route",
        json!({"RouteTableId": state.id("table"), "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": state.id("gateway")}),
    )];
    for ((name, _, _, public), made) in subnets.iter().zip(&made[4..]) {
        state.keep(name, &made["Subnet"]["SubnetId"]);
        if *public {
            let id = state.id(name);
            calls.push(ec2("modify_subnet_attribute", json!({"SubnetId": id, "MapPublicIpOnLaunch": {"Value": true}})));
            calls.push(ec2("associate_route_table", json!({"SubnetId": id, "RouteTableId": state.id("table")})));
        }
    }
    ok(region, calls);
}

/// The VPC goes, as a stack is deleted: what depends on something before that.
#[track_caller]
fn network_goes(region: &Region, state: &State) {
    let found = json!({"RouteTableIds": [state.id("table")]});
    let tables = region.one("ec2", "describe_route_tables", found);
    let associations = tables["RouteTables"][0]["Associations"].as_array().cloned().unwrap_or_default();
    let of_vpc = json!({"Filters": [only("vpc-id", &[&state.id("vpc")])]});
    let subnets = region.one("ec2", "describe_subnets", of_vpc)["Subnets"].as_array().cloned().unwrap_or_default();
    let leave = associations
        .iter()
        .map(|one| ec2("disassociate_route_table", json!({"AssociationId": one["RouteTableAssociationId"]})));
    let cut = subnets.iter().map(|subnet| ec2("delete_subnet", json!({"SubnetId": subnet["SubnetId"]})));
    let (vpc, gateway) = (json!({"VpcId": state.id("vpc")}), json!({"InternetGatewayId": state.id("gateway")}));
    let rest = [
        ec2("delete_route", json!({"RouteTableId": state.id("table"), "DestinationCidrBlock": "0.0.0.0/0"})),
        ec2("delete_route_table", json!({"RouteTableId": state.id("table")})),
        ec2("detach_internet_gateway", merged(vpc.clone(), &gateway)),
        ec2("delete_internet_gateway", gateway),
        ec2("delete_vpc", vpc),
    ];
    ok(region, leave.chain(cut).chain(rest).collect());
}

/// The public key of a pair that is the caller's own.
#[track_caller]
fn public_key(region: &Region) -> String {
    let file = region.folder().join("id").to_string_lossy().into_owned();
    region.client().run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file]).text();
    fs::read_to_string(format!("{file}.pub")).expect("ssh-keygen made it")
}

const SAIL: &str = "sail";
const WORKERS: &str = "ng-1";
/// eksctl's name of the key that it imports.
const SSH_KEY: &str = "eksctl-sail-nodegroup-ng-1";

fn sail(operation: &str, more: Value) -> Call {
    on(SAIL, operation, more)
}

fn eksctl_looks_before_it_begins(region: &Region, state: &State) {
    let zones = json!({"Filters": [only("region-name", &["us-east-1"]), only("state", &["available"]),
        only("zone-type", &["availability-zone"])]});
    let offered = json!({"LocationType": "availability-zone", "Filters": [only("instance-type", &["t3.medium"]),
        only("location", &["us-east-1a", "us-east-1b", "us-east-1c"])]});
    let answers = region.gets(vec![
        ("OK", call("sts", "get_caller_identity", json!({}))),
        ("OK", call("eks", "list_clusters", json!({}))),
        ("OK", call("eks", "describe_cluster_versions", json!({}))),
        (MISSING, call("eks", "describe_cluster", json!({ "name": SAIL }))),
        ("OK", ec2("describe_availability_zones", zones)),
        ("OK", ec2("describe_instance_type_offerings", offered)),
        ("OK", call("ssm", "get_parameter", json!({ "Name": IMAGE }))),
        ("InvalidKeyPair.NotFound", ec2("describe_key_pairs", json!({"KeyNames": [SSH_KEY]}))),
    ]);
    let value = |n: usize| answers[n].clone().value();
    assert_eq!(value(4)["AvailabilityZones"].as_array().map(Vec::len), Some(3));
    assert_eq!(value(5)["InstanceTypeOfferings"].as_array().map(Vec::len), Some(3));
    state.keep("image", &value(6)["Parameter"]["Value"]);
    let public = public_key(region);
    let made = ok(
        region,
        vec![
            ec2("describe_images", json!({"ImageIds": [state.id("image")]})),
            ec2("import_key_pair", json!({"KeyName": SSH_KEY, "PublicKeyMaterial": public})),
        ],
    );
    assert_eq!(made[0]["Images"][0]["RootDeviceType"], "ebs");
    assert!(made[1]["KeyFingerprint"].is_string());
}

fn the_cluster_s_stack_is_made(region: &Region, state: &State) {
    let subnets = [
        ("public a", "192.168.0.0/19", "us-east-1a", true),
        ("public b", "192.168.32.0/19", "us-east-1b", true),
        ("public c", "192.168.64.0/19", "us-east-1c", true),
        ("private a", "192.168.96.0/19", "us-east-1a", false),
        ("private b", "192.168.128.0/19", "us-east-1b", false),
        ("private c", "192.168.160.0/19", "us-east-1c", false),
    ];
    network(region, state, &subnets);
    role(
        region,
        state,
        "sail-service",
        "eks.amazonaws.com",
        &["AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController"],
    );
    let group = |name: &str| {
        ec2("create_security_group", json!({"GroupName": name, "Description": name, "VpcId": state.id("vpc")}))
    };
    let groups = ok(region, vec![group("ControlPlane"), group("SharedNode")]);
    state.keep("control plane group", &groups[0]["GroupId"]);
    state.keep("shared group", &groups[1]["GroupId"]);
    let ids = subnets.map(|(name, ..)| state.id(name));
    let network = json!({"subnetIds": ids, "securityGroupIds": [state.id("control plane group")],
        "endpointPublicAccess": true, "endpointPrivateAccess": false});
    let tags = json!({"alpha.eksctl.io/cluster-name": SAIL, "alpha.eksctl.io/eksctl-version": "0.230.0"});
    let access = json!({"authenticationMode": "API_AND_CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": true});
    let input = json!({"name": SAIL, "version": "1.36", "roleArn": state.id("sail-service"), "resourcesVpcConfig": network,
        "accessConfig": access, "bootstrapSelfManagedAddons": false, "tags": tags,
        "kubernetesNetworkConfig": {"ipFamily": "ipv4"}});
    ok(region, vec![call("eks", "create_cluster", input)]);
    let describe = call("eks", "describe_cluster", json!({ "name": SAIL }));
    region.becomes(&describe, "/cluster/status", "ACTIVE");
    let cluster = ok(region, vec![describe]).remove(0)["cluster"].clone();
    state.keep("own group", &cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]);
    state.keep("issuer", &cluster["identity"]["oidc"]["issuer"]);
    assert!(cluster["certificateAuthority"]["data"].is_string() && cluster["endpoint"].is_string());
    let between = |to: &str, from: &str| {
        let from = json!([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": state.id(from)}]}]);
        ec2("authorize_security_group_ingress", json!({"GroupId": state.id(to), "IpPermissions": from}))
    };
    ok(
        region,
        vec![
            between("shared group", "shared group"),
            between("shared group", "own group"),
            between("own group", "shared group"),
        ],
    );
}

fn add_ons_and_the_provider_follow_the_cluster(region: &Region, state: &State) {
    let provider =
        format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{}", state.id("issuer").trim_start_matches("https://"));
    let provider = json!({ "OpenIDConnectProviderArn": provider });
    let create = json!({"Url": state.id("issuer"), "ClientIDList": ["sts.amazonaws.com"],
        "ThumbprintList": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"]});
    region.gets(vec![
        ("NoSuchEntity", call("iam", "get_open_id_connect_provider", provider)),
        ("OK", call("iam", "create_open_id_connect_provider", create)),
    ]);
    for addon in ["vpc-cni", "kube-proxy", "coredns"] {
        let offered = json!({"addonName": addon, "kubernetesVersion": "1.36"});
        let offered = region.one("eks", "describe_addon_versions", offered);
        let version = &offered["addons"][0]["addonVersions"][0]["addonVersion"];
        let input = json!({"addonName": addon, "addonVersion": version, "resolveConflicts": "OVERWRITE"});
        region.gets(vec![
            (MISSING, sail("describe_addon", json!({ "addonName": addon }))),
            ("OK", sail("create_addon", input)),
            ("OK", sail("describe_addon", json!({ "addonName": addon }))),
        ]);
    }
}

fn the_node_group_s_stack_is_made(region: &Region, state: &State) {
    let policies = [
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonSSMManagedInstanceCore",
    ];
    role(region, state, "sail-node", "ec2.amazonaws.com", &policies);
    let disk = json!({"VolumeSize": 80, "VolumeType": "gp3", "Iops": 3000, "Throughput": 125});
    let tags =
        [("instance", "sail-ng-1-Node"), ("volume", "sail-ng-1-Node")].map(|(kind, name)| tag(kind, name)[0].clone());
    let data = json!({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}], "KeyName": SSH_KEY,
        "MetadataOptions": {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"},
        "SecurityGroupIds": [state.id("own group"), state.id("shared group")], "TagSpecifications": tags});
    let template = json!({"LaunchTemplateName": "eksctl-sail-nodegroup-ng-1", "LaunchTemplateData": data});
    let made = region.one("ec2", "create_launch_template", template);
    state.keep("template", &made["LaunchTemplate"]["LaunchTemplateId"]);
    let subnets = ["public a", "public b", "public c"].map(|name| state.id(name));
    let labels = json!({"alpha.eksctl.io/cluster-name": SAIL, "alpha.eksctl.io/nodegroup-name": WORKERS});
    let group = json!({"nodegroupName": WORKERS, "nodeRole": state.id("sail-node"), "subnets": subnets,
        "amiType": "AL2023_x86_64_STANDARD", "instanceTypes": ["t3.medium"], "labels": labels, "tags": labels,
        "launchTemplate": {"id": state.id("template")},
        "scalingConfig": {"minSize": 1, "maxSize": 1, "desiredSize": 1}});
    ok(region, vec![sail("create_nodegroup", group)]);
    let describe = sail("describe_nodegroup", json!({"nodegroupName": WORKERS}));
    region.becomes(&describe, "/nodegroup/status", "ACTIVE");
    let group = ok(region, vec![describe]).remove(0)["nodegroup"].clone();
    let fleet = json!({"AutoScalingGroupNames": [group["resources"]["autoScalingGroups"][0]["name"]]});
    let fleet = region.one("autoscaling", "describe_auto_scaling_groups", fleet)["AutoScalingGroups"][0].clone();
    let node = json!({"InstanceIds": [fleet["Instances"][0]["InstanceId"]]});
    let node = region.one("ec2", "describe_instances", node)["Reservations"][0]["Instances"][0].clone();
    assert_eq!((text(&node, "KeyName"), text(&node, "ImageId")), (SSH_KEY, &*state.id("image")));
    for addon in ["vpc-cni", "kube-proxy", "coredns"] {
        region.becomes(&sail("describe_addon", json!({ "addonName": addon })), "/addon/status", "ACTIVE");
    }
}

/// `delete addon` first: CoreDNS has a budget, and its pods would hold up the only node's drain for as long as it may take.
fn the_node_group_is_scaled(region: &Region, _: &State) {
    ok(region, vec![sail("delete_addon", json!({"addonName": "coredns"}))]);
    region.goes(&sail("describe_addon", json!({"addonName": "coredns"})), MISSING);
    let sizes = json!({"nodegroupName": WORKERS, "scalingConfig": {"minSize": 0, "maxSize": 2, "desiredSize": 0}});
    let update = ok(region, vec![sail("update_nodegroup_config", sizes)]).remove(0)["update"].clone();
    let ask = json!({"name": SAIL, "nodegroupName": WORKERS, "updateId": update["id"]});
    region.becomes(&call("eks", "describe_update", ask), "/update/status", "Successful");
    region.becomes(&sail("describe_nodegroup", json!({"nodegroupName": WORKERS})), "/nodegroup/status", "ACTIVE");
}

fn the_node_group_s_stack_goes(region: &Region, state: &State) {
    let listed = ok(region, vec![sail("list_nodegroups", json!({}))]);
    assert_eq!(listed[0]["nodegroups"], json!([WORKERS]));
    ok(region, vec![sail("delete_nodegroup", json!({"nodegroupName": WORKERS}))]);
    region.goes(&sail("describe_nodegroup", json!({"nodegroupName": WORKERS})), MISSING);
    ok(region, vec![ec2("delete_launch_template", json!({"LaunchTemplateId": state.id("template")}))]);
    role_goes(region, "sail-node");
}

fn the_cluster_s_stack_goes(region: &Region, state: &State) {
    let keys = json!({"Filters": [only("key-name", &["eksctl-sail-nodegroup-*"])]});
    let keys = region.one("ec2", "describe_key_pairs", keys)["KeyPairs"].clone();
    let keys = keys.as_array().cloned().unwrap_or_default();
    assert_eq!(keys.len(), 1, "what eksctl imported it finds again");
    let mut calls: Vec<Call> =
        keys.iter().map(|key| ec2("delete_key_pair", json!({"KeyName": key["KeyName"]}))).collect();
    let providers = region.one("iam", "list_open_id_connect_providers", json!({}))["OpenIDConnectProviderList"].clone();
    let provider = json!({"OpenIDConnectProviderArn": providers[0]["Arn"]});
    calls.push(call("iam", "delete_open_id_connect_provider", provider));
    calls.push(sail("list_addons", json!({})));
    // Rules between the groups depend on the cluster in the template, and go first: one that names the cluster's own group
    // would keep it.
    let without = |to: &str, from: &str| {
        let from = json!([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": state.id(from)}]}]);
        ec2("revoke_security_group_ingress", json!({"GroupId": state.id(to), "IpPermissions": from}))
    };
    calls.extend([
        without("shared group", "shared group"),
        without("shared group", "own group"),
        without("own group", "shared group"),
    ]);
    calls.push(call("eks", "delete_cluster", json!({ "name": SAIL })));
    ok(region, calls);
    let own = state.id("own group");
    region.goes(&call("eks", "describe_cluster", json!({ "name": SAIL })), MISSING);
    leaked_interfaces_go(region, state);
    // The cluster's own group went with it.
    region.gets(vec![("InvalidGroup.NotFound", ec2("describe_security_groups", json!({"GroupIds": [own]})))]);
    let group = |name: &str| ec2("delete_security_group", json!({"GroupId": state.id(name)}));
    ok(region, vec![group("shared group"), group("control plane group")]);
    network_goes(region, state);
    role_goes(region, "sail-service");
}

/// What a VPC CNI may have left behind would keep subnets from going.
fn leaked_interfaces_go(region: &Region, state: &State) {
    let filters = json!({"Filters": [only("vpc-id", &[&state.id("vpc")]), only("interface-type", &["interface"]),
        only("tag-key", &["node.k8s.amazonaws.com/createdAt"])]});
    let left = region.one("ec2", "describe_network_interfaces", filters)["NetworkInterfaces"].clone();
    assert_eq!(left, json!([]), "nothing leaks here");
}

const TEST: &str = "kubetest2-eksapi-1";

fn under_test(operation: &str, more: Value) -> Call {
    on(TEST, operation, more)
}

const HALVES: [(&str, &str, &str, bool); 4] = [
    ("public 1", "192.168.0.0/18", "us-east-1a", true),
    ("public 2", "192.168.64.0/18", "us-east-1b", true),
    ("private 1", "192.168.128.0/18", "us-east-1a", false),
    ("private 2", "192.168.192.0/18", "us-east-1b", false),
];

fn the_infrastructure_stack_is_made(region: &Region, state: &State) {
    network(region, state, &HALVES);
    let of_cluster = [
        "AmazonEKSClusterPolicy",
        "AmazonEKSBlockStoragePolicy",
        "AmazonEKSComputePolicy",
        "AmazonEKSLoadBalancingPolicy",
        "AmazonEKSNetworkingPolicy",
    ];
    let of_node = [
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonEKS_CNI_Policy",
        "AmazonSSMManagedInstanceCore",
    ];
    role(region, state, "test-cluster", "eks.amazonaws.com", &of_cluster);
    role(region, state, "test-node", "ec2.amazonaws.com", &of_node);
    let public = public_key(region);
    let group = json!({"GroupName": "ssh", "Description": "SSH access for worker nodes", "VpcId": state.id("vpc")});
    let made = ok(
        region,
        vec![
            ec2("import_key_pair", json!({"KeyName": TEST, "PublicKeyMaterial": public})),
            ec2("create_security_group", group),
        ],
    );
    state.keep("ssh group", &made[1]["GroupId"]);
    let ssh = json!([{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.1/32"}]}]);
    let ssh = json!({"GroupId": state.id("ssh group"), "IpPermissions": ssh});
    ok(region, vec![ec2("authorize_security_group_ingress", ssh)]);
}

fn the_cluster_under_test_is_made(region: &Region, state: &State) {
    let subnets = HALVES.map(|(name, ..)| state.id(name));
    let network = json!({"endpointPrivateAccess": true, "endpointPublicAccess": true, "subnetIds": subnets});
    let input = json!({"name": TEST, "roleArn": state.id("test-cluster"), "resourcesVpcConfig": network, "version": "1.36",
        "kubernetesNetworkConfig": {"ipFamily": "ipv4"}});
    ok(region, vec![call("eks", "create_cluster", input)]);
    let describe = call("eks", "describe_cluster", json!({ "name": TEST }));
    region.becomes(&describe, "/cluster/status", "ACTIVE");
    let cluster = ok(region, vec![describe]).remove(0)["cluster"].clone();
    // It dereferences each of these.
    for path in [
        "/arn",
        "/name",
        "/endpoint",
        "/certificateAuthority/data",
        "/kubernetesNetworkConfig/serviceIpv4Cidr",
        "/resourcesVpcConfig/clusterSecurityGroupId",
    ] {
        assert!(cluster.pointer(path).is_some_and(Value::is_string), "no {path} in {cluster}");
    }
    assert_eq!(cluster["kubernetesNetworkConfig"]["ipFamily"], "ipv4");
    let offered = json!({"addonName": "kube-proxy", "kubernetesVersion": "1.36"});
    let offered = region.one("eks", "describe_addon_versions", offered);
    let versions = offered["addons"][0]["addonVersions"].as_array().cloned().unwrap_or_default();
    let default = versions.iter().find(|version| version["compatibilities"][0]["defaultVersion"] == true);
    let default = default.expect("one version is the default")["addonVersion"].clone();
    ok(region, vec![under_test("create_addon", json!({"addonName": "kube-proxy", "addonVersion": default}))]);
}

/// Types that there are not are eliminated, by the code of the refusal.
fn its_nodes_are_of_types_that_there_are(region: &Region, state: &State) {
    let wanted = ["t3.medium", "m4.large", "t3.small"];
    let types = wanted.map(|name| ec2("describe_instance_types", json!({"InstanceTypes": [name]})));
    let answers = region.boto(types.into());
    let codes: Vec<&str> = answers.iter().map(e2e::Answer::code).collect();
    assert_eq!(codes, ["OK", "InvalidInstanceType", "OK"]);
    let subnets = HALVES.map(|(name, ..)| state.id(name));
    let group = json!({"nodegroupName": TEST, "nodeRole": state.id("test-node"), "subnets": subnets, "diskSize": 100,
        "capacityType": "ON_DEMAND", "scalingConfig": {"minSize": 1, "maxSize": 1, "desiredSize": 1},
        "amiType": "AL2023_x86_64_STANDARD", "instanceTypes": ["t3.medium", "t3.small"]});
    ok(region, vec![under_test("create_nodegroup", group)]);
    let describe = under_test("describe_nodegroup", json!({"nodegroupName": TEST}));
    region.becomes(&describe, "/nodegroup/status", "ACTIVE");
    let group = ok(region, vec![describe, call("ssm", "get_parameter", json!({ "Name": IMAGE }))]);
    let fleet = &group[0]["nodegroup"]["resources"]["autoScalingGroups"][0]["name"];
    let fleets = region.one("autoscaling", "describe_auto_scaling_groups", json!({"AutoScalingGroupNames": [fleet]}));
    let fleets = fleets["AutoScalingGroups"].as_array().cloned().unwrap_or_default();
    assert_eq!(fleets.len(), 1);
    let node = json!({"InstanceIds": [fleets[0]["Instances"][0]["InstanceId"]]});
    let node = region.one("ec2", "describe_instances", node)["Reservations"][0]["Instances"][0].clone();
    assert_eq!(node["ImageId"], group[1]["Parameter"]["Value"], "the expected AMI");
}

fn all_goes_down(region: &Region, state: &State) {
    // Its own tests are over. CoreDNS has a budget, which would hold up the only node's drain: the tool waits 20 minutes.
    region.cluster(TEST).kubectl(&["-n", "kube-system", "delete", "deployment", "coredns", "--wait=false"]);
    ok(region, vec![under_test("delete_nodegroup", json!({"nodegroupName": TEST}))]);
    region.goes(&under_test("describe_nodegroup", json!({"nodegroupName": TEST})), MISSING);
    ok(region, vec![call("eks", "delete_cluster", json!({ "name": TEST }))]);
    region.goes(&call("eks", "describe_cluster", json!({ "name": TEST })), MISSING);
    // It takes these for done, should somebody else have been quicker.
    region.gets(vec![
        (MISSING, under_test("delete_nodegroup", json!({"nodegroupName": TEST}))),
        (MISSING, call("eks", "delete_cluster", json!({ "name": TEST }))),
    ]);
    leaked_interfaces_go(region, state);
    ok(
        region,
        vec![
            ec2("delete_key_pair", json!({ "KeyName": TEST })),
            ec2("delete_security_group", json!({"GroupId": state.id("ssh group")})),
        ],
    );
    network_goes(region, state);
    role_goes(region, "test-node");
    role_goes(region, "test-cluster");
}
