use super::house::{House, without_lints};
use super::imports::Table;
use super::licences::Deny;
use super::metadata::Metadata;
use super::source::{File, Source};
use std::path::Path;

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), bytes: text.as_bytes().to_vec(), executable: false }
}

fn source(files: Vec<File>) -> Source {
    Source::new(Path::new("/repo"), files)
}

const PACKAGES: &str = r#"{
  "workspace_members": ["cloud", "store"],
  "packages": [
    {"name": "roadstead-cloud", "version": "0.1.0", "id": "cloud", "license": "Apache-2.0",
     "manifest_path": "/repo/crates/cloud/Cargo.toml",
     "dependencies": [{"name": "roadstead-store", "req": "*", "source": null, "kind": null},
                      {"name": "roadstead-store", "req": "*", "source": null, "kind": "dev"}]},
    {"name": "roadstead-store", "version": "0.1.0", "id": "store", "license": "Apache-2.0",
     "manifest_path": "/repo/crates/store/Cargo.toml",
     "dependencies": [{"name": "redb", "req": "*", "source": "registry", "kind": null}]},
    {"name": "redb", "version": "4.6.0", "id": "redb", "license": "MIT OR Apache-2.0", "manifest_path": "/r", "dependencies": []},
    {"name": "tokio", "version": "1.0.0", "id": "tokio", "license": "GPL-3.0", "source": "git+x", "manifest_path": "/t", "dependencies": []},
    {"name": "unused", "version": "1.0.0", "id": "unused", "license": null, "manifest_path": "/u", "dependencies": []}
  ]}"#;

fn metadata() -> Metadata {
    let store = "0roadstead-store v0.1.0 (/repo)\n1redb v4.6.0\n2tokio v1.0.0\n";
    let all = "0roadstead-cloud v0.1.0 (/repo)\n1roadstead-store v0.1.0 (/repo)\n2redb v4.6.0\n3tokio v1.0.0\n";
    let cargo = |arguments: &[&str]| {
        Ok(match arguments {
            ["metadata", ..] => PACKAGES,
            [.., "roadstead-store"] => store,
            _ => all,
        }
        .to_owned())
    };
    Metadata::read(cargo).unwrap()
}

fn table(cloud: &str, store: &str) -> Table {
    let groups = "[groups]\nasync = [\"tokio\"]\n[services]\nfolder = \"crates/cloud/src\"\n";
    let services = "[services.uses]\niam = []\nec2 = [\"iam\"]\neks = [\"ec2\"]\n";
    let crates = format!("[crates.roadstead-cloud]\n{cloud}\n[crates.roadstead-store]\n{store}\n");
    toml::from_str(&format!("{groups}{services}{crates}")).unwrap()
}

#[test]
fn the_committed_rules_are_well_formed() {
    Table::committed().unwrap();
    House::committed().unwrap();
    Deny::parse(include_str!("../../../deny.toml")).unwrap();
}

#[test]
fn an_import_that_the_table_does_not_list_is_named() {
    let found = table("may = []", "may = []").violations(&metadata(), &source(vec![]));
    assert_eq!(
        found,
        [
            "roadstead-cloud may not import store, and it depends on it",
            "roadstead-cloud may not import store, and its tests depend on it"
        ]
    );
    assert!(table("may = [\"store\"]", "may = []").violations(&metadata(), &source(vec![])).is_empty());
    assert_eq!(table("may = []\ndev = [\"store\"]", "may = []").violations(&metadata(), &source(vec![])).len(), 1);
}

#[test]
fn what_is_reached_through_others_is_named_with_the_way() {
    let found = table("may = [\"store\"]\nnever = [\"async\"]", "may = []").violations(&metadata(), &source(vec![]));
    assert_eq!(found, ["roadstead-cloud reaches tokio (async), through roadstead-store -> redb -> tokio"]);
}

#[test]
fn a_crate_that_is_not_in_the_table_is_named() {
    let text =
        "[groups]\n[services]\nfolder = \"crates/cloud/src\"\n[services.uses]\n[crates.roadstead-store]\nmay = []\n";
    let found = toml::from_str::<Table>(text).unwrap().violations(&metadata(), &source(vec![]));
    assert!(found[0].starts_with("crate roadstead-cloud is not in"), "{found:?}");
}

#[test]
fn only_the_listed_modules_of_a_crate_are_used() {
    let text = "use roadstead_store::{\n    tx::{self, Tx},\n    view::View,\n};\n// roadstead_store::journal\nfn f() { roadstead_store::redb::open() }\n";
    let files = vec![file("crates/cloud/src/lib.rs", text)];
    let rule = "may = [\"store\"]\nmodules = { store = [\"tx\"] }";
    let found = table(rule, "may = []").violations(&metadata(), &source(files));
    assert_eq!(
        found,
        [
            "crates/cloud/src/lib.rs:1: roadstead-cloud may not use store::view",
            "crates/cloud/src/lib.rs:6: roadstead-cloud may not use store::redb"
        ]
    );
}

