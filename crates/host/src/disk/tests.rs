use super::*;
use roadstead_guest::DISK_MARK;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::sync::mpsc;

struct World {
    disks: Disks,
    config: Config,
    seen: Seen,
    dir: tempfile::TempDir,
}

type Seen = mpsc::UnboundedReceiver<(ItemKey, u64, Status)>;

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        slot: 0,
        state_dir: dir.path().join("state"),
        run_dir: dir.path().join("run"),
        components_dir: dir.path().join("components"),
        outside: None,
        root_key: dir.path().join("root.key"),
        region: "us-east-1".into(),
        region_address: dir.path().join("address"),
        program: "/nonexistent".into(),
    };
    let (disks, seen) = agent(&config);
    World { disks, config, seen, dir }
}

fn agent(config: &Config) -> (Disks, Seen) {
    let (tell, seen) = mpsc::unbounded_channel();
    let saw = move |key, generation, status| drop(tell.send((key, generation, status)));
    (Disks::new(config, Arc::new(saw)), seen)
}

impl World {
    /// Another agent takes over.
    fn restart(&mut self) {
        (self.disks, self.seen) = agent(&self.config);
    }

    async fn status(&mut self) -> DiskStatus {
        let Status::Disk(status) = self.seen.recv().await.unwrap().2 else { panic!("no disk status") };
        status
    }

    /// The next status but one that says again that all is well.
    async fn news(&mut self) -> DiskStatus {
        loop {
            match self.status().await {
                DiskStatus::Ready { .. } => {}
                status => return status,
            }
        }
    }

    async fn ready(&mut self) -> String {
        loop {
            if let DiskStatus::Ready { mark } = self.status().await {
                return mark;
            }
        }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.config.state_dir.join("disks/vol-1")
    }
}

fn disk(id: &str) -> Disk {
    marked(id, None)
}

fn marked(id: &str, mark: Option<String>) -> Disk {
    Disk { id: id.into(), bytes: 1 << 30, mark }
}

fn empty(folder: &Path) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
}

#[tokio::test]
async fn a_disk_is_lent_to_one_machine_at_a_time_and_deleted_after_the_last() {
    let mut w = world();
    assert_eq!(w.disks.lend("vol-1", "i-1"), Err("disk vol-1".into()));
    w.disks.put(7, disk("vol-1"));
    let (key, generation, status) = w.seen.recv().await.unwrap();
    assert_eq!((key.to_string().as_str(), generation), ("Disk vol-1", 7));
    assert!(matches!(status, Status::Disk(DiskStatus::Ready { .. })));
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
    let status = w.status().await;
    assert!(matches!(&status, DiskStatus::Pending { why } if why.contains("vol-1")), "{status:?}");
    fs::remove_file(w.dir.path().join("state")).unwrap();
    w.ready().await;
}

#[tokio::test]
async fn a_disk_that_is_gone_emptied_or_exchanged_is_lost_and_never_made_anew() {
    let gone = |folder: &Path| fs::remove_dir_all(folder).unwrap();
    let unmarked = |folder: &Path| fs::remove_file(folder.join(DISK_MARK)).unwrap();
    let exchanged = |folder: &Path| fs::write(folder.join(DISK_MARK), "another\n").unwrap();
    let truncated = |folder: &Path| fs::write(folder.join(DISK_MARK), "").unwrap();
    for (says, harm) in [
        ("is gone", gone as fn(&Path)),
        ("was emptied", empty),
        ("was emptied", unmarked),
        ("another disk", exchanged),
        ("was emptied", truncated),
    ] {
        let mut w = world();
        w.disks.put(1, disk("vol-1"));
        let mark = w.ready().await;
        harm(&w.folder());
        // A machine that starts does not get it, even before anybody has looked.
        assert!(w.disks.lend("vol-1", "i-1").unwrap_err().contains(says), "{says}");
        // By the memory of the host, though the region was set back; and by that of the region, though the host forgot.
        w.restart();
        w.disks.put(1, disk("vol-1"));
        let status = w.news().await;
        assert!(matches!(&status, DiskStatus::Lost { why } if why.contains(says)), "{says}: {status:?}");
        assert!(w.disks.lend("vol-1", "i-1").is_err());
        fs::remove_dir_all(w.config.state_dir.join("disk-marks")).unwrap();
        w.restart();
        w.disks.put(2, marked("vol-1", Some(mark)));
        let status = w.news().await;
        assert!(matches!(&status, DiskStatus::Lost { why } if why.contains(says)), "{says}: {status:?}");
        assert_eq!(w.disks.ids(), if says == "is gone" { vec![] } else { vec!["vol-1"] });
        w.disks.remove("vol-1").await;
        assert!(!w.folder().exists());
    }
}

#[tokio::test]
async fn a_disk_that_is_lost_while_it_is_wanted_is_noticed_and_one_that_returns_too() {
    let mut w = world();
    w.disks.put(1, disk("vol-1"));
    let mark = w.ready().await;
    let aside = w.dir.path().join("aside");
    fs::rename(w.folder(), &aside).unwrap();
    assert!(matches!(w.news().await, DiskStatus::Lost { .. }));
    assert!(w.disks.lend("vol-1", "i-1").is_err());
    fs::rename(&aside, w.folder()).unwrap();
    assert_eq!(w.ready().await, mark, "it is the same disk");
    assert!(w.disks.lend("vol-1", "i-1").is_ok());
}

#[tokio::test]
async fn an_agent_that_ended_in_mid_making_leaves_nothing_that_looks_like_a_loss() {
    let mut w = world();
    // The folder was being made: it has no name yet.
    let half = w.config.state_dir.join("disks/.new-vol-1");
    fs::create_dir_all(half).unwrap();
    w.disks.put(1, disk("vol-1"));
    let mark = w.ready().await;
    // It was made, and no note was taken of it.
    fs::remove_dir_all(w.config.state_dir.join("disk-marks")).unwrap();
    w.restart();
    w.disks.put(1, disk("vol-1"));
    assert_eq!(w.ready().await, mark);
    // It was being deleted: the folder is gone, the note is not. Nobody wants it any more, and it is still known.
    fs::remove_dir_all(w.folder()).unwrap();
    w.restart();
    assert_eq!(w.disks.ids(), ["vol-1"]);
    w.disks.remove("vol-1").await;
    assert!(w.disks.ids().is_empty());
}

#[tokio::test]
async fn a_folder_that_nobody_knows_is_not_taken_for_a_new_disk() {
    let mut w = world();
    fs::create_dir_all(w.folder()).unwrap();
    w.disks.put(1, disk("vol-1"));
    assert!(matches!(w.news().await, DiskStatus::Lost { why } if why.contains("no mark")));
}

#[tokio::test]
async fn when_one_disk_is_lost_the_others_are_looked_at_at_once() {
    let mut w = world();
    w.disks.put(1, disk("vol-1"));
    w.ready().await;
    // So that their turns are apart.
    tokio::time::sleep(LOOK / 2).await;
    w.disks.put(1, disk("vol-2"));
    w.ready().await;
    for id in ["vol-1", "vol-2"] {
        fs::remove_dir_all(w.config.state_dir.join("disks").join(id)).unwrap();
    }
    assert!(matches!(w.news().await, DiskStatus::Lost { .. }));
    let first = std::time::Instant::now();
    assert!(matches!(w.news().await, DiskStatus::Lost { .. }));
    assert!(first.elapsed() < LOOK / 4, "{:?}", first.elapsed());
}
