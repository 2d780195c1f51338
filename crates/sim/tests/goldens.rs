//! Every script of `scripts/` beside its golden transcript. `UPDATE_GOLDENS=1 cargo test -p roadstead-sim --test goldens`
//! writes them anew; read the difference before you keep it.

#![expect(clippy::disallowed_methods, reason = "goldens are files, and an environment variable updates them")]

use std::path::PathBuf;
use std::{env, fs};

fn golden(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let script = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let transcript = roadstead_sim::script::run(&script).unwrap();
    let golden = folder.join(format!("{name}.golden"));
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&golden, &transcript).unwrap();
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
    machine_loss
    new_patch
    no_free_addresses
    power_off
}
