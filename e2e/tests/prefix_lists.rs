//! Managed prefix lists by the real clients, in the order in which Terraform makes, changes and takes them away.

use e2e::{Call, Region, call, merged, steps, text};
use serde_json::{Value, json};

#[test]
fn prefix_lists_are_made_named_and_changed() {
    let region = Region::start();
    steps!((&region):
        a_list_changes_by_versions,
        rules_and_routes_name_a_list_and_keep_it,
        what_is_refused_changes_nothing,
    );
}

fn ec2(operation: &str, input: Value) -> Call {
    call("ec2", operation, input)
}

fn create(region: &Region, more: &[&str]) -> String {
    let base = ["ec2", "create-managed-prefix-list", "--prefix-list-name", "offices", "--address-family", "IPv4"];
    text(&region.aws(&[&base[..], more].concat())["PrefixList"], "PrefixListId").to_owned()
}

fn shown(region: &Region, id: &str) -> Value {
    region.aws(&["ec2", "describe-managed-prefix-lists", "--prefix-list-ids", id])["PrefixLists"][0].clone()
}

fn entries(region: &Region, id: &str, more: &[&str]) -> Vec<String> {
    let base = ["ec2", "get-managed-prefix-list-entries", "--prefix-list-id", id];
    let found = region.aws(&[&base[..], more].concat())["Entries"].clone();
    found.as_array().into_iter().flatten().map(|entry| text(entry, "Cidr").to_owned()).collect()
}

fn a_list_changes_by_versions(region: &Region) {
    let before = region.account();
    let tags = "ResourceType=prefix-list,Tags=[{Key=team,Value=blue}]";
    let first =
        ["--max-entries", "3", "--entries", "Cidr=192.0.2.7/24,Description=first", "--tag-specifications", tags];
    let id = create(region, &first);
    let list = shown(region, &id);
    assert_eq!(
        (text(&list, "State"), &list["Version"], &list["MaxEntries"]),
        ("create-complete", &json!(1), &json!(3))
    );
    assert_eq!(list["Tags"], json!([{"Key": "team", "Value": "blue"}]));
    assert!(text(&list, "PrefixListArn").ends_with(&format!(":prefix-list/{id}")), "{list}");
    let modify = ["ec2", "modify-managed-prefix-list", "--prefix-list-id", &id];
    let change =
        ["--current-version", "1", "--add-entries", "Cidr=198.51.100.0/24", "--remove-entries", "Cidr=192.0.2.0/24"];
    assert_eq!(region.aws(&[&modify[..], &change].concat())["PrefixList"]["Version"], 2);
    assert_eq!(entries(region, &id, &[]), ["198.51.100.0/24"]);
    assert_eq!(entries(region, &id, &["--target-version", "1"]), ["192.0.2.0/24"]);
    let stale = region.aws_refuses(&[&modify[..], &["--current-version", "1", "--max-entries", "5"]].concat());
    let expected = ("PrefixListVersionMismatch", "The prefix list has the incorrect version number.");
    assert_eq!((&*stale.code, &*stale.message), expected);
    let both = ["--max-entries", "5", "--add-entries", "Cidr=203.0.113.0/24"];
    let both = region.aws_refuses(&[&modify[..], &both].concat());
    let why = "You cannot modify the entries and the maximum entries for the prefix list in the same request.";
    assert_eq!((&*both.code, &*both.message), ("InvalidParameterCombination", why));
    let restore = ["ec2", "restore-managed-prefix-list-version", "--prefix-list-id", &id];
    let list = region.aws(&[&restore[..], &["--previous-version", "1", "--current-version", "2"]].concat());
    assert_eq!((text(&list["PrefixList"], "State"), &list["PrefixList"]["Version"]), ("restore-complete", &json!(3)));
    let found = region.aws(&["ec2", "describe-managed-prefix-lists", "--filters", "Name=tag:team,Values=blue"]);
    assert_eq!(found["PrefixLists"].as_array().map(Vec::len), Some(1));
    region.aws(&["ec2", "delete-managed-prefix-list", "--prefix-list-id", &id]);
    assert_eq!(region.account(), before);
}

