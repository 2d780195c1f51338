//! Instances, interfaces, templates and images, by the real clients, in a region where no machine finds its programs:
//! instances stay pending. That they run, nodes show.

use e2e::{Answer, Region, call, merged, steps, until};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

#[test]
fn instances_are_asked_for_found_changed_and_terminated() {
    let region = Region::start();
    steps!((&region):
        an_image_is_found_as_tools_look_for_it,
        types_have_their_limits,
        an_instance_is_launched_from_a_template_and_seen,
        interfaces_take_addresses_and_prefixes_and_give_them_back,
        an_interface_comes_and_goes,
        templates_have_versions_and_one_is_the_default,
        an_instance_stops_changes_and_starts,
        tags_come_off_again,
        what_ec2_refuses_changes_nothing,
        every_operation_says_what_is_not_there,
        terminated_instances_are_seen_for_a_while,
    );
}

/// A text of an answer.
#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn image(region: &Region) -> String {
    let found = region.aws(&[
        "ec2",
        "describe-images",
        "--owners",
        "amazon",
        "--filters",
        "Name=name,Values=amazon-eks-node-al2023-x86_64-standard-1.36-*",
    ]);
    text(&found["Images"][0]["ImageId"]).to_owned()
}

fn subnet(region: &Region) -> String {
    region.default_subnets().split(',').next().expect("there are three").to_owned()
}

fn an_image_is_found_as_tools_look_for_it(region: &Region) {
    let name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";
    let parameter = region.aws(&["ssm", "get-parameter", "--name", name]);
    assert_eq!(parameter["Parameter"]["Value"], image(region).as_str());
    let found = region.aws(&["ec2", "describe-images", "--image-ids", &image(region)])["Images"][0].clone();
    assert_eq!((&found["OwnerId"], &found["State"]), (&json!("602401143452"), &json!("available")));
    assert_eq!(found["RootDeviceName"], found["BlockDeviceMappings"][0]["DeviceName"]);
}

fn types_have_their_limits(region: &Region) {
    let found =
        region.aws(&["ec2", "describe-instance-types", "--instance-types", "m5.large"])["InstanceTypes"].clone();
    let (cpu, memory, network) = (&found[0]["VCpuInfo"], &found[0]["MemoryInfo"], &found[0]["NetworkInfo"]);
    assert_eq!((&cpu["DefaultVCpus"], &memory["SizeInMiB"]), (&json!(2), &json!(8192)));
    assert_eq!((&network["MaximumNetworkInterfaces"], &network["Ipv4AddressesPerInterface"]), (&json!(3), &json!(10)));
    let offered = region.aws(&[
        "ec2",
        "describe-instance-type-offerings",
        "--location-type",
        "availability-zone",
        "--filters",
        "Name=instance-type,Values=t3.medium",
    ]);
    assert_eq!(offered["InstanceTypeOfferings"].as_array().map(Vec::len), Some(3));
}

fn an_instance_is_launched_from_a_template_and_seen(region: &Region) {
    let data = json!({
        "ImageId": image(region),
        "InstanceType": "t3.medium",
        "UserData": "aGVsbG8=",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}],
        "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "template"}]}],
    });
    let data = data.to_string();
    let made =
        ["ec2", "create-launch-template", "--launch-template-name", "small", "--launch-template-data", data.as_str()];
    region.aws(&made);
    let shown = region.aws(&["ec2", "describe-launch-template-versions", "--launch-template-name", "small"]);
    let shown = &shown["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    assert_eq!(
        (&shown["UserData"], &shown["MetadataOptions"]["HttpPutResponseHopLimit"]),
        (&json!("aGVsbG8="), &json!(2))
    );
    let subnet = subnet(region);
    let run = [
        "ec2",
        "run-instances",
        "--launch-template",
        "LaunchTemplateName=small",
        "--subnet-id",
        subnet.as_str(),
        "--tag-specifications",
        "ResourceType=instance,Tags=[{Key=Name,Value=one}]",
    ];
    let made = region.aws(&run)["Instances"][0].clone();
    assert_eq!((&made["State"]["Name"], &made["AmiLaunchIndex"]), (&json!("pending"), &json!(0)));
    let found = named(region, "one");
    let address: Ipv4Addr = text(&found["PrivateIpAddress"]).parse().expect("it is an address");
    let dashed = address.to_string().replace('.', "-");
    assert_eq!(found["PrivateDnsName"], format!("ip-{dashed}.ec2.internal"));
    assert_eq!(found["MetadataOptions"]["HttpTokens"], "required");
    let volume = text(&found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]);
    let volume = region.aws(&["ec2", "describe-volumes", "--volume-ids", volume])["Volumes"][0].clone();
    assert_eq!((&volume["Size"], &volume["Tags"][0]["Value"]), (&json!(30), &json!("template")));
    let id = text(&found["InstanceId"]);
    let data = ["ec2", "describe-instance-attribute", "--instance-id", id, "--attribute", "userData"];
    assert_eq!(region.aws(&data)["UserData"]["Value"], "aGVsbG8=");
}