#[test]
fn services_form_a_graph_without_a_way_back() {
    let files = vec![
        file("crates/cloud/src/lib.rs", "use crate::eks;"),
        file("crates/cloud/src/eks/mod.rs", "//! [`crate::eks`]\nuse crate::{iam::role, settings};\n"),
        file("crates/cloud/src/ec2/vpc/plan.rs", "use crate::eks::cluster;\n"),
        file("crates/cloud/src/sqs/mod.rs", ""),
    ];
    let found = table("may = [\"store\"]", "may = []").violations(&metadata(), &source(files));
    assert_eq!(
        found,
        [
            "crates/cloud/src/ec2/vpc/plan.rs:1: service ec2 may not use eks",
            "crates/cloud/src/sqs/mod.rs: service sqs is not in xtask/src/tidy/imports.toml"
        ]
    );
}

#[test]
fn a_crate_says_that_it_takes_over_the_lints() {
    let files = vec![
        file("crates/cloud/Cargo.toml", "[lints]\nworkspace = true\n"),
        file("crates/store/Cargo.toml", "[package]\nname = \"x\"\n"),
    ];
    let found = without_lints(&metadata(), &source(files));
    assert_eq!(found, ["crates/store/Cargo.toml: must have `[lints] workspace = true`"]);
}

#[test]
fn what_we_may_not_link_is_named() {
    let deny = "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"redb\", reason = \"no\" }]\n";
    assert_eq!(
        Deny::parse(deny).unwrap().violations(&metadata()),
        [
            "redb 4.6.0 is not wanted: no",
            "tokio 1.0.0 does not come from the registry",
            "tokio 1.0.0 is under GPL-3.0, which deny.toml does not allow",
            "roadstead-store takes any version of redb: name one"
        ]
    );
}

#[test]
fn licence_expressions_mean_what_spdx_says() {
    let deny = Deny::parse("[licenses]\nallow = [\"MIT\", \"ISC\", \"MPL-2.0\"]\n[bans]\ndeny = []\n").unwrap();
    for permitted in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MPL-2.0+", "ISC AND (GPL-2.0 OR MIT)"] {
        assert!(deny.permits(permitted).unwrap(), "{permitted}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH LLVM-exception", "(MIT OR ISC) AND LGPL-2.1"] {
        assert!(!deny.permits(refused).unwrap(), "{refused}");
    }
    for broken in ["", "MIT OR", "(MIT", "MIT ISC", "MIT WITH"] {
        deny.permits(broken).unwrap_err();
    }
}

fn breaches(file: &File) -> Vec<String> {
    House::committed().unwrap().violations_of(file)
}

#[test]
fn unfinished_code_is_found_and_words_about_it_are_not() {
    let text = format!("fn f() {{ {}!() }}\n// {}!() is forbidden\n", "todo", "todo");
    assert_eq!(breaches(&file("a.rs", &text)).len(), 1);
    assert!(breaches(&file("a.md", &text)).is_empty());
}

#[test]
fn our_machines_paths_are_found_where_a_path_begins() {
    let path = ["/ro", "ot/"].concat();
    assert_eq!(breaches(&file("a.md", &format!("see `{path}x`\n"))).len(), 1);
    assert!(breaches(&file("a.md", &format!("$DIR{path}x and run{path}y\n"))).is_empty());
}

#[test]
fn long_large_binary_and_left_over_files_are_found() {
    assert_eq!(breaches(&file("a.rs", &"x\n".repeat(901))).len(), 1);
    assert!(breaches(&file("crates/shapes/src/eks.rs", &"x\n".repeat(901))).is_empty());
    assert_eq!(breaches(&file("a.toml", &"x".repeat(1 << 21))).len(), 1);
    assert_eq!(breaches(&file("a.bin", "a\0b")).len(), 1);
    assert!(breaches(&file("a.png", "a\0b")).is_empty());
    assert_eq!(breaches(&file("a.rs.orig", "x")).len(), 1);
    assert_eq!(breaches(&file("a.rs", "<<<<<<< ours\n")).len(), 1);
}

#[test]
fn scripts_can_be_run_and_stop_at_the_first_error() {
    let script = |text: &str, executable| File { executable, ..file("scripts/x", text) };
    assert!(breaches(&script("#!/usr/bin/env bash\nset -euo pipefail\n", true)).is_empty());
    assert_eq!(breaches(&script("#!/usr/bin/env bash\nset -euo pipefail\n", false)).len(), 1);
    assert_eq!(breaches(&script("#!/usr/bin/env bash\n", true)).len(), 1);
    assert_eq!(breaches(&script("text\n", true)).len(), 1);
}
