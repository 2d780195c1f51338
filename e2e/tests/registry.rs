//! ECR: repositories, images that real clients push and pull, and pods that run them with nothing but their node's role.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::image::{self, Layout, MANIFEST};
use e2e::{Call, Client, Cluster, Region, Said, call, components, kill, say, signal, steps, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ACCOUNT: &str = "111122223333";
const HOST: &str = "111122223333.dkr.ecr.us-east-1.amazonaws.com";
/// EKS's own images.
const EKS: &str = "602401143452.dkr.ecr.us-east-1.amazonaws.com";
const NONE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const PATIENCE: Duration = Duration::from_secs(180);

fn ecr(operation: &str, input: Value) -> Call {
    call("ecr", operation, input)
}

/// What one call gets that must succeed.
#[track_caller]
fn one(region: &Region, operation: &str, input: Value) -> Value {
    region.boto(vec![ecr(operation, input)]).remove(0).value()
}

/// With which code one call is refused, and in which words.
#[track_caller]
fn refused(region: &Region, operation: &str, input: Value) -> (String, String) {
    let refusal = region.boto(vec![ecr(operation, input)]).remove(0).refusal();
    (refusal.code, refusal.message)
}

#[test]
fn repositories_are_made_found_and_unmade() {
    let region = Region::start();
    steps!((&region):
        a_repository_is_what_was_asked_for,
        what_ecr_would_not_take_is_refused_and_nothing_is_made,
        repositories_are_listed_in_pages,
        tags_come_and_go,
        what_is_not_there_is_said_to_be_so_by_every_operation,
        a_token_is_for_twelve_hours_and_says_where_to_show_it,
    );
}

fn a_repository_is_what_was_asked_for(region: &Region) {
    let made = region.aws(&["ecr", "create-repository", "--repository-name", "team/web"])["repository"].clone();
    assert_eq!(made["repositoryArn"], format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/web"));
    assert_eq!((&made["repositoryUri"], &made["registryId"]), (&json!(format!("{HOST}/team/web")), &json!(ACCOUNT)));
    assert_eq!(made["imageTagMutability"], "MUTABLE");
    assert_eq!(made["encryptionConfiguration"], json!({"encryptionType": "AES256"}));
    let found = region.aws(&["ecr", "describe-repositories", "--repository-names", "team/web"]);
    assert_eq!(found["repositories"], json!([made]));
    let changed = one(
        region,
        "put_image_tag_mutability",
        json!({"repositoryName": "team/web", "imageTagMutability": "IMMUTABLE"}),
    );
    assert_eq!(changed["imageTagMutability"], "IMMUTABLE");
    let found = one(region, "describe_repositories", json!({}))["repositories"][0].clone();
    assert_eq!(found["imageTagMutability"], "IMMUTABLE");
    let gone = region.aws(&["ecr", "delete-repository", "--repository-name", "team/web"])["repository"].clone();
    assert_eq!(gone["repositoryName"], "team/web");
    assert_eq!(one(region, "describe_repositories", json!({}))["repositories"], json!([]));
}

fn what_ecr_would_not_take_is_refused_and_nothing_is_made(region: &Region) {
    let long = "a".repeat(257);
    let names = ["A", "a", "-a/b", "a//b", "a/", "a b", "a@b", &long];
    let mut wishes: Vec<(Value, &str)> =
        names.iter().map(|name| (json!({"repositoryName": name}), "InvalidParameterException")).collect();
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": n.to_string(), "Value": ""})).collect();
    for (name, value, code) in [
        ("imageTagMutability", json!("SOMETIMES"), "InvalidParameterException"),
        ("imageTagMutability", json!("MUTABLE_WITH_EXCLUSION"), "InvalidParameterException"),
        ("imageScanningConfiguration", json!({"scanOnPush": true}), "InvalidParameterException"),
        ("encryptionConfiguration", json!({"encryptionType": "KMS"}), "InvalidParameterException"),
        ("tags", json!([{"Key": "aws:x", "Value": ""}]), "InvalidTagParameterException"),
        ("tags", json!(many), "TooManyTagsException"),
        ("registryId", json!("999999999999"), "AccessDeniedException"),
    ] {
        let mut wish = json!({"repositoryName": "odd"});
        wish[name] = value;
        wishes.push((wish, code));
    }
    let answers = region.boto(wishes.iter().map(|(wish, _)| ecr("create_repository", wish.clone())).collect());
    for ((wish, code), answer) in wishes.iter().zip(answers) {
        assert_eq!(answer.refusal().code, *code, "{wish}");
    }
    assert_eq!(one(region, "describe_repositories", json!({}))["repositories"], json!([]));
    one(region, "create_repository", json!({"repositoryName": "twice"}));
    let (code, message) = refused(region, "create_repository", json!({"repositoryName": "twice"}));
    assert_eq!(code, "RepositoryAlreadyExistsException");
    assert_eq!(message, format!("The repository with name 'twice' already exists in the registry with id '{ACCOUNT}'"));
    one(region, "delete_repository", json!({"repositoryName": "twice"}));
}

fn repositories_are_listed_in_pages(region: &Region) {
    let names = ["a1", "a1/b", "a1-b", "b2", "c3"];
    let calls = names.iter().map(|name| ecr("create_repository", json!({"repositoryName": name})));
    region.boto(calls.collect()).into_iter().for_each(|answer| drop(answer.value()));
    let pages = region.boto(vec![ecr("describe_repositories", json!({})).in_pages_of(2)]).remove(0).value();
    let found = pages
        .as_array()
        .expect("a list of pages")
        .iter()
        .flat_map(|page| page["repositories"].as_array().cloned().unwrap_or_default());
    let found: Vec<String> = found.map(|r| r["repositoryName"].as_str().unwrap_or_default().to_owned()).collect();
    let mut sorted = names.map(str::to_owned).to_vec();
    sorted.sort();
    assert_eq!(found, sorted);
    let both = json!({"repositoryNames": ["a1"], "maxResults": 1});
    assert_eq!(refused(region, "describe_repositories", both).0, "InvalidParameterException");
    assert_eq!(
        refused(region, "describe_repositories", json!({"nextToken": "made-up"})).0,
        "InvalidParameterException"
    );
    assert_eq!(
        refused(region, "describe_repositories", json!({"repositoryNames": ["a1", "no"]})).0,
        "RepositoryNotFoundException"
    );
}

fn tags_come_and_go(region: &Region) {
    let arn = format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/a1/b");
    one(
        region,
        "tag_resource",
        json!({"resourceArn": arn, "tags": [{"Key": "team", "Value": "sea"}, {"Key": "x", "Value": ""}]}),
    );
    one(region, "untag_resource", json!({"resourceArn": arn, "tagKeys": ["x", "never"]}));
    let found = one(region, "list_tags_for_resource", json!({"resourceArn": arn}));
    assert_eq!(found["tags"], json!([{"Key": "team", "Value": "sea"}]));
    let tags = json!([{"Key": "AWS:y", "Value": ""}]);
    assert_eq!(
        refused(region, "tag_resource", json!({"resourceArn": arn, "tags": tags})).0,
        "InvalidTagParameterException"
    );
    let odd = "arn:aws:ecr:us-east-1:111122223333:something/a1";
    assert_eq!(refused(region, "list_tags_for_resource", json!({"resourceArn": odd})).0, "InvalidParameterException");
}

fn what_is_not_there_is_said_to_be_so_by_every_operation(region: &Region) {
    let name = json!("no/where");
    let ids = json!([{"imageTag": "v1"}]);
    let arn = format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/no/where");
    let why = format!("The repository with name 'no/where' does not exist in the registry with id '{ACCOUNT}'");
    let calls = [
        ("delete_repository", json!({"repositoryName": name})),
        ("describe_repositories", json!({"repositoryNames": [name]})),
        ("put_image_tag_mutability", json!({"repositoryName": name, "imageTagMutability": "MUTABLE"})),
        ("list_images", json!({"repositoryName": name})),
        ("describe_images", json!({"repositoryName": name})),
        ("batch_get_image", json!({"repositoryName": name, "imageIds": ids})),
        ("batch_delete_image", json!({"repositoryName": name, "imageIds": ids})),
        ("batch_check_layer_availability", json!({"repositoryName": name, "layerDigests": [NONE]})),
        ("put_image", json!({"repositoryName": name, "imageManifest": "{}"})),
        ("tag_resource", json!({"resourceArn": arn, "tags": []})),
        ("untag_resource", json!({"resourceArn": arn, "tagKeys": []})),
        ("list_tags_for_resource", json!({"resourceArn": arn})),
    ];
    let answers = region.boto(calls.iter().map(|(operation, input)| ecr(operation, input.clone())).collect());
    for ((operation, _), answer) in calls.iter().zip(answers) {
        let refusal = answer.refusal();
        assert_eq!((&*refusal.code, &*refusal.message), ("RepositoryNotFoundException", &*why), "{operation}");
    }
}

fn a_token_is_for_twelve_hours_and_says_where_to_show_it(region: &Region) {
    let got = one(region, "get_authorization_token", json!({}))["authorizationData"][0].clone();
    assert_eq!(got["proxyEndpoint"], region.client().variable("AWS_ENDPOINT_URL"));
    let token = STANDARD.decode(got["authorizationToken"].as_str().unwrap_or_default()).expect("a token is base64");
    assert!(token.starts_with(b"AWS:"));
    let ids = json!({"registryIds": [ACCOUNT, "not-an-account"]});
    assert_eq!(refused(region, "get_authorization_token", ids).0, "InvalidParameterException");
}

/// A region with a repository, somebody who may use it, and an image on their disk.
struct Shop {
    region: Region,
    host: String,
    token: String,
    image: Layout,
}

#[test]
fn images_are_pushed_and_pulled_by_real_clients() {
    let region = Region::start();
    one(&region, "create_repository", json!({"repositoryName": "team/web"}));
    let image =
        Layout::make(&region.folder().join("v1"), "v1", &[("hello", b"hello from a layer"), ("big", &[7; 300_000])]);
    let host = host(&region);
    let token = token(&region.client());
    let shop = Shop { region, host, token, image };
    steps!((&shop):
        an_image_is_pushed_and_comes_back_the_same,
        it_is_listed_and_described_as_it_was_pushed,
        what_was_acknowledged_is_there_after_a_kill,
        nobody_gets_in_without_a_token_of_this_region,
        a_tag_moves_unless_it_may_not,
        what_is_not_what_its_digest_says_is_refused,
        an_image_without_its_layers_is_refused,
        a_blob_comes_in_parts_and_goes_in_parts,
        a_blob_is_mounted_from_another_repository,
        an_index_keeps_its_images_and_a_signature_is_found,
        a_deleted_image_is_gone_and_its_bytes_are_with_its_repository,
    );
}

impl Shop {
    #[track_caller]
    fn skopeo(&self, words: &[&str]) -> Said {
        self.region.client().run("skopeo", &[&["--insecure-policy"], words].concat())
    }

    fn at(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.host)
    }

    #[track_caller]
    fn push(&self, image: &Layout, name: &str) -> Said {
        let credentials = format!("AWS:{}", self.token);
        let flags = ["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", &credentials];
        self.skopeo(&[&flags[..], &[&image.name(), &self.at(name)]].concat())
    }

    /// The folder that an image was pulled to.
    #[track_caller]
    fn pull(&self, name: &str, to: &str) -> PathBuf {
        let folder = self.region.folder().join(to);
        let credentials = format!("AWS:{}", self.token);
        let target = format!("oci:{}:x", folder.display());
        let flags = ["copy", "--preserve-digests", "--src-tls-verify=false", "--src-creds", &credentials];
        self.skopeo(&[&flags[..], &[&self.at(name), &target]].concat()).text();
        folder
    }

    /// What a request gets, as somebody with this password.
    #[track_caller]
    fn ask_as(&self, password: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let credentials = STANDARD.encode(format!("AWS:{password}"));
        let authorization = format!("Basic {credentials}");
        Reply::to(&self.host, method, path, &[&[("Authorization", &*authorization)], headers].concat(), body)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.ask_as(&self.token, method, path, headers, body)
    }

    /// Uploads a blob in one request.
    #[track_caller]
    fn upload(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = image::digest(bytes);
        let reply = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], bytes);
        assert_eq!(reply.status, 201, "{reply:?}");
        digest
    }

    /// The files of blobs that the region has.
    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.region.data().join("registry/blobs/sha256")).into_iter().flatten().flatten();
        entries.map(|entry| format!("sha256:{}", entry.file_name().to_string_lossy())).collect()
    }
}