fn named(region: &Region, name: &str) -> Value {
    let filter = format!("Name=tag:Name,Values={name}");
    region.aws(&["ec2", "describe-instances", "--filters", &filter])["Reservations"][0]["Instances"][0].clone()
}

fn interfaces_take_addresses_and_prefixes_and_give_them_back(region: &Region) {
    let subnet = subnet(region);
    let free = || {
        let found = region.aws(&["ec2", "describe-subnets", "--subnet-ids", &subnet]);
        found["Subnets"][0]["AvailableIpAddressCount"].as_u64().expect("it is a number")
    };
    let before = free();
    let made = region.aws(&["ec2", "create-network-interface", "--subnet-id", &subnet, "--description", "second"]);
    let eni = text(&made["NetworkInterface"]["NetworkInterfaceId"]);
    let instance = named(region, "one");
    let id = text(&instance["InstanceId"]);
    let attach = ["ec2", "attach-network-interface", "--network-interface-id", eni, "--instance-id", id];
    region.aws(&[&attach[..], &["--device-index", "1"]].concat());
    let assign = ["ec2", "assign-private-ip-addresses", "--network-interface-id", eni];
    let given = region.aws(&[&assign[..], &["--secondary-private-ip-address-count", "3"]].concat());
    assert_eq!(given["AssignedPrivateIpAddresses"].as_array().map(Vec::len), Some(3));
    let given = region.aws(&[&assign[..], &["--ipv4-prefix-count", "1"]].concat());
    let prefix = text(&given["AssignedIpv4Prefixes"][0]["Ipv4Prefix"]);
    assert!(prefix.ends_with("/28"), "{prefix}");
    assert_eq!(free(), before - 1 - 3 - 16);
    let found = region.aws(&["ec2", "describe-network-interfaces", "--network-interface-ids", eni]);
    let found = &found["NetworkInterfaces"][0];
    assert_eq!((&found["Attachment"]["InstanceId"], &found["Attachment"]["DeviceIndex"]), (&json!(id), &json!(1)));
    let unassign = ["ec2", "unassign-private-ip-addresses", "--network-interface-id", eni];
    region.aws(&[&unassign[..], &["--ipv4-prefixes", prefix]].concat());
    assert_eq!(free(), before - 1 - 3);
    region.aws(&["ec2", "create-tags", "--resources", eni, "--tags", "Key=node.k8s.amazonaws.com/instance_id,Value=x"]);
    let tagged = region.aws(&["ec2", "describe-tags", "--filters", &format!("Name=resource-id,Values={eni}")]);
    assert_eq!(tagged["Tags"][0]["ResourceType"], "network-interface");
    let keeps = format!("AttachmentId={},DeleteOnTermination=true", text(&found["Attachment"]["AttachmentId"]));
    region.aws(&["ec2", "modify-network-interface-attribute", "--network-interface-id", eni, "--attachment", &keeps]);
}

