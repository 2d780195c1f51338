//! Requests as SDKs send them when they are told to, and what they correct themselves by.

use e2e::{Options, Region, Request, call, steps};
use serde_json::{Value, json};

#[test]
fn bodies_and_clocks_of_all_kinds_are_understood() {
    let region = Region::start();
    steps!((&region):
        compressed_and_summed_bodies_are_read,
        a_body_in_pieces_is_one,
        a_damaged_body_changes_nothing,
        a_bomb_and_what_is_not_coded_so_are_refused,
        a_wrong_clock_is_set_by_the_answer,
    );
}

/// A region that takes no change at all throttles each of them: in the words by which SDKs know that they may try again.
#[test]
fn who_is_throttled_is_told_so_in_the_service_s_words_and_tries_again() {
    let flags = ["--changes-at-a-time", "0"].map(str::to_owned).to_vec();
    let region = Region::with(Options { flags, ..Options::default() });
    let user = json!({"UserName": "ada"});
    let group = json!({"AutoScalingGroupName": "none"});
    let answers = region.gets(vec![
        ("ThrottlingException", call("eks", "delete_cluster", json!({"name": "none"}))),
        ("RequestLimitExceeded", call("ec2", "create_internet_gateway", json!({}))),
        ("Throttling", call("iam", "create_user", user.clone())),
        ("Throttling", call("autoscaling", "delete_auto_scaling_group", group)),
        ("ThrottlingException", call("ecr", "create_repository", json!({"repositoryName": "mine"}))),
        ("ThrottlingException", call("kms", "create_key", json!({}))),
        ("ThrottlingException", call("logs", "create_log_group", json!({"logGroupName": "mine"}))),
        ("OK", call("eks", "list_clusters", json!({}))),
        ("NoSuchEntity", call("iam", "get_user", user)),
    ]);
    assert!(answers[..7].iter().all(|answer| answer.refusal().message == "Rate exceeded"));
    let client = region.client().with("AWS_MAX_ATTEMPTS", "2");
    let said = client.run("aws", &["iam", "create-user", "--user-name", "ada"]).to_string();
    assert!(said.contains("(Throttling)") && said.contains("reached max retries: 1"), "{said}");
}

/// A call whose body botocore codes by these traits of its model.
fn coded(service: &str, operation: &str, input: &Value, traits: &[&str]) -> Value {
    json!({ "service": service, "operation": operation, "input": input, "traits": traits })
}

fn compressed_and_summed_bodies_are_read(region: &Region) {
    let calls = json!([
        coded("iam", "create_user", &json!({ "UserName": "gzipped" }), &["gzip"]),
        coded("iam", "create_user", &json!({ "UserName": "both" }), &["gzip", "crc32"]),
        coded("ecr", "create_repository", &json!({ "repositoryName": "summed" }), &["crc32"]),
        coded("ec2", "describe_vpcs", &json!({}), &["gzip", "crc32"]),
        coded("eks", "create_cluster", &json!({ "name": "c", "roleArn": "r", "resourcesVpcConfig": {} }), &["gzip"]),
    ]);
    let answers = region.client().script("coded.py", &calls);
    let made = [("/0/output/User/UserName", "gzipped"), ("/1/output/User/UserName", "both")];
    for (path, name) in made.into_iter().chain([("/2/output/repository/repositoryName", "summed")]) {
        assert_eq!(answers.pointer(path), Some(&name.into()), "{answers:#}");
    }
    assert!(answers[3]["output"]["Vpcs"][0].is_object(), "{answers:#}");
    // It was read, and found wanting for what stands in it.
    assert_eq!(answers[4]["error"]["Code"], "InvalidParameterException", "{answers:#}");
    for (n, header) in
        [(0, "content-encoding"), (1, "x-amz-checksum-crc32"), (2, "x-amz-checksum-crc32"), (4, "content-encoding")]
    {
        assert!(answers[n]["sent"][header].is_string(), "botocore did not send {header}: {answers:#}");
    }
}

