//! Key pairs for SSH, and what tools ask for besides before they launch nodes, of which there is none: snapshots.

use e2e::{Call, Region, call, merged, refusal, steps, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

#[test]
fn key_pairs_are_made_imported_found_and_deleted() {
    let region = Region::start();
    steps!((&region):
        a_private_key_is_shown_once_and_kept_nowhere,
        a_public_key_is_imported_and_shown_as_it_is,
        what_is_no_key_pair_is_refused,
        an_instance_has_a_key_pair_that_there_is,
        key_pairs_are_tagged_and_deleted,
        there_are_no_snapshots,
    );
}

fn ec2(operation: &str, input: Value) -> Call {
    call("ec2", operation, input)
}

fn named(name: &str, more: Value) -> Value {
    merged(json!({ "KeyName": name }), &more)
}

fn tags(key: &str) -> Value {
    json!({"TagSpecifications": [{"ResourceType": "key-pair", "Tags": [{"Key": key, "Value": "v"}]}]})
}

/// What `ssh-keygen` says.
#[track_caller]
fn keygen(region: &Region, arguments: &[&str]) -> String {
    region.client().run("ssh-keygen", arguments).text()
}

fn a_private_key_is_shown_once_and_kept_nowhere(region: &Region) {
    let made = region.gets(vec![("OK", ec2("create_key_pair", named("made", tags("made"))))]).remove(0).value();
    let private = text(&made, "KeyMaterial");
    assert!(text(&made, "KeyPairId").starts_with("key-"));
    let file = region.folder().join("made.pem");
    fs::write(&file, private).expect("a file can be written");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let file = file.to_string_lossy().into_owned();
    let public = keygen(region, &["-y", "-f", &file]);
    assert!(keygen(region, &["-l", "-f", &file]).contains(text(&made, "KeyFingerprint")));
    let shown = json!({"KeyNames": ["made"], "IncludePublicKey": true});
    let shown = region.gets(vec![("OK", ec2("describe_key_pairs", shown))]).remove(0).value()["KeyPairs"][0].clone();
    assert_eq!((text(&shown, "KeyType"), &shown["KeyFingerprint"]), ("ed25519", &made["KeyFingerprint"]));
    assert!(public.starts_with(text(&shown, "PublicKey").trim()), "{public} {shown}");
    fs::remove_file(&file).expect("it is there");
    // Any line of it would tell.
    let line = private.lines().nth(2).expect("a key has lines").as_bytes().to_vec();
    let kept = region.files_with(&BTreeMap::from([("private".to_owned(), line)]));
    assert!(kept.values().all(Vec::is_empty), "{kept:?}");
}

fn a_public_key_is_imported_and_shown_as_it_is(region: &Region) {
    for (name, kind, bits) in [("theirs", "rsa", "2048"), ("ours", "ed25519", "256")] {
        let file = region.folder().join(name).to_string_lossy().into_owned();
        keygen(region, &["-q", "-t", kind, "-b", bits, "-N", "", "-C", "a comment", "-f", &file]);
        let public = fs::read_to_string(format!("{file}.pub")).expect("ssh-keygen made it");
        let answers = region.gets(vec![
            ("OK", ec2("import_key_pair", named(name, json!({ "PublicKeyMaterial": public })))),
            ("OK", ec2("describe_key_pairs", json!({"KeyNames": [name], "IncludePublicKey": true}))),
            ("OK", ec2("describe_key_pairs", json!({"Filters": [{"Name": "key-name", "Values": [name]}]}))),
        ]);
        let [imported, whole, brief] = [0, 1, 2].map(|n| answers[n].clone().value());
        let (whole, brief) = (&whole["KeyPairs"][0], &brief["KeyPairs"][0]);
        assert!(keygen(region, &["-l", "-f", &file]).contains(text(&imported, "KeyFingerprint")));
        assert_eq!((text(whole, "KeyType"), &whole["KeyPairId"]), (kind, &imported["KeyPairId"]));
        assert_eq!(format!("{} a comment\n", text(whole, "PublicKey")), public);
        assert_eq!(brief["PublicKey"], Value::Null, "only if it is asked for");
    }
}

fn what_is_no_key_pair_is_refused(region: &Region) {
    let import = |material: &str| ec2("import_key_pair", named("no", json!({ "PublicKeyMaterial": material })));
    let short = region.folder().join("short").to_string_lossy().into_owned();
    keygen(region, &["-q", "-t", "ecdsa", "-N", "", "-f", &short]);
    let ecdsa = fs::read_to_string(format!("{short}.pub")).expect("ssh-keygen made it");
    let create = |more: Value| ec2("create_key_pair", named("no", more));
    let before = region.gets(vec![("OK", ec2("describe_key_pairs", json!({})))]).remove(0).value();
    let answers = region.gets(vec![
        ("InvalidKeyPair.Duplicate", ec2("create_key_pair", named("made", json!({})))),
        ("InvalidKeyPair.Duplicate", ec2("import_key_pair", named("made", json!({"PublicKeyMaterial": ecdsa})))),
        ("InvalidKey.Format", import("ssh-rsa AAAA")),
        ("InvalidKey.Format", import(&ecdsa)),
        ("Unsupported", create(json!({"KeyType": "rsa"}))),
        ("Unsupported", create(json!({"KeyFormat": "ppk"}))),
        ("InvalidParameterValue", create(json!({"KeyType": "dsa"}))),
        ("InvalidParameterValue", ec2("create_key_pair", json!({"KeyName": "n".repeat(256)}))),
        ("MissingParameter", ec2("create_key_pair", json!({}))),
        ("DryRunOperation", create(json!({"DryRun": true}))),
        ("InvalidKeyPair.NotFound", ec2("describe_key_pairs", json!({"KeyNames": ["no"]}))),
        ("InvalidKeyPair.NotFound", ec2("describe_key_pairs", json!({"KeyPairIds": ["key-1"]}))),
        ("InvalidKeyPair.NotFound", ec2("delete_key_pair", json!({"KeyPairId": "key-1"}))),
        ("MissingParameter", ec2("delete_key_pair", json!({}))),
        ("OK", ec2("describe_key_pairs", json!({}))),
    ]);
    assert_eq!(answers[0].refusal(), refusal("InvalidKeyPair.Duplicate", "The keypair already exists"));
    assert_eq!(answers[14].clone().value(), before, "nothing was made");
}

fn an_instance_has_a_key_pair_that_there_is(region: &Region) {
    let name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id";
    let image = region.gets(vec![("OK", call("ssm", "get_parameter", json!({ "Name": name })))]).remove(0).value();
    let run = |key: &str| {
        let image = &image["Parameter"]["Value"];
        json!({"ImageId": image, "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, "KeyName": key})
    };
    let answers = region.gets(vec![
        ("InvalidKeyPair.NotFound", ec2("run_instances", run("no"))),
        ("OK", ec2("run_instances", run("made"))),
    ]);
    let message = "The key pair 'no' does not exist";
    assert_eq!(answers[0].refusal(), refusal("InvalidKeyPair.NotFound", message));
    assert_eq!(answers[1].clone().value()["Instances"][0]["KeyName"], "made");
}

fn key_pairs_are_tagged_and_deleted(region: &Region) {
    let shown = region.gets(vec![("OK", ec2("describe_key_pairs", json!({"KeyNames": ["ours"]})))]).remove(0).value();
    let id = text(&shown["KeyPairs"][0], "KeyPairId").to_owned();
    let answers = region.gets(vec![
        ("OK", ec2("create_tags", json!({"Resources": [id], "Tags": [{"Key": "team", "Value": "sea"}]}))),
        ("OK", ec2("describe_key_pairs", json!({"Filters": [{"Name": "tag:team", "Values": ["sea"]}]}))),
        ("OK", ec2("delete_key_pair", json!({"KeyPairId": id}))),
        ("OK", ec2("delete_key_pair", named("theirs", json!({})))),
        // As EC2 does: a name that nothing has is none.
        ("OK", ec2("delete_key_pair", named("theirs", json!({})))),
        ("OK", ec2("describe_key_pairs", json!({}))),
        ("InvalidKeyPair.NotFound", ec2("create_tags", json!({"Resources": [id], "Tags": [{"Key": "late"}]}))),
    ]);
    let listed = |n: usize| {
        let pairs = answers[n].clone().value()["KeyPairs"].as_array().cloned().unwrap_or_default();
        pairs.iter().map(|pair| text(pair, "KeyName").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((listed(1), listed(5)), (vec!["ours".to_owned()], vec!["made".to_owned()]));
}

fn there_are_no_snapshots(region: &Region) {
    let answers = region.gets(vec![
        ("OK", ec2("describe_snapshots", json!({"OwnerIds": ["self"]}))),
        ("InvalidSnapshot.NotFound", ec2("describe_snapshots", json!({"SnapshotIds": ["snap-1"]}))),
    ]);
    assert_eq!(answers[0].clone().value()["Snapshots"], json!([]));
}
