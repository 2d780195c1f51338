use super::*;
use serde_json::{Value, json};

fn policy(statements: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn allow(more: Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": "eks:Describe*", "Resource": "*"});
    statement.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    statement.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    statement
}

#[track_caller]
fn refused(text: &str, why: &str) {
    assert_eq!(Document::of_principal(text), Err(Malformed(why.into())), "{text}");
}

#[test]
fn a_policy_is_read_element_by_element() {
    let text = r#"{"Version": "2012-10-17", "Id": "x", "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": ["eks:Describe*", "eks:ListClusters"], "Resource": "arn:aws:eks:*:*:cluster/*"},
        {"Effect": "Deny", "NotAction": "iam:*", "NotResource": ["arn:aws:iam::*:role/${aws:username}"],
         "Condition": {"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": ["a*", 7]}, "Bool": {"aws:SecureTransport": false}}}]}"#;
    let document = Document::of_principal(text).unwrap();
    assert_eq!((document.version, document.id.as_deref()), (Version::V2012, Some("x")));
    let [read, deny] = &document.statements[..] else { panic!("{document:?}") };
    assert_eq!((read.sid.as_deref(), read.effect), (Some("Read"), Effect::Allow));
    assert_eq!(read.actions, Match::Only(vec!["eks:Describe*".into(), "eks:ListClusters".into()]));
    assert_eq!(deny.actions, Match::Except(vec!["iam:*".into()]));
    assert_eq!(deny.resources.named(), &["arn:aws:iam::*:role/${aws:username}"]);
    let [secure, tags] = &deny.conditions[..] else { panic!("{deny:?}") };
    assert_eq!((secure.key.as_str(), &secure.values[..]), ("aws:SecureTransport", &["false".to_owned()][..]));
    let like = Operator { quantifier: Some(Quantifier::AnyValue), test: Test::StringLike, if_exists: true };
    assert_eq!((tags.operator, &tags.values[..]), (like, &["a*".to_owned(), "7".to_owned()][..]));
}

#[test]
fn one_statement_may_stand_without_brackets_and_a_policy_without_its_version() {
    let text = json!({"Statement": allow(json!({}))}).to_string();
    let document = Document::of_principal(&text).unwrap();
    assert_eq!((document.version, document.statements.len()), (Version::V2008, 1));
}

#[test]
fn what_is_no_policy_is_refused_in_the_words_of_aws() {
    refused("{", "This policy contains invalid Json");
    for text in [
        "[]",
        "{}",
        r#"{"Version": "2013-10-17", "Statement": []}"#,
        r#"{"Version": "2012-10-17", "Statement": []}"#,
        r#"{"Statement": {}, "Statement": {}}"#,
    ] {
        refused(text, "Syntax errors in policy.");
    }
    for more in [
        json!({"Effect": "allow"}),
        json!({"Effect": null}),
        json!({"Actions": "eks:*"}),
        json!({"NotAction": "eks:*"}),
        json!({"NotResource": "*"}),
        json!({"Resource": [7]}),
        json!({"Condition": {"StringMatches": {"aws:username": "ada"}}}),
        json!({"Condition": {"NullIfExists": {"aws:username": "true"}}}),
        json!({"Condition": {"ForSomeValues:StringLike": {"aws:username": "ada"}}}),
        json!({"Condition": {"StringLike": "ada"}}),
    ] {
        refused(&policy(allow(more)), "Syntax errors in policy.");
    }
    for (more, why) in [
        (json!({"Principal": "*"}), "Policy document should not specify a principal."),
        (json!({"NotPrincipal": {"AWS": "1"}}), "Policy document should not specify a principal."),
        (json!({"Action": null}), "Policy statement must contain actions."),
        (json!({"Action": []}), "Policy statement must contain actions."),
        (json!({"Resource": null}), "Policy statement must contain resources."),
        (json!({"Action": "describe"}), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (json!({"Action": "eks:a:b"}), "Actions/Condition can contain only one colon."),
        (json!({"Action": "e ks:a"}), "Vendor e ks is not valid"),
        (json!({"Resource": "cluster"}), "Resource cluster must be in ARN format or \"*\"."),
        (json!({"Resource": "arn:aws"}), "Resource vendor must be fully qualified and cannot contain regexes."),
        (json!({"Resource": "arn:aws:s3:x"}), "The policy failed legacy parsing"),
        (json!({"Resource": "arn:gcp:s3:::x"}), "Partition \"gcp\" is not valid for resource \"arn:gcp:s3:::x\"."),
        (
            json!({"Resource": "arn:aws:iam:us-east-1:1:role/x"}),
            "IAM resource arn:aws:iam:us-east-1:1:role/x cannot contain region information.",
        ),
        (
            json!({"Sid": "a b"}),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
    ] {
        refused(&policy(allow(more)), why);
    }
    let twice = policy(json!([allow(json!({"Sid": "A"})), allow(json!({"Sid": "A"}))]));
    refused(&twice, "Statement IDs (SID) in a single policy must be unique.");
}

#[test]
fn a_resources_policy_says_who() {
    let of = |more: Value| Document::of_resource(&policy(allow(more)));
    for principal in [json!("*"), json!({"AWS": "*"}), json!({"Service": ["eks.amazonaws.com"], "AWS": ["1", "2"]})] {
        assert!(of(json!({"Principal": principal})).is_ok(), "{principal}");
    }
    assert_eq!(of(json!({})), Err(Malformed("Missing required field Principal".into())));
    assert_eq!(of(json!({"Principal": "ada"})), Err(Malformed("Invalid principal in policy.".into())));
    assert_eq!(of(json!({"Principal": {"User": "ada"}})), Err(Malformed("Syntax errors in policy.".into())));
}
