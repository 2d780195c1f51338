//! What tools really call, in their order: the calls of a Terraform run, replayed by boto3 with what the provider expects of
//! each answer.

use e2e::{Call, Region, State, call, merged, steps};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const CLUSTER: &str = "prod";

/// `terraform apply`, `plan` and `destroy` of terraform-aws-modules/eks 21 in the default VPC, with a managed node group of
/// one from a launch template, an add-on, an access entry, IRSA's provider, a log group and a key.
#[test]
fn terraform_applies_and_destroys_the_eks_module() {
    let region = Region::for_nodes();
    let before = region.there();
    let state = State::default();
    steps!((&region, &state):
        data_sources_are_read,
        roles_key_and_log_group_are_made,
        security_groups_get_their_rules,
        the_cluster_is_made_and_waited_for,
        what_hangs_on_the_cluster_is_made,
        nodes_come_from_a_launch_template,
        a_second_plan_finds_nothing_to_change,
        all_is_destroyed_in_reverse,
    );
    assert_eq!(region.there(), before, "nothing is left");
}

/// The one call, which must succeed.
#[track_caller]
fn ok(region: &Region, service: &str, operation: &str, input: Value) -> Value {
    region.one(service, operation, input)
}

fn eks(operation: &str, more: Value) -> Call {
    let input = merged(json!({"clusterName": CLUSTER}), &more);
    call("eks", operation, input)
}

fn data_sources_are_read(region: &Region, state: &State) {
    let who = ok(region, "sts", "get_caller_identity", json!({}));
    assert_eq!(who["Account"], ACCOUNT);
    let vpcs = ok(region, "ec2", "describe_vpcs", json!({"Filters": [{"Name": "is-default", "Values": ["true"]}]}));
    state.keep("vpc", &vpcs["Vpcs"][0]["VpcId"]);
    let of_vpc = json!({"Filters": [{"Name": "vpc-id", "Values": [state.id("vpc")]}]});
    let subnets = ok(region, "ec2", "describe_subnets", of_vpc);
    state.keep("subnet 1", &subnets["Subnets"][0]["SubnetId"]);
    state.keep("subnet 2", &subnets["Subnets"][1]["SubnetId"]);
    let versions =
        ok(region, "eks", "describe_addon_versions", json!({"addonName": "kube-proxy", "kubernetesVersion": "1.36"}));
    state.keep("kube-proxy version", &versions["addons"][0]["addonVersions"][0]["addonVersion"]);
    let image = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/release_version";
    let image = ok(region, "ssm", "get_parameter", json!({"Name": image}));
    state.keep("release", &image["Parameter"]["Value"]);
}

fn trust(service: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"Service": service}});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn roles_key_and_log_group_are_made(region: &Region, state: &State) {
    for (name, service, policies) in [
        ("prod-cluster", "eks.amazonaws.com", &["AmazonEKSClusterPolicy"][..]),
        (
            "prod-node",
            "ec2.amazonaws.com",
            &["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"][..],
        ),
    ] {
        let input = json!({"RoleName": name, "Path": "/", "AssumeRolePolicyDocument": trust(service), "MaxSessionDuration": 3600,
            "Tags": [{"Key": "Terraform", "Value": "true"}]});
        let made = ok(region, "iam", "create_role", input);
        state.keep(if name == "prod-node" { "node role" } else { "cluster role" }, &made["Role"]["Arn"]);
        for policy in policies {
            let arn = format!("arn:aws:iam::aws:policy/{policy}");
            let attach = json!({"RoleName": name, "PolicyArn": arn});
            region.gets(vec![("OK", call("iam", "attach_role_policy", attach))]);
        }
        region.gets(vec![
            ("OK", call("iam", "get_role", json!({"RoleName": name}))),
            ("OK", call("iam", "list_attached_role_policies", json!({"RoleName": name}))),
            ("OK", call("iam", "list_role_policies", json!({"RoleName": name}))),
        ]);
    }
    let statement = json!({"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*"});
    let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let policy = json!({"PolicyName": "prod-encryption", "PolicyDocument": document});
    let made = ok(region, "iam", "create_policy", policy);
    state.keep("policy", &made["Policy"]["Arn"]);
    let attach = json!({"RoleName": "prod-cluster", "PolicyArn": state.id("policy")});
    region.gets(vec![
        ("OK", call("iam", "get_policy", json!({"PolicyArn": state.id("policy")}))),
        ("OK", call("iam", "get_policy_version", json!({"PolicyArn": state.id("policy"), "VersionId": "v1"}))),
        ("OK", call("iam", "attach_role_policy", attach)),
    ]);
    let key = ok(region, "kms", "create_key", json!({"Description": "prod cluster encryption key"}));
    state.keep("key", &key["KeyMetadata"]["KeyId"]);
    let alias = json!({"AliasName": "alias/eks/prod", "TargetKeyId": state.id("key")});
    let group = json!({"logGroupName": "/aws/eks/prod/cluster", "tags": {"Terraform": "true"}});
    let kept = json!({"logGroupName": "/aws/eks/prod/cluster", "retentionInDays": 90});
    region.gets(vec![
        ("OK", call("kms", "create_alias", alias)),
        ("OK", call("kms", "describe_key", json!({"KeyId": state.id("key")}))),
        ("OK", call("logs", "create_log_group", group)),
        ("OK", call("logs", "put_retention_policy", kept)),
        ("OK", call("logs", "describe_log_groups", json!({"logGroupNamePrefix": "/aws/eks/prod/cluster"}))),
    ]);
}

