//! VPC endpoints by the real clients. No machine runs here: e2e/tests/pods.rs sees a pod reach the region by one.

use e2e::{Answer, Call, Region, call, merged, refusal, steps, text, until};
use serde_json::{Value, json};
use std::time::Duration;

/// For what takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVICE: &str = "com.amazonaws.us-east-1.ec2";

#[test]
fn endpoints_of_services_are_made_as_users_say() {
    let region = Region::start();
    let vpc = Vpc::new(&region);
    steps!((&region, &vpc):
        the_services_of_the_region_are_those_that_have_endpoints,
        an_endpoint_comes_changes_and_goes,
        endpoints_are_found_by_what_they_are,
        what_is_refused_changes_nothing,
    );
}

fn ec2(operation: &str, input: Value) -> Call {
    call("ec2", operation, input)
}

#[track_caller]
fn ok(region: &Region, operation: &str, input: Value) -> Value {
    region.gets(vec![("OK", ec2(operation, input))]).remove(0).value()
}

/// A VPC with names, and a subnet in each of two zones.
struct Vpc {
    id: String,
    one: String,
    other: String,
}

impl Vpc {
    fn new(region: &Region) -> Vpc {
        let id = text(&ok(region, "create_vpc", json!({"CidrBlock": "10.20.0.0/16"}))["Vpc"], "VpcId").to_owned();
        ok(region, "modify_vpc_attribute", json!({"VpcId": id, "EnableDnsHostnames": {"Value": true}}));
        let subnet = |block: &str, zone: &str| {
            let input = json!({"VpcId": id, "CidrBlock": block, "AvailabilityZone": zone});
            text(&ok(region, "create_subnet", input)["Subnet"], "SubnetId").to_owned()
        };
        let (one, other) = (subnet("10.20.1.0/24", "us-east-1a"), subnet("10.20.2.0/24", "us-east-1b"));
        Vpc { one, other, id }
    }

    fn wish(&self) -> Value {
        json!({"VpcEndpointType": "Interface", "VpcId": self.id, "ServiceName": SERVICE, "SubnetIds": [self.one]})
    }
}

fn shown(region: &Region, id: &str) -> Value {
    region.aws(&["ec2", "describe-vpc-endpoints", "--vpc-endpoint-ids", id])["VpcEndpoints"][0].clone()
}

fn becomes_available(region: &Region, id: &str) {
    until("it is available", PATIENCE, || (shown(region, id)["State"] == "available").then_some(()));
}

fn is_gone(region: &Region, id: &str) {
    until("it is gone", PATIENCE, || {
        let found = region.boto(vec![ec2("describe_vpc_endpoints", json!({"VpcEndpointIds": [id]}))]);
        (found[0].code() == "InvalidVpcEndpointId.NotFound").then_some(())
    });
}