fn rules_and_routes_name_a_list_and_keep_it(region: &Region) {
    let vpc = text(&region.aws(&["ec2", "create-vpc", "--cidr-block", "10.20.0.0/16"])["Vpc"], "VpcId").to_owned();
    let group = ["ec2", "create-security-group", "--group-name", "web", "--description", "web", "--vpc-id", &vpc];
    let group = text(&region.aws(&group), "GroupId").to_owned();
    let gateway =
        text(&region.aws(&["ec2", "create-internet-gateway"])["InternetGateway"], "InternetGatewayId").to_owned();
    region.aws(&["ec2", "attach-internet-gateway", "--internet-gateway-id", &gateway, "--vpc-id", &vpc]);
    let of = format!("Name=vpc-id,Values={vpc}");
    let table = region.aws(&["ec2", "describe-route-tables", "--filters", &of])["RouteTables"][0].clone();
    let table = text(&table, "RouteTableId").to_owned();
    let id = create(region, &["--max-entries", "5", "--entries", "Cidr=192.0.2.0/24"]);
    let https = json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "PrefixListIds": [{"PrefixListId": id, "Description": "offices"}]});
    let of_group = |more: Value| merged(json!({ "GroupId": group }), &more);
    let rule = of_group(json!({"IpPermissions": [https]}));
    let route = json!({"RouteTableId": table, "DestinationPrefixListId": id});
    let by_list = json!([{"Name": "ip-permission.prefix-list-id", "Values": [id]}]);
    let answers = region.gets(vec![
        ("OK", ec2("authorize_security_group_ingress", rule.clone())),
        ("InvalidPermission.Duplicate", ec2("authorize_security_group_ingress", rule.clone())),
        ("OK", ec2("describe_security_groups", json!({ "Filters": by_list }))),
        ("OK", ec2("create_route", merged(route.clone(), &json!({"GatewayId": gateway})))),
        ("OK", ec2("describe_route_tables", json!({"RouteTableIds": [table]}))),
        ("OK", ec2("get_managed_prefix_list_associations", json!({"PrefixListId": id}))),
        ("OK", ec2("delete_managed_prefix_list", json!({"PrefixListId": id}))),
    ]);
    let made = answers[0].clone().value()["SecurityGroupRules"][0].clone();
    assert_eq!((text(&made, "PrefixListId"), text(&made, "Description")), (&*id, "offices"));
    let found = answers[2].clone().value()["SecurityGroups"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(found[0]["IpPermissions"][0]["PrefixListIds"][0]["PrefixListId"], json!(id));
    let routes = answers[4].clone().value()["RouteTables"][0]["Routes"].clone();
    let led = routes.as_array().into_iter().flatten().find(|route| route["DestinationPrefixListId"] == json!(id));
    assert_eq!(led.map(|route| (text(route, "State"), text(route, "GatewayId"))), Some(("active", &*gateway)));
    let resources = [json!(table), json!(group)];
    let associated = answers[5].clone().value()["PrefixListAssociations"].clone();
    let associated: Vec<Value> =
        associated.as_array().into_iter().flatten().map(|found| found["ResourceId"].clone()).collect();
    assert_eq!(associated, resources);
    let kept = shown(region, &id);
    assert_eq!(text(&kept, "State"), "delete-failed");
    assert!(text(&kept, "StateMessage").contains(&group), "{kept}");
    let none = json!({"PrefixListIds": [{"PrefixListId": "pl-1"}]});
    let update = json!([{"SecurityGroupRuleId": made["SecurityGroupRuleId"],
        "SecurityGroupRule": {"IpProtocol": "-1", "PrefixListId": id}}]);
    region.gets(vec![
        ("OK", ec2("modify_security_group_rules", of_group(json!({ "SecurityGroupRules": update })))),
        (
            "InvalidPrefixListID.NotFound",
            ec2(
                "revoke_security_group_ingress",
                of_group(json!({"IpPermissions": [merged(json!({"IpProtocol": "-1"}), &none)]})),
            ),
        ),
        (
            "OK",
            ec2(
                "revoke_security_group_ingress",
                of_group(json!({"SecurityGroupRuleIds": [made["SecurityGroupRuleId"]]})),
            ),
        ),
        ("OK", ec2("delete_route", route.clone())),
        ("InvalidRoute.NotFound", ec2("delete_route", route)),
        ("OK", ec2("delete_managed_prefix_list", json!({"PrefixListId": id}))),
        ("InvalidPrefixListID.NotFound", ec2("describe_managed_prefix_lists", json!({"PrefixListIds": [id]}))),
        ("OK", ec2("detach_internet_gateway", json!({"InternetGatewayId": gateway, "VpcId": vpc}))),
        ("OK", ec2("delete_internet_gateway", json!({"InternetGatewayId": gateway}))),
        ("OK", ec2("delete_security_group", of_group(json!({})))),
        ("OK", ec2("delete_vpc", json!({ "VpcId": vpc }))),
    ]);
}

