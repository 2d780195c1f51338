use super::*;

fn log(folder: &Path) -> Log {
    Log { of: "api-1/x".into(), file: File::open(folder.join("x.log")).unwrap(), rest: vec![] }
}

#[test]
fn only_whole_lines_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.log"), "").unwrap();
    let mut log = log(dir.path());
    assert_eq!(log.whole_lines(b"one\ntw".to_vec()), "one\n");
    assert_eq!(log.whole_lines(b"o".to_vec()), "");
    assert_eq!(log.whole_lines(b"\nthree\n".to_vec()), "two\nthree\n");
}

#[test]
fn logs_are_found_by_process_and_a_machine_that_never_ran_has_none() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["init.log", "etcd.log", "etcd.log.1", "other"] {
        fs::write(dir.path().join(name), "x\n").unwrap();
    }
    let found: Vec<String> = logs_in(dir.path()).unwrap().into_iter().map(|(process, _)| process).collect();
    assert_eq!(found, ["etcd", "init"]);
    assert!(logs_in(&dir.path().join("absent")).unwrap().is_empty());
}
