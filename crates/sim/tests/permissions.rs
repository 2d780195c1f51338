//! Stories of who may do what: policies decide the very next call.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::account;
use roadstead_cloud::iam::access_key::AccessKey;
use roadstead_cloud::iam::user::User;
use roadstead_cloud::settings::Settings;
use roadstead_kernel::Identity;
use roadstead_shapes::{ec2, ecr, eks, iam, kms, ssm, sts};
use roadstead_sim::{ACCOUNT, World};
use roadstead_store::Read as _;
use roadstead_wire::fault::Fault;
use serde_json::{Value, json};

const READER: &str = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";

fn create_user(world: &mut World, name: &str, path: &str) -> Identity {
    let input = iam::CreateUserRequest { user_name: name.into(), path: Some(path.into()), ..Default::default() };
    let user = world.call(&iam::CREATE_USER, input).unwrap().user.unwrap();
    Identity { arn: user.arn.parse().unwrap(), role: None, unique_id: user.user_id, account: ACCOUNT.into() }
}

fn policy(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// Gives a user its only inline policy.
fn put(world: &mut World, user: &str, statements: &Value) {
    let input = iam::PutUserPolicyRequest {
        user_name: user.into(),
        policy_name: "own".into(),
        policy_document: policy(statements),
    };
    world.call(&iam::PUT_USER_POLICY, input).unwrap();
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

fn list_clusters(world: &mut World, who: &Identity) -> Result<eks::ListClustersResponse, Fault> {
    world.call_as(who, &eks::LIST_CLUSTERS, eks::ListClustersRequest::default())
}

fn describe_vpcs(world: &mut World, who: &Identity) -> Result<ec2::DescribeVpcsResult, Fault> {
    world.call_as(who, &ec2::DESCRIBE_VPCS, ec2::DescribeVpcsRequest::default())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn a_user_may_do_what_its_policies_say_and_nothing_else() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/team/");
    let who = format!("User: arn:aws:iam::{ACCOUNT}:user/team/ada is not authorized to perform:");
    let why = format!(
        "AccessDeniedException: {who} eks:ListClusters on resource: arn:aws:eks:us-east-1:{ACCOUNT}:cluster/* because \
         no identity-based policy allows the eks:ListClusters action"
    );
    assert_eq!(refused(list_clusters(&mut world, &ada)), why);
    let why = refused(describe_vpcs(&mut world, &ada));
    let own = format!(
        "You are not authorized to perform this operation. {who} ec2:DescribeVpcs because no identity-based policy \
         allows the ec2:DescribeVpcs action"
    );
    assert!(why.ends_with(&own), "{why}");
    put(&mut world, "ada", &json!([allow("eks:List*", "*")]));
    assert!(list_clusters(&mut world, &ada).is_ok());
    put(&mut world, "ada", &json!([allow("*", "*"), {"Effect": "Deny", "Action": "eks:List*", "Resource": "*"}]));
    let why = refused(list_clusters(&mut world, &ada));
    assert!(why.ends_with("cluster/* with an explicit deny in an identity-based policy"), "{why}");
    assert!(describe_vpcs(&mut world, &ada).is_ok());
    let input = iam::DeleteUserPolicyRequest { user_name: "ada".into(), policy_name: "own".into() };
    world.call(&iam::DELETE_USER_POLICY, input).unwrap();
    assert!(refused(describe_vpcs(&mut world, &ada)).contains("no identity-based policy"));
}

#[test]
fn managed_policies_count_in_the_version_that_is_their_default() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let input = iam::CreatePolicyRequest {
        policy_name: "reader".into(),
        path: Some("/team/".into()),
        policy_document: policy(&allow("eks:ListClusters", "*")),
        ..Default::default()
    };
    let arn = world.call(&iam::CREATE_POLICY, input).unwrap().policy.unwrap().arn.unwrap();
    let attach = |world: &mut World, policy: &str| {
        let input = iam::AttachUserPolicyRequest { user_name: "ada".into(), policy_arn: policy.into() };
        world.call(&iam::ATTACH_USER_POLICY, input).unwrap();
    };
    attach(&mut world, &arn);
    assert!(list_clusters(&mut world, &ada).is_ok());
    for (default, document) in [(false, allow("ec2:*", "*")), (true, allow("iam:*", "*"))] {
        assert!(list_clusters(&mut world, &ada).is_ok(), "the first version is the default");
        let input = iam::CreatePolicyVersionRequest {
            policy_arn: arn.clone(),
            policy_document: policy(&document),
            set_as_default: Some(default),
        };
        world.call(&iam::CREATE_POLICY_VERSION, input).unwrap();
    }
    assert!(list_clusters(&mut world, &ada).is_err() && describe_vpcs(&mut world, &ada).is_err());
    let input = iam::SetDefaultPolicyVersionRequest { policy_arn: arn, version_id: "v2".into() };
    world.call(&iam::SET_DEFAULT_POLICY_VERSION, input).unwrap();
    assert!(list_clusters(&mut world, &ada).is_err() && describe_vpcs(&mut world, &ada).is_ok());
    attach(&mut world, READER);
    assert!(describe_vpcs(&mut world, &ada).is_ok());
}

#[test]
fn a_user_has_the_policies_of_its_groups_while_it_is_in_them() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let group = || "readers".to_owned();
    world.call(&iam::CREATE_GROUP, iam::CreateGroupRequest { group_name: group(), ..Default::default() }).unwrap();
    let input = iam::PutGroupPolicyRequest {
        group_name: group(),
        policy_name: "list".into(),
        policy_document: policy(&allow("eks:ListClusters", "*")),
    };
    world.call(&iam::PUT_GROUP_POLICY, input).unwrap();
    let input = iam::AttachGroupPolicyRequest { group_name: group(), policy_arn: READER.into() };
    world.call(&iam::ATTACH_GROUP_POLICY, input).unwrap();
    assert!(list_clusters(&mut world, &ada).is_err());
    let input = iam::AddUserToGroupRequest { group_name: group(), user_name: "ada".into() };
    world.call(&iam::ADD_USER_TO_GROUP, input).unwrap();
    assert!(list_clusters(&mut world, &ada).is_ok() && describe_vpcs(&mut world, &ada).is_ok());
    let input = iam::RemoveUserFromGroupRequest { group_name: group(), user_name: "ada".into() };
    world.call(&iam::REMOVE_USER_FROM_GROUP, input).unwrap();
    assert!(list_clusters(&mut world, &ada).is_err() && describe_vpcs(&mut world, &ada).is_err());
}

