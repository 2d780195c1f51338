//! KMS: keys as records with states, policies and aliases.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const NONE: &str = "01234567-0123-4123-8123-0123456789ab";

fn kms(operation: &str, input: Value) -> Call {
    call("kms", operation, input)
}

fn of(key: &str, operation: &str, more: Value) -> Call {
    let input = merged(json!({"KeyId": key}), &more);
    kms(operation, input)
}

fn arn(resource: &str) -> String {
    format!("arn:aws:kms:us-east-1:{ACCOUNT}:{resource}")
}

#[test]
fn keys_are_records_with_states() {
    let region = Region::start();
    let made = region.aws(&["kms", "create-key", "--description", "of secrets", "--tags", "TagKey=team,TagValue=blue"]);
    let key = text(&made["KeyMetadata"], "KeyId").to_owned();
    steps!((&region, &key):
        a_key_is_found_by_id_arn_and_alias,
        a_key_is_switched_off_and_on,
        a_keys_policy_never_locks_its_owner_out,
        keys_have_tags,
        a_key_that_waits_for_its_deletion_is_left_alone,
        keys_and_aliases_are_listed_in_pages,
        what_is_not_offered_is_refused,
        every_operation_says_what_is_not_there,
    );
}

fn a_key_is_found_by_id_arn_and_alias(region: &Region, key: &str) {
    let alias = |operation: &str, name: &str| kms(operation, json!({"AliasName": name, "TargetKeyId": key}));
    let answers = region.gets(vec![
        ("OK", alias("create_alias", "alias/eks")),
        ("AlreadyExistsException", alias("create_alias", "alias/eks")),
        ("InvalidAliasNameException", alias("create_alias", "eks")),
        ("InvalidAliasNameException", alias("create_alias", "alias/aws/eks")),
        ("OK", alias("update_alias", "alias/eks")),
        ("OK", kms("list_aliases", json!({"KeyId": key}))),
    ]);
    let why = format!("An alias with the name {} already exists", arn("alias/eks"));
    assert_eq!(answers[1].refusal(), refusal("AlreadyExistsException", &why));
    let aliases = answers[5].clone().value()["Aliases"].clone();
    assert_eq!((text(&aliases[0], "AliasArn"), text(&aliases[0], "TargetKeyId")), (arn("alias/eks").as_str(), key));
    let by_id = region.aws(&["kms", "describe-key", "--key-id", key])["KeyMetadata"].clone();
    assert_eq!((text(&by_id, "KeyState"), text(&by_id, "Description")), ("Enabled", "of secrets"));
    assert_eq!((text(&by_id, "KeySpec"), text(&by_id, "KeyManager")), ("SYMMETRIC_DEFAULT", "CUSTOMER"));
    for name in [text(&by_id, "Arn"), "alias/eks", &arn("alias/eks")] {
        assert_eq!(region.aws(&["kms", "describe-key", "--key-id", name])["KeyMetadata"], by_id, "{name}");
    }
}

fn a_key_is_switched_off_and_on(region: &Region, key: &str) {
    let show = || ("OK", of(key, "describe_key", json!({})));
    let answers = region.gets(vec![
        ("OK", of(key, "disable_key", json!({}))),
        show(),
        ("OK", of(key, "enable_key", json!({}))),
        ("OK", of(key, "update_key_description", json!({"Description": "of all secrets"}))),
        show(),
    ]);
    let off = answers[1].clone().value()["KeyMetadata"].clone();
    assert!(off["KeyState"] == "Disabled" && off["Enabled"] == false, "{off}");
    let on = answers[4].clone().value()["KeyMetadata"].clone();
    assert!(on["KeyState"] == "Enabled" && on["Enabled"] == true && on["Description"] == "of all secrets", "{on}");
    let answers = region.gets(vec![
        ("OK", of(key, "get_key_rotation_status", json!({}))),
        ("OK", of(key, "enable_key_rotation", json!({"RotationPeriodInDays": 90}))),
        ("OK", of(key, "get_key_rotation_status", json!({}))),
        ("OK", of(key, "disable_key_rotation", json!({}))),
        ("OK", of(key, "disable_key", json!({}))),
        ("DisabledException", of(key, "enable_key_rotation", json!({"RotationPeriodInDays": 90}))),
        ("DisabledException", of(key, "disable_key_rotation", json!({}))),
        ("OK", of(key, "enable_key", json!({}))),
    ]);
    let status = |n: usize| answers[n].clone().value();
    assert_eq!(status(0)["KeyRotationEnabled"], false);
    assert_eq!((&status(2)["KeyRotationEnabled"], &status(2)["RotationPeriodInDays"]), (&json!(true), &json!(90)));
}

