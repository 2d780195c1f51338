//! Networks of users: security groups and their rules, route tables, gateways, by the real clients. No machine runs here.

use e2e::{Answer, Region, call, merged, steps, until};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn networks_are_made_as_users_say() {
    let region = Region::start();
    steps!((&region):
        rules_come_change_and_go,
        rules_are_found_tagged_and_described_anew,
        a_group_holds_a_thousand_rules_and_no_more,
        a_default_vpc_has_a_way_out_and_another_one_has_none,
        a_way_out_is_made_and_taken_apart_in_order,
        a_nat_gateway_comes_fails_and_goes,
        elastic_addresses_are_kept_given_and_moved,
        a_vpc_takes_further_blocks,
        subnets_and_vpcs_change_their_attributes,
        what_tools_ask_first_is_there,
        what_is_refused_changes_nothing,
    );
}

/// A text of an answer.
#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A new VPC's group.
fn group(region: &Region, cidr: &str) -> (String, String) {
    let vpc = region.aws(&["ec2", "create-vpc", "--cidr-block", cidr])["Vpc"]["VpcId"].clone();
    let group = json!({"VpcId": vpc, "GroupName": "web", "Description": "web servers"});
    let made = region.gets(vec![("OK", call("ec2", "create_security_group", group))]).remove(0).value();
    (text(&vpc).to_owned(), text(&made["GroupId"]).to_owned())
}

fn remove(region: &Region, vpc: &str, group: &str) {
    region.aws(&["ec2", "delete-security-group", "--group-id", group]);
    region.aws(&["ec2", "delete-vpc", "--vpc-id", vpc]);
}

fn shown(region: &Region, group: &str) -> Value {
    region.aws(&["ec2", "describe-security-groups", "--group-ids", group])["SecurityGroups"][0].clone()
}

fn rules_come_change_and_go(region: &Region) {
    let before = region.account();
    let (vpc, web) = group(region, "10.20.0.0/16");
    let base = ["ec2", "authorize-security-group-ingress", "--group-id", &web];
    let made = region.aws(&[&base[..], &["--protocol", "tcp", "--port", "22-80", "--cidr", "10.1.2.3/8"]].concat());
    let made = made["SecurityGroupRules"][0].clone();
    assert_eq!(
        (&made["CidrIpv4"], &made["FromPort"], &made["IsEgress"]),
        (&json!("10.0.0.0/8"), &json!(22), &json!(false))
    );
    assert!(
        text(&made["SecurityGroupRuleArn"])
            .ends_with(&format!("security-group-rule/{}", text(&made["SecurityGroupRuleId"])))
    );
    region.aws(&[&base[..], &["--protocol", "all", "--source-group", &web]].concat());
    let refusal =
        region.aws_refuses(&[&base[..], &["--protocol", "tcp", "--port", "22-80", "--cidr", "10.0.0.0/8"]].concat());
    assert_eq!(
        (&*refusal.code, &*refusal.message),
        (
            "InvalidPermission.Duplicate",
            "the specified rule \"peer: 10.0.0.0/8, TCP, from port: 22, to port: 80, ALLOW\" already exists"
        )
    );
    let found = shown(region, &web);
    assert_eq!(found["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"], "0.0.0.0/0");
    assert_eq!(found["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"], web.as_str());
    let to = json!({"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIpv4": "10.0.0.0/8"});
    let update = json!([{"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": to}]).to_string();
    region.aws(&["ec2", "modify-security-group-rules", "--group-id", &web, "--security-group-rules", &update]);
    let egress = ["ec2", "revoke-security-group-egress", "--group-id", &web];
    region.aws(&[&egress[..], &["--protocol", "all", "--cidr", "0.0.0.0/0"]].concat());
    let ipv6 =
        json!([{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "2001:db8::1/32", "Description": "all"}]}]).to_string();
    region.aws(&["ec2", "authorize-security-group-egress", "--group-id", &web, "--ip-permissions", &ipv6]);
    let found = shown(region, &web);
    assert_eq!(found["IpPermissionsEgress"][0]["Ipv6Ranges"][0]["CidrIpv6"], "2001:db8::/32");
    let revoke = ["ec2", "revoke-security-group-ingress", "--group-id", &web, "--security-group-rule-ids"];
    let revoked = region.aws(&[&revoke[..], &[text(&made["SecurityGroupRuleId"])]].concat());
    assert_eq!(revoked["RevokedSecurityGroupRules"][0]["IpProtocol"], "udp");
    assert_eq!(shown(region, &web)["IpPermissions"].as_array().map(Vec::len), Some(1));
    remove(region, &vpc, &web);
    assert_eq!(region.account(), before);
}