#[test]
fn the_policies_of_a_user_are_not_those_of_another_of_its_name() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    put(&mut world, "ada", &allow("*", "*"));
    assert!(list_clusters(&mut world, &ada).is_ok());
    let other = Identity { unique_id: "AIDAOTHER".into(), ..ada };
    assert!(list_clusters(&mut world, &other).is_err());
}

#[test]
fn a_refused_call_changes_nothing_and_the_right_resource_is_asked_for() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/team/");
    create_user(&mut world, "eve", "/boss/");
    put(&mut world, "ada", &json!([allow("iam:*AccessKey*", "arn:aws:iam::*:user/team/*"), allow("iam:GetUser", "*")]));
    let key = |world: &mut World, name: Option<&str>| {
        let input = iam::CreateAccessKeyRequest { user_name: name.map(str::to_owned) };
        world.call_as(&ada, &iam::CREATE_ACCESS_KEY, input)
    };
    assert!(key(&mut world, None).is_ok() && key(&mut world, Some("ada")).is_ok());
    let before = world.view().revision();
    let why = refused(key(&mut world, Some("eve")));
    assert!(why.contains("iam:CreateAccessKey on resource: arn:aws:iam::111122223333:user/eve because"), "{why}");
    assert_eq!(world.view().revision(), before);
    put(&mut world, "ada", &allow("iam:*AccessKey*", "arn:aws:iam::*:user/${aws:username}"));
    assert!(key(&mut world, Some("ada")).is_err(), "its path is a part of its name");
}

