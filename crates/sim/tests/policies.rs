//! Stories of managed policies: what is kept of them, and that a refusal changes nothing.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_shapes::iam;
use roadstead_sim::{ACCOUNT, World};
use roadstead_wire::fault::Fault;

const READ: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "eks:Describe*", "Resource": "*"}}"#;

fn create(world: &mut World, name: &str) -> Result<String, Fault> {
    let input = iam::CreatePolicyRequest {
        policy_name: name.into(),
        path: Some("/team/".into()),
        policy_document: READ.into(),
        ..Default::default()
    };
    Ok(world.call(&iam::CREATE_POLICY, input)?.policy.unwrap().arn.unwrap())
}

fn add_version(world: &mut World, policy_arn: &str, default: bool) -> Result<String, Fault> {
    let (policy_arn, policy_document) = (policy_arn.into(), READ.into());
    let input = iam::CreatePolicyVersionRequest { policy_arn, policy_document, set_as_default: Some(default) };
    Ok(world.call(&iam::CREATE_POLICY_VERSION, input)?.policy_version.unwrap().version_id.unwrap())
}

fn attach(world: &mut World, role: &str, arn: &str) -> Result<(), Fault> {
    let input = iam::AttachRolePolicyRequest { role_name: role.into(), policy_arn: arn.into() };
    world.call(&iam::ATTACH_ROLE_POLICY, input)
}

fn shown(world: &mut World, arn: &str) -> iam::Policy {
    world.call(&iam::GET_POLICY, iam::GetPolicyRequest { policy_arn: arn.into() }).unwrap().policy.unwrap()
}

/// The refusal of something that must change nothing.
#[track_caller]
fn refused<T: std::fmt::Debug>(world: &mut World, ask: impl FnOnce(&mut World) -> Result<T, Fault>) -> String {
    let before = world.view().revision();
    let why = ask(world).unwrap_err().to_string();
    assert_eq!(world.view().revision(), before, "{why}");
    why
}

#[test]
fn a_version_keeps_its_number_and_counts_once_it_is_the_default() {
    let mut world = World::calm();
    let arn = create(&mut world, "reader").unwrap();
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:policy/team/reader"));
    for (default, id, counts) in [(false, "v2", "v1"), (true, "v3", "v3"), (false, "v4", "v3"), (false, "v5", "v3")] {
        assert_eq!(add_version(&mut world, &arn, default).unwrap(), id);
        assert_eq!(shown(&mut world, &arn).default_version_id.as_deref(), Some(counts));
    }
    let why = refused(&mut world, |world| add_version(world, &arn, true));
    assert!(why.starts_with("LimitExceededException: A managed policy can have up to 5 versions."), "{why}");
    let delete = |world: &mut World, id: &str| {
        let input = iam::DeletePolicyVersionRequest { policy_arn: arn.clone(), version_id: id.into() };
        world.call(&iam::DELETE_POLICY_VERSION, input)
    };
    let why = refused(&mut world, |world| delete(world, "v3"));
    assert_eq!(why, "DeleteConflictException: Cannot delete the default version of a policy.");
    delete(&mut world, "v5").unwrap();
    assert_eq!(add_version(&mut world, &arn, false).unwrap(), "v6", "a number is given once");
}

#[test]
fn a_policy_is_as_many_times_attached_as_its_count_says() {
    let mut world = World::calm();
    let arn = create(&mut world, "reader").unwrap();
    let role = iam::CreateRoleRequest {
        role_name: "dev".into(),
        assume_role_policy_document:
            r#"{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}}"#.into(),
        ..Default::default()
    };
    world.call(&iam::CREATE_ROLE, role).unwrap();
    attach(&mut world, "dev", &arn).unwrap();
    attach(&mut world, "dev", &arn).unwrap();
    assert_eq!(shown(&mut world, &arn).attachment_count, Some(1), "twice is once");
    let delete =
        |world: &mut World| world.call(&iam::DELETE_POLICY, iam::DeletePolicyRequest { policy_arn: arn.clone() });
    let why = refused(&mut world, delete);
    assert_eq!(why, "DeleteConflictException: Cannot delete a policy attached to entities.");
    for n in 1..10 {
        let other = create(&mut world, &format!("other-{n}")).unwrap();
        attach(&mut world, "dev", &other).unwrap();
    }
    let eleventh = create(&mut world, "eleventh").unwrap();
    let why = refused(&mut world, |world| attach(world, "dev", &eleventh));
    assert_eq!(why, "LimitExceededException: Cannot exceed quota for PoliciesPerRole: 10");
    let detach = iam::DetachRolePolicyRequest { role_name: "dev".into(), policy_arn: arn.clone() };
    world.call(&iam::DETACH_ROLE_POLICY, detach).unwrap();
    assert_eq!(shown(&mut world, &arn).attachment_count, Some(0));
    delete(&mut world).unwrap();
}

#[test]
fn a_name_is_taken_whatever_its_case_and_a_bad_document_takes_none() {
    let mut world = World::calm();
    create(&mut world, "reader").unwrap();
    let why = refused(&mut world, |world| create(world, "Reader"));
    assert_eq!(
        why,
        "EntityAlreadyExistsException: A policy called Reader already exists. Duplicate names are not allowed."
    );
    let bad = iam::CreatePolicyRequest {
        policy_name: "bad".into(),
        policy_document: READ.replace("2012", "2008"),
        ..Default::default()
    };
    let why = refused(&mut world, |world| world.call(&iam::CREATE_POLICY, bad));
    assert_eq!(why, "MalformedPolicyDocumentException: Policy document must be version 2012-10-17 or greater.");
}
