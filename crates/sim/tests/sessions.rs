//! Stories of roles and their sessions: who gets credentials, and how long they count.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::{Saw, Want};
use roadstead_cloud::iam::instance_profile::{self, InstanceProfile};
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_cloud::sts::session::{self, Session};
use roadstead_hostspec::{Credential, RoleCredentials};
use roadstead_shapes::{iam, sts};
use roadstead_sim::{ACCOUNT, World};
use roadstead_store::{Index, Key, Read as _};
use roadstead_types::Millis;

const ACCOUNT_TRUST: &str = r#"{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}}"#;
const EC2_TRUST: &str = r#"{"Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole"],
    "Principal": {"Service": ["ec2.amazonaws.com"]}}]}"#;
const HOUR: Millis = Millis::mins(60);

fn create_role(world: &mut World, name: &str, trust: &str) -> String {
    let input = iam::CreateRoleRequest {
        role_name: name.into(),
        assume_role_policy_document: trust.into(),
        path: Some("/team/".into()),
        max_session_duration: Some(7200),
        ..Default::default()
    };
    world.call(&iam::CREATE_ROLE, input).unwrap().role.arn
}

fn assume(world: &mut World, role: &str, seconds: i32) -> Result<sts::AssumeRoleResponse, String> {
    let input = sts::AssumeRoleRequest {
        role_arn: role.into(),
        role_session_name: "ada@example.com".into(),
        duration_seconds: Some(seconds),
        ..Default::default()
    };
    world.call(&sts::ASSUME_ROLE, input).map_err(|fault| fault.to_string())
}

/// The credential as hosts are told of it.
fn told(world: &World, id: &str) -> Option<Credential> {
    Some(world.view().get(&Key::<Want<Credential>>::new(id))?.body.0)
}

/// Hosts have it, and the region knows.
fn on_hosts(world: &World, id: &str) -> bool {
    told(world, id).is_some() && world.view().get(&Key::<Saw<Credential>>::new(id)).is_some()
}

fn sessions(world: &World) -> usize {
    world.view().count(Index::<Session>::all())
}