#[test]
fn a_role_is_assumed_by_whom_it_names_and_by_whom_policies_let() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let eve = create_user(&mut world, "eve", "/");
    put(&mut world, "eve", &allow("sts:AssumeRole", "arn:aws:iam::*:role/team/dev"));
    let trust = |principal: &str| {
        let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}});
        policy(&statement)
    };
    let input = iam::CreateRoleRequest {
        role_name: "dev".into(),
        path: Some("/team/".into()),
        assume_role_policy_document: trust(ACCOUNT),
        ..Default::default()
    };
    let arn = world.call(&iam::CREATE_ROLE, input).unwrap().role.arn;
    let assume = |world: &mut World, who: &Identity| {
        let input =
            sts::AssumeRoleRequest { role_arn: arn.clone(), role_session_name: "session".into(), ..Default::default() };
        world.call_as(who, &sts::ASSUME_ROLE, input)
    };
    // The account is trusted: its own policies say who may.
    let why = refused(assume(&mut world, &ada));
    assert!(why.ends_with("because no identity-based policy allows the sts:AssumeRole action"), "{why}");
    assert!(assume(&mut world, &eve).is_ok());
    // A user who is named needs no policy, and who is not is not trusted whatever his policies say.
    let update = |world: &mut World, document: String| {
        let input = iam::UpdateAssumeRolePolicyRequest { role_name: "dev".into(), policy_document: document };
        world.call(&iam::UPDATE_ASSUME_ROLE_POLICY, input).unwrap();
    };
    update(&mut world, trust(&ada.arn.to_string()));
    assert!(assume(&mut world, &ada).is_ok());
    assert!(refused(assume(&mut world, &eve)).ends_with("role/team/dev"));
    put(&mut world, "ada", &json!({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}));
    assert!(refused(assume(&mut world, &ada)).ends_with("with an explicit deny in an identity-based policy"));
}

#[test]
fn a_session_may_do_what_its_role_may() {
    let mut world = World::calm();
    let (trust, role) = (json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}), "dev");
    let input = iam::CreateRoleRequest {
        role_name: role.into(),
        assume_role_policy_document: policy(&trust),
        tags: Some(vec![iam::Tag { key: "Team".into(), value: "blue".into() }]),
        ..Default::default()
    };
    let made = world.call(&iam::CREATE_ROLE, input).unwrap().role;
    let session = Identity {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/dev/s").parse().unwrap(),
        role: Some(made.arn.parse().unwrap()),
        unique_id: format!("{}:s", made.role_id),
        account: ACCOUNT.into(),
    };
    assert!(refused(list_clusters(&mut world, &session)).contains(":assumed-role/dev/s is not authorized"));
    let give = |world: &mut World, condition: &Value| {
        let mut statement = allow("eks:ListClusters", "*");
        statement["Condition"] = condition.clone();
        let input = iam::PutRolePolicyRequest {
            role_name: role.into(),
            policy_name: "own".into(),
            policy_document: policy(&statement),
        };
        world.call(&iam::PUT_ROLE_POLICY, input).unwrap();
    };
    for (condition, may) in [
        (json!({"StringEquals": {"aws:PrincipalTag/team": "blue"}}), true),
        (json!({"StringEquals": {"aws:PrincipalTag/team": "red"}}), false),
        (json!({"ArnEquals": {"aws:PrincipalArn": made.arn}}), true),
        (json!({"StringLike": {"aws:userid": "AROA*:s"}, "Null": {"aws:username": true}}), true),
        (json!({"StringEquals": {"aws:PrincipalType": "AssumedRole", "aws:PrincipalAccount": ACCOUNT}}), true),
        (
            json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}),
            true,
        ),
        (
            json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2026-01-01"}, "NumericLessThan": {"aws:EpochTime": 4e9}}),
            true,
        ),
        (json!({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}), false),
    ] {
        give(&mut world, &condition);
        assert_eq!(list_clusters(&mut world, &session).is_ok(), may, "{condition}");
    }
    let other = Identity { unique_id: "AROAOTHER:s".into(), ..session };
    give(&mut world, &json!({}));
    assert!(list_clusters(&mut world, &other).is_err());
}

