use super::*;
use std::os::unix::fs::PermissionsExt as _;
use tokio::sync::mpsc;

struct World {
    disks: Disks,
    seen: mpsc::UnboundedReceiver<(ItemKey, u64, Status)>,
    dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(Config {
        slot: 0,
        state_dir: dir.path().join("state"),
        run_dir: dir.path().join("run"),
        components_dir: dir.path().join("components"),
        root_key: dir.path().join("root.key"),
        program: "/nonexistent".into(),
    });
    let (tell, seen) = mpsc::unbounded_channel();
    let disks = Disks::new(config, Arc::new(move |key, generation, status| drop(tell.send((key, generation, status)))));
    World { disks, seen, dir }
}

fn disk(id: &str) -> Disk {
    Disk { id: id.into(), bytes: 1 << 30 }
}

#[tokio::test]
async fn a_disk_is_lent_to_one_machine_at_a_time_and_deleted_after_the_last() {
    let mut w = world();
    assert_eq!(w.disks.lend("vol-1", "i-1"), Err("disk vol-1".into()));
    w.disks.put(7, disk("vol-1"));
    let (key, generation, status) = w.seen.recv().await.unwrap();
    assert_eq!((key.to_string().as_str(), generation), ("Disk vol-1", 7));
    assert_eq!(status, Status::Disk(DiskStatus { ready: true, why: None }));
    let path = w.disks.lend("vol-1", "i-1").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(path.join("data"), "x").unwrap();
    assert!(w.disks.lend("vol-1", "i-2").unwrap_err().contains("i-1"));
    assert!(w.disks.lend("vol-1", "i-1").is_ok(), "lending again to the same is nothing new");

    let removed = w.disks.remove("vol-1");
    assert!(w.disks.lend("vol-1", "i-1").is_err());
    assert!(path.join("data").exists());
    w.disks.give_back("i-1");
    removed.await;
    assert!(!path.exists());
    assert!(w.disks.ids().is_empty());
}

#[tokio::test]
async fn a_disk_put_again_keeps_its_data() {
    let mut w = world();
    w.disks.put(1, disk("vol-1"));
    w.seen.recv().await.unwrap();
    let path = w.disks.lend("vol-1", "i-1").unwrap();
    fs::write(path.join("data"), "x").unwrap();
    let removed = w.disks.remove("vol-1");
    w.disks.put(2, disk("vol-1"));
    w.disks.give_back("i-1");
    removed.await;
    assert_eq!(w.seen.recv().await.unwrap().1, 2);
    assert_eq!(fs::read_to_string(w.disks.lend("vol-1", "i-2").unwrap().join("data")).unwrap(), "x");
}

#[tokio::test]
async fn a_disk_that_cannot_be_made_says_why_and_is_made_later() {
    let mut w = world();
    fs::write(w.dir.path().join("state"), "in the way").unwrap();
    w.disks.put(1, disk("vol-1"));
    let Status::Disk(status) = w.seen.recv().await.unwrap().2 else { panic!("no disk status") };
    assert!(!status.ready && status.why.unwrap().contains("vol-1"));
    fs::remove_file(w.dir.path().join("state")).unwrap();
    while w.seen.recv().await.unwrap().2 != Status::Disk(DiskStatus { ready: true, why: None }) {}
}
