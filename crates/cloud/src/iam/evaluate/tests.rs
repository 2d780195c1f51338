use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Keys by their names in lower case.
struct Known(BTreeMap<&'static str, Vec<&'static str>>);

impl Keys for Known {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        Some(self.0.get(key)?.iter().map(|value| (*value).to_owned()).collect())
    }
}

fn known() -> Known {
    let keys: [(&str, &[&str]); 11] = [
        ("aws:username", &["ada"]),
        ("aws:principalarn", &["arn:aws:iam::111122223333:user/team/ada"]),
        ("aws:requestedregion", &["us-east-1"]),
        ("aws:currenttime", &["2026-11-30T12:00:00Z"]),
        ("aws:epochtime", &["1796040000"]),
        ("aws:sourceip", &["203.0.113.7"]),
        ("aws:securetransport", &["true"]),
        ("aws:tagkeys", &["team", "stage"]),
        ("aws:requesttag/team", &["blue"]),
        ("aws:principaltag/star", &["*"]),
        ("x:blob", &["QmluYXJ5VmFsdWVJbkJhc2U2NA=="]),
    ];
    Known(keys.into_iter().map(|(key, values)| (key, values.to_vec())).collect())
}

fn rules(statements: &Value) -> Rules {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Rules::of(&crate::iam::grammar::Document::of_principal(&text).unwrap())
}

fn ask(policies: &[Rules], action: &str, resource: &str) -> Verdict {
    evaluate(policies, &Question { action, resource, keys: &known() })
}

fn allow(action: Value, resource: Value) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

const CLUSTER: &str = "arn:aws:eks:us-east-1:111122223333:cluster/demo";

#[test]
fn what_nobody_allows_is_not_allowed() {
    assert_eq!(ask(&[], "eks:ListClusters", "*"), Verdict::Silent);
    let other = rules(&allow(json!("ec2:*"), json!("*")));
    assert_eq!(ask(&[other], "eks:ListClusters", "*"), Verdict::Silent);
}

#[test]
fn a_denial_counts_more_than_any_number_of_permissions() {
    let all = rules(&allow(json!("*"), json!("*")));
    let deny = rules(&json!({"Effect": "Deny", "Action": "eks:Delete*", "Resource": "*"}));
    for order in [[all.clone(), deny.clone(), all.clone()], [deny, all.clone(), all]] {
        assert_eq!(ask(&order, "eks:DeleteCluster", CLUSTER), Verdict::Denied);
        assert_eq!(ask(&order, "eks:DescribeCluster", CLUSTER), Verdict::Allowed);
    }
}

#[test]
fn actions_are_patterns_in_any_case() {
    for (pattern, action, is) in [
        ("*", "eks:DescribeCluster", true),
        ("eks:*", "eks:DescribeCluster", true),
        ("EKS:describe*", "eks:DescribeCluster", true),
        ("eks:Describe?luster", "eks:DescribeCluster", true),
        ("eks:Describe", "eks:DescribeCluster", false),
        ("eks:*", "eks-auth:AssumeRoleForPodIdentity", false),
        ("iam:*AccessKey*", "iam:ListAccessKeys", true),
    ] {
        let said = ask(&[rules(&allow(json!(pattern), json!("*")))], action, "*");
        assert_eq!(said == Verdict::Allowed, is, "{pattern} {action}");
    }
}

#[test]
fn resources_are_patterns_part_by_part() {
    for (pattern, resource, is) in [
        ("*", "*", true),
        ("*", CLUSTER, true),
        ("arn:aws:eks:*:111122223333:cluster/*", CLUSTER, true),
        ("arn:aws:eks:*:*:cluster/dem?", CLUSTER, true),
        ("arn:*:eks:*:*:*", CLUSTER, true),
        ("arn:aws:eks:us-west-2:*:cluster/*", CLUSTER, false),
        ("arn:aws:eks:*:*:cluster/Demo", CLUSTER, false),
        ("arn:aws:eks:*:*:cluster/demo", "*", false),
        // A star takes nothing of the next part.
        ("arn:aws:iam::*:role/x", "arn:aws:iam::1:user/a:role/x", false),
        ("arn:aws:iam::*:role/*", "arn:aws:iam::1:role/team/x", true),
        ("arn:aws:ssm:*:*:parameter/a:*", "arn:aws:ssm:us-east-1:1:parameter/a:b:c", true),
        ("arn:aws:ec2:*::image/*", "arn:aws:ec2:us-east-1::image/ami-1", true),
    ] {
        let said = ask(&[rules(&allow(json!("*"), json!(pattern)))], "eks:DescribeCluster", resource);
        assert_eq!(said == Verdict::Allowed, is, "{pattern} {resource}");
    }
}

