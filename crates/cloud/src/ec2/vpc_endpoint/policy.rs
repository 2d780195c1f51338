//! Policies of endpoints. None narrows what an endpoint lets through here, so only the one that narrows nothing is taken.

use crate::ec2::offered::unsupported;
use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::Fault;
use serde_json::Value;

/// The policy of an endpoint that was given none: full access (AWS PrivateLink guide, "Default endpoint policy").
pub(super) const FULL_ACCESS: &str = r#"{
  "Statement": [
    {
      "Action": "*",
      "Effect": "Allow",
      "Principal": "*",
      "Resource": "*"
    }
  ]
}"#;

/// Refuses whatever does not allow everything to everybody.
pub(super) fn check(document: &str) -> Result<(), Fault> {
    let malformed = |_| {
        let why = "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.";
        api::INVALID_POLICY_DOCUMENT.fault(why)
    };
    let policy: Value = serde_json::from_str(document).map_err(malformed)?;
    let statements = match &policy["Statement"] {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    match statements.as_slice() {
        [only] if allows_everything(only) => Ok(()),
        _ => Err(unsupported("A VPC endpoint's policy is not enforced, so it can only be full access: leave it out.")),
    }
}

fn allows_everything(statement: &Value) -> bool {
    let Value::Object(members) = statement else { return false };
    let is_all = |value: &Value| *value == "*" || *value == serde_json::json!(["*"]);
    members.iter().all(|(name, value)| match name.as_str() {
        "Effect" => value == "Allow",
        "Action" | "Resource" => is_all(value),
        "Principal" => is_all(value) || value.as_object().is_some_and(|of| of.len() == 1 && is_all(&value["AWS"])),
        "Sid" => true,
        _ => false,
    }) && ["Effect", "Action", "Resource", "Principal"].iter().all(|name| members.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_wire::schema::Protocol;

    #[test]
    fn full_access_is_taken_however_it_is_written() {
        for policy in [
            FULL_ACCESS,
            r#"{"Version":"2012-10-17","Statement":{"Sid":"a","Effect":"Allow","Principal":{"AWS":"*"},"Action":["*"],"Resource":"*"}}"#,
        ] {
            assert!(check(policy).is_ok(), "{policy}");
        }
    }

    #[test]
    fn what_would_have_to_be_enforced_is_refused() {
        let code = |policy: &str| check(policy).unwrap_err().code.name(Protocol::Ec2Query);
        for policy in [
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ec2:*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"1"},"Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]}"#,
        ] {
            assert_eq!(code(policy), "Unsupported", "{policy}");
        }
        assert_eq!(code("full access"), "InvalidPolicyDocument");
    }
}