fn a_keys_policy_never_locks_its_owner_out(region: &Region, key: &str) {
    let get = || ("OK", of(key, "get_key_policy", json!({"PolicyName": "default"})));
    let put = |policy: &str, bypass: bool| {
        of(key, "put_key_policy", json!({"Policy": policy, "BypassPolicyLockoutSafetyCheck": bypass}))
    };
    let allow = |who: &str, action: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"a b","Effect":"Allow","Principal":{{"AWS":"{who}"}},"Action":"{action}","Resource":"*"}}]}}"#
        )
    };
    let admin = format!("arn:aws:iam::{ACCOUNT}:user/admin");
    let (own, theirs) = (allow(&admin, "kms:Put*"), allow("444455556666", "kms:*"));
    let answers = region.gets(vec![
        get(),
        ("OK", put(&own, false)),
        get(),
        ("MalformedPolicyDocumentException", put(&theirs, false)),
        ("MalformedPolicyDocumentException", put(&allow(&admin, "kms:Get*"), false)),
        ("MalformedPolicyDocumentException", put("{}", true)),
        get(),
        ("OK", put(&theirs, true)),
        ("OK", of(key, "list_key_policies", json!({}))),
        ("NotFoundException", of(key, "get_key_policy", json!({"PolicyName": "other"}))),
    ]);
    let policy = |n: usize| text(&answers[n].clone().value(), "Policy").to_owned();
    let usual: Value = serde_json::from_str(&policy(0)).expect("it is JSON");
    assert_eq!(usual["Statement"][0]["Principal"]["AWS"], format!("arn:aws:iam::{ACCOUNT}:root"));
    assert_eq!((policy(2), policy(6)), (own.clone(), own));
    let why = "The new key policy will not allow you to update the key policy in the future.";
    assert_eq!(answers[3].refusal(), refusal("MalformedPolicyDocumentException", why));
    assert_eq!(answers[8].clone().value()["PolicyNames"], json!(["default"]));
}

fn keys_have_tags(region: &Region, key: &str) {
    let answers = region.gets(vec![
        ("OK", of(key, "tag_resource", json!({"Tags": [{"TagKey": "a", "TagValue": ""}]}))),
        ("TagException", of(key, "tag_resource", json!({"Tags": [{"TagKey": "aws:a", "TagValue": ""}]}))),
        ("OK", of(key, "untag_resource", json!({"TagKeys": ["team", "none"]}))),
        ("OK", of(key, "list_resource_tags", json!({}))),
    ]);
    assert_eq!(answers[3].clone().value()["Tags"], json!([{"TagKey": "a", "TagValue": ""}]));
}

fn a_key_that_waits_for_its_deletion_is_left_alone(region: &Region, key: &str) {
    let arn = arn(&format!("key/{key}"));
    let waiting = |operation: &str, more: Value| ("KMSInvalidStateException", of(key, operation, more));
    let answers = region.gets(vec![
        ("ValidationException", of(key, "schedule_key_deletion", json!({"PendingWindowInDays": 6}))),
        ("KMSInvalidStateException", of(key, "cancel_key_deletion", json!({}))),
        ("OK", of(key, "schedule_key_deletion", json!({"PendingWindowInDays": 7}))),
        waiting("schedule_key_deletion", json!({})),
        waiting("enable_key", json!({})),
        waiting("disable_key", json!({})),
        waiting("tag_resource", json!({"Tags": [{"TagKey": "b", "TagValue": ""}]})),
        waiting("get_key_rotation_status", json!({})),
        ("KMSInvalidStateException", kms("create_alias", json!({"AliasName": "alias/late", "TargetKeyId": key}))),
        ("OK", of(key, "describe_key", json!({}))),
        ("OK", of(key, "cancel_key_deletion", json!({}))),
        ("OK", of(key, "describe_key", json!({}))),
        ("OK", of(key, "enable_key", json!({}))),
    ]);
    assert_eq!(answers[0].refusal().message, "PendingWindowInDays must be between 7 and 30 (inclusive)");
    let why = format!("{arn} is pending deletion.");
    assert_eq!(answers[4].refusal(), refusal("KMSInvalidStateException", &why));
    let shown = |n: usize| answers[n].clone().value()["KeyMetadata"].clone();
    assert!(shown(9)["KeyState"] == "PendingDeletion" && shown(9)["DeletionDate"].is_string(), "{}", shown(9));
    assert_eq!(text(&shown(11), "KeyState"), "Disabled");
}

