use super::*;
use roadstead_types::Arn;
use serde_json::{Value, json};

fn user() -> Identity {
    let arn = "arn:aws:iam::111122223333:user/team/ada".parse().unwrap();
    Identity { arn, role: None, unique_id: "AIDAEXAMPLE".into(), account: "111122223333".into() }
}

fn session() -> Identity {
    let role: Arn = "arn:aws:iam::111122223333:role/team/dev".parse().unwrap();
    let arn = "arn:aws:sts::111122223333:assumed-role/dev/ada".parse().unwrap();
    Identity { arn, role: Some(role), unique_id: "AROAEXAMPLE:ada".into(), account: "111122223333".into() }
}

fn allow(principal: Value) -> Value {
    json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
}

fn context() -> Context {
    let mut context = Context::default();
    context.put("sts:externalid", Some("secret".into()));
    context.put("aws:principaltag/none", None);
    context
}

fn ask(statements: Value, who: Who<'_>) -> Verdict {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    evaluate(&policy, who, "sts:AssumeRole", &context())
}

#[track_caller]
fn allows(statements: Value, who: &Identity) {
    assert_eq!(ask(statements, Who::Identity(who)), Verdict::Allowed);
}

#[track_caller]
fn refuses(statements: Value, who: &Identity) {
    assert_eq!(ask(statements, Who::Identity(who)), Verdict::Refused(None));
}

#[test]
fn a_principal_is_named_by_its_arn_its_account_or_its_role() {
    for principal in ["111122223333", "arn:aws:iam::111122223333:root", "*"] {
        allows(allow(json!({"AWS": principal})), &user());
        allows(allow(json!({"AWS": principal})), &session());
    }
    allows(allow(json!("*")), &user());
    allows(allow(json!({"AWS": ["444455556666", "arn:aws:iam::111122223333:user/team/ada"]})), &user());
    allows(allow(json!({"AWS": "arn:aws:iam::111122223333:role/team/dev"})), &session());
    allows(allow(json!({"AWS": "arn:aws:sts::111122223333:assumed-role/dev/ada"})), &session());
}

#[test]
fn who_is_not_named_is_refused() {
    for principal in [
        "444455556666",
        "arn:aws:iam::444455556666:root",
        "arn:aws:iam::111122223333:user/ada",
        "arn:aws:iam::111122223333:user/*",
        "arn:aws:iam::111122223333:user/team/ada/x",
        "arn:aws:sts::111122223333:assumed-role/dev/eve",
        "",
    ] {
        refuses(allow(json!({"AWS": principal})), &user());
        refuses(allow(json!({"AWS": principal})), &session());
    }
    refuses(allow(json!({"Service": "ec2.amazonaws.com"})), &user());
    refuses(allow(json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/x"})), &user());
    refuses(json!([]), &user());
}

#[test]
fn a_service_is_who_is_named_as_one() {
    let ec2 = Who::Service("ec2.amazonaws.com");
    assert_eq!(ask(allow(json!({"Service": ["eks.amazonaws.com", "ec2.amazonaws.com"]})), ec2), Verdict::Allowed);
    for principal in [json!("*"), json!({"AWS": "*"}), json!({"Service": "ec2.amazonaws.com.cn"})] {
        assert_eq!(ask(allow(principal), ec2), Verdict::Refused(None));
    }
}

#[test]
fn the_action_may_be_a_pattern_in_any_case() {
    for action in [json!("sts:*"), json!("*"), json!("STS:assumerole"), json!(["sts:TagSession", "sts:Assume?ole"])] {
        allows(json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": action}), &user());
    }
    refuses(json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRoleWith*"}), &user());
}

#[test]
fn a_denial_counts_more_than_any_number_of_permissions() {
    let deny = json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "*"});
    refuses(json!([allow(json!("*")), deny, allow(json!({"AWS": "*"}))]), &user());
    let other = json!({"Effect": "Deny", "Principal": {"AWS": "444455556666"}, "Action": "*"});
    allows(json!([other, allow(json!("*"))]), &user());
}

fn with(condition: &Value) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", "Condition": condition})
}

#[test]
fn conditions_are_met_or_not() {
    for condition in [
        json!({"StringEquals": {"sts:ExternalId": "secret"}}),
        json!({"StringEquals": {"STS:externalid": ["other", "secret"]}}),
        json!({"StringNotEquals": {"sts:ExternalId": ["a", "b"]}, "StringLike": {"sts:ExternalId": "s*"}}),
        json!({"StringEqualsIgnoreCase": {"sts:ExternalId": "SECRET"}}),
        json!({"StringEqualsIfExists": {"aws:PrincipalTag/none": "x"}}),
        json!({"StringNotEquals": {"aws:PrincipalTag/none": "x"}}),
        json!({"Null": {"aws:PrincipalTag/none": true, "sts:ExternalId": "false"}}),
    ] {
        allows(with(&condition), &user());
    }
    for condition in [
        json!({"StringEquals": {"sts:ExternalId": "Secret"}}),
        json!({"StringEquals": {"aws:PrincipalTag/none": "x"}}),
        json!({"Bool": {"aws:PrincipalTag/none": "true"}}),
        json!({"StringLike": {"sts:ExternalId": "s*"}, "StringNotLike": {"sts:ExternalId": "*t"}}),
        json!({"Null": {"sts:ExternalId": "true"}}),
    ] {
        refuses(with(&condition), &user());
    }
}

#[test]
fn what_is_not_evaluated_lets_nobody_in_and_is_named() {
    let verdict = |statements: Value| ask(statements, Who::Identity(&user()));
    let named = |what: &str| Verdict::Refused(Some(what.to_owned()));
    let unknown = json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}});
    assert_eq!(verdict(with(&unknown)), named("the condition StringEquals aws:SourceVpc"));
    let dated = json!({"DateLessThan": {"sts:ExternalId": "2027-01-01T00:00:00Z"}});
    assert_eq!(verdict(with(&dated)), named("the condition DateLessThan sts:ExternalId"));
    let variable = json!({"StringEquals": {"sts:ExternalId": "${aws:username}"}});
    assert_eq!(verdict(with(&variable)), named("the condition StringEquals sts:ExternalId"));
    let but = json!({"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "*"});
    assert_eq!(verdict(json!([allow(json!("*")), but])), named("NotPrincipal or NotAction"));
    // Another condition that is surely not met settles it.
    let both = json!({"StringEquals": {"aws:SourceVpc": "vpc-1", "sts:ExternalId": "x"}});
    assert_eq!(verdict(with(&both)), Verdict::Refused(None));
}

#[test]
fn what_is_no_trust_policy_is_refused_with_its_reason() {
    let why = |text: &str| check(text).unwrap_err().message;
    assert_eq!(why("{"), "This policy contains invalid Json");
    for text in [
        "[]",
        r#"{"Statement": 1}"#,
        r#"{"Statement": {"Effect": "allow", "Principal": "*", "Action": "*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": 5}, "Action": "*"}}"#,
    ] {
        assert_eq!(why(text), "Syntax errors in policy.", "{text}");
    }
    let nobody = json!({"Statement": [{"Effect": "Allow", "Action": "*"}]}).to_string();
    assert_eq!(why(&nobody), "Missing required field Principal");
    let nothing = json!({"Statement": [{"Effect": "Allow", "Principal": "*"}]}).to_string();
    assert_eq!(why(&nothing), "Missing required field Action");
    assert_eq!(evaluate("{", Who::Identity(&user()), "sts:AssumeRole", &context()), Verdict::Refused(None));
}