fn an_interface_comes_and_goes(region: &Region) {
    let made = region.gets(vec![("OK", call("ec2", "create_network_interface", json!({"SubnetId": subnet(region)})))]);
    let id = made[0].clone().value()["NetworkInterface"]["NetworkInterfaceId"].clone();
    let instance = named(region, "one")["InstanceId"].clone();
    let attach = json!({"NetworkInterfaceId": id, "InstanceId": instance, "DeviceIndex": 2});
    let delete = call("ec2", "delete_network_interface", json!({"NetworkInterfaceId": id}));
    let answers = region
        .gets(vec![("OK", call("ec2", "attach_network_interface", attach)), ("InvalidParameterValue", delete.clone())]);
    let attachment = answers[0].clone().value()["AttachmentId"].clone();
    region.gets(vec![("OK", call("ec2", "detach_network_interface", json!({"AttachmentId": attachment})))]);
    until("it is detached and goes", Duration::from_secs(20), || {
        (region.boto(vec![delete.clone()]).remove(0).code() == "OK").then_some(())
    });
}

fn templates_have_versions_and_one_is_the_default(region: &Region) {
    let named = |more: Value| merged(json!({"LaunchTemplateName": "small"}), &more);
    let larger = json!({"SourceVersion": "1", "LaunchTemplateData": {"InstanceType": "m5.large"}});
    let answers = region.gets(vec![
        ("OK", call("ec2", "create_launch_template_version", named(larger))),
        ("OK", call("ec2", "modify_launch_template", named(json!({"DefaultVersion": "2"})))),
        ("OK", call("ec2", "describe_launch_templates", json!({"LaunchTemplateNames": ["small"]}))),
        ("OK", call("ec2", "modify_launch_template", named(json!({"DefaultVersion": "1"})))),
        (
            "InvalidLaunchTemplateId.VersionNotFound",
            call("ec2", "modify_launch_template", named(json!({"DefaultVersion": "3"}))),
        ),
    ]);
    let data = answers[0].clone().value()["LaunchTemplateVersion"]["LaunchTemplateData"].clone();
    assert_eq!((&data["InstanceType"], &data["ImageId"]), (&json!("m5.large"), &json!(image(region))));
    assert_eq!(answers[2].clone().value()["LaunchTemplates"][0]["DefaultVersionNumber"], 2);
}

fn an_instance_stops_changes_and_starts(region: &Region) {
    let instance = named(region, "one");
    let id = text(&instance["InstanceId"]);
    let ids = json!({"InstanceIds": [id]});
    let larger =
        call("ec2", "modify_instance_attribute", json!({"InstanceId": id, "InstanceType": {"Value": "m5.large"}}));
    region.gets(vec![
        ("OK", call("ec2", "reboot_instances", ids.clone())),
        ("IncorrectInstanceState", larger.clone()),
        ("OK", call("ec2", "stop_instances", ids.clone())),
    ]);
    let waited = region.client().run("aws", &["ec2", "wait", "instance-stopped", "--instance-ids", id]);
    assert!(waited.ok(), "{waited}");
    let status = call("ec2", "describe_instance_status", json!({"InstanceIds": [id], "IncludeAllInstances": true}));
    let protect = |value: bool| {
        let input = json!({"InstanceId": id, "DisableApiTermination": {"Value": value}});
        call("ec2", "modify_instance_attribute", input)
    };
    let answers = region.gets(vec![
        ("OK", larger),
        ("OK", status),
        ("OK", protect(true)),
        ("OperationNotPermitted", call("ec2", "terminate_instances", ids.clone())),
        ("OK", protect(false)),
        ("OK", call("ec2", "start_instances", ids)),
    ]);
    assert_eq!(answers[1].clone().value()["InstanceStatuses"][0]["InstanceState"]["Name"], "stopped");
    let after = named(region, "one");
    assert_eq!((&after["InstanceType"], &after["State"]["Name"]), (&json!("m5.large"), &json!("pending")));
    assert_eq!(after["PrivateIpAddress"], instance["PrivateIpAddress"], "it keeps its address");
}