fn keys_and_aliases_are_listed_in_pages(region: &Region, key: &str) {
    let alias = |n: u32| ("OK", kms("create_alias", json!({"AliasName": format!("alias/{n}"), "TargetKeyId": key})));
    region.gets(vec![("OK", kms("create_key", json!({}))), alias(1), alias(2)]);
    let pages = |operation: &str| region.boto(vec![kms(operation, json!({})).in_pages_of(1)]).remove(0).value();
    let all = |pages: &Value, list: &str, name: &str| -> Vec<String> {
        let items = pages.as_array().into_iter().flatten().flat_map(|page| page[list].as_array().into_iter().flatten());
        items.map(|item| text(item, name).to_owned()).collect()
    };
    let keys = all(&pages("list_keys"), "Keys", "KeyId");
    assert!(keys.len() == 2 && keys.is_sorted() && keys.iter().any(|id| id == key), "{keys:?}");
    assert_eq!(all(&pages("list_aliases"), "Aliases", "AliasName"), ["alias/1", "alias/2", "alias/eks"]);
    region.gets(vec![
        ("OK", kms("delete_alias", json!({"AliasName": "alias/1"}))),
        ("NotFoundException", kms("delete_alias", json!({"AliasName": "alias/1"}))),
        ("InvalidMarkerException", kms("list_keys", json!({"Marker": "invented"}))),
        ("InvalidMarkerException", kms("list_aliases", json!({"Marker": "invented"}))),
    ]);
}

fn what_is_not_offered_is_refused(region: &Region, _: &str) {
    let make = |input: Value| ("UnsupportedOperationException", kms("create_key", input));
    let before = region.aws(&["kms", "list-keys"]);
    region.gets(vec![
        make(json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"})),
        make(json!({"CustomerMasterKeySpec": "ECC_NIST_P256"})),
        make(json!({"KeyUsage": "GENERATE_VERIFY_MAC"})),
        make(json!({"Origin": "EXTERNAL"})),
        make(json!({"MultiRegion": true})),
        ("MalformedPolicyDocumentException", kms("create_key", json!({"Policy": "{"}))),
        ("TagException", kms("create_key", json!({"Tags": [{"TagKey": "aws:x", "TagValue": ""}]}))),
    ]);
    assert_eq!(region.aws(&["kms", "list-keys"]), before);
}

fn every_operation_says_what_is_not_there(region: &Region, _: &str) {
    let missing = |operation: &str, more: Value| ("NotFoundException", of(NONE, operation, more));
    let alias = |operation: &str| kms(operation, json!({"AliasName": "alias/none", "TargetKeyId": NONE}));
    let policy = r#"{"Statement":[]}"#;
    let answers = region.gets(vec![
        missing("describe_key", json!({})),
        missing("enable_key", json!({})),
        missing("disable_key", json!({})),
        missing("schedule_key_deletion", json!({})),
        missing("cancel_key_deletion", json!({})),
        missing("get_key_policy", json!({})),
        missing("put_key_policy", json!({"Policy": policy})),
        missing("list_key_policies", json!({})),
        missing("get_key_rotation_status", json!({})),
        missing("enable_key_rotation", json!({})),
        missing("update_key_description", json!({"Description": ""})),
        missing("tag_resource", json!({"Tags": [{"TagKey": "a", "TagValue": "b"}]})),
        missing("untag_resource", json!({"TagKeys": ["a"]})),
        missing("list_resource_tags", json!({})),
        ("NotFoundException", alias("create_alias")),
        ("NotFoundException", alias("update_alias")),
        ("NotFoundException", of("none", "describe_key", json!({}))),
        ("NotFoundException", of("alias/none", "describe_key", json!({}))),
        ("InvalidArnException", of("arn:aws:kms:eu-west-1:111122223333:key/x", "describe_key", json!({}))),
    ]);
    let why = format!("Key '{}' does not exist", arn(&format!("key/{NONE}")));
    assert_eq!(answers[0].refusal(), refusal("NotFoundException", &why));
    assert_eq!(answers[16].refusal().message, "Invalid keyId 'none'");
    assert_eq!(answers[17].refusal().message, format!("Alias {} is not found.", arn("alias/none")));
}