/// Where the region answers: `127.0.0.1:PORT`.
fn host(region: &Region) -> String {
    region.client().variable("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned()
}

/// The password that `aws ecr get-login-password` prints.
#[track_caller]
fn token(client: &Client) -> String {
    client.run("aws", &["ecr", "get-login-password"]).text().trim().to_owned()
}

/// An answer of HTTP.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    fn to(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(host).expect("the region listens");
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {host}\r\n");
        }
        head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        head += "\r\n";
        // One that is refused early may be told so before all of it is sent.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the answer can be read");
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer has a head");
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
        Reply { status, head, body: all[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Status and code of a refusal.
    fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn an_image_is_pushed_and_comes_back_the_same(shop: &Shop) {
    // As the guide says: the password by a pipe, and then no more credentials.
    let login = "aws ecr get-login-password | skopeo login --tls-verify=false --authfile \"$2\" --username AWS --password-stdin \"$1\"";
    let file = shop.region.folder().join("auth.json").to_string_lossy().into_owned();
    let said = shop.region.client().run("sh", &["-ec", login, "sh", &shop.host, &file]);
    assert!(said.out.contains("Login Succeeded"), "{said}");
    let (from, to) = (shop.image.name(), shop.at("team/web:v1"));
    let words = ["copy", "--preserve-digests", "--authfile", &file, "--dest-tls-verify=false", &from, &to];
    shop.skopeo(&words).text();
    let pulled = shop.pull("team/web:v1", "pulled");
    assert_eq!(image::only_image(&pulled), shop.image.digest);
    for digest in [&shop.image.layer, &shop.image.config] {
        assert!(image::blob(&pulled, digest) == shop.image.blob(digest), "{digest} is another");
    }
    // By its digest, too; and what is there already is pushed again without complaint.
    let by_digest = shop.pull(&format!("team/web@{}", shop.image.digest), "by-digest");
    assert_eq!(image::only_image(&by_digest), shop.image.digest);
    shop.push(&shop.image, "team/web:v1").text();
    let said = shop.push(&shop.image, "nobody/made-this:v1");
    assert!(said.code != Some(0) && said.err.contains("does not exist in the registry"), "{said}");
}

fn it_is_listed_and_described_as_it_was_pushed(shop: &Shop) {
    let id = json!({"imageDigest": shop.image.digest, "imageTag": "v1"});
    let listed = shop.region.aws(&["ecr", "list-images", "--repository-name", "team/web"]);
    assert_eq!(listed["imageIds"], json!([id]));
    let none =
        one(&shop.region, "list_images", json!({"repositoryName": "team/web", "filter": {"tagStatus": "UNTAGGED"}}));
    assert_eq!(none["imageIds"], json!([]));
    let described =
        shop.region.aws(&["ecr", "describe-images", "--repository-name", "team/web"])["imageDetails"].clone();
    let bytes = |digest: &str| shop.image.blob(digest).len();
    assert_eq!(described[0]["imageSizeInBytes"], bytes(&shop.image.layer) + bytes(&shop.image.config));
    assert_eq!(
        (&described[0]["imageTags"], &described[0]["imageManifestMediaType"]),
        (&json!(["v1"]), &json!(MANIFEST))
    );
    let input = json!({"repositoryName": "team/web", "imageIds": [{"imageTag": "v1"}, {"imageTag": "v2"}, {}, {"imageDigest": "x"}]});
    let got = one(&shop.region, "batch_get_image", input);
    assert_eq!((&got["images"][0]["imageManifest"], &got["images"][0]["imageId"]), (&json!(shop.image.manifest), &id));
    let codes: Vec<&str> =
        got["failures"].as_array().into_iter().flatten().filter_map(|f| f["failureCode"].as_str()).collect();
    assert_eq!(codes, ["ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest"]);
    let asked = json!({"repositoryName": "team/web", "imageIds": [{"imageTag": "v2"}]});
    let (code, message) = refused(&shop.region, "describe_images", asked);
    assert_eq!(code, "ImageNotFoundException");
    assert_eq!(
        message,
        format!(
            "The image with imageId {{imageDigest:'null', imageTag:'v2'}} does not exist within the repository with name 'team/web' in the registry with id '{ACCOUNT}'"
        )
    );
    let layers = json!({"repositoryName": "team/web", "layerDigests": [shop.image.layer, NONE, "x"]});
    let layers = one(&shop.region, "batch_check_layer_availability", layers);
    let each =
        |name: &str| layers["layers"].as_array().into_iter().flatten().map(|l| l[name].clone()).collect::<Vec<_>>();
    assert_eq!(each("layerAvailability"), ["AVAILABLE", "UNAVAILABLE"]);
    assert_eq!(layers["failures"][0]["failureCode"], "InvalidLayerDigest");
}

fn what_was_acknowledged_is_there_after_a_kill(shop: &Shop) {
    let digest = shop.upload("team/web", b"acknowledged");
    let serve = shop.region.part("serve");
    shop.region.keep_answers();
    kill(serve);
    until("the region answers again", PATIENCE, || {
        let back = shop.region.parts("serve").first().is_some_and(|pid| *pid != serve);
        (back && TcpStream::connect(&shop.host).is_ok()).then_some(())
    });
    let got = shop.ask("GET", &format!("/v2/team/web/blobs/{digest}"), &[], b"");
    assert_eq!((got.status, &*got.body), (200, &b"acknowledged"[..]));
    // The token is a signature: it outlived the process that made it.
    assert_eq!(image::only_image(&shop.pull("team/web:v1", "after")), shop.image.digest);
    assert!(shop.files().contains(&digest));
}

fn nobody_gets_in_without_a_token_of_this_region(shop: &Shop) {
    let path = "/v2/team/web/manifests/v1";
    let nobody = Reply::to(&shop.host, "GET", path, &[], b"");
    assert_eq!(nobody.refusal(), refusal(401, "UNAUTHORIZED"));
    assert_eq!(nobody.header("WWW-Authenticate"), "Basic realm=\"roadstead\",service=\"ecr.amazonaws.com\"");
    let other = Region::start();
    let foreign = token(&other.client());
    let (text, signature) = shop.token.split_once('.').expect("a token is signed");
    let longer = format!("{}.{signature}", text.replacen('e', "f", 1));
    for password in ["", "wrong", &foreign, &longer, text] {
        assert_eq!(shop.ask_as(password, "GET", path, &[], b"").refusal(), refusal(401, "UNAUTHORIZED"), "{password}");
    }
    assert_eq!(shop.ask("GET", path, &[], b"").status, 200);
    // Whose user is deleted is nobody any more, whatever token is left.
    shop.region.aws(&["iam", "create-user", "--user-name", "ada"]);
    let key = shop.region.aws(&["iam", "create-access-key", "--user-name", "ada"])["AccessKey"].clone();
    let [id, secret] =
        ["AccessKeyId", "SecretAccessKey"].map(|name| key[name].as_str().expect("a key has it").to_owned());
    // What she may do is what her policies say when she does it.
    let policy = |operation: &str| {
        let arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly";
        shop.region.aws(&["iam", operation, "--user-name", "ada", "--policy-arn", arn]);
    };
    policy("attach-user-policy");
    let hers = token(&shop.region.client().with_key(&id, &secret));
    assert_eq!(shop.ask_as(&hers, "GET", path, &[], b"").status, 200);
    policy("detach-user-policy");
    assert_eq!(shop.ask_as(&hers, "GET", path, &[], b"").refusal(), refusal(403, "DENIED"));
    shop.region.aws(&["iam", "delete-access-key", "--user-name", "ada", "--access-key-id", &id]);
    shop.region.aws(&["iam", "delete-user", "--user-name", "ada"]);
    assert_eq!(shop.ask_as(&hers, "GET", path, &[], b"").refusal(), refusal(403, "DENIED"));
    // Another account's registry, and another's altogether.
    let there = |host: &str| shop.ask("GET", path, &[("Host", host)], b"").refusal();
    assert_eq!(there("999999999999.dkr.ecr.us-east-1.amazonaws.com"), refusal(403, "DENIED"));
    assert_eq!(shop.ask("GET", path, &[("Host", HOST)], b"").status, 200);
    let mirrored = Reply::to(&shop.host, "GET", "/v2/library/busybox/manifests/1?ns=docker.io", &[], b"");
    assert_eq!(mirrored.refusal(), refusal(404, "NAME_UNKNOWN"), "no credentials are asked for in another's name");
}

fn a_tag_moves_unless_it_may_not(shop: &Shop) {
    let second = Layout::make(&shop.region.folder().join("v2"), "v1", &[("hello", b"another")]);
    shop.push(&second, "team/web:v1").text();
    let ids = one(&shop.region, "list_images", json!({"repositoryName": "team/web"}))["imageIds"].clone();
    let ids: BTreeSet<String> = ids.as_array().into_iter().flatten().map(Value::to_string).collect();
    let moved = json!({"imageDigest": second.digest, "imageTag": "v1"});
    let left = json!({"imageDigest": shop.image.digest});
    assert_eq!(ids, [moved, left].map(|id| id.to_string()).into());
    let immutable = json!({"repositoryName": "team/web", "imageTagMutability": "IMMUTABLE"});
    one(&shop.region, "put_image_tag_mutability", immutable);
    let said = shop.push(&shop.image, "team/web:v1");
    assert!(said.code != Some(0) && said.err.contains("because the tag is immutable"), "{said}");
    let put = |tag: &str| json!({"repositoryName": "team/web", "imageManifest": shop.image.manifest, "imageTag": tag});
    let (code, message) = refused(&shop.region, "put_image", put("v1"));
    assert_eq!(code, "ImageTagAlreadyExistsException");
    assert_eq!(
        message,
        "The image tag 'v1' already exists in the 'team/web' repository and cannot be overwritten because the tag is immutable."
    );
    // A new tag for an image that is there: how ECR's guide says to retag one.
    assert_eq!(one(&shop.region, "put_image", put("stable"))["image"]["imageId"]["imageDigest"], shop.image.digest);
    assert_eq!(refused(&shop.region, "put_image", put("stable")).0, "ImageAlreadyExistsException");
    assert_eq!(refused(&shop.region, "put_image", put("-bad")).0, "InvalidParameterException");
    let mut odd = put("odd");
    odd["imageDigest"] = json!(NONE);
    assert_eq!(refused(&shop.region, "put_image", odd).0, "ImageDigestDoesNotMatchException");
    for tag in ["x1", "x2", "x3"] {
        one(&shop.region, "put_image", put(tag));
    }
    let tags = |query: &str| shop.ask("GET", &format!("/v2/team/web/tags/list{query}"), &[], b"");
    assert_eq!(tags("").json(), json!({"name": "team/web", "tags": ["stable", "v1", "x1", "x2", "x3"]}));
    let page = tags("?n=2");
    assert_eq!(page.json()["tags"], json!(["stable", "v1"]));
    assert_eq!(page.header("Link"), "</v2/team/web/tags/list?n=2&last=v1>; rel=\"next\"");
    assert_eq!(tags("?n=5&last=x1").json()["tags"], json!(["x2", "x3"]));
}

fn what_is_not_what_its_digest_says_is_refused(shop: &Shop) {
    let before = shop.files();
    let path = format!("/v2/team/web/blobs/uploads/?digest={NONE}");
    assert_eq!(shop.ask("POST", &path, &[], b"something").refusal(), refusal(400, "DIGEST_INVALID"));
    let path = "/v2/team/web/blobs/uploads/?digest=md5:1";
    assert_eq!(shop.ask("POST", path, &[], b"something").refusal(), refusal(400, "DIGEST_INVALID"));
    let path = format!("/v2/team/web/manifests/{NONE}");
    let kind = [("Content-Type", MANIFEST)];
    assert_eq!(shop.ask("PUT", &path, &kind, shop.image.manifest.as_bytes()).refusal(), refusal(400, "DIGEST_INVALID"));
    assert_eq!(shop.files(), before);
    let left = fs::read_dir(shop.region.data().join("registry/uploads")).map(Iterator::count);
    assert_eq!(left.expect("uploads have a folder"), 0, "what is refused leaves nothing");
}

fn an_image_without_its_layers_is_refused(shop: &Shop) {
    let kind = [("Content-Type", MANIFEST)];
    let put = |text: &str, kind: &[(&str, &str)]| {
        shop.ask("PUT", "/v2/team/web/manifests/broken", kind, text.as_bytes()).refusal()
    };
    let missing = shop.image.manifest.replace(&shop.image.layer, NONE);
    assert_eq!(put(&missing, &kind), refusal(400, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(put("{", &kind), refusal(400, "MANIFEST_INVALID"));
    assert_eq!(put(&shop.image.manifest, &[("Content-Type", "text/plain")]), refusal(400, "MANIFEST_INVALID"));
    let input = |manifest: &str| json!({"repositoryName": "team/web", "imageManifest": manifest, "imageTag": "broken"});
    assert_eq!(refused(&shop.region, "put_image", input(&missing)).0, "LayersNotFoundException");
    assert_eq!(refused(&shop.region, "put_image", input("{}")).0, "InvalidParameterException");
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": MANIFEST, "digest": NONE, "size": 1}]});
    assert_eq!(refused(&shop.region, "put_image", input(&index.to_string())).0, "ReferencedImagesNotFoundException");
    assert_eq!(shop.ask("GET", "/v2/team/web/manifests/broken", &[], b"").refusal(), refusal(404, "MANIFEST_UNKNOWN"));
    assert_eq!(
        shop.ask("GET", &format!("/v2/team/web/blobs/{NONE}"), &[], b"").refusal(),
        refusal(404, "BLOB_UNKNOWN")
    );
}

fn a_blob_comes_in_parts_and_goes_in_parts(shop: &Shop) {
    let begun = shop.ask("POST", "/v2/team/web/blobs/uploads/", &[], b"");
    let place = begun.header("Location").to_owned();
    assert!(begun.status == 202 && place.starts_with("/v2/team/web/blobs/uploads/"), "{begun:?}");
    let part = |range: &str, bytes: &[u8]| shop.ask("PATCH", &place, &[("Content-Range", range)], bytes);
    assert_eq!(part("0-4", b"01234").header("Range"), "0-4");
    assert_eq!(part("9-10", b"9a").status, 416, "a gap is refused");
    assert_eq!(shop.ask("GET", &place, &[], b"").header("Range"), "0-4");
    assert_eq!(part("5-9", b"56789").status, 202);
    let digest = image::digest(b"0123456789abc");
    let done = shop.ask("PUT", &format!("{place}?digest={digest}"), &[], b"abc");
    assert_eq!((done.status, done.header("Docker-Content-Digest")), (201, &*digest));
    assert_eq!(shop.ask("GET", &place, &[], b"").refusal(), refusal(404, "BLOB_UPLOAD_UNKNOWN"));
    let path = format!("/v2/team/web/blobs/{digest}");
    let head = shop.ask("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("Content-Length"), head.body.len()), (200, "13", 0));
    let some = |range: &str| shop.ask("GET", &path, &[("Range", range)], b"");
    let middle = some("bytes=4-6");
    assert_eq!((middle.status, &*middle.body, middle.header("Content-Range")), (206, &b"456"[..], "bytes 4-6/13"));
    assert_eq!(some("bytes=-2").body, b"bc");
    assert_eq!(some("bytes=13-").status, 416);
    let given_up = shop.ask("POST", "/v2/team/web/blobs/uploads/", &[], b"").header("Location").to_owned();
    assert_eq!(shop.ask("DELETE", &given_up, &[], b"").status, 204);
    assert_eq!(shop.ask("PATCH", &given_up, &[], b"x").status, 404);
}

fn a_blob_is_mounted_from_another_repository(shop: &Shop) {
    one(&shop.region, "create_repository", json!({"repositoryName": "other"}));
    let mount = |digest: &str, from: &str| {
        shop.ask("POST", &format!("/v2/other/blobs/uploads/?mount={digest}&from={from}"), &[], b"").status
    };
    let path = format!("/v2/other/blobs/{}", shop.image.layer);
    assert_eq!(shop.ask("HEAD", &path, &[], b"").status, 404, "a repository has its own");
    assert_eq!(mount(NONE, "team/web"), 202, "what is not there is to be uploaded");
    assert_eq!(mount(&shop.image.layer, "no/where"), 202);
    assert_eq!(mount(&shop.image.layer, "team/web"), 201);
    assert_eq!(shop.ask("HEAD", &path, &[], b"").status, 200);
}

fn an_index_keeps_its_images_and_a_signature_is_found(shop: &Shop) {
    let member = json!({"mediaType": MANIFEST, "digest": shop.image.digest, "size": shop.image.manifest.len()});
    let index_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": [member]}).to_string();
    let put = shop.ask("PUT", "/v2/team/web/manifests/all", &[("Content-Type", index_type)], index.as_bytes());
    assert_eq!((put.status, put.header("Docker-Content-Digest")), (201, &*image::digest(index.as_bytes())));
    let delete = json!({"repositoryName": "team/web", "imageIds": [{"imageDigest": shop.image.digest}]});
    let kept = one(&shop.region, "batch_delete_image", delete);
    assert_eq!(kept["failures"][0]["failureCode"], "ImageReferencedByManifestList");
    assert_eq!(shop.ask("DELETE", "/v2/team/web/manifests/all", &[], b"").status, 202);
    let empty = shop.upload("team/web", b"{}");
    let nothing = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2});
    let signature = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/signature", "config": nothing,
        "layers": [nothing], "subject": member, "annotations": {"by": "ada"}});
    let put = shop.ask(
        "PUT",
        "/v2/team/web/manifests/signed",
        &[("Content-Type", MANIFEST)],
        signature.to_string().as_bytes(),
    );
    assert_eq!((put.status, put.header("OCI-Subject")), (201, &*shop.image.digest));
    let about =
        |query: &str| shop.ask("GET", &format!("/v2/team/web/referrers/{}{query}", shop.image.digest), &[], b"").json();
    let found = about("?artifactType=text/signature")["manifests"][0].clone();
    assert_eq!((&found["artifactType"], &found["annotations"]["by"]), (&json!("text/signature"), &json!("ada")));
    assert_eq!(about("?artifactType=text/other")["manifests"], json!([]));
}

fn a_deleted_image_is_gone_and_its_bytes_are_with_its_repository(shop: &Shop) {
    assert_eq!(shop.ask("DELETE", "/v2/team/web/manifests/x1", &[], b"").status, 202);
    assert_eq!(shop.ask("DELETE", "/v2/team/web/manifests/x1", &[], b"").refusal(), refusal(404, "MANIFEST_UNKNOWN"));
    let ids = json!([{"imageDigest": shop.image.digest}, {"imageTag": "never"}]);
    let deleted = one(&shop.region, "batch_delete_image", json!({"repositoryName": "team/web", "imageIds": ids}));
    let tags: Vec<&str> =
        deleted["imageIds"].as_array().into_iter().flatten().filter_map(|id| id["imageTag"].as_str()).collect();
    assert_eq!(tags, ["stable", "x2", "x3"]);
    assert_eq!(deleted["failures"][0]["failureCode"], "ImageNotFound");
    let said = shop.skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--creds",
        &format!("AWS:{}", shop.token),
        &shop.at("team/web:stable"),
    ]);
    assert!(said.code != Some(0) && said.err.contains("not found"), "{said}");
    let (code, message) = refused(&shop.region, "delete_repository", json!({"repositoryName": "team/web"}));
    assert_eq!(code, "RepositoryNotEmptyException");
    assert_eq!(
        message,
        format!(
            "The repository with name 'team/web' in registry with id '{ACCOUNT}' cannot be deleted because it still contains images"
        )
    );
    one(&shop.region, "delete_repository", json!({"repositoryName": "team/web", "force": true}));
    let mounted = BTreeSet::from([shop.image.layer.clone()]);
    until("only what the other repository mounted is left", PATIENCE, || (shop.files() == mounted).then_some(()));
    one(&shop.region, "delete_repository", json!({"repositoryName": "other"}));
    until("nothing is left", PATIENCE, || shop.files().is_empty().then_some(()));
}

