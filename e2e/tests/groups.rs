//! Users, their groups and the policies of both; access keys that are switched off.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const READ: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:Describe*","Resource":"*"}]}"#;
const AWS_POLICY: &str = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";

fn names(list: &Value, name: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| text(item, name).to_owned()).collect()
}

fn iam(operation: &str, input: Value) -> Call {
    call("iam", operation, input)
}

#[test]
fn users_are_in_groups_and_both_have_policies() {
    let region = Region::start();
    steps!((&region):
        a_user_is_in_groups,
        users_and_groups_have_policies,
        who_has_something_is_not_deleted,
        a_user_is_renamed_and_keeps_what_is_theirs,
        a_key_that_is_switched_off_is_refused_at_once,
        an_account_has_an_alias,
        every_operation_says_what_is_not_there,
    );
}

fn a_user_is_in_groups(region: &Region) {
    let made = region.aws(&["iam", "create-group", "--group-name", "readers", "--path", "/team/"])["Group"].clone();
    assert_eq!(text(&made, "Arn"), format!("arn:aws:iam::{ACCOUNT}:group/team/readers"));
    assert!(text(&made, "GroupId").starts_with("AGPA"), "{made}");
    let both = || json!({"GroupName": "READERS", "UserName": "ada"});
    let answers = region.gets(vec![
        ("EntityAlreadyExists", iam("create_group", json!({"GroupName": "Readers"}))),
        ("OK", iam("create_user", json!({"UserName": "ada"}))),
        ("OK", iam("add_user_to_group", both())),
        ("OK", iam("add_user_to_group", both())),
        ("OK", iam("get_group", json!({"GroupName": "readers"}))),
        ("OK", iam("list_groups_for_user", json!({"UserName": "ada"}))),
        ("OK", iam("list_groups", json!({"PathPrefix": "/team/"}))),
        ("OK", iam("list_groups", json!({"PathPrefix": "/other/"}))),
        ("OK", iam("tag_user", json!({"UserName": "ada", "Tags": [{"Key": "team", "Value": "blue"}]}))),
        ("OK", iam("tag_user", json!({"UserName": "ada", "Tags": [{"Key": "a", "Value": ""}]}))),
        ("OK", iam("untag_user", json!({"UserName": "ada", "TagKeys": ["a"]}))),
        ("OK", iam("list_user_tags", json!({"UserName": "ada"}))),
    ]);
    assert_eq!(answers[0].refusal(), refusal("EntityAlreadyExists", "Group with name Readers already exists."));
    let answer = |n: usize| answers[n].clone().value();
    assert_eq!(names(&answer(4)["Users"], "UserName"), ["ada"]);
    assert_eq!(names(&answer(5)["Groups"], "GroupName"), ["readers"]);
    assert_eq!(names(&answer(6)["Groups"], "GroupName"), ["readers"]);
    assert_eq!(answer(7)["Groups"], json!([]));
    assert_eq!(answer(11)["Tags"], json!([{"Key": "team", "Value": "blue"}]));
}

fn users_and_groups_have_policies(region: &Region) {
    for (kind, who) in [("user", json!({"UserName": "ada"})), ("group", json!({"GroupName": "readers"}))] {
        let with = |operation: &str, more: Value| {
            let input = merged(who.clone(), &more);
            iam(&operation.replace("KIND", kind), input)
        };
        let arn = json!({"PolicyArn": AWS_POLICY});
        let inline = json!({"PolicyName": "inline"});
        let put = |document: &str| with("put_KIND_policy", json!({"PolicyName": "inline", "PolicyDocument": document}));
        let answers = region.gets(vec![
            ("OK", with("attach_KIND_policy", arn.clone())),
            ("OK", with("list_attached_KIND_policies", json!({}))),
            ("OK", with("list_attached_KIND_policies", json!({"PathPrefix": "/service-role/"}))),
            ("OK", iam("list_entities_for_policy", arn.clone())),
            ("OK", put(READ)),
            ("MalformedPolicyDocument", put("{}")),
            ("OK", with("list_KIND_policies", json!({}))),
            ("OK", with("get_KIND_policy", inline.clone())),
            ("OK", with("delete_KIND_policy", inline.clone())),
            ("NoSuchEntity", with("get_KIND_policy", inline)),
            ("OK", with("detach_KIND_policy", arn.clone())),
            ("NoSuchEntity", with("detach_KIND_policy", arn)),
        ]);
        let answer = |n: usize| answers[n].clone().value();
        assert_eq!(names(&answer(1)["AttachedPolicies"], "PolicyArn"), [AWS_POLICY]);
        assert_eq!(answer(2)["AttachedPolicies"], json!([]));
        let entities = answer(3);
        let (users, groups) =
            (names(&entities["PolicyUsers"], "UserName"), names(&entities["PolicyGroups"], "GroupName"));
        assert_eq!([users, groups].concat(), [if kind == "user" { "ada" } else { "readers" }]);
        assert_eq!(names(&entities["PolicyRoles"], "RoleName"), ["eks-node-role"]);
        assert_eq!(answer(6)["PolicyNames"], json!(["inline"]));
        assert_eq!(answer(7)["PolicyDocument"], serde_json::from_str::<Value>(READ).expect("it is JSON"));
        let why = format!("The {kind} policy with name inline cannot be found.");
        assert_eq!(answers[9].refusal(), refusal("NoSuchEntity", &why));
    }
}

