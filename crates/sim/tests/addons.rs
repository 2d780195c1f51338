//! Stories of add-ons and of who is known to a cluster. Every rule of [`roadstead_sim::CHECKS`] holds on the way.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

use roadstead_cloud::eks::addon::{Addon, AddonSpec, Hold};
use roadstead_hostspec::Reviewer;
use roadstead_shapes::eks::{self, AddonStatus, AuthenticationMode, CreateAccessConfigRequest, ResolveConflicts};
use roadstead_sim::{ACCOUNT, Crash, State, World};
use roadstead_store::{Index, Key, Read as _};
use roadstead_types::Millis;

const COREDNS: &str = "v1.14.7-eksbuild.1";

/// A world with a cluster that serves, known by entries, and what it holds.
fn with_cluster(change: impl FnOnce(&mut eks::CreateClusterRequest)) -> World {
    let mut world = World::calm();
    let mut request = world.request("a");
    let mode = Some(AuthenticationMode::ApiAndConfigMap);
    request.access_config = Some(CreateAccessConfigRequest { authentication_mode: mode, ..Default::default() });
    change(&mut request);
    world.call(&eks::CREATE_CLUSTER, request).unwrap();
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    world
}

fn holds(world: &World) -> Vec<(String, Hold)> {
    let specs = world.view().list(Index::<AddonSpec>::all());
    specs.into_iter().map(|spec| (spec.body.release.name, spec.body.hold)).collect()
}

fn create(addon: &str) -> eks::CreateAddonRequest {
    eks::CreateAddonRequest { cluster_name: "a".into(), addon_name: addon.into(), ..Default::default() }
}

fn update(addon: &str) -> eks::UpdateAddonRequest {
    eks::UpdateAddonRequest { cluster_name: "a".into(), addon_name: addon.into(), ..Default::default() }
}

fn delete(addon: &str) -> eks::DeleteAddonRequest {
    eks::DeleteAddonRequest { cluster_name: "a".into(), addon_name: addon.into(), preserve: None }
}

fn describe(world: &mut World, addon: &str) -> eks::Addon {
    let request = eks::DescribeAddonRequest { cluster_name: "a".into(), addon_name: addon.into() };
    world.call(&eks::DESCRIBE_ADDON, request).unwrap().addon.unwrap()
}

fn names(world: &mut World) -> Vec<String> {
    let request = eks::ListAddonsRequest { cluster_name: "a".into(), ..Default::default() };
    world.call(&eks::LIST_ADDONS, request).unwrap().addons.unwrap()
}

/// The first issue of an add-on, by code and text.
fn issue(addon: &eks::Addon) -> (String, String) {
    let issue = addon.health.as_ref().and_then(|h| h.issues.as_ref()?.first()).unwrap();
    (issue.code.unwrap().as_str().to_owned(), issue.message.clone().unwrap())
}

#[test]
fn a_new_cluster_is_given_its_addons_once_and_nobody_lists_them() {
    let mut world = with_cluster(|_| {});
    let done = Hold::Once { done: true };
    let given = ["coredns", "kube-proxy", "vpc-cni"].map(|name| (name.to_owned(), done.clone()));
    assert_eq!(holds(&world), given);
    assert!(names(&mut world).is_empty());
    let dns = world.view().get(&AddonSpec::key(&world.cluster("a").unwrap().spec.id, "coredns")).unwrap().body.release;
    assert_eq!((dns.version.as_str(), dns.facts.dns.to_string().as_str()), (COREDNS, "10.100.0.10"));
}

#[test]
fn whoever_wants_no_addons_gets_none() {
    let world = with_cluster(|request| request.bootstrap_self_managed_addons = Some(false));
    assert!(holds(&world).is_empty());
}

