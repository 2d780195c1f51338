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

#[test]
fn a_console_has_the_ends_of_all_logs_each_line_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder_of(dir.path(), "i-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("init.log"), "up\n").unwrap();
    let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
    fs::write(folder.join("containerd.log"), many).unwrap();
    let text = console(dir.path(), "i-1", 100).unwrap();
    assert!(text.starts_with("[init] up\n[containerd] line ") && text.ends_with("[containerd] line 99\n"), "{text}");
    assert!(text.len() <= 100 && text.lines().all(|line| line.starts_with('[')), "{text}");
    assert_eq!(console(dir.path(), "i-2", 100).unwrap(), "");
}