fn who_has_something_is_not_deleted(region: &Region) {
    let user = || json!({"UserName": "ada"});
    let group = || json!({"GroupName": "readers"});
    let both = || json!({"GroupName": "readers", "UserName": "ada"});
    let policy = |who: Value| {
        let mut input = json!({"PolicyArn": AWS_POLICY});
        input.as_object_mut().expect("it is one").extend(who.as_object().cloned().unwrap_or_default());
        input
    };
    let inline = |who: Value| {
        let mut input = json!({"PolicyName": "p", "PolicyDocument": READ});
        input.as_object_mut().expect("it is one").extend(who.as_object().cloned().unwrap_or_default());
        input
    };
    let answers = region.gets(vec![
        ("DeleteConflict", iam("delete_user", user())),
        ("DeleteConflict", iam("delete_group", group())),
        ("OK", iam("remove_user_from_group", both())),
        ("OK", iam("remove_user_from_group", both())),
        ("OK", iam("attach_user_policy", policy(user()))),
        ("DeleteConflict", iam("delete_user", user())),
        ("OK", iam("detach_user_policy", policy(user()))),
        ("OK", iam("put_group_policy", inline(group()))),
        ("DeleteConflict", iam("delete_group", group())),
        ("OK", iam("delete_group_policy", json!({"GroupName": "readers", "PolicyName": "p"}))),
        ("OK", iam("delete_group", group())),
        ("OK", iam("delete_user", user())),
    ]);
    let why = |n: usize| answers[n].refusal().message;
    assert_eq!(why(0), "Cannot delete entity, must remove users from group first.");
    assert_eq!(why(1), "Cannot delete entity, must remove users from group first.");
    assert_eq!(why(5), "Cannot delete entity, must detach all policies first.");
    assert_eq!(why(8), "Cannot delete entity, must delete policies first.");
}

fn a_user_is_renamed_and_keeps_what_is_theirs(region: &Region) {
    region.gets(vec![("OK", iam("create_user", json!({"UserName": "eve"})))]);
    let key = region.aws(&["iam", "create-access-key", "--user-name", "eve"])["AccessKey"].clone();
    let eve = region.client().with_key(text(&key, "AccessKeyId"), text(&key, "SecretAccessKey"));
    let before = eve.aws(&["sts", "get-caller-identity"]);
    let rename = json!({"UserName": "eve", "NewUserName": "Eva", "NewPath": "/team/"});
    let answers = region.gets(vec![
        ("EntityAlreadyExists", iam("update_user", json!({"UserName": "eve", "NewUserName": "ADMIN"}))),
        ("OK", iam("update_user", rename)),
        ("NoSuchEntity", iam("get_user", json!({"UserName": "eve"}))),
        ("OK", iam("list_access_keys", json!({"UserName": "eva"}))),
        ("DeleteConflict", iam("delete_user", json!({"UserName": "Eva"}))),
    ]);
    assert_eq!(answers[0].refusal(), refusal("EntityAlreadyExists", "User with name ADMIN already exists."));
    assert_eq!(names(&answers[3].clone().value()["AccessKeyMetadata"], "UserName"), ["Eva"]);
    let after = eve.aws(&["sts", "get-caller-identity"]);
    assert_eq!(text(&after, "Arn"), format!("arn:aws:iam::{ACCOUNT}:user/team/Eva"));
    assert_eq!(after["UserId"], before["UserId"], "an id outlives the name");
    let id = text(&key, "AccessKeyId");
    region.gets(vec![
        ("OK", iam("delete_access_key", json!({"UserName": "eva", "AccessKeyId": id}))),
        ("OK", iam("delete_user", json!({"UserName": "eva"}))),
    ]);
}