/// A session of the role, as STS made it: who it is, and its key.
fn session(world: &mut World, role: &str, policy: Option<String>, arns: &[&str]) -> Result<(Identity, String), Fault> {
    let arns = arns.iter().map(|arn| sts::PolicyDescriptorType { arn: Some((*arn).to_owned()) }).collect::<Vec<_>>();
    let input = sts::AssumeRoleRequest {
        role_arn: role.into(),
        role_session_name: "story".into(),
        policy,
        policy_arns: (!arns.is_empty()).then_some(arns),
        ..Default::default()
    };
    let answer = world.call(&sts::ASSUME_ROLE, input)?;
    let user = answer.assumed_role_user.unwrap();
    let identity = Identity {
        arn: user.arn.parse().unwrap(),
        role: Some(role.parse().unwrap()),
        unique_id: user.assumed_role_id,
        account: ACCOUNT.into(),
    };
    Ok((identity, answer.credentials.unwrap().access_key_id))
}

/// ARN of the role `dev`, which whoever is allowed to may assume.
fn anybodys_role(world: &mut World) -> String {
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}});
    let input = iam::CreateRoleRequest {
        role_name: "dev".into(),
        assume_role_policy_document: policy(&trust),
        ..Default::default()
    };
    world.call(&iam::CREATE_ROLE, input).unwrap().role.arn
}

#[test]
fn a_session_with_policies_of_its_own_may_do_what_they_and_its_role_s_allow() {
    let mut world = World::calm();
    let role = anybodys_role(&mut world);
    let input = iam::PutRolePolicyRequest {
        role_name: "dev".into(),
        policy_name: "own".into(),
        policy_document: policy(&json!([allow("eks:*", "*"), allow("ec2:DescribeVpcs", "*"), allow("ecr:*", "*")])),
    };
    world.call(&iam::PUT_ROLE_POLICY, input).unwrap();
    let clusters = |world: &mut World, (who, key): &(Identity, String)| {
        world.call_in_session((who, key.as_str()), &eks::LIST_CLUSTERS, eks::ListClustersRequest::default())
    };
    let vpcs = |world: &mut World, (who, key): &(Identity, String)| {
        world.call_in_session((who, key.as_str()), &ec2::DESCRIBE_VPCS, ec2::DescribeVpcsRequest::default())
    };
    let whole = session(&mut world, &role, None, &[]).unwrap();
    assert!(clusters(&mut world, &whole).is_ok() && vpcs(&mut world, &whole).is_ok(), "it has none of its own");
    // More than its role's: `kms` is nobody's to give.
    let only = policy(&json!([allow("eks:ListClusters", "*"), allow("kms:*", "*")]));
    let narrow = session(&mut world, &role, Some(only.clone()), &[]).unwrap();
    assert!(clusters(&mut world, &narrow).is_ok());
    let why = refused(vpcs(&mut world, &narrow));
    assert!(why.ends_with("because no session policy allows the ec2:DescribeVpcs action"), "{why}");
    let keys = kms::ListKeysRequest::default();
    let why = refused(world.call_in_session((&narrow.0, narrow.1.as_str()), &kms::LIST_KEYS, keys));
    assert!(why.contains("no identity-based policy allows"), "{why}");
    // A managed one beside it: what either allows.
    let both = session(&mut world, &role, Some(only), &[READER]).unwrap();
    assert!(clusters(&mut world, &both).is_ok() && vpcs(&mut world, &both).is_ok());
    let deny = policy(&json!([allow("*", "*"), {"Effect": "Deny", "Action": "eks:List*", "Resource": "*"}]));
    let denied = session(&mut world, &role, Some(deny), &[]).unwrap();
    assert!(vpcs(&mut world, &denied).is_ok());
    let why = refused(clusters(&mut world, &denied));
    assert!(why.ends_with("with an explicit deny in a session policy"), "{why}");
    // It assumes itself again only if its own policies let it, though the trust names everybody.
    let again =
        sts::AssumeRoleRequest { role_arn: role.clone(), role_session_name: "again".into(), ..Default::default() };
    assert!(world.call_in_session((&whole.0, whole.1.as_str()), &sts::ASSUME_ROLE, again.clone()).is_ok());
    let why = refused(world.call_in_session((&narrow.0, narrow.1.as_str()), &sts::ASSUME_ROLE, again));
    assert!(why.contains("no session policy allows the sts:AssumeRole action"), "{why}");
    // What limits a session is forgotten with it: so a token that it asks for is good no longer.
    let puller = session(&mut world, &role, Some(policy(&allow("ecr:*", "*"))), &[]).unwrap();
    for ((who, key), hours) in [(&puller, 1), (&whole, 12)] {
        let input = ecr::GetAuthorizationTokenRequest::default();
        let answer = world.call_in_session((who, key.as_str()), &ecr::GET_AUTHORIZATION_TOKEN, input).unwrap();
        let data = answer.authorization_data.unwrap().remove(0);
        let minutes = data.expires_at.unwrap().since(world.now()).0.div_ceil(60_000);
        assert_eq!(minutes, hours * 60);
    }
    assert!(clusters(&mut world, &whole).is_ok(), "another session of the role is not limited by it");
}