fn what_is_refused_changes_nothing(region: &Region) {
    let id = create(region, &["--max-entries", "1", "--entries", "Cidr=192.0.2.0/24"]);
    let before = region.account();
    let none = json!({"PrefixListId": "pl-00000000000000000"});
    let of_none = |more: Value| merged(none.clone(), &more);
    let list = |more: Value| {
        let base = json!({"PrefixListName": "more", "AddressFamily": "IPv4", "MaxEntries": 1});
        ec2("create_managed_prefix_list", merged(base, &more))
    };
    let two = json!({"Entries": [{"Cidr": "192.0.2.0/24"}, {"Cidr": "198.51.100.0/24"}]});
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": format!("key-{n}"), "Value": "a"})).collect();
    let missing = "InvalidPrefixListID.NotFound";
    let add = json!({"PrefixListId": id, "AddEntries": [{"Cidr": "198.51.100.0/24"}]});
    let answers = region.gets(vec![
        ("PrefixListMaxEntriesExceeded", list(two)),
        ("PrefixListMaxEntriesExceeded", ec2("modify_managed_prefix_list", add)),
        ("TagLimitExceeded", list(json!({"TagSpecifications": [{"ResourceType": "prefix-list", "Tags": many}]}))),
        ("InvalidParameterValue", list(json!({"AddressFamily": "IPX"}))),
        ("InvalidParameterValue", list(json!({"Entries": [{"Cidr": "2001:db8::/32"}]}))),
        (missing, ec2("modify_managed_prefix_list", of_none(json!({"MaxEntries": 2})))),
        (
            missing,
            ec2("restore_managed_prefix_list_version", of_none(json!({"PreviousVersion": 1, "CurrentVersion": 1}))),
        ),
        (missing, ec2("delete_managed_prefix_list", none.clone())),
        (missing, ec2("get_managed_prefix_list_entries", none.clone())),
        (missing, ec2("get_managed_prefix_list_associations", none.clone())),
        (missing, ec2("describe_prefix_lists", json!({"PrefixListIds": ["pl-1"]}))),
        ("OK", ec2("describe_prefix_lists", json!({}))),
        (missing, ec2("create_tags", json!({"Resources": ["pl-1"], "Tags": [{"Key": "a", "Value": "b"}]}))),
    ]);
    assert_eq!(answers[0].refusal().message, "You've reached the maximum number of entries for the prefix list.");
    assert_eq!(region.account(), before);
    region.aws(&["ec2", "delete-managed-prefix-list", "--prefix-list-id", &id]);
}
