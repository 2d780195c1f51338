//! Tokens that are somebody's, and tokens that are nobody's.

use super::keys::Keys;
use super::review::{Refusal, User, identify, review};
use super::signed_url::SignedUrl;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use roadstead_hostspec::{Credential, Mapping, Principal, Reviewer, RoleSession};
use roadstead_types::{Millis, Sealed};
use roadstead_vault::Vault;
use roadstead_wire::sigv4::{Request, Signer, presign_get_caller_identity};
use serde_json::{Value, json};
use tempfile::TempDir;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-west-2";
const ADMIN: &str = "arn:aws:iam::111122223333:user/admin";
const NODE_ROLE: &str = "arn:aws:iam::111122223333:role/node";
/// 2026-11-22T19:32:42Z: when the first token of the fixture was made.
const NOW: Millis = Millis(1_795_375_962_000);

struct World {
    keys: Keys,
    spec: Reviewer,
    vault: Vault,
    _dir: TempDir,
}

impl World {
    /// A cluster `dev`, known to one user, whose key is `ID`.
    fn new() -> World {
        let dir = TempDir::new().unwrap();
        let root_key = dir.path().join("root.key");
        let vault = Vault::open_or_create(&root_key).unwrap();
        let world = World { keys: Keys::new(&root_key), spec: reviewer(), vault, _dir: dir };
        world.keys.put(world.credential(ID, SECRET));
        world
    }

    fn credential(&self, id: &str, secret: &str) -> Credential {
        let principal =
            Principal { arn: ADMIN.into(), unique_id: "AIDAEXAMPLE".into(), account: "111122223333".into() };
        let secret = self.vault.seal(&format!("access-key/{id}"), secret.as_bytes()).unwrap();
        Credential { access_key_id: id.into(), secret, principal, enabled: true, session: None }
    }

    fn ask(&self, token: &str) -> Result<User, Refusal> {
        self.ask_at(token, NOW)
    }

    fn ask_at(&self, token: &str, now: Millis) -> Result<User, Refusal> {
        identify(&SignedUrl::of(token)?, &self.spec, &self.keys, now)
    }

    #[track_caller]
    fn refuses(&self, token: &str, why: &str) {
        match self.ask(token) {
            Err(refusal) => assert!(refusal.to_string().contains(why), "{refusal}"),
            Ok(user) => panic!("accepted as {user:?}"),
        }
    }

    fn review(&self, body: &Value) -> Option<Value> {
        review(body.to_string().as_bytes(), &self.spec, &self.keys, NOW)
    }
}

fn reviewer() -> Reviewer {
    Reviewer {
        id: "cluster-1".into(),
        network: "vpc-1".into(),
        address: [10, 0, 0, 9].into(),
        clients: "10.0.0.0/24".parse().unwrap(),
        port: 8443,
        certificate: String::new(),
        key: Sealed { context: String::new(), ciphertext: String::new() },
        cluster: "dev".into(),
        region: REGION.into(),
        sts_hosts: vec!["127.0.0.1:4566".into(), "sts.roadstead.test".into()],
        mappings: vec![
            Mapping { arn: format!("{ADMIN}-other"), username: "other".into(), groups: vec![] },
            Mapping { arn: ADMIN.into(), username: "admin".into(), groups: vec!["system:masters".into()] },
            Mapping {
                arn: NODE_ROLE.into(),
                username: "system:node:{{EC2PrivateDNSName}}".into(),
                groups: vec!["system:bootstrappers".into(), "system:nodes".into()],
            },
            Mapping {
                arn: "arn:aws:iam::111122223333:role/team/dev".into(),
                username: "{{AccountID}}:dev:{{SessionName}}".into(),
                groups: vec!["devs".into()],
            },
        ],
    }
}

/// A token that the AWS CLI made.
fn recorded(name: &str) -> &'static str {
    let mut lines = include_str!("fixtures/get-token.txt").lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_else(|| panic!("no '{name}'"))
}