fn the_services_of_the_region_are_those_that_have_endpoints(region: &Region, _: &Vpc) {
    let found = region.aws(&["ec2", "describe-vpc-endpoint-services"]);
    let names = ["autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "kms", "logs", "ssm", "sts"];
    assert_eq!(found["ServiceNames"], json!(names.map(|name| format!("com.amazonaws.us-east-1.{name}"))));
    let named = json!({"Filters": [{"Name": "service-name", "Values": ["com.amazonaws.us-east-1.ecr.*"]}]});
    let found = ok(region, "describe_vpc_endpoint_services", named);
    assert_eq!(found["ServiceDetails"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["ServiceDetails"][0]["PrivateDnsName"], "api.ecr.us-east-1.amazonaws.com");
    assert_eq!(found["ServiceDetails"][1]["PrivateDnsName"], "*.dkr.ecr.us-east-1.amazonaws.com");
    let of_s3 = "com.amazonaws.us-east-1.s3";
    let answers = region.gets(vec![
        ("InvalidServiceName", ec2("describe_vpc_endpoint_services", json!({"ServiceNames": [of_s3]}))),
        ("InvalidVpcEndpointId.NotFound", ec2("describe_vpc_endpoints", json!({"VpcEndpointIds": ["vpce-1"]}))),
    ]);
    let why = format!("The Vpc Endpoint Service '{of_s3}' does not exist");
    assert_eq!(answers[0].refusal(), refusal("InvalidServiceName", &why));
}

fn an_endpoint_comes_changes_and_goes(region: &Region, vpc: &Vpc) {
    let before = region.account();
    let create = ["ec2", "create-vpc-endpoint", "--vpc-endpoint-type", "Interface", "--vpc-id", &vpc.id];
    let tags = "ResourceType=vpc-endpoint,Tags=[{Key=Name,Value=api}]";
    let more = ["--service-name", SERVICE, "--subnet-ids", &vpc.one, "--tag-specifications", tags];
    let made = region.aws(&[&create[..], &more].concat())["VpcEndpoint"].clone();
    let id = text(&made, "VpcEndpointId").to_owned();
    becomes_available(region, &id);
    let found = shown(region, &id);
    assert_eq!((&found["ServiceName"], &found["VpcEndpointType"]), (&json!(SERVICE), &json!("Interface")));
    assert_eq!((&found["SubnetIds"], &found["PrivateDnsEnabled"]), (&json!([vpc.one]), &json!(true)));
    assert_eq!(found["Tags"], json!([{"Key": "Name", "Value": "api"}]));
    let names: Vec<&str> = found["DnsEntries"].as_array().expect("some").iter().map(|e| text(e, "DnsName")).collect();
    assert!(names.contains(&"ec2.us-east-1.amazonaws.com"), "{names:?}");
    let own = names.iter().filter(|name| name.starts_with(&id) && name.ends_with(".ec2.us-east-1.vpce.amazonaws.com"));
    assert_eq!(own.count(), 2, "{names:?}: one of the whole, one of its zone");
    let eni = found["NetworkInterfaceIds"][0].clone();
    let eni_shown = ok(region, "describe_network_interfaces", json!({"NetworkInterfaceIds": [eni]}));
    let eni_shown = &eni_shown["NetworkInterfaces"][0];
    assert_eq!(eni_shown["Description"], format!("VPC Endpoint Interface {id}"));
    assert_eq!((&eni_shown["InterfaceType"], &eni_shown["Status"]), (&json!("vpc_endpoint"), &json!("in-use")));
    let modify = |more: Value| ec2("modify_vpc_endpoint", merged(json!({ "VpcEndpointId": id }), &more));
    region.gets(vec![
        ("AuthFailure", ec2("delete_network_interface", json!({"NetworkInterfaceId": eni}))),
        ("DependencyViolation", ec2("delete_subnet", json!({"SubnetId": vpc.one}))),
        ("DependencyViolation", ec2("delete_vpc", json!({"VpcId": vpc.id}))),
        ("OK", modify(json!({"AddSubnetIds": [vpc.other], "PrivateDnsEnabled": false}))),
        ("DuplicateSubnetsInSameZone", modify(json!({"AddSubnetIds": [vpc.other]}))),
        ("OK", modify(json!({"RemoveSubnetIds": [vpc.one], "ResetPolicy": true}))),
    ]);
    until("its interface there is gone", PATIENCE, || {
        let found = region.boto(vec![ec2("describe_network_interfaces", json!({"NetworkInterfaceIds": [eni]}))]);
        (found[0].code() == "InvalidNetworkInterfaceID.NotFound").then_some(())
    });
    assert_eq!(shown(region, &id)["SubnetIds"], json!([vpc.other]));
    let gone = region.aws(&["ec2", "delete-vpc-endpoints", "--vpc-endpoint-ids", &id, "vpce-1"]);
    let error =
        json!({"Code": "InvalidVpcEndpoint.NotFound", "Message": "The Vpc Endpoint Id 'vpce-1' does not exist"});
    assert_eq!(gone["Unsuccessful"], json!([{"Error": error, "ResourceId": "vpce-1"}]));
    is_gone(region, &id);
    assert_eq!(region.account(), before);
}

fn endpoints_are_found_by_what_they_are(region: &Region, vpc: &Vpc) {
    let id = text(&ok(region, "create_vpc_endpoint", vpc.wish())["VpcEndpoint"], "VpcEndpointId").to_owned();
    becomes_available(region, &id);
    ok(region, "create_tags", json!({"Resources": [id], "Tags": [{"Key": "team", "Value": "sea"}]}));
    let filters = [
        ("ip-address-type", "ipv4"),
        ("service-name", SERVICE),
        ("service-region", "us-east-1"),
        ("tag:team", "s?a"),
        ("vpc-endpoint-id", &id),
        ("vpc-endpoint-state", "available"),
        ("vpc-endpoint-type", "Interface"),
    ];
    let by = |(name, value): (&str, &str)| {
        let filters = json!([{"Name": "vpc-id", "Values": [vpc.id]}, {"Name": name, "Values": [value]}]);
        ("OK", ec2("describe_vpc_endpoints", json!({"Filters": filters})))
    };
    for (answer, filter) in region.gets(filters.map(by).to_vec()).into_iter().zip(filters) {
        let found = answer.value()["VpcEndpoints"].clone();
        assert_eq!((found.as_array().map(Vec::len), &found[0]["VpcEndpointId"]), (Some(1), &json!(id)), "{filter:?}");
    }
    ok(region, "delete_vpc_endpoints", json!({"VpcEndpointIds": [id]}));
    is_gone(region, &id);
}

fn what_is_refused_changes_nothing(region: &Region, vpc: &Vpc) {
    let create = |more: Value| ec2("create_vpc_endpoint", merged(vpc.wish(), &more));
    let first = text(&ok(region, "create_vpc_endpoint", vpc.wish())["VpcEndpoint"], "VpcEndpointId").to_owned();
    becomes_available(region, &first);
    let before = region.account();
    let narrow = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ec2:Describe*","Resource":"*"}]}"#;
    let answers: Vec<Answer> = region.gets(vec![
        ("InvalidParameter", create(json!({}))),
        ("InvalidParameter", create(json!({"VpcEndpointType": "Gateway"}))),
        ("InvalidServiceName", create(json!({"ServiceName": "com.amazonaws.us-east-1.s3"}))),
        ("InvalidPolicyDocument", create(json!({"PolicyDocument": "all"}))),
        ("Unsupported", create(json!({"PolicyDocument": narrow, "PrivateDnsEnabled": false}))),
        ("Unsupported", create(json!({"DnsOptions": {"DnsRecordIpType": "dualstack"}}))),
        ("DryRunOperation", create(json!({"DryRun": true, "PrivateDnsEnabled": false}))),
        (
            "InvalidParameter",
            ec2("modify_vpc_endpoint", json!({"VpcEndpointId": first, "RemoveSubnetIds": [vpc.other]})),
        ),
        ("Unsupported", ec2("modify_vpc_endpoint", json!({"VpcEndpointId": first, "PolicyDocument": narrow}))),
        ("InvalidVpcEndpointId.NotFound", ec2("modify_vpc_endpoint", json!({"VpcEndpointId": "vpce-1"}))),
        ("InvalidVpcEndpointId.Malformed", ec2("delete_vpc_endpoints", json!({"VpcEndpointIds": ["eni-1"]}))),
        ("DryRunOperation", ec2("delete_vpc_endpoints", json!({"VpcEndpointIds": [first], "DryRun": true}))),
    ]);
    let why = "Endpoint type (Gateway) does not match available service types ([Interface])";
    assert_eq!(answers[1].refusal(), refusal("InvalidParameter", why));
    assert_eq!(region.account(), before);
    ok(region, "delete_vpc_endpoints", json!({"VpcEndpointIds": [first]}));
    is_gone(region, &first);
}