#[test]
fn a_pod_runs_an_image_of_its_accounts_own_by_its_nodes_role() {
    let region = Region::for_nodes();
    let cluster = region.create_cluster("first");
    steps!((&region, &cluster):
        a_node_joins,
        a_pod_runs_what_was_pushed,
        eks_s_own_images_are_pulled_by_everybody_and_pushed_by_nobody,
        a_pod_says_so_when_there_is_no_such_image,
        a_pod_waits_while_the_region_is_away_and_runs_when_it_is_back,
    );
}

fn a_node_joins(region: &Region, _: &Cluster) {
    let role = region.aws(&["iam", "get-role", "--role-name", "eks-node-role", "--query", "Role.Arn"]);
    let group = ["--cluster-name", "first", "--nodegroup-name", "workers"];
    let mut words = vec!["eks", "create-nodegroup", "--node-role", role.as_str().expect("a role has an ARN")];
    words.extend([
        "--instance-types",
        "t3.medium",
        "--scaling-config",
        "minSize=1,maxSize=1,desiredSize=1",
        "--subnets",
    ]);
    let subnets = region.default_subnets();
    words.extend(subnets.split(','));
    region.aws(&[&words[..], &group].concat());
    let said = region.client().run("aws", &[&["eks", "wait", "nodegroup-active"], &group[..]].concat());
    assert!(said.ok(), "{said}");
}

