//! Networks of users: security groups and their rules, by the real clients. No machine runs here.

use e2e::{Answer, Region, call, steps};
use serde_json::{Value, json};

#[test]
fn networks_are_made_as_users_say() {
    let region = Region::start();
    steps!((&region):
        rules_come_change_and_go,
        rules_are_found_tagged_and_described_anew,
        a_group_holds_a_thousand_rules_and_no_more,
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

fn what_is_refused_changes_nothing(region: &Region) {
    let ((vpc, web), (far_vpc, far)) = (group(region, "10.20.0.0/16"), group(region, "10.21.0.0/16"));
    let before = (region.account(), shown(region, &web));
    let ec2 = |operation: &str, input: Value| call("ec2", operation, input);
    let permission = |more: Value| {
        let mut permission = json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443});
        permission.as_object_mut().expect("it is one").extend(more.as_object().cloned().unwrap_or_default());
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
    ];
    let (codes, calls): (Vec<&str>, Vec<_>) = cases.into_iter().unzip();
    let answers: Vec<String> = region.boto(calls).iter().map(Answer::refusal).map(|refusal| refusal.code).collect();
    assert_eq!(answers, codes);
    assert_eq!((region.account(), shown(region, &web)), before);
    remove(region, &vpc, &web);
    remove(region, &far_vpc, &far);
}