fn rules_are_found_tagged_and_described_anew(region: &Region) {
    let (vpc, web) = group(region, "10.20.0.0/16");
    let permission = json!([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "here (first)"}, {"CidrIp": "192.168.0.0/16"}]}]);
    let tags = json!([{"ResourceType": "security-group-rule", "Tags": [{"Key": "team", "Value": "sea"}]}]);
    let asked = json!({"GroupId": web, "IpPermissions": permission, "TagSpecifications": tags});
    let made = region.gets(vec![("OK", call("ec2", "authorize_security_group_ingress", asked))]).remove(0).value();
    let id = made["SecurityGroupRules"][1]["SecurityGroupRuleId"].clone();
    let filters = json!([{"Name": "group-id", "Values": [web]}, {"Name": "tag:team", "Values": ["s?a"]}]);
    let anew = json!({"GroupId": web, "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "there"}]}]});
    let egress =
        call("ec2", "describe_security_group_rules", json!({"Filters": [{"Name": "group-id", "Values": [web]}]}));
    let out = region.gets(vec![("OK", egress)]).remove(0).value();
    let out =
        out["SecurityGroupRules"].as_array().expect("there are some").iter().find(|rule| rule["IsEgress"] == true);
    let out = out.expect("every group has one")["SecurityGroupRuleId"].clone();
    let by_id =
        json!({"GroupId": web, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": out, "Description": "all"}]});
    let answers = region.gets(vec![
        ("OK", call("ec2", "describe_security_group_rules", json!({"Filters": filters})).in_pages_of(5)),
        ("OK", call("ec2", "update_security_group_rule_descriptions_ingress", anew)),
        ("OK", call("ec2", "update_security_group_rule_descriptions_egress", by_id)),
        ("OK", call("ec2", "create_tags", json!({"Resources": [id], "Tags": [{"Key": "stage", "Value": "one"}]}))),
        ("OK", call("ec2", "describe_security_group_rules", json!({"SecurityGroupRuleIds": [id]}))),
        ("OK", call("ec2", "describe_tags", json!({"Filters": [{"Name": "resource-id", "Values": [id]}]}))),
    ]);
    assert_eq!(answers[0].clone().value()[0]["SecurityGroupRules"].as_array().map(Vec::len), Some(2));
    assert_eq!(answers[4].clone().value()["SecurityGroupRules"][0]["CidrIpv4"], "192.168.0.0/16");
    assert_eq!(answers[5].clone().value()["Tags"].as_array().map(Vec::len), Some(2));
    let found = shown(region, &web);
    assert_eq!(found["IpPermissions"][0]["IpRanges"][0]["Description"], "there");
    assert_eq!(found["IpPermissionsEgress"][0]["IpRanges"][0]["Description"], "all");
    for filter in ["Name=ip-permission.cidr,Values=10.0.0.0/8", "Name=egress.ip-permission.protocol,Values=-1"] {
        let of_vpc = format!("Name=vpc-id,Values={vpc}");
        let found = region.aws(&["ec2", "describe-security-groups", "--filters", filter, &of_vpc]);
        let found = found["SecurityGroups"].as_array().expect("it is a list").iter();
        assert!(found.clone().any(|group| group["GroupId"] == web.as_str()), "{filter}");
    }
    remove(region, &vpc, &web);
}

fn a_group_holds_a_thousand_rules_and_no_more(region: &Region) {
    let (vpc, web) = group(region, "10.20.0.0/16");
    let blocks = |n: u32| (0..n).map(|n| json!({"CidrIp": format!("10.{}.{}.0/24", n / 256, n % 256)}));
    let all = |n: u32| {
        let ranges: Vec<Value> = blocks(n).collect();
        let permission = json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges});
        call("ec2", "authorize_security_group_ingress", json!({"GroupId": web, "IpPermissions": [permission]}))
    };
    let one = json!({"GroupId": web, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": "10.0.0.0/8"});
    let filter = json!([{"Name": "group-id", "Values": [web]}]);
    let answers = region.gets(vec![
        ("RulesPerSecurityGroupLimitExceeded", all(1001)),
        ("OK", all(1000)),
        ("RulesPerSecurityGroupLimitExceeded", call("ec2", "authorize_security_group_ingress", one)),
        ("OK", call("ec2", "describe_security_group_rules", json!({"Filters": filter})).in_pages_of(400)),
    ]);
    let pages = answers[3].clone().value();
    let pages: Vec<usize> = pages
        .as_array()
        .expect("they are pages")
        .iter()
        .map(|page| page["SecurityGroupRules"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(pages, [400, 400, 201], "with the one that lets all out");
    remove(region, &vpc, &web);
}

/// The main route table of a VPC.
fn main_table(region: &Region, vpc: &str) -> Value {
    let filters = [&format!("Name=vpc-id,Values={vpc}"), "Name=association.main,Values=true"];
    let found = region.aws(&[&["ec2", "describe-route-tables", "--filters"], &filters[..]].concat());
    found["RouteTables"][0].clone()
}

fn a_default_vpc_has_a_way_out_and_another_one_has_none(region: &Region) {
    let found = region.aws(&["ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true"]);
    let vpc = text(&found["Vpcs"][0]["VpcId"]).to_owned();
    let main = main_table(region, &vpc);
    let gateways = region.aws(&[
        "ec2",
        "describe-internet-gateways",
        "--filters",
        &format!("Name=attachment.vpc-id,Values={vpc}"),
    ]);
    let gateway = &gateways["InternetGateways"][0];
    assert_eq!(gateway["Attachments"][0]["State"], "available");
    let out = json!({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway["InternetGatewayId"],
        "Origin": "CreateRoute", "State": "active"});
    assert_eq!((&main["Routes"][0]["GatewayId"], &main["Routes"][1]), (&json!("local"), &out));
    let (other, web) = group(region, "10.20.0.0/16");
    let main = main_table(region, &other);
    let local = json!([{"DestinationCidrBlock": "10.20.0.0/16", "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"}]);
    assert_eq!(main["Routes"], local);
    remove(region, &other, &web);
}

fn a_way_out_is_made_and_taken_apart_in_order(region: &Region) {
    let before = region.account();
    let (vpc, web) = group(region, "10.20.0.0/16");
    let subnet = region.aws(&["ec2", "create-subnet", "--vpc-id", &vpc, "--cidr-block", "10.20.0.0/24"]);
    let subnet = text(&subnet["Subnet"]["SubnetId"]).to_owned();
    let tags = "ResourceType=internet-gateway,Tags=[{Key=Name,Value=out}]";
    let gateway = region.aws(&["ec2", "create-internet-gateway", "--tag-specifications", tags]);
    let gateway = text(&gateway["InternetGateway"]["InternetGatewayId"]).to_owned();
    let table = region.aws(&["ec2", "create-route-table", "--vpc-id", &vpc]);
    let table = text(&table["RouteTable"]["RouteTableId"]).to_owned();
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let attachment = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    let route =
        |gateway: &str| json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    let to_subnet = json!({"RouteTableId": table, "SubnetId": subnet});
    let eni = region.aws(&["ec2", "create-network-interface", "--subnet-id", &subnet]);
    let eni = text(&eni["NetworkInterface"]["NetworkInterfaceId"]).to_owned();
    let to_eni = json!({"RouteTableId": table, "DestinationCidrBlock": "10.99.1.1/16", "NetworkInterfaceId": eni});
    let answers = region.gets(vec![
        ("InvalidParameterValue", ec2("create_route", route(&gateway))),
        ("OK", ec2("attach_internet_gateway", attachment.clone())),
        ("Resource.AlreadyAssociated", ec2("attach_internet_gateway", attachment.clone())),
        ("OK", ec2("create_route", route(&gateway))),
        ("RouteAlreadyExists", ec2("create_route", route(&gateway))),
        ("OK", ec2("create_route", to_eni)),
        ("OK", ec2("associate_route_table", to_subnet.clone())),
        ("Resource.AlreadyAssociated", ec2("associate_route_table", to_subnet)),
        ("DependencyViolation", ec2("delete_route_table", json!({"RouteTableId": table}))),
        ("DependencyViolation", ec2("delete_internet_gateway", json!({"InternetGatewayId": gateway}))),
        ("DependencyViolation", ec2("delete_vpc", json!({"VpcId": vpc}))),
    ]);
    let association = answers[6].clone().value()["AssociationId"].clone();
    let found = region.aws(&[
        "ec2",
        "describe-route-tables",
        "--filters",
        &format!("Name=association.subnet-id,Values={subnet}"),
    ]);
    let routes = found["RouteTables"][0]["Routes"].as_array().expect("it has some").clone();
    let states: Vec<_> =
        routes.iter().map(|route| (text(&route["DestinationCidrBlock"]), text(&route["State"]))).collect();
    let expected = [("10.20.0.0/16", "active"), ("0.0.0.0/0", "active"), ("10.99.0.0/16", "blackhole")];
    assert_eq!(states, expected, "the interface is in no instance");
    let main = main_table(region, &vpc);
    let own = &main["Associations"][0]["RouteTableAssociationId"];
    let answers = region.gets(vec![
        ("InvalidParameterValue", ec2("disassociate_route_table", json!({"AssociationId": own}))),
        ("OK", ec2("replace_route_table_association", json!({"AssociationId": own, "RouteTableId": table}))),
        (
            "OK",
            ec2(
                "replace_route_table_association",
                json!({"AssociationId": association, "RouteTableId": main["RouteTableId"]}),
            ),
        ),
    ]);
    assert_eq!(main_table(region, &vpc)["RouteTableId"], table.as_str());
    let association = answers[2].clone().value()["NewAssociationId"].clone();
    let replaced = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NetworkInterfaceId": eni});
    let (outside, inside) = (json!("0.0.0.0/0"), json!("10.20.0.0/16"));
    let deleted = |to: &Value| json!({"RouteTableId": table, "DestinationCidrBlock": to});
    region.gets(vec![
        ("OK", ec2("disassociate_route_table", json!({"AssociationId": association}))),
        ("OK", ec2("delete_route_table", json!({"RouteTableId": main["RouteTableId"]}))),
        ("OK", ec2("replace_route", replaced)),
        ("OK", ec2("delete_route", deleted(&outside))),
        ("InvalidRoute.NotFound", ec2("delete_route", deleted(&outside))),
        ("InvalidParameterValue", ec2("delete_route", deleted(&inside))),
        ("OK", ec2("detach_internet_gateway", attachment.clone())),
        ("Gateway.NotAttached", ec2("detach_internet_gateway", attachment)),
        ("OK", ec2("create_tags", json!({"Resources": [table, gateway], "Tags": [{"Key": "a", "Value": "b"}]}))),
        ("OK", ec2("delete_internet_gateway", json!({"InternetGatewayId": gateway}))),
        ("OK", ec2("delete_network_interface", json!({"NetworkInterfaceId": eni}))),
    ]);
    until("the interface is gone", Duration::from_secs(20), || {
        let deleted = region.boto(vec![ec2("delete_subnet", json!({"SubnetId": subnet}))]).remove(0);
        (deleted.code() == "OK").then_some(())
    });
    remove(region, &vpc, &web);
    assert_eq!(region.account(), before);
}

fn a_nat_gateway_comes_fails_and_goes(region: &Region) {
    let before = region.account();
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let subnet = region.default_subnets().split(',').next().expect("there are three").to_owned();
    let allocation = text(&region.aws(&["ec2", "allocate-address"])["AllocationId"]).to_owned();
    let tags = json!([{"ResourceType": "natgateway", "Tags": [{"Key": "Name", "Value": "out"}]}]);
    let wish = json!({"SubnetId": subnet, "AllocationId": allocation});
    let create = |more: Value| ec2("create_nat_gateway", merged(wish.clone(), &more));
    let answers = region.gets(vec![
        ("InvalidSubnetID.NotFound", create(json!({"SubnetId": "subnet-00000000000000000"}))),
        ("InvalidAllocationID.NotFound", create(json!({"AllocationId": "eipalloc-00000000000000000"}))),
        ("Unsupported", create(json!({"ConnectivityType": "private"}))),
        ("DryRunOperation", create(json!({"DryRun": true}))),
        ("OK", create(json!({"ClientToken": "once", "TagSpecifications": tags}))),
        ("OK", create(json!({"ClientToken": "once", "TagSpecifications": tags}))),
        ("OK", create(json!({}))),
        ("NatGatewayNotFound", ec2("describe_nat_gateways", json!({"NatGatewayIds": ["nat-00000000000000000"]}))),
        ("NatGatewayNotFound", ec2("delete_nat_gateway", json!({"NatGatewayId": "nat-00000000000000000"}))),
    ]);
    let made = |n: usize| answers[n].clone().value()["NatGateway"].clone();
    assert_eq!(made(4)["NatGatewayId"], made(5)["NatGatewayId"], "a token is one gateway");
    assert_eq!((&made(6)["State"], &made(6)["FailureCode"]), (&json!("failed"), &json!("Resource.AlreadyAssociated")));
    let (id, failed) = (made(4)["NatGatewayId"].clone(), made(6)["NatGatewayId"].clone());
    let waited = region.client().run("aws", &["ec2", "wait", "nat-gateway-available", "--nat-gateway-ids", text(&id)]);
    assert!(waited.ok(), "{waited}");
    let named =
        json!({"Filter": [{"Name": "tag:Name", "Values": ["out"]}, {"Name": "state", "Values": ["available"]}]});
    let shown = region.gets(vec![("OK", ec2("describe_nat_gateways", named))]).remove(0).value();
    let address = shown["NatGateways"][0]["NatGatewayAddresses"][0].clone();
    let filter = format!("Name=allocation-id,Values={allocation}");
    let elastic = region.aws(&["ec2", "describe-addresses", "--filters", &filter])["Addresses"][0].clone();
    assert_eq!(
        (&address["PublicIp"], &address["NetworkInterfaceId"]),
        (&elastic["PublicIp"], &elastic["NetworkInterfaceId"])
    );
    region.gets(vec![
        ("AuthFailure", ec2("disassociate_address", json!({"AssociationId": elastic["AssociationId"]}))),
        ("InvalidIPAddress.InUse", ec2("release_address", json!({"AllocationId": allocation}))),
        ("OK", ec2("delete_nat_gateway", json!({"NatGatewayId": failed}))),
        ("OK", ec2("delete_nat_gateway", json!({"NatGatewayId": id}))),
    ]);
    let waited = region.client().run("aws", &["ec2", "wait", "nat-gateway-deleted", "--nat-gateway-ids", text(&id)]);
    assert!(waited.ok(), "{waited}");
    region.aws(&["ec2", "release-address", "--allocation-id", &allocation]);
    assert_eq!(region.account(), before);
}

fn elastic_addresses_are_kept_given_and_moved(region: &Region) {
    let before = region.account();
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let allocated = region.aws(&["ec2", "allocate-address", "--domain", "vpc"]);
    let (id, public) = (&allocated["AllocationId"], &allocated["PublicIp"]);
    let subnet = region.default_subnets().split(',').next().expect("there are three").to_owned();
    let eni = || {
        let made = region.gets(vec![("OK", ec2("create_network_interface", json!({"SubnetId": subnet})))]).remove(0);
        made.value()["NetworkInterface"]["NetworkInterfaceId"].clone()
    };
    let (one, two) = (eni(), eni());
    let to =
        |eni: &Value, more: bool| json!({"AllocationId": id, "NetworkInterfaceId": eni, "AllowReassociation": more});
    let found = region.aws(&["ec2", "describe-internet-gateways"])["InternetGateways"][0].clone();
    let gateway = json!({"InternetGatewayId": found["InternetGatewayId"], "VpcId": found["Attachments"][0]["VpcId"]});
    let answers = region.gets(vec![
        ("OK", ec2("associate_address", to(&one, false))),
        ("Resource.AlreadyAssociated", ec2("associate_address", to(&two, false))),
        ("InvalidIPAddress.InUse", ec2("release_address", json!({"AllocationId": id}))),
        ("DependencyViolation", ec2("detach_internet_gateway", gateway)),
        ("OK", ec2("describe_network_interfaces", json!({"NetworkInterfaceIds": [one]}))),
        ("OK", ec2("associate_address", to(&two, true))),
        ("OK", ec2("describe_addresses", json!({"PublicIps": [public]}))),
        ("OK", ec2("create_tags", json!({"Resources": [id], "Tags": [{"Key": "a", "Value": "b"}]}))),
    ]);
    let shown = &answers[4].clone().value()["NetworkInterfaces"][0]["Association"];
    assert_eq!((&shown["PublicIp"], &shown["AllocationId"]), (public, id));
    let shown = answers[6].clone().value()["Addresses"][0].clone();
    assert_eq!(shown["NetworkInterfaceId"], two);
    region.gets(vec![
        ("OK", ec2("disassociate_address", json!({"AssociationId": shown["AssociationId"]}))),
        (
            "InvalidAssociationID.NotFound",
            ec2("disassociate_address", json!({"AssociationId": shown["AssociationId"]})),
        ),
        ("OK", ec2("associate_address", to(&two, true))),
        ("OK", ec2("delete_network_interface", json!({"NetworkInterfaceId": two}))),
        ("OK", ec2("release_address", json!({"AllocationId": id}))),
        ("InvalidAllocationID.NotFound", ec2("release_address", json!({"AllocationId": id}))),
        ("InvalidAddress.NotFound", ec2("describe_addresses", json!({"PublicIps": [public]}))),
        ("OK", ec2("delete_network_interface", json!({"NetworkInterfaceId": one}))),
    ]);
    let five: Vec<Value> = (0..5).map(|_| region.aws(&["ec2", "allocate-address"])["AllocationId"].clone()).collect();
    region.gets(vec![("AddressLimitExceeded", ec2("allocate_address", json!({})))]);
    region.gets(five.iter().map(|id| ("OK", ec2("release_address", json!({"AllocationId": id})))).collect());
    assert_eq!(region.account(), before);
}

fn what_tools_ask_first_is_there(region: &Region) {
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let answers = region.gets(vec![
        ("OK", ec2("describe_vpcs", json!({"Filters": [{"Name": "is-default", "Values": ["true"]}]}))),
        ("OK", ec2("describe_account_attributes", json!({"AttributeNames": ["default-vpc"]}))),
        ("OK", ec2("describe_network_acls", json!({"Filters": [{"Name": "default", "Values": ["true"]}]}))),
        ("OK", ec2("describe_dhcp_options", json!({}))),
        ("OK", ec2("describe_regions", json!({}))),
        ("InvalidParameterValue", ec2("describe_regions", json!({"RegionNames": ["nowhere-1"]}))),
        ("InvalidNetworkAclID.NotFound", ec2("describe_network_acls", json!({"NetworkAclIds": ["acl-1"]}))),
        ("InvalidDhcpOptionsID.NotFound", ec2("describe_dhcp_options", json!({"DhcpOptionsIds": ["dopt-1"]}))),
    ]);
    let of = |n: usize| answers[n].clone().value();
    let vpc = of(0)["Vpcs"][0].clone();
    let attribute = &of(1)["AccountAttributes"][0];
    assert_eq!(attribute["AttributeValues"][0]["AttributeValue"], vpc["VpcId"]);
    let acl = of(2)["NetworkAcls"][0].clone();
    assert_eq!((&acl["VpcId"], acl["Associations"].as_array().map(Vec::len)), (&vpc["VpcId"], Some(3)));
    let options = of(3)["DhcpOptions"][0].clone();
    assert_eq!(options["DhcpOptionsId"], vpc["DhcpOptionsId"]);
    assert_eq!(options["DhcpConfigurations"][0]["Values"][0]["Value"], "ec2.internal");
    assert_eq!(of(4)["Regions"].as_array().map(Vec::len), Some(1));
    let stranger = region.client().stranger();
    stranger.gets(vec![("AuthFailure", ec2("describe_account_attributes", json!({})))]);
}

fn a_vpc_takes_further_blocks(region: &Region) {
    let before = region.account();
    let vpc = text(&region.aws(&["ec2", "create-vpc", "--cidr-block", "10.20.0.0/16"])["Vpc"]["VpcId"]).to_owned();
    let associate = |block: &str| call("ec2", "associate_vpc_cidr_block", json!({"VpcId": vpc, "CidrBlock": block}));
    let answers = region.gets(vec![
        ("InvalidVpc.Range", associate("192.168.0.0/16")),
        ("CidrConflict", associate("10.20.128.0/17")),
        ("OK", associate("100.64.0.0/16")),
    ]);
    let made = answers[2].clone().value()["CidrBlockAssociation"].clone();
    let subnet = region.aws(&["ec2", "create-subnet", "--vpc-id", &vpc, "--cidr-block", "100.64.1.0/24"]);
    let shown = region.aws(&["ec2", "describe-vpcs", "--vpc-ids", &vpc])["Vpcs"][0]["CidrBlockAssociationSet"].clone();
    let disassociate = |id: &Value| call("ec2", "disassociate_vpc_cidr_block", json!({"AssociationId": id}));
    region.gets(vec![
        ("OperationNotPermitted", disassociate(&shown[0]["AssociationId"])),
        ("InvalidCidrBlock.InUse", disassociate(&made["AssociationId"])),
        ("OK", call("ec2", "delete_subnet", json!({"SubnetId": subnet["Subnet"]["SubnetId"]}))),
        ("OK", disassociate(&made["AssociationId"])),
        ("InvalidVpcCidrBlockAssociationID.NotFound", disassociate(&made["AssociationId"])),
        ("OK", call("ec2", "delete_vpc", json!({"VpcId": vpc}))),
    ]);
    assert_eq!(region.account(), before);
}

fn subnets_and_vpcs_change_their_attributes(region: &Region) {
    let (vpc, web) = group(region, "10.20.0.0/16");
    let subnet = region.aws(&["ec2", "create-subnet", "--vpc-id", &vpc, "--cidr-block", "10.20.0.0/24"]);
    let subnet = text(&subnet["Subnet"]["SubnetId"]).to_owned();
    let shown = |attribute: &str| {
        let asked = json!({"VpcId": vpc, "Attribute": attribute});
        region.gets(vec![("OK", call("ec2", "describe_vpc_attribute", asked))]).remove(0).value()
    };
    assert_eq!(shown("enableDnsSupport")["EnableDnsSupport"]["Value"], true);
    assert_eq!(shown("enableDnsHostnames")["EnableDnsHostnames"]["Value"], false);
    region.aws(&["ec2", "modify-vpc-attribute", "--vpc-id", &vpc, "--enable-dns-hostnames"]);
    assert_eq!(shown("enableDnsHostnames")["EnableDnsHostnames"]["Value"], true);
    region.aws(&["ec2", "modify-subnet-attribute", "--subnet-id", &subnet, "--map-public-ip-on-launch"]);
    let found = region.aws(&["ec2", "describe-subnets", "--subnet-ids", &subnet]);
    assert_eq!(found["Subnets"][0]["MapPublicIpOnLaunch"], true);
    let none = "subnet-00000000000000000";
    let (yes, no_vpc) = (json!({"Value": true}), "vpc-00000000000000000");
    region.gets(vec![
        ("Unsupported", call("ec2", "modify_subnet_attribute", json!({"SubnetId": subnet, "EnableDns64": yes}))),
        (
            "InvalidSubnetID.NotFound",
            call("ec2", "modify_subnet_attribute", json!({"SubnetId": none, "MapPublicIpOnLaunch": yes})),
        ),
        (
            "InvalidVpcID.NotFound",
            call("ec2", "modify_vpc_attribute", json!({"VpcId": no_vpc, "EnableDnsSupport": yes})),
        ),
        (
            "InvalidVpcID.NotFound",
            call("ec2", "describe_vpc_attribute", json!({"VpcId": no_vpc, "Attribute": "enableDnsSupport"})),
        ),
        ("OK", call("ec2", "delete_subnet", json!({"SubnetId": subnet}))),
    ]);
    remove(region, &vpc, &web);
}

fn what_is_refused_changes_nothing(region: &Region) {
    let ((vpc, web), (far_vpc, far)) = (group(region, "10.20.0.0/16"), group(region, "10.21.0.0/16"));
    let before = (region.account(), shown(region, &web));
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let permission = |more: Value| {
        let permission = merged(json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}), &more);
        json!({"GroupId": web, "IpPermissions": [permission]})
    };
    let ranges = json!({"IpRanges": [{"CidrIp": "10.0.0.0/8"}]});
    let (ingress, egress) = ("authorize_security_group_ingress", "authorize_security_group_egress");
    let none = "sg-00000000000000000";
    let rule = "sgr-00000000000000000";
    let everything =
        json!({"GroupId": web, "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]});
    let to =
        json!([{"SecurityGroupRuleId": rule, "SecurityGroupRule": {"IpProtocol": "-1", "CidrIpv4": "10.0.0.0/8"}}]);
    let mut dry = permission(ranges.clone());
    dry["DryRun"] = json!(true);
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": format!("key-{n}"), "Value": "a"})).collect();
    let many = json!({"TagSpecifications": [{"ResourceType": "internet-gateway", "Tags": many}]});
    let (table, gateway) = ("rtb-00000000000000000", "igw-00000000000000000");
    let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    let cases = vec![
        ("DryRunOperation", ec2(ingress, dry)),
        ("InvalidGroup.NotFound", ec2(ingress, json!({"GroupId": none, "IpProtocol": "-1", "CidrIp": "10.0.0.0/8"}))),
        (
            "InvalidGroup.NotFound",
            ec2(ingress, json!({"GroupName": "nobody", "IpProtocol": "-1", "CidrIp": "10.0.0.0/8"})),
        ),
        ("InvalidGroup.NotFound", ec2(ingress, permission(json!({"UserIdGroupPairs": [{"GroupId": far}]})))),
        (
            "InvalidPrefixListID.NotFound",
            ec2(ingress, permission(json!({"PrefixListIds": [{"PrefixListId": "pl-1"}]}))),
        ),
        ("InvalidParameterValue", ec2(ingress, permission(json!({"IpRanges": [{"CidrIp": "10.0.0.0"}]})))),
        ("MissingParameter", ec2(ingress, permission(json!({})))),
        ("InvalidPermission.Duplicate", ec2(egress, everything.clone())),
        (
            "InvalidGroupId.Malformed",
            ec2(egress, json!({"GroupId": "web", "IpProtocol": "-1", "CidrIp": "10.0.0.0/8"})),
        ),
        ("InvalidPermission.NotFound", ec2("revoke_security_group_ingress", permission(ranges.clone()))),
        (
            "InvalidSecurityGroupRuleId.NotFound",
            ec2("revoke_security_group_egress", json!({"GroupId": web, "SecurityGroupRuleIds": [rule]})),
        ),
        (
            "InvalidSecurityGroupRuleId.NotFound",
            ec2("describe_security_group_rules", json!({"SecurityGroupRuleIds": [rule]})),
        ),
        (
            "InvalidSecurityGroupRuleId.NotFound",
            ec2("modify_security_group_rules", json!({"GroupId": web, "SecurityGroupRules": to})),
        ),
        (
            "InvalidSecurityGroupRuleId.NotFound",
            ec2("create_tags", json!({"Resources": [rule], "Tags": [{"Key": "a", "Value": "b"}]})),
        ),
        (
            "InvalidPermission.NotFound",
            ec2("update_security_group_rule_descriptions_ingress", permission(ranges.clone())),
        ),
        ("InvalidPermission.NotFound", ec2("update_security_group_rule_descriptions_egress", permission(ranges))),
        ("InvalidVpcID.NotFound", ec2("create_route_table", json!({"VpcId": "vpc-00000000000000000"}))),
        ("InvalidRouteTableID.NotFound", ec2("describe_route_tables", json!({"RouteTableIds": [table]}))),
        ("InvalidRouteTableID.NotFound", ec2("delete_route_table", json!({"RouteTableId": table}))),
        (
            "InvalidRouteTableID.NotFound",
            ec2("associate_route_table", json!({"RouteTableId": table, "SubnetId": "subnet-1"})),
        ),
        ("InvalidRouteTableID.NotFound", ec2("create_route", route.clone())),
        ("InvalidRouteTableID.NotFound", ec2("replace_route", route)),
        ("InvalidAssociationID.NotFound", ec2("disassociate_route_table", json!({"AssociationId": "rtbassoc-1"}))),
        (
            "InvalidAssociationID.NotFound",
            ec2("replace_route_table_association", json!({"AssociationId": "rtbassoc-1", "RouteTableId": table})),
        ),
        ("DryRunOperation", ec2("create_internet_gateway", json!({"DryRun": true}))),
        ("TagLimitExceeded", ec2("create_internet_gateway", many)),
        (
            "InvalidInternetGatewayID.NotFound",
            ec2("describe_internet_gateways", json!({"InternetGatewayIds": [gateway]})),
        ),
        ("InvalidInternetGatewayID.NotFound", ec2("delete_internet_gateway", json!({"InternetGatewayId": gateway}))),
        (
            "InvalidInternetGatewayID.NotFound",
            ec2("attach_internet_gateway", json!({"InternetGatewayId": gateway, "VpcId": vpc})),
        ),
        (
            "InvalidInternetGatewayID.NotFound",
            ec2("detach_internet_gateway", json!({"InternetGatewayId": gateway, "VpcId": vpc})),
        ),
    ];
    let (codes, calls): (Vec<&str>, Vec<_>) = cases.into_iter().unzip();
    let answers: Vec<String> = region.boto(calls).iter().map(Answer::refusal).map(|refusal| refusal.code).collect();
    assert_eq!(answers, codes);
    assert_eq!((region.account(), shown(region, &web)), before);
    remove(region, &vpc, &web);
    remove(region, &far_vpc, &far);
}
