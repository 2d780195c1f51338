//! Network ACLs by the real clients. No machine runs here: e2e/tests/nodes.rs sees them enforced.

use e2e::{Call, Region, call, merged, steps};
use serde_json::{Value, json};

#[test]
fn network_acls_are_made_as_users_say() {
    let region = Region::start();
    let vpc = Vpc::new(&region);
    steps!((&region, &vpc):
        every_subnet_begins_with_its_vpc_s_default_acl,
        entries_come_change_and_go,
        a_subnet_changes_its_acl,
        an_acl_is_found_by_what_it_is,
        what_is_refused_changes_nothing,
        an_acl_holds_twenty_entries_a_direction,
    );
}

fn ec2(operation: &str, input: Value) -> Call {
    call("ec2", operation, input)
}

/// A text of an answer.
#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A VPC, and a subnet of it.
struct Vpc {
    id: String,
    subnet: String,
}

impl Vpc {
    fn new(region: &Region) -> Vpc {
        let made = region.aws(&["ec2", "create-vpc", "--cidr-block", "10.20.0.0/16"])["Vpc"]["VpcId"].clone();
        let id = text(&made).to_owned();
        let subnet = region.aws(&["ec2", "create-subnet", "--vpc-id", &id, "--cidr-block", "10.20.1.0/24"]);
        Vpc { subnet: text(&subnet["Subnet"]["SubnetId"]).to_owned(), id }
    }

    /// A new ACL.
    fn acl(&self, region: &Region) -> String {
        let made = region.aws(&["ec2", "create-network-acl", "--vpc-id", &self.id]);
        text(&made["NetworkAcl"]["NetworkAclId"]).to_owned()
    }
}

