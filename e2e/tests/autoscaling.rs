//! Auto Scaling groups of users, by the real clients, in a region where no machine finds its programs: instances stay
//! pending. That groups bring nodes, nodes show.

use e2e::{Answer, Call, Region, call, merged, steps, until};
use serde_json::{Value, json};
use std::time::Duration;

const GROUP: &str = "fleet";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn groups_are_made_found_changed_and_unmade() {
    let region = Region::start();
    steps!((&region):
        a_group_launches_as_many_as_it_is_asked_for,
        its_instances_are_seen_protected_and_called_ill,
        its_processes_stop_and_go_on,
        its_hook_holds_an_instance_on_its_way_out,
        its_tags_come_and_go,
        what_auto_scaling_refuses_changes_nothing,
        a_forced_deletion_ends_everything,
    );
}

/// A call on the group.
fn group(operation: &str, more: Value) -> Call {
    let input = merged(json!({"AutoScalingGroupName": GROUP}), &more);
    call("autoscaling", operation, input)
}

fn tag(group: &str, key: &str) -> Value {
    let kind = "auto-scaling-group";
    json!({"ResourceId": group, "ResourceType": kind, "Key": key, "Value": "v", "PropagateAtLaunch": true})
}

/// The group as it is shown.
fn shown(region: &Region) -> Value {
    let named = call("autoscaling", "describe_auto_scaling_groups", json!({"AutoScalingGroupNames": [GROUP]}));
    region.boto(vec![named]).remove(0).value()["AutoScalingGroups"][0].clone()
}

/// Its instances, once they are as many.
fn instances(region: &Region, number: usize) -> Vec<String> {
    until(&format!("there are {number} instances"), PATIENCE, || {
        let shown = shown(region);
        let ids = shown["Instances"].as_array().into_iter().flatten();
        let ids: Vec<String> = ids.filter_map(|one| Some(one["InstanceId"].as_str()?.to_owned())).collect();
        (ids.len() == number).then_some(ids)
    })
}

fn a_group_launches_as_many_as_it_is_asked_for(region: &Region) {
    let name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";
    let image = region.aws(&["ssm", "get-parameter", "--name", name])["Parameter"]["Value"].clone();
    let data = json!({"ImageId": image, "InstanceType": "t3.medium"});
    let template = json!({"LaunchTemplateName": "small", "Version": "$Latest"});
    let sizes = json!({"LaunchTemplate": template, "MinSize": 0, "MaxSize": 3, "DesiredCapacity": 1,
        "VPCZoneIdentifier": region.default_subnets(), "Tags": [tag(GROUP, "team")]});
    let list = |kind: &str| call("autoscaling", kind, json!({}));
    let answers = region.gets(vec![
        (
            "OK",
            call("ec2", "create_launch_template", json!({"LaunchTemplateName": "small", "LaunchTemplateData": data})),
        ),
        ("OK", group("create_auto_scaling_group", sizes.clone())),
        ("AlreadyExists", group("create_auto_scaling_group", sizes)),
        ("OK", group("set_desired_capacity", json!({"DesiredCapacity": 2}))),
        ("OK", group("update_auto_scaling_group", json!({"HealthCheckGracePeriod": 30}))),
        ("OK", list("describe_launch_configurations")),
    ]);
    assert_eq!(answers[5].clone().value()["LaunchConfigurations"], json!([]));
    let ids = instances(region, 2);
    let group = shown(region);
    assert_eq!((&group["DesiredCapacity"], &group["HealthCheckGracePeriod"]), (&json!(2), &json!(30)));
    let zones: Vec<&Value> =
        group["Instances"].as_array().into_iter().flatten().map(|one| &one["AvailabilityZone"]).collect();
    assert_ne!(zones[0], zones[1], "two instances, two zones");
    let activities = region.gets(vec![("OK", list("describe_scaling_activities"))]).remove(0).value();
    let begun = activities["Activities"].as_array().into_iter().flatten();
    let begun: Vec<&str> = begun.filter_map(|one| one["Description"].as_str()).collect();
    assert!(ids.iter().all(|id| begun.iter().any(|text| text.ends_with(id.as_str()))), "{begun:?}");
}