fn token(url: &str) -> String {
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

fn url() -> String {
    presign_get_caller_identity(ID, SECRET, REGION, &[("x-k8s-aws-id", "dev")], NOW)
}

/// A URL with other parameters, well signed.
fn signed(host: &str, region: &str, query: &str, headers: &[(&str, &str)], expires: u64) -> String {
    let mut all = vec![("host", host.as_bytes())];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    let request = Request { method: "GET", path: "/", query, headers: all, body: b"" };
    let signer = Signer { access_key_id: ID, secret: SECRET, security_token: None, region, service: "sts" };
    format!("https://{host}/?{}", signer.presign(&request, Millis::secs(expires), NOW).unwrap())
}

const QUERY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const STS: &str = "sts.us-west-2.amazonaws.com";
const DEV: [(&str, &str); 1] = [("x-k8s-aws-id", "dev")];

#[test]
fn tokens_of_the_aws_cli_are_their_users() {
    let world = World::new();
    for name in ["regional", "global", "fips", "own-endpoint", "own-domain"] {
        let user = world.ask(recorded(name)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!((user.name.as_str(), user.access_key_id.as_str()), ("admin", ID));
    }
    world.refuses(recorded("other-cluster"), "for a cluster other than 'dev'");
    world.refuses(recorded("session"), "has a session token");
}

#[test]
fn a_token_of_ours_is_its_users_for_fifteen_minutes() {
    let world = World::new();
    let token = token(&url());
    assert!(world.ask_at(&token, NOW + Millis::mins(15)).is_ok());
    let late = world.ask_at(&token, NOW + Millis::mins(15) + Millis(1)).unwrap_err();
    assert!(late.to_string().starts_with("Signature expired: 20261122T193242Z"), "{late}");
    assert!(world.ask_at(&token, NOW - Millis::mins(5)).is_ok());
    let early = world.ask_at(&token, NOW - Millis::mins(6)).unwrap_err();
    assert!(early.to_string().starts_with("Signature not yet current"), "{early}");
}

#[test]
fn what_is_no_such_url_is_no_token() {
    let world = World::new();
    let url = url();
    let long = format!("{url}{}", "a".repeat(4096));
    for text in [
        "",
        "k8s-aws-v1.",
        "k8s-aws-v1.!",
        "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
        &url,
        &token("\u{fe}"),
        &token("https://sts.us-west-2.amazonaws.com"),
        &token("https:///"),
        &token(&url.replace("://", ":/")),
        &token(&format!("{url}#fragment")),
        &token(&format!("{url}\n")),
        &token(&format!(" {url}")),
        &token(&long),
        &token(&url).replace("k8s-aws-v1", "k8s-aws-v2"),
        &format!("{}=", token(&url)),
        &token(&url.replace("/?", "/path?")),
        &token(&url.replace("/?", "//?")),
        &token(&url.replace("/?", "?")),
    ] {
        assert!(matches!(world.ask(text), Err(Refusal::NoToken)), "{text}: {:?}", world.ask(text));
    }
}

#[test]
fn the_url_must_be_for_an_sts_of_the_region() {
    let world = World::new();
    for host in [
        "sts.eu-west-1.amazonaws.com",
        "sts.us-west-2.amazonaws.com.evil.test",
        "sts.us-west-2.amazonaws.com:443",
        "STS.us-west-2.amazonaws.com",
        "user@sts.us-west-2.amazonaws.com",
        "iam.amazonaws.com",
        "127.0.0.1",
        "127.0.0.1:4567",
        "",
    ] {
        world.refuses(&token(&signed(host, REGION, QUERY, &DEV, 60)), "not for an STS of the cluster's region");
    }
    for host in [STS, "sts.amazonaws.com", "evil.test"] {
        let http = signed(host, REGION, QUERY, &DEV, 60).replace("https:", "http:");
        world.refuses(&token(&http), "not https");
    }
    let ftp = signed("127.0.0.1:4566", REGION, QUERY, &DEV, 60).replace("https:", "ftp:");
    world.refuses(&token(&ftp), "not https");
}

#[test]
fn the_signature_must_be_scoped_to_the_hosts_region_and_to_sts() {
    let world = World::new();
    let scoped = "Credential should be scoped to";
    world.refuses(&token(&signed(STS, "us-east-1", QUERY, &DEV, 60)), scoped);
    world.refuses(&token(&signed("sts.amazonaws.com", REGION, QUERY, &DEV, 60)), scoped);
    world.refuses(&token(&signed("127.0.0.1:4566", "us-east-1", QUERY, &DEV, 60)), scoped);
    let eks = signed(STS, REGION, QUERY, &DEV, 60).replace("%2Fsts%2F", "%2Feks%2F");
    world.refuses(&token(&eks), scoped);
}

#[test]
fn only_the_parameters_of_the_call_are_there_each_once() {
    let world = World::new();
    let with = |more: &str| token(&signed(STS, REGION, &format!("{QUERY}{more}"), &DEV, 60));
    world.refuses(&with("&Extra=1"), "does not have");
    world.refuses(&with("&"), "does not have");
    world.refuses(&with("&X-Amz-User-Agent=x"), "does not have");
    world.refuses(&with("&%41ction=GetCallerIdentity"), "does not have");
    world.refuses(&with("&Action=GetCallerIdentity"), "Action twice");
    world.refuses(&with("&action=GetCallerIdentity"), "Action twice");
    world.refuses(&token(&format!("{}&X-Amz-Expires=60", url())), "X-Amz-Expires twice");
    let query = |query: &str| token(&signed(STS, REGION, query, &DEV, 60));
    world.refuses(&query("Action=GetSessionToken&Version=2011-06-15"), "not for GetCallerIdentity");
    world.refuses(&query("action=GetCallerIdentity&Version=2011-06-15"), "not for GetCallerIdentity");
    world.refuses(&query("Action=GetCallerIdentity"), "not for GetCallerIdentity");
    world.refuses(&query("Action=GetCallerIdentity&Version=2010-05-08"), "not for GetCallerIdentity");
    for name in ["Algorithm", "Credential", "Date", "SignedHeaders", "Signature"] {
        let cut: Vec<String> =
            url().split('&').filter(|pair| !pair.starts_with(&format!("X-Amz-{name}="))).map(Into::into).collect();
        world.refuses(&token(&cut.join("&")), &format!("'X-Amz-{name}'"));
    }
}

#[test]
fn an_expiry_is_between_0_and_900_seconds_and_means_nothing() {
    let world = World::new();
    for expires in [0, 1, 900] {
        assert!(world.ask(&token(&signed(STS, REGION, QUERY, &DEV, expires))).is_ok(), "{expires}");
    }
    for expires in ["901", "-1", "", "+60", "1e2", "60s", "99999999999"] {
        world.refuses(&token(&url().replace("Expires=60", &format!("Expires={expires}"))), "between 0 and 900");
    }
}

#[test]
fn a_token_is_for_one_cluster() {
    let world = World::new();
    world.refuses(&token(&signed(STS, REGION, QUERY, &[], 60)), "signed without the header x-k8s-aws-id");
    world.refuses(
        &token(&signed(STS, REGION, QUERY, &[("x-k8s-aws-id", "devel")], 60)),
        "for a cluster other than 'dev'",
    );
    let more = [("x-k8s-aws-id", "dev"), ("x-other", "1")];
    world.refuses(&token(&signed(STS, REGION, QUERY, &more, 60)), "does not match");
    let post = url().replace("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id", "X-Amz-SignedHeaders=x-k8s-aws-id");
    world.refuses(&token(&post), "'Host' or ':authority' must be a 'SignedHeader'");
}

#[test]
fn only_an_enabled_key_of_a_user_signs() {
    let world = World::new();
    let token = token(&url());
    world.keys.put(Credential { enabled: false, ..world.credential(ID, SECRET) });
    world.refuses(&token, "the access key is disabled");
    world.keys.put(world.credential(ID, "rotated"));
    world.refuses(&token, "does not match");
    world.keys.remove(ID);
    world.refuses(&token, "no user has the access key");
    world.keys.put(Credential { access_key_id: "AKIDOTHER".into(), ..world.credential(ID, SECRET) });
    world.refuses(&token, "no user has the access key");
    world.keys.put(world.credential(ID, SECRET));
    assert!(world.ask(&token).is_ok());
}

/// Credentials that EC2 made for an instance.
fn of_instance(world: &World, id: &str, instance: &str, dns_name: &str) -> Credential {
    of_session(world, id, NODE_ROLE, instance, Some(dns_name))
}

/// Credentials of a role's session; its token is `TOKEN-` and the key's id.
fn of_session(world: &World, id: &str, role: &str, name: &str, instance_name: Option<&str>) -> Credential {
    let token = world.vault.seal(&format!("token/{id}"), format!("TOKEN-{id}").as_bytes()).unwrap();
    let short = role.rsplit('/').next().unwrap();
    let principal = Principal {
        arn: format!("arn:aws:sts::111122223333:assumed-role/{short}/{name}"),
        unique_id: format!("AROAEXAMPLE:{name}"),
        account: "111122223333".into(),
    };
    let session = RoleSession {
        token,
        expires: NOW + Millis::mins(60),
        role: role.into(),
        name: name.into(),
        instance_name: instance_name.map(str::to_owned),
    };
    Credential { principal, session: Some(session), ..world.credential(id, SECRET) }
}

/// A token for `dev`, signed with a key and a session token.
fn session_token(id: &str, security_token: Option<&str>) -> String {
    let headers = vec![("host", STS.as_bytes()), ("x-k8s-aws-id", b"dev" as &[u8])];
    let request = Request { method: "GET", path: "/", query: QUERY, headers, body: b"" };
    let signer = Signer { access_key_id: id, secret: SECRET, security_token, region: REGION, service: "sts" };
    token(&format!("https://{STS}/?{}", signer.presign(&request, Millis::secs(60), NOW).unwrap()))
}

#[test]
fn an_instance_is_the_node_of_its_own_name() {
    let world = World::new();
    world.keys.put(of_instance(&world, "ASIANODE", "i-01", "ip-10-0-1-5.us-west-2.compute.internal"));
    let user = world.ask(&session_token("ASIANODE", Some("TOKEN-ASIANODE"))).unwrap();
    assert_eq!(user.name, "system:node:ip-10-0-1-5.us-west-2.compute.internal");
    assert_eq!(user.groups, ["system:bootstrappers", "system:nodes"]);
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": session_token("ASIANODE", Some("TOKEN-ASIANODE"))}});
    let user = world.review(&body).unwrap()["status"]["user"].clone();
    assert_eq!(user["uid"], "aws-iam-authenticator:111122223333:AROAEXAMPLE");
    let extra = json!({
        "arn": ["arn:aws:sts::111122223333:assumed-role/node/i-01"],
        "canonicalArn": [NODE_ROLE],
        "sessionName": ["i-01"],
        "accessKeyId": ["ASIANODE"],
        "principalId": ["AROAEXAMPLE"],
        "sigs.k8s.io/aws-iam-authenticator/principalId": ["AROAEXAMPLE"],
    });
    assert_eq!(user["extra"], extra);
}

#[test]
fn a_key_of_a_session_is_nothing_without_its_own_token() {
    let world = World::new();
    world.keys.put(of_instance(&world, "ASIANODE", "i-01", "one"));
    world.keys.put(of_instance(&world, "ASIAOTHER", "i-02", "two"));
    let wrong = "has not the session token that goes with it";
    world.refuses(&session_token("ASIANODE", None), wrong);
    world.refuses(&session_token("ASIANODE", Some("TOKEN-ASIANODE2")), wrong);
    // Whoever has the keys of one instance and the token of another is neither.
    world.refuses(&session_token("ASIANODE", Some("TOKEN-ASIAOTHER")), wrong);
    world.refuses(&session_token(ID, Some("TOKEN-ASIANODE")), "which a user's access key does not have");
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let world = World::new();
    let mut credential = of_instance(&world, "ASIANODE", "i-01", "one");
    credential.session.as_mut().unwrap().expires = NOW + Millis(1);
    world.keys.put(credential);
    let token = session_token("ASIANODE", Some("TOKEN-ASIANODE"));
    assert!(world.ask_at(&token, NOW).is_ok());
    assert!(matches!(world.ask_at(&token, NOW + Millis(1)), Err(Refusal::Ended)));
}

#[test]
fn a_person_with_a_nodes_role_is_no_node() {
    let world = World::new();
    for name in ["i-0123456789abcdef0", "ip-10-0-1-5.ec2.internal", "{{SessionName}}"] {
        world.keys.put(of_session(&world, "ASIATHIEF", NODE_ROLE, name, None));
        world.refuses(&session_token("ASIATHIEF", Some("TOKEN-ASIATHIEF")), "a session that EC2 began for an instance");
    }
}

#[test]
fn a_session_is_mapped_by_its_role_and_called_as_it_calls_itself() {
    let mut world = World::new();
    let role = "arn:aws:iam::111122223333:role/team/dev";
    world.keys.put(of_session(&world, "ASIADEV", role, "ada@example.com", None));
    let token = session_token("ASIADEV", Some("TOKEN-ASIADEV"));
    assert_eq!(world.ask(&token).unwrap().name, "111122223333:dev:ada-example.com");
    world.spec.mappings[3].username = "{{SessionNameRaw}}/{{AccessKeyID}}".into();
    assert_eq!(world.ask(&token).unwrap().name, "ada@example.com/ASIADEV");
    world.spec.mappings[3].username = "{{Sessionname}}".into();
    world.refuses(&token, "something that is not known here");
    world.spec.mappings[3].arn = "arn:aws:sts::111122223333:assumed-role/dev/ada@example.com".into();
    world.refuses(&token, "role/team/dev has no access to the cluster");
    world.spec.mappings[1].username = "{{SessionName}}".into();
    world.refuses(&self::token(&url()), "a role's session");
}

#[test]
fn a_secret_that_does_not_open_is_our_fault_and_says_so() {
    let world = World::new();
    let foreign = World::new().credential(ID, SECRET);
    world.keys.put(foreign);
    world.refuses(&token(&url()), "not readable on this host");
    let lost = Keys::new(std::path::Path::new("/nonexistent/root.key"));
    lost.put(world.credential(ID, SECRET));
    let refusal = identify(&SignedUrl::of(&token(&url())).unwrap(), &world.spec, &lost, NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::Secret(roadstead_vault::Error::RootKey { .. })), "{refusal}");
}

#[test]
fn who_is_not_mapped_is_nobody() {
    let mut world = World::new();
    world.spec.mappings.remove(1);
    world.refuses(&token(&url()), "arn:aws:iam::111122223333:user/admin has no access to the cluster");
}

#[test]
fn a_review_says_who_it_is_in_the_version_that_was_asked() {
    let world = World::new();
    for version in ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"] {
        let token = token(&url());
        let body = json!({
            "apiVersion": version,
            "kind": "TokenReview",
            "metadata": {"creationTimestamp": null},
            "spec": {"token": token, "audiences": ["https://kubernetes.default.svc"]},
            "status": {"user": {}},
        });
        let user = json!({
            "username": "admin",
            "uid": "aws-iam-authenticator:111122223333:AIDAEXAMPLE",
            "groups": ["system:masters"],
            "extra": {
                "arn": [ADMIN],
                "canonicalArn": [ADMIN],
                "sessionName": [""],
                "accessKeyId": [ID],
                "principalId": ["AIDAEXAMPLE"],
                "sigs.k8s.io/aws-iam-authenticator/principalId": ["AIDAEXAMPLE"],
            },
        });
        let answer = json!({
            "apiVersion": version,
            "kind": "TokenReview",
            "spec": {},
            "status": {"authenticated": true, "user": user},
        });
        assert_eq!(world.review(&body), Some(answer));
    }
}

