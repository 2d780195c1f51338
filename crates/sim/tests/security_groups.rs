//! Stories of security groups and their rules.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::{Saw, Want};
use roadstead_hostspec::{Balancer, Peer, Permission, Port, SecurityGroup, Traffic};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Key, Read as _};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;

/// A VPC that is not the default one.
fn vpc(world: &mut World) -> String {
    let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
    world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap()
}

fn group(world: &mut World, vpc: &str, name: &str) -> String {
    let request = ec2::CreateSecurityGroupRequest {
        group_name: name.into(),
        description: name.into(),
        vpc_id: Some(vpc.into()),
        ..Default::default()
    };
    world.call(&ec2::CREATE_SECURITY_GROUP, request).unwrap().group_id.unwrap()
}

fn shown(world: &mut World, id: &str) -> ec2::SecurityGroup {
    let request = ec2::DescribeSecurityGroupsRequest { group_ids: Some(vec![id.into()]), ..Default::default() };
    world.call(&ec2::DESCRIBE_SECURITY_GROUPS, request).unwrap().security_groups.unwrap().remove(0)
}

fn tcp(from: i32, to: i32, blocks: &[&str]) -> ec2::IpPermission {
    let range = |block: &&str| ec2::IpRange { cidr_ip: Some((*block).into()), ..Default::default() };
    ec2::IpPermission {
        ip_protocol: Some("tcp".into()),
        from_port: Some(from),
        to_port: Some(to),
        ip_ranges: Some(blocks.iter().map(range).collect()),
        ..Default::default()
    }
}

fn from_group(protocol: &str, id: &str) -> ec2::IpPermission {
    let pair = ec2::UserIdGroupPair { group_id: Some(id.into()), ..Default::default() };
    ec2::IpPermission {
        ip_protocol: Some(protocol.into()),
        user_id_group_pairs: Some(vec![pair]),
        ..Default::default()
    }
}

fn authorize(world: &mut World, id: &str, permissions: Vec<ec2::IpPermission>) -> Result<Vec<String>, Fault> {
    let request = ec2::AuthorizeSecurityGroupIngressRequest {
        group_id: Some(id.into()),
        ip_permissions: Some(permissions),
        ..Default::default()
    };
    let made = world.call(&ec2::AUTHORIZE_SECURITY_GROUP_INGRESS, request)?;
    Ok(made.security_group_rules.unwrap().into_iter().map(|rule| rule.security_group_rule_id.unwrap()).collect())
}

fn revoke(
    world: &mut World,
    id: &str,
    permission: ec2::IpPermission,
) -> Result<ec2::RevokeSecurityGroupIngressResult, Fault> {
    let request = ec2::RevokeSecurityGroupIngressRequest {
        group_id: Some(id.into()),
        ip_permissions: Some(vec![permission]),
        ..Default::default()
    };
    world.call(&ec2::REVOKE_SECURITY_GROUP_INGRESS, request)
}

fn rules(world: &mut World, group: &str) -> Vec<ec2::SecurityGroupRule> {
    let filter = ec2::Filter { name: Some("group-id".into()), values: Some(vec![group.into()]) };
    let request = ec2::DescribeSecurityGroupRulesRequest { filters: Some(vec![filter]), ..Default::default() };
    world.call(&ec2::DESCRIBE_SECURITY_GROUP_RULES, request).unwrap().security_group_rules.unwrap()
}

fn delete(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::DeleteSecurityGroupRequest { group_id: Some(id.into()), ..Default::default() };
    world.call(&ec2::DELETE_SECURITY_GROUP, request).map(drop)
}

fn code<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(fault) => fault.code.name(Protocol::Ec2Query),
    }
}

fn message<T>(result: Result<T, Fault>) -> String {
    result.err().unwrap().message
}

