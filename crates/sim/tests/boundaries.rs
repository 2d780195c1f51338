//! Stories of permissions boundaries: what they do not allow nobody may, whatever policies say.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_kernel::Identity;
use roadstead_shapes::{ec2, eks, iam, sts};
use roadstead_sim::{ACCOUNT, World};
use roadstead_wire::fault::Fault;
use serde_json::{Value, json};

fn policy(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn allow(action: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": "*"})
}

/// A managed policy of the account; its ARN.
fn managed(world: &mut World, name: &str, statements: &Value) -> String {
    let (policy_name, policy_document) = (name.to_owned(), policy(statements));
    let input = iam::CreatePolicyRequest { policy_name, policy_document, ..Default::default() };
    world.call(&iam::CREATE_POLICY, input).unwrap().policy.unwrap().arn.unwrap()
}

/// A user with one policy and perhaps a boundary.
fn user(world: &mut World, name: &str, statements: &Value, boundary: Option<&str>) -> Identity {
    let permissions_boundary = boundary.map(str::to_owned);
    let input = iam::CreateUserRequest { user_name: name.into(), permissions_boundary, ..Default::default() };
    let user = world.call(&iam::CREATE_USER, input).unwrap().user.unwrap();
    let (policy_name, policy_document) = ("own".to_owned(), policy(statements));
    let input = iam::PutUserPolicyRequest { user_name: name.into(), policy_name, policy_document };
    world.call(&iam::PUT_USER_POLICY, input).unwrap();
    Identity { arn: user.arn.parse().unwrap(), role: None, unique_id: user.user_id, account: ACCOUNT.into() }
}

/// A role that everybody in the account may assume, and a session of it.
fn session(world: &mut World, name: &str, boundary: Option<&str>) -> Identity {
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}});
    let input = iam::CreateRoleRequest {
        role_name: name.into(),
        assume_role_policy_document: policy(&trust),
        permissions_boundary: boundary.map(str::to_owned),
        ..Default::default()
    };
    let role = world.call(&iam::CREATE_ROLE, input).unwrap().role;
    Identity {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s").parse().unwrap(),
        role: Some(role.arn.parse().unwrap()),
        unique_id: format!("{}:s", role.role_id),
        account: ACCOUNT.into(),
    }
}

fn clusters(world: &mut World, who: &Identity) -> Result<eks::ListClustersResponse, Fault> {
    world.call_as(who, &eks::LIST_CLUSTERS, eks::ListClustersRequest::default())
}

fn vpcs(world: &mut World, who: &Identity) -> Result<ec2::DescribeVpcsResult, Fault> {
    world.call_as(who, &ec2::DESCRIBE_VPCS, ec2::DescribeVpcsRequest::default())
}