#[test]
fn what_is_excepted_is_all_but_that() {
    let power = rules(&json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*"}));
    assert_eq!(ask(std::slice::from_ref(&power), "eks:CreateCluster", CLUSTER), Verdict::Allowed);
    assert_eq!(ask(&[power], "IAM:CreateUser", "*"), Verdict::Silent);
    let fence = rules(&json!([
        allow(json!("*"), json!("*")),
        {"Effect": "Deny", "Action": "*", "NotResource": ["arn:aws:eks:*:*:cluster/demo", "arn:aws:iam::*:user/*"]}
    ]));
    assert_eq!(ask(std::slice::from_ref(&fence), "eks:DescribeCluster", CLUSTER), Verdict::Allowed);
    assert_eq!(ask(&[fence], "eks:DescribeCluster", "arn:aws:eks:us-east-1:1:cluster/other"), Verdict::Denied);
}

#[test]
fn variables_stand_for_what_the_request_has() {
    let of = |user: &str| format!("arn:aws:iam::111122223333:user/{user}");
    for (pattern, user, is) in [
        ("${aws:username}", "ada", true),
        ("${AWS:UserName}", "ada", true),
        ("${aws:username}-*", "ada-2", true),
        ("${aws:username}", "eve", false),
        // A value's own star is a character.
        ("${aws:PrincipalTag/star}", "ada", false),
        ("${aws:PrincipalTag/star}", "*", true),
        ("${*}", "ada", false),
        ("${*}${?}${$}", "*?$", true),
        ("${aws:PrincipalTag/none}", "", false),
        ("${aws:PrincipalTag/none, 'ada'}", "ada", true),
        ("${aws:username, 'eve'}", "ada", true),
        // A key of many values is no text.
        ("${aws:TagKeys}", "team", false),
        ("${aws:username", "${aws:username", true),
    ] {
        let pattern = of(pattern);
        let said = ask(&[rules(&allow(json!("iam:*"), json!(pattern)))], "iam:GetUser", &of(user));
        assert_eq!(said == Verdict::Allowed, is, "{pattern} {user}");
    }
}

#[test]
fn the_older_language_has_no_variables() {
    let text = |version: &str| {
        json!({"Version": version, "Statement": allow(json!("*"), json!("arn:aws:iam::1:user/${aws:username}"))})
            .to_string()
    };
    let said = |version: &str, user: &str| {
        ask(&[Rules::read(&text(version))], "iam:GetUser", &format!("arn:aws:iam::1:user/{user}"))
    };
    assert_eq!((said("2012-10-17", "ada"), said("2008-10-17", "ada")), (Verdict::Allowed, Verdict::Silent));
    assert_eq!(said("2008-10-17", "${aws:username}"), Verdict::Allowed);
}

#[test]
fn what_is_no_policy_denies() {
    assert_eq!(
        ask(&[Rules::read("{"), rules(&allow(json!("*"), json!("*")))], "eks:ListClusters", "*"),
        Verdict::Denied
    );
}

#[track_caller]
fn conditions(cases: &[(Value, bool)]) {
    for (condition, met) in cases {
        let mut statement = allow(json!("*"), json!("*"));
        statement["Condition"] = condition.clone();
        let said = ask(&[rules(&statement)], "eks:ListClusters", "*");
        assert_eq!(said == Verdict::Allowed, *met, "{condition}");
    }
}

#[test]
fn texts_are_compared() {
    conditions(&[
        (json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}), true),
        (json!({"StringEquals": {"AWS:requestedregion": ["eu-west-1", "us-east-1"]}}), true),
        (json!({"StringEquals": {"aws:RequestedRegion": "US-EAST-1"}}), false),
        (json!({"StringEquals": {"aws:RequestedRegion": "us-*"}}), false),
        (json!({"StringEqualsIgnoreCase": {"aws:RequestedRegion": "US-EAST-1"}}), true),
        (json!({"StringNotEqualsIgnoreCase": {"aws:RequestedRegion": "US-EAST-1"}}), false),
        (json!({"StringLike": {"aws:RequestedRegion": ["eu-*", "us-*"]}}), true),
        (json!({"StringNotLike": {"aws:RequestedRegion": ["eu-*", "us-*"]}}), false),
        (json!({"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "us-west-2"]}}), true),
        (json!({"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}), false),
        (json!({"StringEquals": {"aws:username": "${aws:username}"}}), true),
        (json!({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/team/${aws:username}"}}), true),
        (json!({"StringEquals": {"aws:username": "${aws:PrincipalTag/none}"}}), false),
        (json!({"StringNotEquals": {"aws:username": "${aws:PrincipalTag/none}"}}), false),
        (json!({"StringNotEquals": {"aws:username": "${aws:PrincipalTag/none, 'eve'}"}}), true),
        // All operators, and all keys of each.
        (json!({"StringEquals": {"aws:username": "ada", "aws:RequestedRegion": "eu-west-1"}}), false),
        (json!({"StringEquals": {"aws:username": "ada"}, "Bool": {"aws:SecureTransport": "false"}}), false),
    ]);
}

#[test]
fn arns_are_compared_part_by_part() {
    conditions(&[
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/team/*"}}), true),
        (json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/*"}}), true),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam:*:user/team/ada"}}), false),
        (json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}), true),
        (json!({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}), false),
        (json!({"ArnLike": {"aws:username": "arn:aws:iam::*:user/*"}}), false),
    ]);
}

#[test]
fn numbers_dates_booleans_bytes_and_addresses_are_compared() {
    conditions(&[
        (json!({"NumericLessThan": {"aws:EpochTime": 1_796_040_001}}), true),
        (json!({"NumericLessThan": {"aws:EpochTime": "1796040000"}}), false),
        (json!({"NumericLessThanEquals": {"aws:EpochTime": "1796040000"}}), true),
        (json!({"NumericGreaterThan": {"aws:EpochTime": "1e3"}}), true),
        (json!({"NumericGreaterThanEquals": {"aws:EpochTime": "1796040000.5"}}), false),
        (json!({"NumericEquals": {"aws:EpochTime": "1796040000.0"}}), true),
        (json!({"NumericNotEquals": {"aws:EpochTime": ["1", "1796040000"]}}), false),
        (json!({"NumericEquals": {"aws:username": "ada"}}), false),
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}), true),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-30"}}), true),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-30T13:00+02:00"}}), true),
        (json!({"DateLessThanEquals": {"aws:CurrentTime": "2026-11-30T12:00:00Z"}}), true),
        (json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2026-11-30T12:00:00.001Z"}}), false),
        (json!({"DateEquals": {"aws:CurrentTime": "2026-11-30T14:00:00+02:00"}}), true),
        (json!({"DateLessThan": {"aws:EpochTime": "2027-01-01T00:00:00Z"}}), true),
        (json!({"DateNotEquals": {"aws:CurrentTime": "2026-11-30T12:00:00Z"}}), false),
        (json!({"DateLessThan": {"aws:CurrentTime": "tomorrow"}}), false),
        (json!({"Bool": {"aws:SecureTransport": true}}), true),
        (json!({"Bool": {"aws:SecureTransport": "False"}}), false),
        (json!({"BinaryEquals": {"x:blob": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}), true),
        (json!({"BinaryEquals": {"x:blob": "QmluYXJ5"}}), false),
        (json!({"IpAddress": {"aws:SourceIp": ["198.51.100.0/24", "203.0.113.0/24"]}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "203.0.113.7"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/29"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "203.0.113.8/29"}}), false),
        (json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": ["::/0", "203.0.113.0/33", "here"]}}), false),
        (json!({"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "10.0.0.0/8"]}}), false),
        (json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), true),
    ]);
}

#[test]
fn a_key_that_is_not_there_is_missing() {
    conditions(&[
        (json!({"StringEquals": {"aws:none": "x"}}), false),
        (json!({"StringNotEquals": {"aws:none": "x"}}), true),
        (json!({"ArnNotLike": {"aws:none": "arn:aws:iam::*:user/*"}}), true),
        (json!({"NotIpAddress": {"aws:none": "10.0.0.0/8"}}), true),
        (json!({"NumericLessThan": {"aws:none": "5"}}), false),
        (json!({"Bool": {"aws:none": "false"}}), false),
        (json!({"StringEqualsIfExists": {"aws:none": "x"}}), true),
        (json!({"BoolIfExists": {"aws:none": "true"}}), true),
        (json!({"StringEqualsIfExists": {"aws:username": "eve"}}), false),
        (json!({"Null": {"aws:none": "true", "aws:username": "false"}}), true),
        (json!({"Null": {"aws:none": "false"}}), false),
        (json!({"Null": {"aws:username": true}}), false),
    ]);
}

/// The tables of "Multivalued context keys" in the IAM user guide.
#[test]
fn of_a_key_with_many_values_all_or_any_must_pass() {
    conditions(&[
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "stage", "cost"]}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}), false),
        (json!({"ForAllValues:StringLike": {"aws:TagKeys": ["t*", "s*"]}}), true),
        (json!({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["cost"]}}), true),
        (json!({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["team"]}}), false),
        (json!({"ForAllValues:StringEquals": {"aws:none": "x"}}), true),
        (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team", "cost"]}}), true),
        (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["cost"]}}), false),
        (json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team"]}}), true),
        (json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team", "stage"]}}), false),
        (json!({"ForAnyValue:StringEquals": {"aws:none": "x"}}), false),
        (json!({"ForAnyValue:StringNotEquals": {"aws:none": "x"}}), false),
        (json!({"ForAnyValue:StringEqualsIfExists": {"aws:none": "x"}}), true),
        (json!({"StringEquals": {"aws:TagKeys": "stage"}}), true),
        (json!({"StringNotEquals": {"aws:TagKeys": "stage"}}), false),
    ]);
}

/// IAM user guide, "Determining whether a request is allowed or denied": the policy of Carlos Salazar.
#[test]
fn the_example_of_aws_is_decided_as_aws_decides_it() {
    let carlos = rules(&json!([
        {"Sid": "AllowS3ListRead", "Effect": "Allow",
         "Action": ["s3:GetBucketLocation", "s3:ListAllMyBuckets"], "Resource": "arn:aws:s3:::*"},
        {"Sid": "AllowS3Self", "Effect": "Allow", "Action": "s3:*",
         "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"]},
        {"Sid": "DenyS3Logs", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::*log*"}
    ]));
    let said = |action: &str, resource: &str| ask(std::slice::from_ref(&carlos), action, resource);
    assert_eq!(said("s3:PutObject", "arn:aws:s3:::carlossalazar/notes"), Verdict::Allowed);
    assert_eq!(said("s3:GetBucketLocation", "arn:aws:s3:::other"), Verdict::Allowed);
    assert_eq!(said("s3:GetObject", "arn:aws:s3:::other/x"), Verdict::Silent);
    assert_eq!(said("s3:PutObject", "arn:aws:s3:::carlossalazar/logs/1"), Verdict::Denied);
}

/// IAM user guide, "AWS: Denies access to AWS based on the requested Region".
#[test]
fn a_region_may_be_denied_but_for_global_services() {
    let fence = rules(&json!([
        allow(json!("*"), json!("*")),
        {"Effect": "Deny", "NotAction": ["iam:*", "sts:*"], "Resource": "*",
         "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}}
    ]));
    assert_eq!(ask(std::slice::from_ref(&fence), "ec2:DescribeVpcs", "*"), Verdict::Denied);
    assert_eq!(ask(&[fence], "iam:ListUsers", "*"), Verdict::Allowed);
}

#[test]
fn a_pattern_takes_what_its_stars_and_marks_stand_for() {
    for (pattern, text) in [("*", ""), ("a*c", "abbc"), ("a*b*c", "aXbYbc"), ("?b", "ab"), ("**", "x"), ("", "")] {
        assert!(wild(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("?", ""), ("a*c", "abcd"), ("ab", "a"), ("a", "ab"), ("a*b*c", "acb")] {
        assert!(!wild(pattern, text), "{pattern} {text}");
    }
}