#[test]
fn policies_of_a_session_that_are_none_or_too_long_are_refused() {
    let mut world = World::calm();
    let role = anybodys_role(&mut world);
    let long = policy(&json!([allow("eks:ListClusters", &format!("arn:aws:eks:*:*:cluster/{}", "x".repeat(1800)))]));
    assert!(session(&mut world, &role, Some(long.clone()), &[]).is_ok());
    let none = format!("arn:aws:iam::{ACCOUNT}:policy/none");
    for (given, arns, code) in [
        (Some("{}".to_owned()), vec![], "MalformedPolicyDocument"),
        (Some("x".to_owned()), vec![], "MalformedPolicyDocument"),
        (None, vec![none.as_str()], "Validation"),
        (None, vec!["arn:aws:iam::aws:role/something"], "Validation"),
        (Some(long), vec![READER, READER, READER], "PackedPolicyTooLarge"),
    ] {
        let why = session(&mut world, &role, given, &arns).map(|_| ()).unwrap_err().to_string();
        assert!(why.starts_with(code), "{why}");
    }
}

#[test]
fn what_is_tagged_is_allowed_by_its_tags() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let request_tag = json!({"StringEquals": {"aws:RequestTag/team": "blue"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}});
    let on_create = json!({"StringEquals": {"ec2:CreateAction": "CreateVpc"}});
    let own = json!({"StringEquals": {"aws:ResourceTag/team": "blue"}});
    put(
        &mut world,
        "ada",
        &json!([
            {"Effect": "Allow", "Action": "ec2:CreateVpc", "Resource": "arn:aws:ec2:*:*:vpc/*", "Condition": request_tag},
            {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "arn:aws:ec2:*:*:vpc/*", "Condition": on_create},
            {"Effect": "Allow", "Action": ["ec2:DeleteVpc", "ec2:DeleteTags"], "Resource": "*", "Condition": own}
        ]),
    );
    let create = |world: &mut World, tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(key, value)| ec2::Tag { key: Some((*key).into()), value: Some((*value).into()) });
        let specification =
            ec2::TagSpecification { resource_type: Some(ec2::ResourceType::Vpc), tags: Some(tags.collect()) };
        let input = ec2::CreateVpcRequest {
            cidr_block: Some("10.9.0.0/16".into()),
            tag_specifications: Some(vec![specification]),
            ..Default::default()
        };
        world.call_as(&ada, &ec2::CREATE_VPC, input)
    };
    assert!(refused(create(&mut world, &[])).contains("ec2:CreateVpc"));
    assert!(refused(create(&mut world, &[("team", "red")])).contains("ec2:CreateVpc"));
    assert!(refused(create(&mut world, &[("team", "blue"), ("more", "")])).contains("ec2:CreateVpc"));
    let vpc = create(&mut world, &[("team", "blue")]).unwrap().vpc.unwrap().vpc_id.unwrap();
    let tag = ec2::Tag { key: Some("team".into()), value: Some("red".into()) };
    let input = ec2::CreateTagsRequest { resources: vec![vpc.clone()], tags: vec![tag], ..Default::default() };
    let why = refused(world.call_as(&ada, &ec2::CREATE_TAGS, input.clone()));
    assert!(why.contains("ec2:CreateTags on resource: "), "{why}");
    let delete = |world: &mut World| {
        world.call_as(&ada, &ec2::DELETE_VPC, ec2::DeleteVpcRequest { vpc_id: vpc.clone(), dry_run: None })
    };
    world.call(&ec2::CREATE_TAGS, input).unwrap();
    assert!(refused(delete(&mut world)).contains("no identity-based policy"));
    let tag = ec2::Tag { key: Some("team".into()), value: Some("blue".into()) };
    let input = ec2::CreateTagsRequest { resources: vec![vpc.clone()], tags: vec![tag], ..Default::default() };
    world.call(&ec2::CREATE_TAGS, input).unwrap();
    delete(&mut world).unwrap();
}