/// Pushes agnhost, as an image of the test's own, under that tag.
#[track_caller]
fn push(region: &Region, tag: &str) {
    let sets = fs::read_dir(components()).into_iter().flatten().flatten().map(|entry| entry.path().join("agnhost"));
    let program =
        sets.into_iter().find(|path| path.exists()).expect("agnhost is built: cargo xtask components --nodes");
    let program = fs::read(program).expect("a program can be read");
    let image = Layout::make(&region.folder().join(tag), tag, &[("agnhost", &program)]);
    let credentials = format!("AWS:{}", token(&region.client()));
    let target = format!("docker://{}/team/agnhost:{tag}", host(region));
    let words = ["--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-creds", &credentials];
    region.client().run("skopeo", &[&words[..], &[&image.name(), &target]].concat()).text();
}

fn pod(name: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": image, "args": ["pause"]}]}})
}

#[track_caller]
fn await_running(cluster: &Cluster, name: &str) {
    let began = Instant::now();
    let phase = ["get", "pod", name, "--output", "jsonpath={.status.phase}"];
    let running = e2e::within(PATIENCE, || (cluster.kubectl(&phase).out == "Running").then_some(()));
    assert!(running.is_some(), "{}", cluster.kubectl(&["describe", "pod", name]).out);
    say(&format!("{:6.1} s  until {name} runs", began.elapsed().as_secs_f64()));
}

