use super::names::{constant, field, snake, variant};
use super::{api, check, model, ops, source, write};
use std::fs;

#[test]
fn an_archive_that_is_not_the_pinned_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("botocore-1.tar.gz");
    fs::write(&file, "abc").unwrap();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    source::verify(&file, abc).unwrap();
    let error = source::verify(&file, &abc.replace('b', "c")).unwrap_err().to_string();
    assert!(error.contains(abc), "{error}");
}

#[test]
fn check_passes_what_was_written_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("lib.rs".to_owned(), "//! A crate.\n".to_owned())].into();
    write(folder.path(), &files).unwrap();
    check(folder.path(), &files).unwrap();
    fs::write(folder.path().join("old.rs"), "").unwrap();
    assert!(check(folder.path(), &files).unwrap_err().to_string().contains("old.rs"));
    write(folder.path(), &files).unwrap();
    fs::write(folder.path().join("lib.rs"), "//! Another.\n").unwrap();
    assert!(check(folder.path(), &files).unwrap_err().to_string().contains("lib.rs"));
}

#[test]
fn the_page_says_of_each_operation_what_works_and_what_differs() {
    let metadata = r#"{"apiVersion": "1", "endpointPrefix": "x", "serviceId": "EKS", "protocols": ["rest-json"]}"#;
    let model = format!(r#"{{"metadata": {metadata}, "operations": {{}}, "shapes": {{}}}}"#);
    let model: model::Model = serde_json::from_str(&model).unwrap();
    let service: ops::Service = toml::from_str(
        "model = 'eks/1'\ndiffers = 'No tea.'\n[operations]\nBrew = { differs = 'hot | cold' }\nPour = {}\n\
         Spill = { works = 'never', differs = 'dry' }",
    )
    .unwrap();
    let page = api::service("eks", &service, &model);
    let rows = ["| Brew | as AWS, but | hot \\| cold |", "| Pour | as AWS |  |", "| Spill | never | dry |"];
    assert!(page.starts_with("\n## EKS (`eks`): 3 of 0 operations\n\nNo tea.\n"), "{page}");
    assert_eq!(page.lines().skip(7).collect::<Vec<_>>(), rows);
}

#[test]
fn names_are_spelled_as_rust_spells_them() {
    let fields = [
        ("roleArn", "role_arn"),
        ("EnableResourceNameDnsAAAARecord", "enable_resource_name_dns_aaaa_record"),
        ("Ipv6CidrBlock", "ipv6_cidr_block"),
        ("type", "r#type"),
        ("Return", "r#return"),
        ("VpcID", "vpc_id"),
    ];
    for (name, ours) in fields {
        assert_eq!(field(name), ours);
    }
    assert_eq!(snake("DNSName"), "dns_name");
    assert_eq!(constant("InvalidVpcID.NotFound"), "INVALID_VPC_ID_NOT_FOUND");
}

#[test]
fn values_are_spelled_as_variants() {
    let values = [
        ("API_AND_CONFIG_MAP", "ApiAndConfigMap"),
        ("tier-2xl", "Tier2xl"),
        ("ipv4", "Ipv4"),
        ("opt-in-not-required", "OptInNotRequired"),
        ("controllerManager", "ControllerManager"),
        ("1024", "V1024"),
    ];
    for (value, ours) in values {
        assert_eq!(variant(value), ours);
    }
}