fn security_groups_get_their_rules(region: &Region, state: &State) {
    for (address, name) in [("cluster group", "prod-cluster"), ("node group", "prod-node")] {
        let input = json!({"GroupName": name, "Description": name, "VpcId": state.id("vpc")});
        let made = ok(region, "ec2", "create_security_group", input);
        state.keep(address, &made["GroupId"]);
        // The provider takes EC2's own rule away: it knows only those that it is told of.
        let own = json!({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
        let revoke = json!({"GroupId": state.id(address), "IpPermissions": [own]});
        region.gets(vec![("OK", call("ec2", "revoke_security_group_egress", revoke))]);
    }
    let from = |group: &str, port: u16| {
        json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            "UserIdGroupPairs": [{"GroupId": state.id(group), "Description": "by the module"}]})
    };
    let ingress = |group: &str, permission: Value| {
        call(
            "ec2",
            "authorize_security_group_ingress",
            json!({"GroupId": state.id(group), "IpPermissions": [permission]}),
        )
    };
    let all = json!({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
    region.gets(vec![
        ("OK", ingress("cluster group", from("node group", 443))),
        ("OK", ingress("node group", from("cluster group", 10250))),
        ("OK", ingress("node group", from("node group", 53))),
        ("InvalidPermission.Duplicate", ingress("node group", from("node group", 53))),
        (
            "OK",
            call(
                "ec2",
                "authorize_security_group_egress",
                json!({"GroupId": state.id("node group"), "IpPermissions": [all]}),
            ),
        ),
    ]);
}

fn the_cluster_is_made_and_waited_for(region: &Region, state: &State) {
    let network = json!({"subnetIds": [state.id("subnet 1"), state.id("subnet 2")], "securityGroupIds": [state.id("cluster group")],
        "endpointPrivateAccess": true, "endpointPublicAccess": true, "publicAccessCidrs": ["0.0.0.0/0"]});
    let logging = json!({"clusterLogging": [{"types": ["audit", "api", "authenticator"], "enabled": true}]});
    let input = json!({"name": CLUSTER, "version": "1.36", "roleArn": state.id("cluster role"), "resourcesVpcConfig": network,
        "logging": logging, "clientRequestToken": "terraform-1", "bootstrapSelfManagedAddons": false,
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": false},
        "tags": {"Terraform": "true"}});
    let made = ok(region, "eks", "create_cluster", input.clone());
    assert_eq!(made["cluster"]["status"], "CREATING");
    let again = ok(region, "eks", "create_cluster", input);
    assert_eq!(again["cluster"]["arn"], made["cluster"]["arn"], "the same token, the same cluster");
    let ask = call("eks", "describe_cluster", json!({"name": CLUSTER}));
    region.becomes(&ask, "/cluster/status", "ACTIVE");
    let cluster = ok(region, "eks", "describe_cluster", json!({"name": CLUSTER}))["cluster"].clone();
    state.keep("own group", &cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]);
    state.keep("issuer", &cluster["identity"]["oidc"]["issuer"]);
    state.keep("endpoint", &cluster["endpoint"]);
    let tag = json!({"Resources": [state.id("own group")], "Tags": [{"Key": "Terraform", "Value": "true"}]});
    region.gets(vec![("OK", call("ec2", "create_tags", tag))]);
}

fn what_hangs_on_the_cluster_is_made(region: &Region, state: &State) {
    let provider = json!({"Url": state.id("issuer"), "ClientIDList": ["sts.amazonaws.com"],
        "ThumbprintList": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"]});
    let made = ok(region, "iam", "create_open_id_connect_provider", provider);
    state.keep("provider", &made["OpenIDConnectProviderArn"]);
    let principal = format!("arn:aws:iam::{ACCOUNT}:user/admin");
    let entry = json!({"principalArn": principal, "type": "STANDARD"});
    let addon =
        json!({"addonName": "kube-proxy", "addonVersion": state.id("kube-proxy version"), "resolveConflicts": "NONE"});
    let cni = json!({"addonName": "vpc-cni", "resolveConflicts": "NONE"});
    region.gets(vec![
        ("OK", call("iam", "get_open_id_connect_provider", json!({"OpenIDConnectProviderArn": state.id("provider")}))),
        ("OK", eks("create_access_entry", entry)),
        ("OK", eks("describe_access_entry", json!({ "principalArn": principal }))),
        ("OK", eks("create_addon", cni)),
        ("OK", eks("create_addon", addon)),
    ]);
}

fn nodes_come_from_a_launch_template(region: &Region, state: &State) {
    let data = json!({"SecurityGroupIds": [state.id("node group"), state.id("own group")],
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "workers"}]}]});
    let template = json!({"LaunchTemplateName": "workers-1", "LaunchTemplateData": data});
    let made = ok(region, "ec2", "create_launch_template", template);
    state.keep("template", &made["LaunchTemplate"]["LaunchTemplateId"]);
    let group = json!({"nodegroupName": "workers", "nodeRole": state.id("node role"), "amiType": "AL2023_x86_64_STANDARD",
        "subnets": [state.id("subnet 1"), state.id("subnet 2")], "instanceTypes": ["t3.medium"], "capacityType": "ON_DEMAND",
        "releaseVersion": state.id("release"), "version": "1.36", "clientRequestToken": "terraform-2",
        "launchTemplate": {"id": state.id("template"), "version": "1"}, "updateConfig": {"maxUnavailablePercentage": 33},
        "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 1}, "labels": {"team": "sea"}});
    region.gets(vec![("OK", eks("create_nodegroup", group))]);
    region.becomes(&eks("describe_nodegroup", json!({"nodegroupName": "workers"})), "/nodegroup/status", "ACTIVE");
    for addon in ["vpc-cni", "kube-proxy"] {
        region.becomes(&eks("describe_addon", json!({"addonName": addon})), "/addon/status", "ACTIVE");
    }
}

/// What a refresh reads, of everything in the state.
fn a_second_plan_finds_nothing_to_change(region: &Region, state: &State) {
    let rules = json!({"Filters": [{"Name": "group-id", "Values": [state.id("node group")]}]});
    let arn = format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{CLUSTER}");
    let answers = region.gets(vec![
        ("OK", call("eks", "describe_cluster", json!({"name": CLUSTER}))),
        ("OK", call("eks", "list_tags_for_resource", json!({"resourceArn": arn}))),
        ("OK", call("ec2", "describe_security_group_rules", rules)),
        (
            "OK",
            call(
                "ec2",
                "describe_launch_template_versions",
                json!({"LaunchTemplateId": state.id("template"), "Versions": ["$Latest"]}),
            ),
        ),
        ("OK", eks("describe_nodegroup", json!({"nodegroupName": "workers"}))),
        ("OK", call("kms", "get_key_policy", json!({"KeyId": state.id("key"), "PolicyName": "default"}))),
        ("OK", call("kms", "get_key_rotation_status", json!({"KeyId": state.id("key")}))),
        ("OK", call("kms", "list_resource_tags", json!({"KeyId": state.id("key")}))),
        ("OK", call("iam", "list_policy_versions", json!({"PolicyArn": state.id("policy")}))),
    ]);
    let value = |n: usize| answers[n].clone().value();
    let network = value(0)["cluster"]["resourcesVpcConfig"].clone();
    assert_eq!(network["securityGroupIds"], json!([state.id("cluster group")]));
    assert_eq!(value(1)["tags"], json!({"Terraform": "true"}));
    assert_eq!(value(2)["SecurityGroupRules"].as_array().map(Vec::len), Some(3));
    assert_eq!(value(4)["nodegroup"]["launchTemplate"]["version"], "1");
}

fn all_is_destroyed_in_reverse(region: &Region, state: &State) {
    region.gets(vec![("OK", eks("delete_nodegroup", json!({"nodegroupName": "workers"})))]);
    region.goes(&eks("describe_nodegroup", json!({"nodegroupName": "workers"})), "ResourceNotFoundException");
    for addon in ["kube-proxy", "vpc-cni"] {
        region.gets(vec![("OK", eks("delete_addon", json!({ "addonName": addon })))]);
        region.goes(&eks("describe_addon", json!({ "addonName": addon })), "ResourceNotFoundException");
    }
    let entry = json!({"principalArn": format!("arn:aws:iam::{ACCOUNT}:user/admin")});
    region.gets(vec![
        ("OK", call("ec2", "delete_launch_template", json!({"LaunchTemplateId": state.id("template")}))),
        ("OK", eks("delete_access_entry", entry)),
        (
            "OK",
            call("iam", "delete_open_id_connect_provider", json!({"OpenIDConnectProviderArn": state.id("provider")})),
        ),
        ("DependencyViolation", call("ec2", "delete_security_group", json!({"GroupId": state.id("cluster group")}))),
        ("OK", call("eks", "delete_cluster", json!({"name": CLUSTER}))),
    ]);
    region.goes(&call("eks", "describe_cluster", json!({"name": CLUSTER})), "ResourceNotFoundException");
    // The rules of each name the other one: they go first.
    for group in ["cluster group", "node group"] {
        let found = json!({"Filters": [{"Name": "group-id", "Values": [state.id(group)]}]});
        let rules = ok(region, "ec2", "describe_security_group_rules", found)["SecurityGroupRules"].clone();
        for rule in rules.as_array().into_iter().flatten() {
            let way =
                if rule["IsEgress"] == true { "revoke_security_group_egress" } else { "revoke_security_group_ingress" };
            let revoke = json!({"GroupId": state.id(group), "SecurityGroupRuleIds": [rule["SecurityGroupRuleId"]]});
            region.gets(vec![("OK", call("ec2", way, revoke))]);
        }
    }
    for group in ["cluster group", "node group"] {
        region.gets(vec![("OK", call("ec2", "delete_security_group", json!({"GroupId": state.id(group)})))]);
    }
    for role in ["prod-cluster", "prod-node"] {
        let attached = ok(region, "iam", "list_attached_role_policies", json!({ "RoleName": role }));
        for policy in attached["AttachedPolicies"].as_array().into_iter().flatten() {
            let detach = json!({"RoleName": role, "PolicyArn": policy["PolicyArn"]});
            region.gets(vec![("OK", call("iam", "detach_role_policy", detach))]);
        }
        region.gets(vec![
            ("OK", call("iam", "list_instance_profiles_for_role", json!({ "RoleName": role }))),
            ("OK", call("iam", "delete_role", json!({ "RoleName": role }))),
        ]);
    }
    let closing = json!({"KeyId": state.id("key"), "PendingWindowInDays": 7});
    region.gets(vec![
        ("OK", call("iam", "delete_policy", json!({"PolicyArn": state.id("policy")}))),
        ("OK", call("kms", "delete_alias", json!({"AliasName": "alias/eks/prod"}))),
        ("OK", call("kms", "schedule_key_deletion", closing)),
        ("OK", call("logs", "delete_log_group", json!({"logGroupName": "/aws/eks/prod/cluster"}))),
    ]);
}