#[test]
fn an_addon_becomes_active_and_dns_without_nodes_says_that_it_is_not_well() {
    let mut world = with_cluster(|_| {});
    let answer = world.call(&eks::CREATE_ADDON, create("vpc-cni")).unwrap().addon.unwrap();
    assert_eq!(answer.status, Some(AddonStatus::Creating));
    world.call(&eks::CREATE_ADDON, create("coredns")).unwrap();
    world.wait(Millis::secs(60));
    assert_eq!(describe(&mut world, "vpc-cni").status, Some(AddonStatus::Active));
    assert_eq!(describe(&mut world, "coredns").status, Some(AddonStatus::Creating));
    world.settle();
    let dns = describe(&mut world, "coredns");
    assert_eq!(dns.status, Some(AddonStatus::Degraded));
    let (code, why) = issue(&dns);
    assert_eq!(code, "InsufficientNumberOfReplicas");
    assert!(why.ends_with("0 of 2 replicas are available."), "{why}");
    assert_eq!(names(&mut world), ["coredns", "vpc-cni"]);
}

#[test]
fn metrics_server_is_there_for_who_asks_for_it() {
    let mut world = with_cluster(|_| {});
    assert!(holds(&world).iter().all(|(name, _)| name != "metrics-server"), "no cluster begins with it");
    let request = eks::DescribeAddonVersionsRequest { owners: Some(vec!["community".into()]), ..Default::default() };
    let listed = world.call(&eks::DESCRIBE_ADDON_VERSIONS, request).unwrap().addons.unwrap();
    let kinds: Vec<_> =
        listed.iter().map(|a| (a.addon_name.as_deref().unwrap(), a.r#type.as_deref().unwrap())).collect();
    assert_eq!(kinds, [("metrics-server", "observability")]);
    let configured = Some("{\"replicas\": 1, \"podDisruptionBudget\": {\"enabled\": false}}".to_owned());
    let request = eks::CreateAddonRequest { configuration_values: configured, ..create("metrics-server") };
    let addon = world.call(&eks::CREATE_ADDON, request).unwrap().addon.unwrap();
    assert_eq!(addon.addon_version.as_deref(), Some("v0.9.0-eksbuild.1"));
    world.settle();
    assert_eq!(describe(&mut world, "metrics-server").status, Some(AddonStatus::Degraded), "there is no node for it");
    world.call(&eks::DELETE_ADDON, delete("metrics-server")).unwrap();
    world.settle();
    assert!(holds(&world).iter().all(|(name, _)| name != "metrics-server"));
}

#[test]
fn what_is_wrong_with_an_addon_is_refused_and_changes_nothing() {
    let mut world = with_cluster(|_| {});
    let before = world.view().revision();
    let with = |change: fn(&mut eks::CreateAddonRequest)| {
        let mut request = create("coredns");
        change(&mut request);
        request
    };
    let cases = [
        (with(|r| r.cluster_name = "b".into()), "ResourceNotFoundException: No cluster found for name: b."),
        (
            with(|r| r.addon_name = "aws-ebs-csi-driver".into()),
            "InvalidParameterException: Addon aws-ebs-csi-driver specified is not supported in 1.36 kubernetes version",
        ),
        (
            with(|r| r.addon_version = Some("v1.0.0-eksbuild.1".into())),
            "InvalidParameterException: Addon version specified is not supported: v1.0.0-eksbuild.1",
        ),
        (
            with(|r| r.configuration_values = Some("{\"replicas\": 3}".into())),
            "$.replicas: is not defined in the schema",
        ),
        (
            with(|r| r.configuration_values = Some("replicaCount: 0".into())),
            "$.replicaCount: must have a minimum value of 1",
        ),
        (
            with(|r| r.configuration_values = Some("replicaCount: many".into())),
            "$.replicaCount: string found, integer expected",
        ),
        (with(|r| r.configuration_values = Some("{".into())), "neither JSON nor YAML"),
        (with(|r| r.service_account_role_arn = Some(format!("arn:aws:iam::{ACCOUNT}:role/none"))), "does not exist"),
        (with(|r| r.resolve_conflicts = Some(ResolveConflicts::Preserve)), "PRESERVE is only for UpdateAddon"),
    ];
    for (request, why) in cases {
        let said = world.call(&eks::CREATE_ADDON, request).unwrap_err().to_string();
        assert!(said.contains(why), "{said} instead of {why}");
    }
    let missing = world.call(&eks::UPDATE_ADDON, update("coredns")).unwrap_err().to_string();
    assert_eq!(missing, "ResourceNotFoundException: No addon: coredns found in cluster: a");
    assert_eq!(world.view().revision(), before);
}

#[test]
fn an_update_ends_and_is_remembered() {
    let mut world = with_cluster(|_| {});
    world.call(&eks::CREATE_ADDON, create("vpc-cni")).unwrap();
    let early = world.call(&eks::UPDATE_ADDON, update("vpc-cni")).unwrap_err().to_string();
    assert!(early.starts_with("ResourceInUseException: Cannot update add-on vpc-cni"), "{early}");
    world.settle();
    let configured = Some("env:\n  WARM_IP_TARGET: \"4\"\n".to_owned());
    let request = eks::UpdateAddonRequest { configuration_values: configured.clone(), ..update("vpc-cni") };
    let begun = world.call(&eks::UPDATE_ADDON, request).unwrap().update.unwrap();
    assert_eq!(begun.status, Some(eks::UpdateStatus::InProgress));
    assert_eq!(describe(&mut world, "vpc-cni").status, Some(AddonStatus::Updating));
    world.settle();
    let addon = describe(&mut world, "vpc-cni");
    assert_eq!((addon.status, addon.configuration_values), (Some(AddonStatus::Active), configured));
    let cluster = world.cluster("a").unwrap().spec;
    let ended = roadstead_cloud::eks::addon::ops::find_update(world.view(), &cluster, "vpc-cni", &begun.id.unwrap());
    assert_eq!(ended.unwrap().status, Some(eks::UpdateStatus::Successful));
}

#[test]
fn a_deleted_addon_is_gone_for_good() {
    let mut world = with_cluster(|_| {});
    world.call(&eks::CREATE_ADDON, create("vpc-cni")).unwrap();
    world.settle();
    let answer = world.call(&eks::DELETE_ADDON, delete("vpc-cni")).unwrap().addon.unwrap();
    assert_eq!(answer.status, Some(AddonStatus::Deleting));
    world.settle();
    assert!(names(&mut world).is_empty());
    let left: Vec<String> = holds(&world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["coredns", "kube-proxy"], "the self-managed one does not come back");
}

#[test]
fn an_addon_that_is_preserved_leaves_its_objects() {
    let mut world = with_cluster(|_| {});
    world.call(&eks::CREATE_ADDON, create("vpc-cni")).unwrap();
    world.settle();
    world.call(&eks::DELETE_ADDON, eks::DeleteAddonRequest { preserve: Some(true), ..delete("vpc-cni") }).unwrap();
    world.settle_watching(|world| assert!(holds(world).iter().all(|(_, hold)| *hold != Hold::Gone)));
    assert!(names(&mut world).is_empty());
    assert_eq!(world.view().list(Index::<Addon>::all()), []);
}

#[test]
fn a_cluster_takes_its_addons_and_entries_with_it_at_any_moment() {
    for seconds in [0, 1, 3, 10, 200] {
        let mut world = with_cluster(|_| {});
        world.call(&eks::CREATE_ADDON, create("vpc-cni")).unwrap();
        world.call(&eks::CREATE_ADDON, create("coredns")).unwrap();
        world.call(&eks::CREATE_ACCESS_ENTRY, entry("user/admin")).unwrap();
        world.wait(Millis::secs(seconds));
        world.delete_cluster("a");
        world.settle();
        assert_eq!((world.leftovers(), world.host().count()), (vec![], 0), "deleted after {seconds} s");
    }
}

#[test]
fn addons_survive_a_region_that_crashes_while_they_are_made() {
    let mut world = with_cluster(|_| {});
    world.call(&eks::CREATE_ADDON, create("kube-proxy")).unwrap();
    world.wait(Millis(300));
    world.crash(Crash::KeepsBatch, Millis::secs(3));
    world.settle();
    assert_eq!(describe(&mut world, "kube-proxy").status, Some(AddonStatus::Active));
}

fn entry(principal: &str) -> eks::CreateAccessEntryRequest {
    eks::CreateAccessEntryRequest {
        cluster_name: "a".into(),
        principal_arn: format!("arn:aws:iam::{ACCOUNT}:{principal}"),
        ..Default::default()
    }
}

/// Whom the cluster's token reviewer knows, and as whom.
fn known(world: &World, arn: &str) -> Option<(String, Vec<String>)> {
    let id = world.cluster("a").unwrap().spec.id;
    let reviewer = world.view().get(&Key::<roadstead_cloud::fabric::Want<Reviewer>>::new(id)).unwrap().body.0;
    let mapping = reviewer.mappings.into_iter().find(|mapping| mapping.arn.ends_with(arn))?;
    Some((mapping.username, mapping.groups))
}

#[test]
fn an_access_entry_makes_a_principal_known_until_it_is_deleted() {
    let mut world = with_cluster(|_| {});
    let groups = vec!["viewers".to_owned()];
    let request = eks::CreateAccessEntryRequest { kubernetes_groups: Some(groups.clone()), ..entry("role/eks") };
    let made = world.call(&eks::CREATE_ACCESS_ENTRY, request).unwrap().access_entry.unwrap();
    assert_eq!(made.r#type.as_deref(), Some("STANDARD"));
    world.settle();
    let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/eks/{{{{SessionName}}}}");
    assert_eq!(known(&world, "role/eks"), Some((user, groups)));
    let twice = world.call(&eks::CREATE_ACCESS_ENTRY, entry("role/eks")).unwrap_err().to_string();
    assert!(
        twice.starts_with("ResourceInUseException: The specified access entry resource is already in use"),
        "{twice}"
    );
    let (cluster_name, principal_arn) = ("a".to_owned(), made.principal_arn.unwrap());
    world.call(&eks::DELETE_ACCESS_ENTRY, eks::DeleteAccessEntryRequest { cluster_name, principal_arn }).unwrap();
    world.settle();
    assert_eq!(known(&world, "role/eks"), None);
}

#[test]
fn nodes_are_known_by_the_name_of_their_instance() {
    let mut world = with_cluster(|_| {});
    let kind = Some("EC2_LINUX".to_owned());
    world.call(&eks::CREATE_ACCESS_ENTRY, eks::CreateAccessEntryRequest { r#type: kind, ..entry("role/eks") }).unwrap();
    world.settle();
    let groups = ["system:bootstrappers", "system:nodes"].map(str::to_owned).to_vec();
    assert_eq!(known(&world, "role/eks"), Some(("system:node:{{EC2PrivateDNSName}}".to_owned(), groups)));
}

#[test]
fn nobody_is_let_in_as_somebody_else() {
    let mut world = with_cluster(|_| {});
    let with = |change: fn(&mut eks::CreateAccessEntryRequest)| {
        let mut request = entry("role/eks");
        change(&mut request);
        request
    };
    let cases = [
        (with(|r| r.principal_arn = "arn:aws:iam::1:group/x".into()), "invalid principal"),
        (entry("role/none"), "invalid principal"),
        (with(|r| r.username = Some("system:admin".into())), "cannot begin with system:"),
        (with(|r| r.kubernetes_groups = Some(vec!["system:masters".into()])), "cannot start with system:"),
        (with(|r| r.username = Some("{{SessionName}}".into())), "must have a colon before it"),
        (with(|r| r.r#type = Some("FARGATE_LINUX".into())), "not available in this region yet"),
        (
            with(|r| (r.r#type, r.username) = (Some("EC2_LINUX".into()), Some("me".into()))),
            "cannot be specified for the type EC2_LINUX",
        ),
    ];
    for (request, why) in cases {
        let said = world.call(&eks::CREATE_ACCESS_ENTRY, request).unwrap_err().to_string();
        assert!(said.contains(why), "{said} instead of {why}");
    }
    let mut world = with_cluster(|request| request.access_config = None);
    let said = world.call(&eks::CREATE_ACCESS_ENTRY, entry("role/eks")).unwrap_err().to_string();
    assert!(said.contains("authentication mode must be set to one of [API, API_AND_CONFIG_MAP]"), "{said}");
}
