//! Every script of `scripts/` beside its golden transcript. `UPDATE_GOLDENS=1 cargo test -p roadstead-sim --test goldens`
//! writes them anew; read the difference before you keep it.

#![expect(clippy::disallowed_methods, reason = "goldens are files, and an environment variable updates them")]

use roadstead_sim::script;
use std::path::PathBuf;
use std::{env, fs};

fn golden(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let script = fs::read_to_string(folder.join(format!("{name}.txt"))).expect("the script stands in scripts/");
    let transcript = script::run(&script).unwrap_or_else(|why| panic!("{name}.txt, {why}"));
    let golden = folder.join(format!("{name}.golden"));
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&golden, &transcript).expect("scripts/ can be written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    if transcript != expected {
        let (line, (is, was)) = (1..)
            .zip(transcript.lines().chain([""]).zip(expected.lines().chain([""])))
            .find(|(_, (is, was))| is != was)
            .unwrap_or((1, ("", "")));
        panic!("{name} differs from its golden from line {line} on:\n  is    {is}\n  was   {was}");
    }
}

macro_rules! goldens {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            golden(stringify!($name));
        })*

        #[test]
        fn every_script_is_tested() {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
            let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let scripts = names.filter_map(|name| Some(name.strip_suffix(".txt")?.to_owned()));
            let tested = [$(stringify!($name)),*];
            let left: Vec<String> = scripts.filter(|name| !tested.contains(&name.as_str())).collect();
            assert!(left.is_empty(), "name these in goldens.rs: {left:?}");
        }
    };
}

goldens! {
    create
    create_delete
    delete_in_mid_create
    host_away
    lost_disk
    machine_loss
    new_patch
    no_free_addresses
    power_off
}

#[test]
fn a_wrong_command_is_named_with_its_line() {
    for (script, why) in [
        ("settle\nsetle", "line 2: \"setle\": no such command"),
        ("wait 5h", "line 1: \"wait 5h\": 5h is no time: say 5s or 5m"),
        ("kill machine etcd-1", "line 1: \"kill machine etcd-1\": there is no cluster"),
    ] {
        assert_eq!(script::run(script), Err(why.to_owned()));
    }
}
