use super::{Declared, Exceptions, judge, parse};

fn declared(operation: &str, errors: &[&str]) -> Declared {
    let errors = errors.iter().map(|code| (*code).to_owned()).collect();
    Declared { service: "eks".into(), operation: operation.into(), errors }
}

fn table(declared: &[Declared], exceptions: &str, answers: &str) -> String {
    let exceptions: Exceptions = toml::from_str(exceptions).unwrap();
    judge(declared, &exceptions, &parse(answers).unwrap()).table()
}

#[test]
fn an_operation_must_have_succeeded_and_failed_with_an_error_of_its_own() {
    let both = [declared("DeleteCluster", &["ResourceInUseException"])];
    let seen = "eks DeleteCluster OK\neks DeleteCluster ResourceInUseException\n";
    let whole = "1 of 1 operations seen to succeed and to fail as modelled\n";
    assert_eq!(table(&both, "", seen), whole);
    assert!(table(&both, "", "").contains("never seen to succeed"));
    let denied = table(&both, "", "eks DeleteCluster OK\neks DeleteCluster AccessDeniedException\n");
    let missing = "eks  DeleteCluster  never seen to fail with ResourceInUseException; seen: AccessDeniedException\n";
    assert!(denied.starts_with(missing) && denied.contains("0 of 1"), "{denied}");
}

#[test]
fn an_operation_without_errors_of_its_own_or_with_an_exception_may_fail_in_any_way() {
    let seen = "eks ListAccessPolicies OK\neks ListAccessPolicies UnrecognizedClientException\n";
    assert!(table(&[declared("ListAccessPolicies", &[])], "", seen).starts_with("1 of 1"));
    let own = [declared("ListAccessPolicies", &["ResourceLimitExceededException"])];
    assert!(table(&own, "", seen).contains("0 of 1"));
    let exceptions = "[any-refusal.eks]\nListAccessPolicies = \"nobody reaches the limit\"\n";
    assert!(table(&own, exceptions, seen).starts_with("1 of 1"));
}

#[test]
fn internal_failures_and_exceptions_that_nobody_needs_are_findings() {
    let own = [declared("ListTags", &[])];
    let seen = "eks ListTags OK\neks ListTags InternalFailure\n";
    let found = table(&own, "[any-refusal.eks]\nListTags = \"why\"\nNone = \"why\"\n", seen);
    for finding in ["answered InternalFailure", "fail with any refusal", "ListTags  needs no exc", "None      needs no"]
    {
        assert!(found.contains(finding), "{finding}: {found}");
    }
}

#[test]
fn a_line_that_is_no_answer_is_refused() {
    assert!(parse("eks DescribeCluster\n").is_err());
}
