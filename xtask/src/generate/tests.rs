use super::names::{constant, field, snake, variant};

#[test]
fn names_are_spelled_as_rust_spells_them() {
    let fields = [
        ("roleArn", "role_arn"),
        ("EnableResourceNameDnsAAAARecord", "enable_resource_name_dns_aaaa_record"),
        ("Ipv6CidrBlock", "ipv6_cidr_block"),
        ("type", "r#type"),
        ("Return", "r#return"),
        ("VpcID", "vpc_id"),
    ];
    for (name, ours) in fields {
        assert_eq!(field(name), ours);
    }
    assert_eq!(snake("DNSName"), "dns_name");
    assert_eq!(constant("InvalidVpcID.NotFound"), "INVALID_VPC_ID_NOT_FOUND");
}

#[test]
fn values_are_spelled_as_variants() {
    let values = [
        ("API_AND_CONFIG_MAP", "ApiAndConfigMap"),
        ("tier-2xl", "Tier2xl"),
        ("ipv4", "Ipv4"),
        ("opt-in-not-required", "OptInNotRequired"),
        ("controllerManager", "ControllerManager"),
        ("1024", "V1024"),
    ];
    for (value, ours) in values {
        assert_eq!(variant(value), ours);
    }
}