#[test]
fn a_role_is_passed_by_whom_policies_let_to_the_service_that_they_name() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let input = iam::CreateInstanceProfileRequest { instance_profile_name: "nodes".into(), ..Default::default() };
    world.call(&iam::CREATE_INSTANCE_PROFILE, input).unwrap();
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}});
    let input = iam::CreateRoleRequest {
        role_name: "worker".into(),
        path: Some("/team/".into()),
        assume_role_policy_document: policy(&trust),
        ..Default::default()
    };
    let role = world.call(&iam::CREATE_ROLE, input).unwrap().role.arn;
    let give = |world: &mut World, service: &str| {
        let passed = json!({"StringEquals": {"iam:PassedToService": service}});
        put(
            world,
            "ada",
            &json!([
                allow("ec2:RunInstances", "*"),
                allow("iam:AddRoleToInstanceProfile", "*"),
                {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role, "Condition": passed}
            ]),
        );
    };
    let add = |world: &mut World| {
        let input =
            iam::AddRoleToInstanceProfileRequest { instance_profile_name: "nodes".into(), role_name: "worker".into() };
        world.call_as(&ada, &iam::ADD_ROLE_TO_INSTANCE_PROFILE, input)
    };
    let launch = |world: &mut World| {
        let profile = ec2::IamInstanceProfileSpecification { name: Some("nodes".into()), ..Default::default() };
        let input = ec2::RunInstancesRequest {
            image_id: Some("ami-none".into()),
            iam_instance_profile: Some(profile),
            min_count: 1,
            max_count: 1,
            dry_run: Some(true),
            ..Default::default()
        };
        refused(world.call_as(&ada, &ec2::RUN_INSTANCES, input))
    };
    give(&mut world, "eks.amazonaws.com");
    let why = refused(add(&mut world));
    assert!(why.contains(&format!("iam:PassRole on resource: {role} because no identity-based policy")), "{why}");
    give(&mut world, "ec2.amazonaws.com");
    add(&mut world).unwrap();
    assert!(!launch(&mut world).contains("iam:PassRole"));
    give(&mut world, "eks.amazonaws.com");
    let why = launch(&mut world);
    assert!(why.contains(&format!("iam:PassRole on resource: {role} because no identity-based policy")), "{why}");
}