/// `Transfer-Encoding: chunked`.
fn a_body_in_pieces_is_one(region: &Region) {
    let form = |body: &str| Request::form("iam", body).in_pieces();
    let replies = region.client().send(vec![
        form("Action=GetUser&Version=2010-05-08&UserName=gzipped"),
        form("Action=GetUser&Version=2010-05-08&UserName=gzipped").tampered("gzipped", "both"),
    ]);
    assert!(replies[0].status == 200 && replies[0].body.contains("<UserName>gzipped</UserName>"), "{replies:?}");
    assert_eq!((replies[1].status, replies[1].code().as_str()), (403, "SignatureDoesNotMatch"), "{replies:?}");
}

fn a_damaged_body_changes_nothing(region: &Region) {
    let mut user = coded("iam", "create_user", &json!({ "UserName": "damaged" }), &[]);
    user["damage"] = "x-amz-checksum-crc32".into();
    let mut repository = coded("ecr", "create_repository", &json!({ "repositoryName": "damaged" }), &["gzip"]);
    repository["damage"] = "content-md5".into();
    let read = coded("iam", "get_user", &json!({ "UserName": "damaged" }), &[]);
    let answers = region.client().script("coded.py", &json!([user, repository, read]));
    let codes = [0, 1, 2].map(|n| answers[n]["error"]["Code"].as_str().unwrap_or_default());
    assert_eq!(codes, ["BadDigest", "InvalidDigestException", "NoSuchEntity"], "{answers:#}");
}

fn a_bomb_and_what_is_not_coded_so_are_refused(region: &Region) {
    let bomb = coded("iam", "create_user", &json!({ "UserName": "a".repeat(64 << 20) }), &["gzip"]);
    let answers = region.client().script("coded.py", &json!([bomb]));
    assert_eq!(answers[0]["error"]["Code"], "RequestEntityTooLarge", "{answers:#}");
    let body = "Action=GetUser&Version=2010-05-08";
    let replies = region.client().send(vec![
        Request::form("iam", body).header("Content-Encoding", "gzip"),
        Request::form("iam", body).header("Content-Encoding", "aws-chunked"),
        Request::new("ecr", "POST", "/")
            .header("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
            .header("X-Amz-Content-SHA256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .body("2\r\n{}\r\n0\r\n\r\n"),
    ]);
    let found: Vec<_> = replies.iter().map(|reply| (reply.status, reply.body.as_str())).collect();
    assert!(found[0].0 == 400 && found[0].1.contains("MalformedInput"), "{found:?}");
    assert!(found[1].0 == 400 && found[1].1.contains("STREAMING-"), "{found:?}");
    assert!(found[2].0 == 400 && found[2].1.contains("payload must be signed"), "{found:?}");
}

/// The codes are among those by which AWS's SDKs know a wrong clock (aws-sdk-js-v3, `CLOCK_SKEW_ERROR_CODES`).
fn a_wrong_clock_is_set_by_the_answer(region: &Region) {
    let by = |service: &str, operation: &str, seconds: i64| json!({ "service": service, "operation": operation, "clock": seconds });
    let calls = json!([
        by("eks", "list_clusters", -3600),
        by("eks", "list_clusters", 90_000),
        by("ec2", "describe_vpcs", 3600),
        by("iam", "list_roles", -90_000),
        by("ecr", "describe_repositories", 3600),
        by("sts", "get_caller_identity", -3600),
    ]);
    let expected = json!([
        ["InvalidSignatureException", "OK"],
        ["InvalidSignatureException", "OK"],
        ["RequestExpired", "OK"],
        ["SignatureDoesNotMatch", "OK"],
        ["InvalidSignatureException", "OK"],
        ["SignatureDoesNotMatch", "OK"],
    ]);
    assert_eq!(region.client().script("skewed.py", &calls), expected);
}