fn tags_come_off_again(region: &Region) {
    let instance = named(region, "one");
    let resources = json!([text(&instance["InstanceId"])]);
    let tags = json!([{"Key": "team", "Value": "sea"}]);
    let of = call("ec2", "describe_tags", json!({"Filters": [{"Name": "key", "Values": ["team"]}]}));
    let answers = region.gets(vec![
        ("OK", call("ec2", "create_tags", json!({"Resources": resources, "Tags": tags}))),
        ("OK", of.clone()),
        ("OK", call("ec2", "delete_tags", json!({"Resources": resources, "Tags": [{"Key": "team"}]}))),
        ("OK", of),
    ]);
    assert_eq!(answers[1].clone().value()["Tags"][0]["Value"], "sea");
    assert_eq!(answers[3].clone().value()["Tags"], json!([]));
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let absent = |prefix: &str| format!("{prefix}-00000000000000000");
    let (eni, instance, subnet, vpc) = (absent("eni"), absent("i"), absent("subnet"), absent("vpc"));
    let (group, template, volume, ami) = (absent("sg"), absent("lt"), absent("vol"), absent("ami"));
    let (no_eni, no_instance) = ("InvalidNetworkInterfaceID.NotFound", "InvalidInstanceID.NotFound");
    let no_template = "InvalidLaunchTemplateId.NotFound";
    let moved = json!({"NetworkInterfaceId": eni, "InstanceId": instance, "DeviceIndex": 1});
    region.gets(vec![
        (
            no_eni,
            ec2("assign_private_ip_addresses", json!({"NetworkInterfaceId": eni, "SecondaryPrivateIpAddressCount": 1})),
        ),
        (
            no_eni,
            ec2(
                "unassign_private_ip_addresses",
                json!({"NetworkInterfaceId": eni, "PrivateIpAddresses": ["172.31.0.9"]}),
            ),
        ),
        (no_eni, ec2("attach_network_interface", moved)),
        (no_eni, ec2("describe_network_interfaces", json!({"NetworkInterfaceIds": [eni]}))),
        (
            no_eni,
            ec2(
                "modify_network_interface_attribute",
                json!({"NetworkInterfaceId": eni, "SourceDestCheck": {"Value": false}}),
            ),
        ),
        ("InvalidSubnetID.NotFound", ec2("create_network_interface", json!({"SubnetId": subnet}))),
        ("InvalidSubnetID.NotFound", ec2("describe_subnets", json!({"SubnetIds": [subnet]}))),
        ("InvalidSubnetID.NotFound", ec2("delete_subnet", json!({"SubnetId": subnet}))),
        ("InvalidVpcID.NotFound", ec2("create_subnet", json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}))),
        (
            "InvalidVpcID.NotFound",
            ec2("create_security_group", json!({"VpcId": vpc, "GroupName": "g", "Description": "d"})),
        ),
        ("InvalidVpcID.NotFound", ec2("describe_vpcs", json!({"VpcIds": [vpc]}))),
        ("InvalidVpcID.NotFound", ec2("delete_vpc", json!({"VpcId": vpc}))),
        ("InvalidGroup.NotFound", ec2("describe_security_groups", json!({"GroupIds": [group]}))),
        ("InvalidGroup.NotFound", ec2("delete_security_group", json!({"GroupId": group}))),
        (
            no_template,
            ec2(
                "create_launch_template_version",
                json!({"LaunchTemplateId": template, "LaunchTemplateData": {"InstanceType": "t3.medium"}}),
            ),
        ),
        (no_template, ec2("describe_launch_template_versions", json!({"LaunchTemplateId": template}))),
        (no_template, ec2("describe_launch_templates", json!({"LaunchTemplateIds": [template]}))),
        (no_template, ec2("modify_launch_template", json!({"LaunchTemplateId": template, "DefaultVersion": "1"}))),
        (no_template, ec2("delete_launch_template", json!({"LaunchTemplateId": template}))),
        ("Unsupported", ec2("create_vpc", json!({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true}))),
        ("Unsupported", ec2("create_vpc", json!({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "dedicated"}))),
        ("InvalidVolume.NotFound", ec2("describe_volumes", json!({"VolumeIds": [volume]}))),
        ("InvalidAMIID.NotFound", ec2("describe_images", json!({"ImageIds": [ami]}))),
        ("InvalidInstanceType", ec2("describe_instance_types", json!({"InstanceTypes": ["a1.medium"]}))),
        (no_instance, ec2("describe_instances", json!({"InstanceIds": [instance]}))),
        (no_instance, ec2("describe_instance_status", json!({"InstanceIds": [instance]}))),
        (no_instance, ec2("describe_instance_attribute", json!({"InstanceId": instance, "Attribute": "userData"}))),
        (
            no_instance,
            ec2("modify_instance_attribute", json!({"InstanceId": instance, "SourceDestCheck": {"Value": false}})),
        ),
        (no_instance, ec2("get_console_output", json!({"InstanceId": instance}))),
        (no_instance, ec2("start_instances", json!({"InstanceIds": [instance]}))),
        (no_instance, ec2("terminate_instances", json!({"InstanceIds": [instance]}))),
        ("InvalidID", ec2("delete_tags", json!({"Resources": ["x-1"]}))),
    ]);
    // These have no errors of their own.
    let lists = ["describe_availability_zones", "describe_instance_type_offerings", "describe_tags"];
    region.client().stranger().gets(lists.map(|operation| ("AuthFailure", ec2(operation, json!({})))).into());
}

