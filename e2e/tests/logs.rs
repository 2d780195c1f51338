//! CloudWatch Logs: log groups as Terraform's EKS module and eksctl make them.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const NAME: &str = "/aws/eks/prod/cluster";

fn logs(operation: &str, input: Value) -> Call {
    call("logs", operation, input)
}

fn group(operation: &str, more: Value) -> Call {
    let input = merged(json!({"logGroupName": NAME}), &more);
    logs(operation, input)
}

fn arn() -> String {
    format!("arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{NAME}")
}

fn names(answer: &Value) -> Vec<String> {
    let groups = answer["logGroups"].as_array().into_iter().flatten();
    groups.map(|group| text(group, "logGroupName").to_owned()).collect()
}

#[test]
fn log_groups_are_kept() {
    let region = Region::start();
    steps!((&region):
        a_log_group_is_made_shown_and_kept_as_long_as_is_said,
        log_groups_have_tags,
        log_groups_are_listed_by_their_names,
        what_is_not_there_is_refused_by_name,
        a_protected_log_group_is_not_deleted,
        every_operation_says_what_is_not_there,
    );
}

fn a_log_group_is_made_shown_and_kept_as_long_as_is_said(region: &Region) {
    region.aws(&["logs", "create-log-group", "--log-group-name", NAME, "--tags", "team=blue"]);
    let show = || region.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", NAME])["logGroups"][0].clone();
    let shown = show();
    assert_eq!((text(&shown, "logGroupArn"), text(&shown, "arn")), (arn().as_str(), format!("{}:*", arn()).as_str()));
    assert!(shown["retentionInDays"].is_null() && shown["storedBytes"] == 0, "{shown}");
    assert_eq!(text(&shown, "logGroupClass"), "STANDARD");
    let answers = region.gets(vec![
        ("ResourceAlreadyExistsException", group("create_log_group", json!({}))),
        ("OK", group("put_retention_policy", json!({"retentionInDays": 90}))),
        ("InvalidParameterException", group("put_retention_policy", json!({"retentionInDays": 91}))),
    ]);
    let why = "The specified log group already exists";
    assert_eq!(answers[0].refusal(), refusal("ResourceAlreadyExistsException", why));
    assert_eq!(show()["retentionInDays"], 90);
    region.gets(vec![("OK", group("delete_retention_policy", json!({})))]);
    assert!(show()["retentionInDays"].is_null());
}

fn log_groups_have_tags(region: &Region) {
    let of = |arn: String, operation: &str, more: Value| {
        let input = merged(json!({"resourceArn": arn}), &more);
        logs(operation, input)
    };
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    let answers = region.gets(vec![
        ("OK", of(arn(), "list_tags_for_resource", json!({}))),
        ("OK", of(arn(), "tag_resource", json!({"tags": {"a": "b"}}))),
        ("OK", of(arn(), "untag_resource", json!({"tagKeys": ["team"]}))),
        ("OK", of(arn(), "list_tags_for_resource", json!({}))),
        ("OK", group("list_tags_log_group", json!({}))),
        ("TooManyTagsException", of(arn(), "tag_resource", json!({"tags": many}))),
        ("InvalidParameterException", of(arn(), "tag_resource", json!({"tags": {"aws:x": "y"}}))),
        ("InvalidParameterException", of("none".into(), "list_tags_for_resource", json!({}))),
    ]);
    let tags = |n: usize| answers[n].clone().value()["tags"].clone();
    assert_eq!([tags(0), tags(3), tags(4)], [json!({"team": "blue"}), json!({"a": "b"}), json!({"a": "b"})]);
}

fn log_groups_are_listed_by_their_names(region: &Region) {
    let make = |name: &str, class: &str| {
        ("OK", logs("create_log_group", json!({"logGroupName": name, "logGroupClass": class})))
    };
    let list = |input: Value| ("OK", logs("describe_log_groups", input));
    let answers = region.gets(vec![
        make("/aws/eks/test/cluster", "STANDARD"),
        make("other", "INFREQUENT_ACCESS"),
        list(json!({"logGroupNamePrefix": "/aws/eks/"})),
        list(json!({"logGroupNamePattern": "the"})),
        list(json!({"logGroupClass": "STANDARD"})),
        list(json!({"logGroupIdentifiers": ["other", arn()]})),
        (
            "InvalidParameterException",
            logs("describe_log_groups", json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "b"})),
        ),
        ("InvalidParameterException", logs("describe_log_groups", json!({"nextToken": "invented"}))),
    ]);
    let listed = |n: usize| names(&answers[n].clone().value());
    assert_eq!(listed(2), [NAME, "/aws/eks/test/cluster"]);
    assert_eq!(listed(3), ["other"]);
    assert_eq!(listed(4), [NAME, "/aws/eks/test/cluster"]);
    assert_eq!(listed(5), [NAME, "other"]);
    let pages = region.boto(vec![logs("describe_log_groups", json!({})).in_pages_of(1)]).remove(0).value();
    let pages: Vec<_> = pages.as_array().into_iter().flatten().flat_map(names).collect();
    assert_eq!(pages, [NAME, "/aws/eks/test/cluster", "other"]);
}

fn what_is_not_there_is_refused_by_name(region: &Region) {
    let make = |more: Value| {
        let input = merged(json!({"logGroupName": "refused"}), &more);
        ("InvalidParameterException", logs("create_log_group", input))
    };
    region.gets(vec![
        make(json!({"kmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/1"})),
        make(json!({"logGroupClass": "DELIVERY"})),
        make(json!({"tags": {"aws:x": "y"}})),
        ("InvalidParameterException", logs("create_log_group", json!({"logGroupName": "a b"}))),
    ]);
    let answer = region.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", "refused"]);
    assert_eq!(answer["logGroups"], json!([]));
}

fn a_protected_log_group_is_not_deleted(region: &Region) {
    let protect = |on: bool| {
        logs("put_log_group_deletion_protection", json!({"logGroupIdentifier": NAME, "deletionProtectionEnabled": on}))
    };
    region.gets(vec![
        ("OK", protect(true)),
        ("ValidationException", group("delete_log_group", json!({}))),
        ("OK", protect(false)),
        ("OK", group("delete_log_group", json!({}))),
        ("ResourceNotFoundException", group("delete_log_group", json!({}))),
    ]);
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let missing = |operation: &str, more: Value| ("ResourceNotFoundException", group(operation, more));
    let by_arn = |operation: &str, more: Value| {
        let input = merged(json!({"resourceArn": arn()}), &more);
        ("ResourceNotFoundException", logs(operation, input))
    };
    let protect = json!({"logGroupIdentifier": arn(), "deletionProtectionEnabled": true});
    let answers = region.gets(vec![
        missing("put_retention_policy", json!({"retentionInDays": 1})),
        missing("delete_retention_policy", json!({})),
        missing("list_tags_log_group", json!({})),
        by_arn("tag_resource", json!({"tags": {"a": "b"}})),
        by_arn("untag_resource", json!({"tagKeys": ["a"]})),
        by_arn("list_tags_for_resource", json!({})),
        ("ResourceNotFoundException", logs("put_log_group_deletion_protection", protect)),
    ]);
    let why = "The specified log group does not exist.";
    assert_eq!(answers[0].refusal(), refusal("ResourceNotFoundException", why));
}