fn a_key_that_is_switched_off_is_refused_at_once(region: &Region) {
    region.gets(vec![("OK", iam("create_user", json!({"UserName": "bob"})))]);
    let key = region.aws(&["iam", "create-access-key", "--user-name", "bob"])["AccessKey"].clone();
    let id = text(&key, "AccessKeyId");
    let bob = region.client().with_key(id, text(&key, "SecretAccessKey"));
    let switch =
        |status: &str| iam("update_access_key", json!({"UserName": "bob", "AccessKeyId": id, "Status": status}));
    let identity = || call("sts", "get_caller_identity", json!({}));
    bob.gets(vec![("OK", identity())]);
    region.gets(vec![("OK", switch("Inactive"))]);
    let why = "The security token included in the request is invalid.";
    assert_eq!(bob.boto(vec![identity()])[0].refusal(), refusal("InvalidClientTokenId", why));
    let listed = region.aws(&["iam", "list-access-keys", "--user-name", "bob"])["AccessKeyMetadata"].clone();
    assert_eq!(text(&listed[0], "Status"), "Inactive");
    region.gets(vec![("OK", switch("Active"))]);
    bob.gets(vec![("OK", identity())]);
    region.gets(vec![("InvalidInput", switch("Expired"))]);
}

fn an_account_has_an_alias(region: &Region) {
    let alias = |operation: &str, name: &str| iam(operation, json!({"AccountAlias": name}));
    let list = || ("OK", iam("list_account_aliases", json!({})));
    let answers = region.gets(vec![
        list(),
        ("OK", alias("create_account_alias", "one")),
        ("EntityAlreadyExists", alias("create_account_alias", "one")),
        ("ValidationError", alias("create_account_alias", "one--two")),
        ("ValidationError", alias("create_account_alias", "-one")),
        ("OK", alias("create_account_alias", "one-two")),
        list(),
        ("NoSuchEntity", alias("delete_account_alias", "one")),
        ("OK", alias("delete_account_alias", "one-two")),
        list(),
    ]);
    let aliases = |n: usize| answers[n].clone().value()["AccountAliases"].clone();
    assert_eq!([aliases(0), aliases(6), aliases(9)], [json!([]), json!(["one-two"]), json!([])]);
    assert_eq!(answers[2].refusal().message, "The account alias one already exists.");
}

fn every_operation_says_what_is_not_there(region: &Region) {
    let user = |operation: &str, more: Value| {
        let input = merged(json!({"UserName": "none"}), &more);
        ("NoSuchEntity", iam(operation, input))
    };
    let group = |operation: &str, more: Value| {
        let input = merged(json!({"GroupName": "none"}), &more);
        ("NoSuchEntity", iam(operation, input))
    };
    let document = || json!({"PolicyName": "p", "PolicyDocument": READ});
    let named = || json!({"PolicyName": "p"});
    let arn = || json!({"PolicyArn": AWS_POLICY});
    let nothing = || json!({});
    let answers = region.gets(vec![
        group("get_group", nothing()),
        group("delete_group", nothing()),
        group("add_user_to_group", json!({"UserName": "admin"})),
        group("remove_user_from_group", json!({"UserName": "admin"})),
        group("put_group_policy", document()),
        group("get_group_policy", named()),
        group("delete_group_policy", named()),
        group("list_group_policies", nothing()),
        group("attach_group_policy", arn()),
        group("detach_group_policy", arn()),
        group("list_attached_group_policies", nothing()),
        user("list_groups_for_user", nothing()),
        user("put_user_policy", document()),
        user("get_user_policy", named()),
        user("delete_user_policy", named()),
        user("list_user_policies", nothing()),
        user("attach_user_policy", arn()),
        user("detach_user_policy", arn()),
        user("list_attached_user_policies", nothing()),
        user("update_user", json!({"NewPath": "/x/"})),
        user("tag_user", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        user("untag_user", json!({"TagKeys": ["a"]})),
        user("list_user_tags", nothing()),
        user("update_access_key", json!({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Status": "Active"})),
    ]);
    assert_eq!(answers[0].refusal(), refusal("NoSuchEntity", "The group with name none cannot be found."));
    // These have no errors of their own that a caller could bring about.
    region.client().stranger().gets(vec![
        ("InvalidClientTokenId", iam("list_groups", json!({}))),
        ("InvalidClientTokenId", iam("list_account_aliases", json!({}))),
    ]);
}