#[test]
fn what_is_named_otherwise_is_the_same_resource() {
    let mut world = World::calm();
    let ada = create_user(&mut world, "ada", "/");
    let groups = world.call(&ec2::DESCRIBE_SECURITY_GROUPS, ec2::DescribeSecurityGroupsRequest::default()).unwrap();
    let default = |group: &ec2::SecurityGroup| group.group_name.as_deref() == Some("default");
    let groups = groups.security_groups.unwrap();
    let vpcs = world.call(&ec2::DESCRIBE_VPCS, ec2::DescribeVpcsRequest::default()).unwrap().vpcs.unwrap();
    let home = vpcs.into_iter().find(|vpc| vpc.is_default == Some(true)).unwrap().vpc_id;
    let group = groups.into_iter().find(|group| default(group) && group.vpc_id == home).unwrap().group_id.unwrap();
    let key = world.call(&kms::CREATE_KEY, kms::CreateKeyRequest::default()).unwrap().key_metadata.unwrap();
    let alias = kms::CreateAliasRequest { alias_name: "alias/own".into(), target_key_id: key.key_id.clone() };
    world.call(&kms::CREATE_ALIAS, alias).unwrap();
    put(
        &mut world,
        "ada",
        &json!([
            allow("*", "*"),
            {"Effect": "Deny", "Action": "*", "Resource": [
                format!("arn:aws:ec2:*:*:security-group/{group}"),
                format!("arn:aws:kms:*:*:key/{}", key.key_id),
                "arn:aws:ssm:*::parameter/aws/*",
                "arn:aws:iam::*:role/eks"
            ]}
        ]),
    );
    let open = |world: &mut World, id: Option<&str>, name: Option<&str>| {
        let input = ec2::AuthorizeSecurityGroupIngressRequest {
            group_id: id.map(str::to_owned),
            group_name: name.map(str::to_owned),
            ..Default::default()
        };
        refused(world.call_as(&ada, &ec2::AUTHORIZE_SECURITY_GROUP_INGRESS, input))
    };
    assert!(open(&mut world, Some(&group), None).contains("explicit deny"));
    assert!(open(&mut world, None, Some("default")).contains("explicit deny"));
    assert!(!open(&mut world, None, Some("none")).contains("explicit deny"));
    let (arn, named) = (key.arn.unwrap(), format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/own"));
    for name in [key.key_id.as_str(), "alias/own", &arn, &named] {
        let input = kms::DescribeKeyRequest { key_id: name.into(), ..Default::default() };
        assert!(refused(world.call_as(&ada, &kms::DESCRIBE_KEY, input)).contains("explicit deny"), "{name}");
    }
    let input = ssm::GetParameterRequest { name: "/aws/service/eks/none".into(), ..Default::default() };
    assert!(refused(world.call_as(&ada, &ssm::GET_PARAMETER, input)).contains("explicit deny"));
    let input = iam::GetRoleRequest { role_name: "EKS".into() };
    assert!(refused(world.call_as(&ada, &iam::GET_ROLE, input)).contains("explicit deny"), "a name is one in any case");
}

#[test]
fn the_first_user_of_an_older_region_goes_on_once() {
    let mut world = World::calm();
    let settings = |decide: bool| move |settings: &mut Settings| settings.policies_decide = decide;
    let input = iam::CreateAccessKeyRequest { user_name: Some("admin".into()) };
    let key = world.call(&iam::CREATE_ACCESS_KEY, input).unwrap().access_key.access_key_id;
    let input =
        iam::UpdateUserRequest { user_name: "admin".into(), new_user_name: Some("root".into()), ..Default::default() };
    world.call(&iam::UPDATE_USER, input).unwrap();
    let user = |world: &World| {
        let name = world.view().get(&AccessKey::key(&key)).unwrap().body.user;
        world.view().get(&User::key(ACCOUNT, &name)).unwrap().body
    };
    let mut first = user(&world);
    assert_eq!(first.grants.attached.len(), 1);
    let detach = move |world: &mut World, first: User| {
        let work = move |tx: &mut roadstead_store::Tx| {
            tx.set(&User::key(ACCOUNT, &first.name), None, first);
            Ok(())
        };
        world.within(work).unwrap();
    };
    first.grants.attached.clear();
    detach(&mut world, first.clone());
    world.reconfigure(settings(false));
    let renew = |world: &mut World| {
        let key = key.clone();
        let work = move |tx: &mut roadstead_store::Tx| {
            let settings = Settings { policies_decide: true, ..Settings::of(tx) };
            account::renew(tx, &settings, Some(&key));
            Ok(())
        };
        world.within(work).unwrap();
    };
    renew(&mut world);
    assert_eq!(user(&world).grants.attached.len(), 1, "a start of this release gives it what it had");
    detach(&mut world, first);
    renew(&mut world);
    assert!(user(&world).grants.attached.is_empty(), "and never again");
}