fn its_instances_are_seen_protected_and_called_ill(region: &Region) {
    let ids = instances(region, 2);
    let asked = json!({"InstanceIds": [ids[0]]});
    let health = json!({"InstanceId": ids[0], "HealthStatus": "Healthy"});
    let answers = region.gets(vec![
        ("OK", group("set_instance_protection", json!({"InstanceIds": [ids[0]], "ProtectedFromScaleIn": true}))),
        ("OK", call("autoscaling", "set_instance_health", health)),
        ("OK", call("autoscaling", "describe_auto_scaling_instances", asked)),
    ]);
    let found = answers[2].clone().value()["AutoScalingInstances"][0].clone();
    assert_eq!((&found["ProtectedFromScaleIn"], &found["AutoScalingGroupName"]), (&json!(true), &json!(GROUP)));
    region.gets(vec![("OK", group("set_desired_capacity", json!({"DesiredCapacity": 1})))]);
    assert_eq!(instances(region, 1), [ids[0].clone()], "the other one is not protected");
}

fn its_processes_stop_and_go_on(region: &Region) {
    let launch = json!({"ScalingProcesses": ["Launch"]});
    region.gets(vec![("OK", group("suspend_processes", launch.clone()))]);
    assert_eq!(shown(region)["SuspendedProcesses"][0]["ProcessName"], "Launch");
    region.gets(vec![("OK", group("set_desired_capacity", json!({"DesiredCapacity": 2})))]);
    assert_eq!(instances(region, 1).len(), 1, "nothing is launched");
    region.gets(vec![("OK", group("resume_processes", launch))]);
    instances(region, 2);
}