#[test]
fn an_assumed_role_is_known_to_hosts_and_forgotten_an_hour_after_its_end() {
    let mut world = World::calm();
    let role = create_role(&mut world, "dev", ACCOUNT_TRUST);
    let answer = assume(&mut world, &role, 900).unwrap();
    let (credentials, user) = (answer.credentials.unwrap(), answer.assumed_role_user.unwrap());
    assert!(credentials.access_key_id.starts_with("ASIA") && credentials.access_key_id.len() == 20);
    assert_eq!(user.arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/dev/ada@example.com"));
    assert!(user.assumed_role_id.starts_with("AROA") && user.assumed_role_id.ends_with(":ada@example.com"));
    world.settle();
    assert!(on_hosts(&world, &credentials.access_key_id));
    let of = told(&world, &credentials.access_key_id).unwrap().session.unwrap();
    assert_eq!((of.role, of.instance_name, of.expires), (role, None, credentials.expiration));
    let forgotten = credentials.expiration + HOUR;
    world.try_run_until(forgotten - Millis::secs(1)).unwrap();
    assert_eq!(sessions(&world), 1, "a request with it is told that it has expired");
    world.try_run_until(forgotten + Millis::secs(1)).unwrap();
    assert_eq!((sessions(&world), told(&world, &credentials.access_key_id)), (0, None));
}

#[test]
fn a_session_is_as_long_as_its_role_allows() {
    let mut world = World::calm();
    let role = create_role(&mut world, "dev", ACCOUNT_TRUST);
    let why = assume(&mut world, &role, 7201).unwrap_err();
    assert!(why.contains("exceeds the MaxSessionDuration set for this role"), "{why}");
    let why = assume(&mut world, &role, 899).unwrap_err();
    assert!(why.contains("greater than or equal to 900"), "{why}");
    assert_eq!(sessions(&world), 0);
    assert!(assume(&mut world, &role, 7200).is_ok());
}

#[test]
fn who_is_not_trusted_does_not_learn_whether_the_role_is_there() {
    let mut world = World::calm();
    let role = create_role(&mut world, "worker", EC2_TRUST);
    let refusal = |role: &str| {
        format!(
            "AccessDeniedException: User: arn:aws:iam::{ACCOUNT}:user/admin is not authorized to perform: \
             sts:AssumeRole on resource: {role}"
        )
    };
    assert_eq!(assume(&mut world, &role, 900).unwrap_err(), refusal(&role));
    let none = format!("arn:aws:iam::{ACCOUNT}:role/none");
    assert_eq!(assume(&mut world, &none, 900).unwrap_err(), refusal(&none));
    let without_path = format!("arn:aws:iam::{ACCOUNT}:role/worker");
    assert_eq!(assume(&mut world, &without_path, 900).unwrap_err(), refusal(&without_path));
    assert_eq!(sessions(&world), 0);
}

#[test]
fn the_sessions_of_a_deleted_role_end() {
    let mut world = World::calm();
    let role = create_role(&mut world, "dev", ACCOUNT_TRUST);
    let id = assume(&mut world, &role, 900).unwrap().credentials.unwrap().access_key_id;
    world.settle();
    assert!(on_hosts(&world, &id));
    world.call(&iam::DELETE_ROLE, iam::DeleteRoleRequest { role_name: "dev".into() }).unwrap();
    world.settle();
    assert_eq!((sessions(&world), world.leftovers()), (0, vec![]));
}

/// An instance: what a service's plan asks for it.
struct Instance {
    role: String,
}

impl Instance {
    /// A profile stands for the instance's own record.
    fn start(world: &mut World, role: String) -> Instance {
        let name = role.clone();
        let made = world.within(move |tx| Ok(instance_profile::create_for_service(tx, ACCOUNT, "i-01", &name)));
        made.unwrap();
        Instance { role }
    }

    fn credentials(&self, world: &mut World) -> Option<RoleCredentials> {
        let role = self.role.clone();
        let owner = InstanceProfile::key(ACCOUNT, "i-01").any();
        let asked =
            world.within(move |tx| Ok(session::for_instance(tx, &owner, "i-01", &role, "ip-10-0-1-5.ec2.internal")));
        asked.unwrap()
    }

    fn stop(&self, world: &mut World) {
        let end = |world: &mut World| world.within(|tx| Ok(session::end_all(tx, "i-01"))).unwrap();
        if !end(world) {
            world.settle();
            assert!(end(world));
        }
        world
            .within(|tx| {
                instance_profile::remove_for_service(tx, ACCOUNT, "i-01");
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn an_instance_has_credentials_that_are_renewed_before_they_end() {
    let mut world = World::calm();
    let role = create_role(&mut world, "worker", EC2_TRUST);
    let instance = Instance::start(&mut world, role.clone());
    assert_eq!(instance.credentials(&mut world), None, "the key driver has yet to make them");
    world.settle();
    let first = instance.credentials(&mut world).unwrap();
    assert_eq!((first.role.as_str(), first.expires), ("worker", first.updated + Millis::mins(360)));
    let of = told(&world, &first.access_key_id).unwrap();
    assert_eq!(of.principal.arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-01"));
    assert_eq!(of.session.unwrap().instance_name.as_deref(), Some("ip-10-0-1-5.ec2.internal"));
    assert_eq!(world.view().count(Index::<KeySpec>::all()) + world.view().count(Index::<KeyState>::all()), 0);
    world.wait(Millis::mins(299));
    assert_eq!(instance.credentials(&mut world).as_ref(), Some(&first));
    world.wait(Millis::mins(2));
    let second = instance.credentials(&mut world).unwrap();
    assert_ne!(second.access_key_id, first.access_key_id);
    assert!(second.expires > first.expires + Millis::mins(299));
    assert!(on_hosts(&world, &first.access_key_id), "who has them may use them to their end");
    world.wait(Millis::mins(125));
    assert_eq!((sessions(&world), on_hosts(&world, &second.access_key_id)), (1, true));
    world.wait(Millis::mins(24 * 60));
    assert_eq!(sessions(&world), 2, "one is in use, one is remembered or about to end");
}

#[test]
fn the_sessions_of_an_instance_end_with_it() {
    let mut world = World::calm();
    let role = create_role(&mut world, "worker", EC2_TRUST);
    for seconds in 0..3 {
        let instance = Instance::start(&mut world, role.clone());
        instance.credentials(&mut world);
        world.wait(Millis(seconds * 50));
        instance.stop(&mut world);
        world.settle();
        let left: Vec<_> = world.leftovers().into_iter().filter(|key| key.kind() != "iam/role").collect();
        assert_eq!(left, vec![], "after {seconds}");
    }
}

#[test]
fn an_instance_gets_nothing_from_a_role_that_does_not_trust_ec2() {
    let mut world = World::calm();
    let role = create_role(&mut world, "worker", EC2_TRUST);
    let instance = Instance::start(&mut world, role);
    instance.credentials(&mut world);
    world.settle();
    assert!(instance.credentials(&mut world).is_some());
    let policy =
        iam::UpdateAssumeRolePolicyRequest { role_name: "worker".into(), policy_document: ACCOUNT_TRUST.into() };
    world.call(&iam::UPDATE_ASSUME_ROLE_POLICY, policy).unwrap();
    assert_eq!(instance.credentials(&mut world), None);
    world.settle();
    assert_eq!(sessions(&world), 0);
}

#[test]
fn an_instance_profile_holds_one_role_and_holds_it_fast() {
    let mut world = World::calm();
    create_role(&mut world, "worker", EC2_TRUST);
    let profile = || "nodes".to_owned();
    let create = iam::CreateInstanceProfileRequest { instance_profile_name: profile(), ..Default::default() };
    let made = world.call(&iam::CREATE_INSTANCE_PROFILE, create.clone()).unwrap().instance_profile;
    assert_eq!((made.arn, made.roles.len()), (format!("arn:aws:iam::{ACCOUNT}:instance-profile/nodes"), 0));
    let why = world.call(&iam::CREATE_INSTANCE_PROFILE, create).unwrap_err();
    assert!(why.to_string().ends_with("Instance Profile nodes already exists."), "{why}");
    let add = iam::AddRoleToInstanceProfileRequest { instance_profile_name: profile(), role_name: "worker".into() };
    world.call(&iam::ADD_ROLE_TO_INSTANCE_PROFILE, add.clone()).unwrap();
    let why = world.call(&iam::ADD_ROLE_TO_INSTANCE_PROFILE, add).unwrap_err();
    assert!(why.to_string().ends_with("InstanceSessionsPerInstanceProfile: 1"), "{why}");
    let get = iam::GetInstanceProfileRequest { instance_profile_name: profile() };
    let found = world.call(&iam::GET_INSTANCE_PROFILE, get).unwrap().instance_profile;
    assert_eq!(found.roles[0].role_name, "worker");
    let of_role = iam::ListInstanceProfilesForRoleRequest { role_name: "worker".into(), ..Default::default() };
    let listed = world.call(&iam::LIST_INSTANCE_PROFILES_FOR_ROLE, of_role).unwrap().instance_profiles;
    assert_eq!(listed[0].instance_profile_name, "nodes");
    let delete_role = iam::DeleteRoleRequest { role_name: "worker".into() };
    let why = world.call(&iam::DELETE_ROLE, delete_role.clone()).unwrap_err();
    assert!(why.to_string().ends_with("must remove roles from instance profile first."), "{why}");
    let delete = iam::DeleteInstanceProfileRequest { instance_profile_name: profile() };
    let why = world.call(&iam::DELETE_INSTANCE_PROFILE, delete.clone()).unwrap_err();
    assert!(why.to_string().ends_with("must remove roles from instance profile first."), "{why}");
    let remove =
        iam::RemoveRoleFromInstanceProfileRequest { instance_profile_name: profile(), role_name: "worker".into() };
    world.call(&iam::REMOVE_ROLE_FROM_INSTANCE_PROFILE, remove).unwrap();
    world.call(&iam::DELETE_INSTANCE_PROFILE, delete).unwrap();
    world.call(&iam::DELETE_ROLE, delete_role).unwrap();
    assert_eq!(world.leftovers(), vec![]);
}
