use super::accepted::{Accepted, Effects};
use super::board::Board;
use super::frame;
use super::snapshot::Snapshot;
use roadstead_hostspec::{Disk, DiskStatus, FromHost, Item, ItemKey, ItemKind, MAX_FRAME, Status, ToHost, Versioned};
use std::sync::Arc;

fn disk(id: &str, generation: u64, bytes: u64) -> Versioned {
    Versioned { generation, item: Item::Disk(Disk { id: id.into(), bytes, mark: None }) }
}

fn key(id: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Disk, id: id.into() }
}

fn ids(effects: &Effects) -> (Vec<&str>, Vec<&str>) {
    (effects.put.keys().map(|key| &*key.id).collect(), effects.remove.iter().map(|key| &*key.id).collect())
}

fn accepted(epoch: u64, items: Vec<Versioned>) -> Accepted {
    Accepted::session(None, epoch, items).unwrap().0
}

fn change(put: Vec<Versioned>, remove: &[&str]) -> ToHost {
    ToHost::Change { put, remove: remove.iter().map(|id| key(id)).collect() }
}

#[test]
fn a_session_puts_what_is_new_and_removes_what_it_does_not_name() {
    let known = accepted(1, vec![disk("same", 1, 1), disk("changed", 1, 1), disk("gone", 1, 1)]);
    let named = vec![disk("same", 1, 1), disk("changed", 2, 2), disk("new", 1, 1)];
    let (new, effects) = Accepted::session(Some(&known), 1, named).unwrap();
    assert_eq!(ids(&effects), (vec!["changed", "new"], vec!["gone"]));
    assert_eq!(new.items.keys().map(|key| &*key.id).collect::<Vec<_>>(), ["changed", "new", "same"]);
}

#[test]
fn what_is_older_is_refused_but_in_a_new_epoch() {
    let known = accepted(3, vec![disk("vol", 5, 1)]);
    let open = |epoch, generation| Accepted::session(Some(&known), epoch, vec![disk("vol", generation, 1)]);
    assert!(open(2, 9).unwrap_err().to_string().contains("epoch 2 is older than 3"));
    assert!(open(3, 4).unwrap_err().to_string().contains("generation 4 of Disk vol is older than 5"));
    assert_eq!(ids(&open(3, 5).unwrap().1), (vec![], vec![]));
    assert_eq!(ids(&open(4, 1).unwrap().1), (vec!["vol"], vec![]));
    assert!(known.changed(vec![change(vec![disk("vol", 4, 1)], &[])]).is_err());
}

#[test]
fn of_changes_that_come_together_the_last_counts() {
    let known = accepted(1, vec![disk("a", 1, 1), disk("b", 1, 1)]);
    let changes = vec![
        change(vec![disk("a", 2, 2), disk("c", 1, 1)], &["b"]),
        change(vec![disk("a", 3, 3)], &["c", "never-there"]),
        change(vec![disk("b", 1, 1)], &[]),
    ];
    let (new, effects) = known.changed(changes).unwrap();
    assert_eq!(new.items.keys().map(|key| &*key.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(ids(&effects), (vec!["a"], vec!["c", "never-there"]), "b is as it was, and what is not there is gone");
    assert_eq!(effects.put[&key("a")].generation, 3);
    assert!(known.changed(vec![ToHost::Session { epoch: 1, items: vec![] }]).is_err());
}

#[test]
fn an_id_must_be_safe_in_names_and_paths() {
    let long = "x".repeat(129);
    for id in ["", ".", "..", "../vpc", "a/b", "a b", "a\n", "ä", long.as_str()] {
        assert!(Accepted::session(None, 1, vec![disk(id, 1, 1)]).is_err(), "{id:?}");
        assert!(Accepted::default().changed(vec![change(vec![], &[id])]).is_err(), "{id:?}");
    }
    assert!(Accepted::session(None, 1, vec![disk("vol-0A_b.c", 1, 1)]).is_ok());
}

#[tokio::test]
async fn a_snapshot_comes_back_or_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let snapshot = Snapshot::new(&dir.path().join("state"));
    assert_eq!(snapshot.load().await.unwrap(), None);
    let saved = accepted(7, vec![disk("vol-1", 3, 10), disk("vol-2", 1, 20)]);
    snapshot.save(&saved).await.unwrap();
    assert_eq!(snapshot.load().await.unwrap().as_ref(), Some(&saved));
    let path = dir.path().join("state/items.snapshot");
    let good = std::fs::read(&path).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = snapshot.load().await.unwrap_err();
        assert!(error.to_string().contains("is damaged"), "byte {place}: {error}");
        std::fs::write(&path, &good[..place]).unwrap();
        assert!(snapshot.load().await.is_err(), "cut at {place}");
    }
}

#[tokio::test]
async fn the_board_tells_the_last_status_once_and_all_to_a_new_listener() {
    let board = Arc::new(Board::default());
    let saw = board.saw();
    let status = |ready| {
        let (mark, why) = ("m".to_owned(), "w".to_owned());
        Status::Disk(if ready { DiskStatus::Ready { mark } } else { DiskStatus::Pending { why } })
    };
    saw(key("unknown"), 1, status(true));
    for id in ["a", "b"] {
        board.know(&key(id));
    }
    saw(key("a"), 1, status(false));
    saw(key("a"), 2, status(true));
    let told = |key, generation| FromHost::Saw { key, generation, status: status(true) };
    assert_eq!(board.next().await, told(key("a"), 2));
    saw(key("a"), 2, status(true));
    saw(key("b"), 1, status(true));
    assert_eq!(board.next().await, told(key("b"), 1), "what was told is not told again");
    board.retell();
    assert_eq!((board.next().await, board.next().await), (told(key("a"), 2), told(key("b"), 1)));
    saw(key("a"), 3, status(true));
    board.forget(key("a"));
    saw(key("a"), 4, status(true));
    assert_eq!(board.next().await, FromHost::Gone { key: key("a") });
    saw(key("b"), 2, status(true));
    assert_eq!(board.next().await, told(key("b"), 2), "nothing more was said of what is gone");
}

#[tokio::test]
async fn frames_are_read_as_they_were_written() {
    let messages = [ToHost::Session { epoch: 1, items: vec![disk("vol", 1, 2)] }, change(vec![], &["vol"])];
    let mut bytes = Vec::new();
    for message in &messages {
        frame::write(&mut bytes, message).await.unwrap();
    }
    let mut stream = &bytes[..];
    for message in messages {
        assert_eq!(frame::read(&mut stream).await.unwrap(), Some(message));
    }
    assert_eq!(frame::read::<ToHost>(&mut stream).await.unwrap(), None);
    let long = (MAX_FRAME + 1).to_be_bytes();
    for broken in [&bytes[..3], &bytes[..9], &long, &[0, 0, 0, 1, b'{']] {
        assert!(frame::read::<ToHost>(&mut &*broken).await.is_err(), "{broken:?}");
    }
}