fn what_ec2_refuses_changes_nothing(region: &Region) {
    let before = region.account();
    let image = image(region);
    let run = |more: Value| {
        let mut request = json!({"ImageId": image, "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1});
        let members = more.as_object().cloned().unwrap_or_default();
        request.as_object_mut().expect("it is one").extend(members);
        call("ec2", "run_instances", request)
    };
    let absent = "i-00000000000000000";
    let cases = [
        ("InvalidAMIID.NotFound", run(json!({"ImageId": "ami-00000000000000000"}))),
        ("InvalidInstanceType", run(json!({"InstanceType": "a1.medium"}))),
        ("InvalidSubnetID.NotFound", run(json!({"SubnetId": "subnet-00000000000000000"}))),
        ("InvalidParameterValue", run(json!({"IamInstanceProfile": {"Name": "nobody"}}))),
        ("Unsupported", run(json!({"KernelId": "aki-1"}))),
        ("DryRunOperation", run(json!({"DryRun": true}))),
        ("InvalidInstanceID.NotFound", call("ec2", "stop_instances", json!({"InstanceIds": [absent]}))),
        ("InvalidInstanceID.Malformed", call("ec2", "reboot_instances", json!({"InstanceIds": ["i-x"]}))),
        (
            "InvalidLaunchTemplateName.AlreadyExistsException",
            call(
                "ec2",
                "create_launch_template",
                json!({"LaunchTemplateName": "small", "LaunchTemplateData": {"ImageId": image}}),
            ),
        ),
        (
            "InvalidNetworkInterfaceID.NotFound",
            call("ec2", "delete_network_interface", json!({"NetworkInterfaceId": "eni-00000000000000000"})),
        ),
        (
            "InvalidAttachmentID.NotFound",
            call("ec2", "detach_network_interface", json!({"AttachmentId": "eni-attach-00000000000000000"})),
        ),
        ("InvalidID", call("ec2", "create_tags", json!({"Resources": ["x-1"], "Tags": [{"Key": "a", "Value": "b"}]}))),
        ("DependencyViolation", call("ec2", "delete_subnet", json!({"SubnetId": subnet(region)}))),
    ];
    let (codes, calls): (Vec<&str>, Vec<_>) = cases.into_iter().unzip();
    let answers: Vec<String> = region.boto(calls).iter().map(Answer::refusal).map(|refusal| refusal.code).collect();
    assert_eq!(answers, codes);
    assert_eq!(region.account(), before);
}

fn terminated_instances_are_seen_for_a_while(region: &Region) {
    let found = named(region, "one");
    let id = text(&found["InstanceId"]);
    let changed = region.aws(&["ec2", "terminate-instances", "--instance-ids", id]);
    assert_eq!(changed["TerminatingInstances"][0]["PreviousState"]["Name"], "pending");
    let waited = region.client().run("aws", &["ec2", "wait", "instance-terminated", "--instance-ids", id]);
    assert!(waited.ok(), "{waited}");
    let found = named(region, "one");
    assert_eq!((&found["State"]["Name"], &found["NetworkInterfaces"]), (&json!("terminated"), &Value::Null));
    region.aws(&["ec2", "delete-launch-template", "--launch-template-name", "small"]);
    let subnet = subnet(region);
    let left = format!("Name=subnet-id,Values={subnet}");
    let left = region.aws(&["ec2", "describe-network-interfaces", "--filters", &left]);
    assert_eq!(left["NetworkInterfaces"], json!([]));
}