/// The message of the first event of the pod of that reason.
#[track_caller]
fn event(cluster: &Cluster, pod: &str, reason: &str) -> String {
    let selector = format!("--field-selector=involvedObject.name={pod},reason={reason}");
    until(&format!("{pod} has an event {reason}"), PATIENCE, || {
        let events = cluster.kubectl_json(&["get", "events", &selector]);
        events["items"][0]["message"].as_str().map(str::to_owned)
    })
}

fn a_pod_runs_what_was_pushed(region: &Region, cluster: &Cluster) {
    one(region, "create_repository", json!({"repositoryName": "team/agnhost"}));
    push(region, "v1");
    cluster.apply(&pod("own", &format!("{HOST}/team/agnhost:v1")));
    await_running(cluster, "own");
    let message = event(cluster, "own", "Pulled");
    assert!(message.contains("Successfully pulled image"), "{message}");
}

fn eks_s_own_images_are_pulled_by_everybody_and_pushed_by_nobody(region: &Region, _: &Cluster) {
    let credentials = STANDARD.encode(format!("AWS:{}", token(&region.client())));
    let authorization = format!("Basic {credentials}");
    let ask = |method: &str, path: &str, body: &[u8]| {
        let headers = [("Authorization", &*authorization), ("Host", EKS), ("Content-Type", MANIFEST)];
        Reply::to(&host(region), method, &format!("/v2/eks/pause/{path}"), &headers, body)
    };
    let found = ask("GET", "manifests/v3.10.2", b"");
    assert_eq!((found.status, found.header("Docker-Content-Digest")), (200, &*image::digest(&found.body)), "{found:?}");
    for part in [&found.json()["config"], &found.json()["layers"][0]] {
        let digest = part["digest"].as_str().expect("a part has a digest");
        let blob = ask("GET", &format!("blobs/{digest}"), b"");
        assert_eq!((blob.status, &*image::digest(&blob.body)), (200, digest));
    }
    assert_eq!(ask("GET", "manifests/v0", b"").refusal(), refusal(404, "MANIFEST_UNKNOWN"));
    assert_eq!(ask("PUT", "manifests/mine", &found.body).refusal(), refusal(403, "DENIED"));
    assert_eq!(ask("POST", "blobs/uploads/", b"").refusal(), refusal(403, "DENIED"));
}