/// The VPC's ACL that is its default one.
fn default_acl(region: &Region, vpc: &Vpc) -> Value {
    let (of, default) = (format!("Name=vpc-id,Values={}", vpc.id), "Name=default,Values=true");
    let found = region.aws(&["ec2", "describe-network-acls", "--filters", &of, default])["NetworkAcls"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    found[0].clone()
}

fn shown(region: &Region, acl: &str) -> Value {
    region.aws(&["ec2", "describe-network-acls", "--network-acl-ids", acl])["NetworkAcls"][0].clone()
}

/// The entries of a direction that it was given, by number.
fn entries(acl: &Value, egress: bool) -> Vec<Value> {
    let all = acl["Entries"].as_array().expect("every one has some").iter();
    all.filter(|entry| entry["Egress"] == egress && entry["RuleNumber"] != 32767).cloned().collect()
}

fn every_subnet_begins_with_its_vpc_s_default_acl(region: &Region, vpc: &Vpc) {
    let before = region.account();
    let default = default_acl(region, vpc);
    assert_eq!(default["Associations"].as_array().map(Vec::len), Some(1));
    assert_eq!(default["Associations"][0]["SubnetId"], vpc.subnet.as_str());
    for egress in [false, true] {
        let everything = json!({"CidrBlock": "0.0.0.0/0", "Egress": egress, "Protocol": "-1", "RuleAction": "allow", "RuleNumber": 100});
        assert_eq!(entries(&default, egress), [everything]);
    }
    let own = vpc.acl(region);
    let last: Vec<Value> = shown(region, &own)["Entries"].as_array().expect("two").clone();
    assert_eq!(last.len(), 2, "what every ACL ends with");
    assert!(last.iter().all(|entry| entry["RuleNumber"] == 32767 && entry["RuleAction"] == "deny"));
    let refusal = region.aws_refuses(&["ec2", "delete-vpc", "--vpc-id", &vpc.id]);
    assert_eq!(refusal.code, "DependencyViolation", "of its subnet and its ACL");
    let id = text(&default["NetworkAclId"]);
    let refusal = region.aws_refuses(&["ec2", "delete-network-acl", "--network-acl-id", id]);
    assert_eq!(
        (&*refusal.code, refusal.message),
        ("InvalidParameterValue", format!("cannot delete default network ACL {id}"))
    );
    region.aws(&["ec2", "delete-network-acl", "--network-acl-id", &own]);
    assert_eq!(region.account(), before);
}

fn entries_come_change_and_go(region: &Region, vpc: &Vpc) {
    let own = vpc.acl(region);
    let entry = ["ec2", "create-network-acl-entry", "--network-acl-id", &own];
    let ssh = ["--ingress", "--rule-number", "110", "--protocol", "tcp", "--port-range", "From=22,To=22"];
    region.aws(&[&entry[..], &ssh, &["--cidr-block", "10.1.2.3/8", "--rule-action", "allow"]].concat());
    let wanted = json!({"CidrBlock": "10.0.0.0/8", "Egress": false, "PortRange": {"From": 22, "To": 22}, "Protocol": "6",
        "RuleAction": "allow", "RuleNumber": 110});
    assert_eq!(entries(&shown(region, &own), false), [wanted]);
    let refusal =
        region.aws_refuses(&[&entry[..], &ssh, &["--cidr-block", "0.0.0.0/0", "--rule-action", "deny"]].concat());
    assert_eq!(
        (&*refusal.code, &*refusal.message),
        ("NetworkAclEntryAlreadyExists", "The network acl entry identified by 110 already exists.")
    );
    let of = |more: Value| merged(json!({"NetworkAclId": own, "Egress": true}), &more);
    let ping = json!({"RuleNumber": 110, "Protocol": "1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0",
        "IcmpTypeCode": {"Type": 8, "Code": -1}});
    let ipv6 = json!({"RuleNumber": 1, "Protocol": "58", "RuleAction": "allow", "Ipv6CidrBlock": "2001:db8::1/32",
        "IcmpTypeCode": {"Type": -1, "Code": -1}});
    let esp = json!({"RuleNumber": 32766, "Protocol": "50", "RuleAction": "allow", "CidrBlock": "10.0.0.0/8",
        "PortRange": {"From": 1, "To": 2}});
    let all = json!({"RuleNumber": 110, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "10.20.0.0/16"});
    let gone = json!({"NetworkAclId": own, "RuleNumber": 110, "Egress": false});
    region.gets(vec![
        ("OK", ec2("create_network_acl_entry", of(ping.clone()))),
        ("OK", ec2("create_network_acl_entry", of(ipv6))),
        ("OK", ec2("create_network_acl_entry", of(esp))),
    ]);
    let out = entries(&shown(region, &own), true);
    assert_eq!(out.iter().map(|entry| &entry["RuleNumber"]).collect::<Vec<_>>(), [1, 110, 32766]);
    assert_eq!(out[0]["Ipv6CidrBlock"], "2001:db8::/32");
    assert_eq!(out[1]["IcmpTypeCode"], ping["IcmpTypeCode"]);
    assert_eq!(out[2]["PortRange"], Value::Null, "no ports of a protocol without any");
    region.gets(vec![
        ("OK", ec2("replace_network_acl_entry", of(all))),
        ("OK", ec2("delete_network_acl_entry", gone.clone())),
        ("InvalidNetworkAclEntry.NotFound", ec2("delete_network_acl_entry", gone)),
    ]);
    let found = shown(region, &own);
    assert_eq!(entries(&found, false), Vec::<Value>::new());
    assert_eq!(
        (&entries(&found, true)[1]["Protocol"], &entries(&found, true)[1]["RuleAction"]),
        (&json!("-1"), &json!("allow"))
    );
    region.aws(&["ec2", "delete-network-acl", "--network-acl-id", &own]);
}

fn a_subnet_changes_its_acl(region: &Region, vpc: &Vpc) {
    let default = default_acl(region, vpc);
    let (own, default_id) = (vpc.acl(region), text(&default["NetworkAclId"]));
    let first = text(&default["Associations"][0]["NetworkAclAssociationId"]);
    let replace = |association: &str, acl: &str| {
        ec2("replace_network_acl_association", json!({"AssociationId": association, "NetworkAclId": acl}))
    };
    let answers = region.gets(vec![("OK", replace(first, &own))]);
    let second = text(&answers[0].clone().value()["NewAssociationId"]).to_owned();
    let wanted = json!([{"NetworkAclAssociationId": second, "NetworkAclId": own, "SubnetId": vpc.subnet}]);
    assert_eq!(shown(region, &own)["Associations"], wanted);
    assert_eq!(default_acl(region, vpc)["Associations"], json!([]));
    let answers = region.gets(vec![
        ("InvalidAssociationID.NotFound", replace(first, &own)),
        ("DependencyViolation", ec2("delete_network_acl", json!({"NetworkAclId": own}))),
        ("OK", replace(&second, default_id)),
        ("OK", ec2("delete_network_acl", json!({"NetworkAclId": own}))),
        ("InvalidNetworkAclID.NotFound", ec2("delete_network_acl", json!({"NetworkAclId": own}))),
    ]);
    let third = answers[2].clone().value()["NewAssociationId"].clone();
    assert_eq!(default_acl(region, vpc)["Associations"][0]["NetworkAclAssociationId"], third);
}

fn an_acl_is_found_by_what_it_is(region: &Region, vpc: &Vpc) {
    let tags = json!([{"ResourceType": "network-acl", "Tags": [{"Key": "team", "Value": "sea"}]}]);
    let made =
        region.gets(vec![("OK", ec2("create_network_acl", json!({"VpcId": vpc.id, "TagSpecifications": tags})))]);
    let own = made[0].clone().value()["NetworkAcl"]["NetworkAclId"].clone();
    let http = json!({"NetworkAclId": own, "RuleNumber": 90, "Protocol": "6", "RuleAction": "allow", "Egress": false,
        "CidrBlock": "192.0.2.0/24", "PortRange": {"From": 80, "To": 81}});
    region.gets(vec![
        ("OK", ec2("create_network_acl_entry", http)),
        ("OK", ec2("create_tags", json!({"Resources": [own], "Tags": [{"Key": "stage", "Value": "one"}]}))),
    ]);
    let filters = [
        ("tag:team", "s?a"),
        ("tag-key", "stage"),
        ("entry.cidr", "192.0.2.*"),
        ("entry.port-range.from", "80"),
        ("entry.port-range.to", "81"),
        ("entry.protocol", "tcp"),
        ("entry.protocol", "6"),
        ("entry.rule-number", "90"),
        ("network-acl-id", text(&own)),
    ];
    let by = |(name, value): (&str, &str)| {
        let filters = json!([{"Name": "vpc-id", "Values": [vpc.id]}, {"Name": name, "Values": [value]}]);
        ("OK", ec2("describe_network_acls", json!({"Filters": filters})))
    };
    for (answer, filter) in region.gets(filters.map(by).to_vec()).into_iter().zip(filters) {
        let found = answer.value()["NetworkAcls"].clone();
        assert_eq!((found.as_array().map(Vec::len), &found[0]["NetworkAclId"]), (Some(1), &own), "{filter:?}");
    }
    let of_subnet = json!({"Filters": [{"Name": "association.subnet-id", "Values": [vpc.subnet]}]});
    let of_tags = json!({"Filters": [{"Name": "resource-id", "Values": [own]}]});
    let answers = region.gets(vec![
        ("OK", ec2("describe_network_acls", of_subnet)),
        ("OK", ec2("describe_tags", of_tags.clone())),
        ("OK", ec2("delete_tags", json!({"Resources": [own], "Tags": [{"Key": "team"}]}))),
        ("OK", ec2("describe_tags", of_tags)),
        (
            "InvalidParameterValue",
            ec2("describe_network_acls", json!({"Filters": [{"Name": "colour", "Values": ["red"]}]})),
        ),
        ("OK", ec2("delete_network_acl", json!({"NetworkAclId": own}))),
    ]);
    assert_eq!(answers[0].clone().value()["NetworkAcls"][0]["IsDefault"], true);
    assert_eq!(answers[1].clone().value()["Tags"].as_array().map(Vec::len), Some(2));
    assert_eq!(answers[3].clone().value()["Tags"][0]["Key"], "stage");
}

fn what_is_refused_changes_nothing(region: &Region, vpc: &Vpc) {
    let own = vpc.acl(region);
    let far =
        region.aws(&["ec2", "describe-network-acls", "--filters", "Name=default,Values=true"])["NetworkAcls"].clone();
    let far =
        far.as_array().expect("a list").iter().find(|acl| acl["VpcId"] != vpc.id.as_str()).expect("the default VPC's");
    let (far, default) = (text(&far["NetworkAclId"]), default_acl(region, vpc));
    let before = region.account();
    let none = "acl-00000000000000000";
    let entry = |more: Value| {
        let entry = json!({"NetworkAclId": own, "RuleNumber": 1, "Protocol": "6", "RuleAction": "allow", "Egress": false,
            "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 1, "To": 2}});
        let mut entry = merged(entry, &more);
        entry.as_object_mut().expect("it is one").retain(|_, member| !member.is_null());
        entry
    };
    let create = |more: Value| ec2("create_network_acl_entry", entry(more));
    let association = &default["Associations"][0]["NetworkAclAssociationId"];
    let replace = |association: &Value, acl: &str| {
        ec2("replace_network_acl_association", json!({"AssociationId": association, "NetworkAclId": acl}))
    };
    let gone = json!({"NetworkAclId": none, "RuleNumber": 1, "Egress": true});
    region.gets(vec![
        ("InvalidVpcID.NotFound", ec2("create_network_acl", json!({"VpcId": "vpc-00000000000000000"}))),
        ("DryRunOperation", ec2("create_network_acl", json!({"VpcId": vpc.id, "DryRun": true}))),
        ("InvalidNetworkAclID.NotFound", ec2("describe_network_acls", json!({"NetworkAclIds": [none]}))),
        ("DryRunOperation", ec2("delete_network_acl", json!({"NetworkAclId": own, "DryRun": true}))),
        ("InvalidNetworkAclID.NotFound", create(json!({"NetworkAclId": none}))),
        ("InvalidParameterValue", create(json!({"RuleNumber": 0}))),
        ("InvalidParameterValue", create(json!({"RuleNumber": 32767}))),
        ("InvalidParameterValue", create(json!({"Protocol": "tcp"}))),
        ("InvalidParameterValue", create(json!({"Protocol": "256"}))),
        ("InvalidParameterValue", create(json!({"CidrBlock": "10.0.0.0"}))),
        ("InvalidParameterValue", create(json!({"PortRange": {"From": 2, "To": 1}}))),
        ("InvalidParameterValue", create(json!({"PortRange": {"From": 2, "To": 65536}}))),
        ("MissingParameter", create(json!({"PortRange": null}))),
        ("MissingParameter", create(json!({"Protocol": "1"}))),
        ("MissingParameter", create(json!({"CidrBlock": null}))),
        ("InvalidParameterCombination", create(json!({"Ipv6CidrBlock": "::/0"}))),
        ("DryRunOperation", create(json!({"DryRun": true}))),
        ("InvalidNetworkAclEntry.NotFound", ec2("replace_network_acl_entry", entry(json!({})))),
        ("InvalidNetworkAclID.NotFound", ec2("replace_network_acl_entry", entry(json!({"NetworkAclId": none})))),
        ("InvalidNetworkAclID.NotFound", ec2("delete_network_acl_entry", gone)),
        ("InvalidAssociationID.NotFound", replace(&json!("aclassoc-00000000000000000"), &own)),
        ("InvalidNetworkAclID.NotFound", replace(association, none)),
        ("InvalidParameterValue", replace(association, far)),
        (
            "InvalidNetworkAclID.NotFound",
            ec2("create_tags", json!({"Resources": [none], "Tags": [{"Key": "a", "Value": "b"}]})),
        ),
    ]);
    assert_eq!(region.account(), before);
    let stranger = region.client().stranger();
    stranger.gets(vec![("AuthFailure", ec2("delete_network_acl", json!({"NetworkAclId": own})))]);
    region.aws(&["ec2", "delete-network-acl", "--network-acl-id", &own]);
}

fn an_acl_holds_twenty_entries_a_direction(region: &Region, vpc: &Vpc) {
    let own = vpc.acl(region);
    let entry = |number: u32, egress: bool| {
        let entry = json!({"NetworkAclId": own, "RuleNumber": number, "Protocol": "-1", "RuleAction": "allow", "Egress": egress,
            "CidrBlock": format!("10.{number}.0.0/16")});
        ec2("create_network_acl_entry", entry)
    };
    region.gets((1..=20).map(|number| ("OK", entry(number, false))).collect());
    region.gets(vec![("NetworkAclEntryLimitExceeded", entry(21, false)), ("OK", entry(21, true))]);
    region.aws(&["ec2", "delete-network-acl", "--network-acl-id", &own]);
}