#[test]
fn a_new_group_lets_everything_out_and_a_default_one_its_members_in() {
    let mut world = World::calm();
    let vpc = vpc(&mut world);
    let web = group(&mut world, &vpc, "web");
    let web = shown(&mut world, &web);
    assert_eq!(web.ip_permissions.unwrap().len(), 0);
    let out = web.ip_permissions_egress.unwrap().remove(0);
    assert_eq!((out.ip_protocol.as_deref(), out.from_port, out.to_port), (Some("-1"), None, None));
    assert_eq!(out.ip_ranges.unwrap()[0].cidr_ip.as_deref(), Some("0.0.0.0/0"));
    let all = world.call(&ec2::DESCRIBE_SECURITY_GROUPS, Default::default()).unwrap().security_groups.unwrap();
    let of_vpc = |group: &ec2::SecurityGroup| group.vpc_id.as_ref() == Some(&vpc);
    let default = all.into_iter().find(|g| of_vpc(g) && g.group_name.as_deref() == Some("default")).unwrap();
    let own = default.ip_permissions.unwrap().remove(0).user_id_group_pairs.unwrap().remove(0);
    assert_eq!(own.group_id, default.group_id);
}

#[test]
fn rules_come_change_and_go() {
    let mut world = World::calm();
    let vpc = vpc(&mut world);
    let (web, db) = (group(&mut world, &vpc, "web"), group(&mut world, &vpc, "db"));
    // Host bits are cut off, and a rule with others is the same rule.
    let made = authorize(&mut world, &web, vec![tcp(80, 80, &["10.0.0.9/8", "192.168.0.0/16"])]).unwrap();
    assert!(made.len() == 2 && made[0].starts_with("sgr-"));
    let again = authorize(&mut world, &web, vec![tcp(80, 80, &["10.1.1.1/8"])]);
    assert_eq!(
        message(again),
        "the specified rule \"peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ALLOW\" already exists"
    );
    authorize(&mut world, &db, vec![from_group("-1", &web)]).unwrap();
    let permissions = shown(&mut world, &web).ip_permissions.unwrap();
    assert_eq!(permissions.len(), 1, "rules of the same traffic are one permission");
    assert_eq!(permissions[0].ip_ranges.as_ref().unwrap().len(), 2);
    let to = ec2::SecurityGroupRuleRequest {
        ip_protocol: Some("17".into()),
        from_port: Some(53),
        to_port: Some(53),
        cidr_ipv4: Some("10.0.0.0/8".into()),
        description: Some("names".into()),
        ..Default::default()
    };
    let update =
        ec2::SecurityGroupRuleUpdate { security_group_rule_id: made[0].clone(), security_group_rule: Some(to) };
    let request = ec2::ModifySecurityGroupRulesRequest {
        group_id: web.clone(),
        security_group_rules: vec![update],
        dry_run: None,
    };
    world.call(&ec2::MODIFY_SECURITY_GROUP_RULES, request).unwrap();
    let changed = rules(&mut world, &web).into_iter().find(|r| r.security_group_rule_id.as_ref() == Some(&made[0]));
    let changed = changed.unwrap();
    assert_eq!((changed.ip_protocol.as_deref(), changed.from_port), (Some("udp"), Some(53)));
    assert_eq!(changed.description.as_deref(), Some("names"));
    let revoked = revoke(&mut world, &web, tcp(80, 80, &["192.168.0.0/16"])).unwrap();
    assert_eq!(revoked.revoked_security_group_rules.unwrap()[0].security_group_rule_id.as_ref(), Some(&made[1]));
    assert_eq!(rules(&mut world, &web).len(), 2, "udp in, all out");
}

#[test]
fn a_group_that_is_named_or_had_is_not_deleted() {
    let mut world = World::calm();
    let vpc = vpc(&mut world);
    let (web, db) = (group(&mut world, &vpc, "web"), group(&mut world, &vpc, "db"));
    authorize(&mut world, &web, vec![from_group("-1", &web)]).unwrap();
    authorize(&mut world, &db, vec![from_group("-1", &web)]).unwrap();
    assert_eq!(code(delete(&mut world, &web)), "DependencyViolation");
    revoke(&mut world, &db, from_group("-1", &web)).unwrap();
    delete(&mut world, &web).unwrap();
    assert_eq!(rules(&mut world, &web).len(), 0, "its rules go with it");
    delete(&mut world, &db).unwrap();
    world.settle();
    world.call(&ec2::DELETE_VPC, ec2::DeleteVpcRequest { vpc_id: vpc, dry_run: None }).unwrap();
}