fn assume(world: &mut World, who: &Identity, role: &str) -> Result<sts::AssumeRoleResponse, Fault> {
    let role_arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    let input = sts::AssumeRoleRequest { role_arn, role_session_name: "again".into(), ..Default::default() };
    world.call_as(who, &sts::ASSUME_ROLE, input)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn a_user_may_do_what_both_its_policies_and_its_boundary_allow() {
    let mut world = World::calm();
    let limit = managed(&mut world, "limit", &json!([allow("eks:*"), allow("sts:*")]));
    let ada = user(&mut world, "ada", &json!([allow("eks:ListClusters"), allow("ec2:*")]), Some(&limit));
    assert!(clusters(&mut world, &ada).is_ok());
    let why = refused(vpcs(&mut world, &ada));
    assert!(why.ends_with("because no permissions boundary allows the ec2:DescribeVpcs action"), "{why}");
    let input = eks::DescribeClusterVersionsRequest::default();
    let why = refused(world.call_as(&ada, &eks::DESCRIBE_CLUSTER_VERSIONS, input));
    assert!(why.contains("no identity-based policy allows"), "a boundary gives nothing: {why}");

    let never =
        managed(&mut world, "never", &json!([allow("*"), {"Effect": "Deny", "Action": "eks:List*", "Resource": "*"}]));
    let input = iam::PutUserPermissionsBoundaryRequest { user_name: "ada".into(), permissions_boundary: never };
    world.call(&iam::PUT_USER_PERMISSIONS_BOUNDARY, input).unwrap();
    assert!(vpcs(&mut world, &ada).is_ok());
    let why = refused(clusters(&mut world, &ada));
    assert!(why.ends_with("with an explicit deny in a permissions boundary"), "{why}");

    let input = iam::DeleteUserPermissionsBoundaryRequest { user_name: "ada".into() };
    for _ in 0..2 {
        world.call(&iam::DELETE_USER_PERMISSIONS_BOUNDARY, input.clone()).unwrap();
    }
    assert!(clusters(&mut world, &ada).is_ok() && vpcs(&mut world, &ada).is_ok());
}

#[test]
fn a_boundary_counts_in_the_version_that_is_its_default_and_is_not_deleted_while_it_counts() {
    let mut world = World::calm();
    let limit = managed(&mut world, "limit", &allow("eks:*"));
    let ada = user(&mut world, "ada", &allow("*"), Some(&limit));
    assert!(vpcs(&mut world, &ada).is_err());
    let input = iam::CreatePolicyVersionRequest {
        policy_arn: limit.clone(),
        policy_document: policy(&allow("ec2:*")),
        set_as_default: Some(true),
    };
    world.call(&iam::CREATE_POLICY_VERSION, input).unwrap();
    assert!(vpcs(&mut world, &ada).is_ok() && clusters(&mut world, &ada).is_err());
    let input = iam::DeletePolicyVersionRequest { policy_arn: limit.clone(), version_id: "v1".into() };
    world.call(&iam::DELETE_POLICY_VERSION, input).unwrap();
    let delete =
        |world: &mut World| world.call(&iam::DELETE_POLICY, iam::DeletePolicyRequest { policy_arn: limit.clone() });
    assert!(refused(delete(&mut world)).contains("Cannot delete a policy attached to entities."));
    let input = iam::DeleteUserPermissionsBoundaryRequest { user_name: "ada".into() };
    world.call(&iam::DELETE_USER_PERMISSIONS_BOUNDARY, input).unwrap();
    delete(&mut world).unwrap();
}

#[test]
fn a_session_is_within_its_role_s_boundary_and_a_user_whom_a_trust_names_need_not_be_within_its_own() {
    let mut world = World::calm();
    let limit = managed(&mut world, "limit", &allow("eks:*"));
    let dev = session(&mut world, "dev", None);
    let (role_name, policy_name, policy_document) = ("dev".to_owned(), "all".to_owned(), policy(&allow("*")));
    world.call(&iam::PUT_ROLE_POLICY, iam::PutRolePolicyRequest { role_name, policy_name, policy_document }).unwrap();
    assert!(vpcs(&mut world, &dev).is_ok() && assume(&mut world, &dev, "dev").is_ok());
    let input = iam::PutRolePermissionsBoundaryRequest { role_name: "dev".into(), permissions_boundary: limit.clone() };
    world.call(&iam::PUT_ROLE_PERMISSIONS_BOUNDARY, input).unwrap();
    assert!(clusters(&mut world, &dev).is_ok());
    assert!(refused(vpcs(&mut world, &dev)).contains("no permissions boundary allows"));
    assert!(refused(assume(&mut world, &dev, "dev")).contains("no permissions boundary allows the sts:AssumeRole"));
    let ada = user(&mut world, "ada", &allow("eks:*"), Some(&limit));
    assert!(assume(&mut world, &ada, "dev").is_ok(), "the trust is enough");
    let input = iam::DeleteRolePermissionsBoundaryRequest { role_name: "dev".into() };
    world.call(&iam::DELETE_ROLE_PERMISSIONS_BOUNDARY, input).unwrap();
    assert!(vpcs(&mut world, &dev).is_ok());
}

/// The IAM user guide's "Delegating responsibility to others using permissions boundaries".
#[test]
fn who_may_make_users_only_within_a_boundary_makes_no_others_and_widens_none() {
    let mut world = World::calm();
    let limit = managed(&mut world, "limit", &allow("eks:*"));
    let within = json!({
        "Effect": "Allow",
        "Action": ["iam:CreateUser", "iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:PutUserPermissionsBoundary"],
        "Resource": "*",
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": limit}}
    });
    let chief = user(&mut world, "chief", &json!([within, allow("iam:TagUser")]), None);
    let create = |world: &mut World, name: &str, boundary: Option<&str>| {
        let permissions_boundary = boundary.map(str::to_owned);
        let input = iam::CreateUserRequest { user_name: name.into(), permissions_boundary, ..Default::default() };
        world.call_as(&chief, &iam::CREATE_USER, input)
    };
    assert!(create(&mut world, "free", None).is_err());
    assert!(create(&mut world, "wide", Some("arn:aws:iam::aws:policy/AdministratorAccess")).is_err());
    let made = create(&mut world, "ada", Some(&limit)).unwrap().user.unwrap();
    assert_eq!(made.permissions_boundary.unwrap().permissions_boundary_arn.as_deref(), Some(limit.as_str()));
    user(&mut world, "free", &allow("eks:*"), None);
    let put = |world: &mut World, name: &str| {
        let (policy_name, policy_document) = ("all".to_owned(), policy(&allow("*")));
        let input = iam::PutUserPolicyRequest { user_name: name.into(), policy_name, policy_document };
        world.call_as(&chief, &iam::PUT_USER_POLICY, input)
    };
    assert!(put(&mut world, "ada").is_ok());
    assert!(put(&mut world, "free").is_err(), "it has no boundary");
    let widen = |world: &mut World, boundary: &str| {
        let (user_name, permissions_boundary) = ("ada".to_owned(), boundary.to_owned());
        let input = iam::PutUserPermissionsBoundaryRequest { user_name, permissions_boundary };
        world.call_as(&chief, &iam::PUT_USER_PERMISSIONS_BOUNDARY, input)
    };
    assert!(widen(&mut world, "arn:aws:iam::aws:policy/AdministratorAccess").is_err());
    assert!(widen(&mut world, &limit).is_ok());
    let input = iam::DeleteUserPermissionsBoundaryRequest { user_name: "ada".into() };
    assert!(world.call_as(&chief, &iam::DELETE_USER_PERMISSIONS_BOUNDARY, input).is_err());
}

#[test]
fn what_is_no_boundary_is_refused_and_changes_nothing() {
    let mut world = World::calm();
    user(&mut world, "ada", &allow("*"), None);
    let before = world.view().revision();
    let put = |world: &mut World, user: &str, boundary: &str| {
        let (user_name, permissions_boundary) = (user.to_owned(), boundary.to_owned());
        let input = iam::PutUserPermissionsBoundaryRequest { user_name, permissions_boundary };
        refused(world.call(&iam::PUT_USER_PERMISSIONS_BOUNDARY, input))
    };
    let none = format!("arn:aws:iam::{ACCOUNT}:policy/none");
    let why = put(&mut world, "ada", &none);
    assert!(
        why.contains(&format!("NoSuchEntityException: Scope ARN: {none} does not exist or is not attachable.")),
        "{why}"
    );
    let role = format!("arn:aws:iam::{ACCOUNT}:role/somebody");
    assert!(put(&mut world, "ada", &role).contains(&format!("InvalidInputException: ARN {role} is not valid.")));
    let linked = "arn:aws:iam::aws:policy/aws-service-role/AmazonEKSServiceRolePolicy";
    assert!(put(&mut world, "ada", linked).contains("PolicyNotAttachable"));
    assert!(put(&mut world, "none", &none).contains("The user with name none cannot be found."));
    let (user_name, permissions_boundary) = ("eve".to_owned(), Some(none));
    let input = iam::CreateUserRequest { user_name, permissions_boundary, ..Default::default() };
    assert!(refused(world.call(&iam::CREATE_USER, input)).contains("NoSuchEntity"));
    assert_eq!(world.view().revision(), before);
}