#[test]
fn a_review_of_a_refused_token_says_why_and_nothing_of_the_token() {
    let world = World::new();
    let forged = url().replace("Signature=", "Signature=0");
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token(&forged)}});
    let answer = world.review(&body).unwrap();
    assert_eq!(answer["status"]["authenticated"], false);
    let why = answer["status"]["error"].as_str().unwrap();
    assert!(why.contains("does not match"), "{why}");
    let (_, signature) = url().split_once("Signature=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(!answer.to_string().contains(&signature) && !answer.to_string().contains("k8s-aws-v1.aHR0"));
    let none = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}});
    assert_eq!(world.review(&none).unwrap()["status"]["authenticated"], false);
}

#[test]
fn what_is_no_review_has_no_answer() {
    let world = World::new();
    for body in [
        json!({}),
        json!([]),
        json!({"apiVersion": "authentication.k8s.io/v2", "kind": "TokenReview", "spec": {"token": "x"}}),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}}),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": 1}}),
    ] {
        assert_eq!(world.review(&body), None, "{body}");
    }
    assert!(review(b"\xff", &world.spec, &world.keys, NOW).is_none());
}

#[test]
fn the_access_key_is_shown_only_if_it_looks_like_one() {
    let shown = |credential: &str| {
        let (before, after) = (url(), format!("Credential={credential}%2F"));
        let url = before.replace(&format!("Credential={ID}%2F"), &after);
        SignedUrl::of(&token(&url)).unwrap().access_key_id().map(str::to_owned)
    };
    assert_eq!(shown(ID).as_deref(), Some(ID));
    assert_eq!(shown("AKID-EVIL").as_deref(), None);
    assert_eq!(shown(&"A".repeat(129)).as_deref(), None);
}

#[test]
fn a_token_with_a_changed_byte_is_nobodys() {
    let (world, url) = (World::new(), url());
    check((any::<prop::sample::Index>(), 0x20u8..0x7f), |(at, to)| {
        let mut bytes = url.clone().into_bytes();
        let at = at.index(bytes.len());
        // The case of an escape's digits means nothing.
        prop_assume!(!bytes[at].eq_ignore_ascii_case(&to));
        bytes[at] = to;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(world.ask(&token(&changed)).is_err(), "{changed}");
        Ok(())
    });
}

#[test]
fn nothing_makes_it_panic() {
    let world = World::new();
    check((".{0,80}", "[ -~]{0,80}"), |(text, query)| {
        let urls = [token(&text), token(&format!("https://{STS}/?{query}"))];
        for token in [&text, &format!("k8s-aws-v1.{text}"), &urls[0], &urls[1]] {
            prop_assert!(world.ask(token).is_err());
        }
        Ok(())
    });
}

fn check<S: Strategy>(of: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    TestRunner::new(ProptestConfig::with_cases(4096)).run(&of, property).unwrap();
}