#[test]
fn what_is_no_rule_is_refused_and_nothing_changes() {
    let mut world = World::calm();
    let (mine, other) = (vpc(&mut world), vpc(&mut world));
    let (web, far) = (group(&mut world, &mine, "web"), group(&mut world, &other, "web"));
    authorize(&mut world, &web, vec![tcp(22, 22, &["10.0.0.0/8"])]).unwrap();
    let before = rules(&mut world, &web);
    let fine = tcp(443, 443, &["10.0.0.0/8"]);
    let of = |protocol: &str| ec2::IpPermission { ip_protocol: Some(protocol.into()), ..fine.clone() };
    let lists = Some(vec![ec2::PrefixListId { prefix_list_id: Some("pl-1".into()), description: None }]);
    let blocks: Vec<String> = (0..1000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
    let cases = [
        ("InvalidPermission.Duplicate", tcp(22, 22, &["10.0.0.0/8"])),
        ("InvalidParameterValue", tcp(443, 443, &["10.0.0.0/8", "10.9.9.9/8"])),
        ("InvalidParameterValue", tcp(443, 80, &["10.0.0.0/8"])),
        ("InvalidParameterValue", tcp(0, 65536, &["10.0.0.0/8"])),
        ("InvalidParameterValue", tcp(443, 443, &["10.0.0.0"])),
        ("InvalidParameterValue", ec2::IpPermission { to_port: None, ..fine.clone() }),
        ("InvalidParameterValue", of("carrier-pigeon")),
        ("InvalidParameterValue", of("256")),
        ("InvalidParameterValue", of("icmp")),
        ("MissingParameter", tcp(443, 443, &[])),
        ("MissingParameter", ec2::IpPermission { ip_protocol: None, ..fine.clone() }),
        ("InvalidGroup.NotFound", from_group("-1", "sg-00000000000000000")),
        ("InvalidGroup.NotFound", from_group("-1", &far)),
        ("InvalidPrefixListID.NotFound", ec2::IpPermission { prefix_list_ids: lists, ..fine.clone() }),
        ("RulesPerSecurityGroupLimitExceeded", tcp(443, 443, &blocks)),
    ];
    for (expected, permission) in cases {
        // With one that is fine: all are authorized, or none.
        let other = tcp(8080, 8080, &["10.0.0.0/8"]);
        assert_eq!(code(authorize(&mut world, &web, vec![other, permission])), expected);
    }
    assert_eq!(code(revoke(&mut world, &web, tcp(443, 443, &["10.0.0.0/8"]))), "InvalidPermission.NotFound");
    let ids = |group: &str, ids: Vec<String>| ec2::RevokeSecurityGroupIngressRequest {
        group_id: Some(group.into()),
        security_group_rule_ids: Some(ids),
        ..Default::default()
    };
    let out = before.iter().find(|rule| rule.is_egress == Some(true)).unwrap().security_group_rule_id.clone().unwrap();
    let one = before.iter().find(|rule| rule.is_egress == Some(false)).unwrap().security_group_rule_id.clone().unwrap();
    let missing = "InvalidSecurityGroupRuleId.NotFound";
    for (expected, request) in [
        (missing, ids(&web, vec![one.clone(), out])),
        (missing, ids(&far, vec![one.clone()])),
        ("InvalidParameterValue", ids(&web, vec![one.clone(), one.clone()])),
        ("InvalidGroupId.Malformed", ids("web", vec![one.clone()])),
        ("MissingParameter", ids(&web, vec![])),
        ("DryRunOperation", ec2::RevokeSecurityGroupIngressRequest { dry_run: Some(true), ..ids(&web, vec![one]) }),
    ] {
        assert_eq!(code(world.call(&ec2::REVOKE_SECURITY_GROUP_INGRESS, request)), expected);
    }
    assert!(rules(&mut world, &web) == before);
}

#[test]
fn a_default_vpc_says_which_rules_it_did_not_have() {
    let mut world = World::calm();
    let request = |port| ec2::RevokeSecurityGroupIngressRequest {
        group_name: Some("default".into()),
        ip_protocol: Some("tcp".into()),
        from_port: Some(port),
        to_port: Some(port),
        cidr_ip: Some("10.0.0.0/8".into()),
        ..Default::default()
    };
    let answer = world.call(&ec2::REVOKE_SECURITY_GROUP_INGRESS, request(22)).unwrap();
    assert_eq!(answer.unknown_ip_permissions.unwrap()[0].from_port, Some(22));
    assert_eq!(answer.revoked_security_group_rules.unwrap().len(), 0);
}

/// What the host is to enforce of a group.
fn enforced(world: &World, id: &str) -> Option<SecurityGroup> {
    world.view().get(&Key::<Want<SecurityGroup>>::new(id)).map(|want| want.body.0)
}

#[test]
fn a_host_enforces_a_group_while_an_interface_has_it() {
    let mut world = World::calm();
    let vpc = vpc(&mut world);
    let web = group(&mut world, &vpc, "web");
    world.settle();
    assert_eq!(enforced(&world, &web), None, "nobody has it");
    let subnet =
        ec2::CreateSubnetRequest { vpc_id: vpc.clone(), cidr_block: Some("10.7.0.0/24".into()), ..Default::default() };
    let subnet = world.call(&ec2::CREATE_SUBNET, subnet).unwrap().subnet.unwrap().subnet_id.unwrap();
    let request =
        ec2::CreateNetworkInterfaceRequest { subnet_id: subnet, groups: Some(vec![web.clone()]), ..Default::default() };
    let eni = world.call(&ec2::CREATE_NETWORK_INTERFACE, request).unwrap().network_interface.unwrap();
    let eni = eni.network_interface_id.unwrap();
    let ipv6 = ec2::Ipv6Range { cidr_ipv6: Some("::/0".into()), ..Default::default() };
    let ping = ec2::IpPermission {
        ip_protocol: Some("icmp".into()),
        from_port: Some(8),
        to_port: Some(-1),
        ipv6_ranges: Some(vec![ipv6]),
        ..tcp(8, -1, &["10.0.0.0/8"])
    };
    authorize(&mut world, &web, vec![tcp(22, 80, &["10.0.0.0/8"]), from_group("-1", &web), ping]).unwrap();
    world.settle();
    let port = world.view().get(&Key::<Want<Port>>::new(eni.as_str())).unwrap().body.0;
    assert_eq!(port.groups, std::slice::from_ref(&web));
    let SecurityGroup { network, mut ingress, egress, .. } = enforced(&world, &web).unwrap();
    ingress.sort();
    let block = |text: &str| Peer::Block(text.parse().unwrap());
    let expected = [
        Permission { traffic: Traffic::All, peer: Peer::Group(web.clone()) },
        Permission { traffic: Traffic::Tcp { first: 22, last: 80 }, peer: block("10.0.0.0/8") },
        Permission { traffic: Traffic::Icmp { kind: Some(8), code: None }, peer: block("10.0.0.0/8") },
    ];
    assert_eq!((network, &ingress[..]), (vpc, &expected[..]));
    assert_eq!(egress, [Permission { traffic: Traffic::All, peer: block("0.0.0.0/0") }]);
    let gone = ec2::DeleteNetworkInterfaceRequest { network_interface_id: eni, dry_run: None };
    world.call(&ec2::DELETE_NETWORK_INTERFACE, gone).unwrap();
    world.settle();
    delete(&mut world, &web).unwrap();
    world.settle();
    let left = world.view().get(&Key::<Saw<SecurityGroup>>::new(web.as_str()));
    assert!(enforced(&world, &web).is_none() && left.is_none());
}

#[test]
fn a_control_plane_has_the_clusters_group_and_its_users_own() {
    let mut world = World::calm();
    let mut request = world.request("a");
    let subnets = request.resources_vpc_config.subnet_ids.clone().unwrap();
    let asked = ec2::DescribeSubnetsRequest { subnet_ids: Some(subnets), ..Default::default() };
    let vpc = world.call(&ec2::DESCRIBE_SUBNETS, asked).unwrap().subnets.unwrap().remove(0).vpc_id.unwrap();
    let own = group(&mut world, &vpc, "own");
    request.resources_vpc_config.security_group_ids = Some(vec![own.clone()]);
    world.call(&roadstead_shapes::eks::CREATE_CLUSTER, request).unwrap();
    world.settle();
    let cluster = world.cluster("a").unwrap();
    let groups = vec![cluster.spec.vpc.cluster_security_group.clone(), own];
    let placement = cluster.placement.unwrap();
    for server in &placement.servers {
        let port = |id: &str| world.view().get(&Key::<Want<Port>>::new(id)).unwrap().body.0;
        assert_eq!(port(&server.front).groups, groups);
        assert_eq!(port(&server.back).groups, Vec::<String>::new(), "nobody's groups are in etcd's network");
    }
    let balancer = world.view().get(&Key::<Want<Balancer>>::new(cluster.spec.id.as_str())).unwrap().body.0;
    assert_eq!(balancer.groups, groups);
}