fn its_hook_holds_an_instance_on_its_way_out(region: &Region) {
    let hook = json!({"LifecycleHookName": "drain", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"});
    let id = instances(region, 2).remove(1);
    let on = |operation: &str, more: Value| {
        let input = merged(json!({"LifecycleHookName": "drain", "InstanceId": id}), &more);
        group(operation, input)
    };
    let end = json!({"InstanceId": id, "ShouldDecrementDesiredCapacity": true});
    let end = call("autoscaling", "terminate_instance_in_auto_scaling_group", end);
    let go_on = json!({"LifecycleActionResult": "CONTINUE"});
    let answers = region.gets(vec![
        ("OK", group("put_lifecycle_hook", hook)),
        ("OK", group("describe_lifecycle_hooks", json!({}))),
        ("ValidationError", on("complete_lifecycle_action", go_on.clone())),
        ("OK", end.clone()),
        ("ScalingActivityInProgress", end),
    ]);
    assert_eq!(answers[1].clone().value()["LifecycleHooks"][0]["HeartbeatTimeout"], 3600);
    until("the hook holds it", PATIENCE, || {
        let all = shown(region)["Instances"].clone();
        all.as_array().into_iter().flatten().any(|one| one["LifecycleState"] == "Terminating:Wait").then_some(())
    });
    region.gets(vec![
        ("ScalingActivityInProgress", group("delete_auto_scaling_group", json!({}))),
        ("OK", on("record_lifecycle_action_heartbeat", json!({}))),
        ("OK", on("complete_lifecycle_action", go_on)),
    ]);
    instances(region, 1);
    region.gets(vec![
        ("OK", group("delete_lifecycle_hook", json!({"LifecycleHookName": "drain"}))),
        ("ValidationError", group("delete_lifecycle_hook", json!({"LifecycleHookName": "drain"}))),
    ]);
}

fn its_tags_come_and_go(region: &Region) {
    let many: Vec<Value> = (0..50).map(|n| tag(GROUP, &format!("k{n}"))).collect();
    let tags = |operation: &str, tags: Value| call("autoscaling", operation, json!({"Tags": tags}));
    let all = call("autoscaling", "describe_tags", json!({}));
    let answers = region.gets(vec![
        ("OK", tags("create_or_update_tags", json!([tag(GROUP, "stage")]))),
        ("LimitExceeded", tags("create_or_update_tags", json!(many))),
        ("OK", all.clone()),
        ("OK", tags("delete_tags", json!([tag(GROUP, "stage")]))),
        ("OK", all),
    ]);
    let keys = |answer: &Answer| {
        let found = answer.clone().value()["Tags"].as_array().cloned().unwrap_or_default();
        found.iter().map(|tag| tag["Key"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&answers[2]), ["stage", "team"]);
    assert_eq!(keys(&answers[4]), ["team"]);
}

fn what_auto_scaling_refuses_changes_nothing(region: &Region) {
    let before = shown(region);
    let other = |operation: &str, more: Value| {
        let input = merged(json!({"AutoScalingGroupName": "nobody"}), &more);
        call("autoscaling", operation, input)
    };
    let any = |operation: &str, input: Value| call("autoscaling", operation, input);
    let absent = json!({"InstanceId": "i-00000000000000000", "HealthStatus": "Unhealthy"});
    let action = json!({"LifecycleHookName": "drain", "InstanceId": "i-00000000000000000"});
    let done = json!({"LifecycleHookName": "drain", "LifecycleActionResult": "CONTINUE", "InstanceId": "i-1"});
    let invented = json!({"NextToken": "invented"});
    let template = json!({"LaunchTemplateName": "none"});
    let bad = json!({"MinSize": 2, "MaxSize": 1, "LaunchTemplate": template, "VPCZoneIdentifier": "subnet-1"});
    region.gets(vec![
        ("ValidationError", other("create_auto_scaling_group", bad)),
        ("ValidationError", other("update_auto_scaling_group", json!({"MaxSize": 9}))),
        ("ValidationError", group("update_auto_scaling_group", json!({"MinSize": 5}))),
        ("ValidationError", group("update_auto_scaling_group", json!({"DeletionProtection": "prevent-all-deletion"}))),
        ("ValidationError", other("delete_auto_scaling_group", json!({}))),
        ("ValidationError", other("set_desired_capacity", json!({"DesiredCapacity": 1}))),
        ("ValidationError", group("set_desired_capacity", json!({"DesiredCapacity": 9}))),
        ("ValidationError", any("set_instance_health", absent)),
        (
            "ValidationError",
            group("set_instance_protection", json!({"InstanceIds": ["i-1"], "ProtectedFromScaleIn": true})),
        ),
        ("ValidationError", group("suspend_processes", json!({"ScalingProcesses": ["Dance"]}))),
        ("ValidationError", other("resume_processes", json!({}))),
        ("ValidationError", group("put_lifecycle_hook", json!({"LifecycleHookName": "h", "LifecycleTransition": "x"}))),
        ("ValidationError", other("describe_lifecycle_hooks", json!({}))),
        ("ValidationError", group("record_lifecycle_action_heartbeat", action)),
        ("ValidationError", group("complete_lifecycle_action", done)),
        ("ValidationError", any("create_or_update_tags", json!({"Tags": [tag("nobody", "a")]}))),
        ("ValidationError", any("delete_tags", json!({"Tags": [tag("nobody", "a")]}))),
        ("InvalidNextToken", any("describe_auto_scaling_groups", invented.clone())),
        ("InvalidNextToken", any("describe_auto_scaling_instances", invented.clone())),
        ("InvalidNextToken", any("describe_launch_configurations", invented.clone())),
        ("InvalidNextToken", any("describe_scaling_activities", invented.clone())),
        ("InvalidNextToken", any("describe_tags", invented)),
    ]);
    assert_eq!(shown(region), before);
    let hooks: Vec<(&str, Call)> = (0..=50)
        .map(|n| {
            let transition = "autoscaling:EC2_INSTANCE_LAUNCHING";
            let hook = json!({"LifecycleHookName": format!("h{n}"), "LifecycleTransition": transition});
            (if n < 50 { "OK" } else { "LimitExceeded" }, group("put_lifecycle_hook", hook))
        })
        .collect();
    region.gets(hooks);
}

fn a_forced_deletion_ends_everything(region: &Region) {
    region.gets(vec![("OK", group("delete_auto_scaling_group", json!({"ForceDelete": true})))]);
    until("the group is gone", PATIENCE, || shown(region).is_null().then_some(()));
    let left =
        region.aws(&["ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=pending,running"]);
    assert_eq!(left["Reservations"], json!([]));
}