fn a_pod_says_so_when_there_is_no_such_image(_: &Region, cluster: &Cluster) {
    for (name, image) in [("no-tag", "team/agnhost:never"), ("no-repository", "team/never:v1")] {
        cluster.apply(&pod(name, &format!("{HOST}/{image}")));
        let message = event(cluster, name, "Failed");
        assert!(message.contains(&format!("{HOST}/{image}: not found")), "{message}");
        until("it is tried again later", PATIENCE, || {
            let waits = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
            let reason = cluster.kubectl(&["get", "pod", name, "--output", waits]).out;
            (reason == "ImagePullBackOff").then_some(())
        });
        cluster.kubectl(&["delete", "pod", name, "--wait=false"]).text();
    }
}

fn a_pod_waits_while_the_region_is_away_and_runs_when_it_is_back(region: &Region, cluster: &Cluster) {
    push(region, "v2");
    let (up, serve) = (region.part("up"), region.part("serve"));
    // What would start it again is held up.
    assert!(signal(up, Signal::SIGSTOP));
    region.keep_answers();
    kill(serve);
    cluster.apply(&pod("patient", &format!("{HOST}/team/agnhost:v2")));
    let message = event(cluster, "patient", "Failed");
    assert!(message.contains("Failed to pull image") && !message.ends_with("not found"), "{message}");
    say(&format!("while the region is away: {message}"));
    assert!(signal(up, Signal::SIGCONT));
    await_running(cluster, "patient");
}
