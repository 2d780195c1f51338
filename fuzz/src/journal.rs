//! The journal: a chain of frames is the state that it says, or it is refused with its place; never another state.
//!
//! An input is the payloads of frames, between lines of `---`: first the snapshot's, then batches. A payload whose chain is
//! right gets its envelope here, since chance would never hit on a checksum.

use roadstead_cloud::ec2::vpc;
use roadstead_cloud::iam::{self, role::Role};
use roadstead_store::journal::{JournalError, Memory, Stored};
use roadstead_store::{Core, Options, Tx, View};
use roadstead_types::{Cidr, Millis};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::net::Ipv4Addr;

const ACCOUNT: &str = "111122223333";
/// The first line of a snapshot of a new chain.
const HEAD: &str = "{\"seq\":0,\"previous\":\"\",\"time\":0,\"seed\":7,\"ids\":0,\"part\":0,\"parts\":1}\n";

/// Between payloads.
const LINE: &[u8] = b"\n---\n";
/// What stands before a payload: the format, and a SHA-256 of format and payload.
const FORMAT: [u8; 4] = 1_u32.to_le_bytes();
const ENVELOPE: usize = 4 + 32;

/// Opens the journal that the bytes are.
pub fn run(bytes: &[u8]) {
    let payloads: Vec<&[u8]> = split(bytes);
    let Some((snapshot, batches)) = payloads.split_first() else { return };
    let batches = (1..).zip(batches.iter().map(|payload| seal(payload))).collect();
    let stored = Stored { snapshot: vec![seal(snapshot)], batches, acknowledged: None };
    match open(Memory::holding(stored)) {
        Ok(core) => assert_kept(&core),
        Err(JournalError::Damaged { .. } | JournalError::UnknownKind { .. } | JournalError::Newer { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    // The same bytes, not sealed.
    let stored = Stored { snapshot: vec![bytes.to_vec()], ..Stored::default() };
    assert!(open(Memory::holding(stored)).is_err(), "an envelope was guessed");
}

/// What was read is what would be written: a snapshot of the same records reads back as the same.
fn assert_kept(core: &Core) {
    let records = all(core.view());
    let stored = Stored {
        snapshot: vec![seal(records.iter().fold(HEAD.to_owned(), |text, line| text + line + "\n").as_bytes())],
        ..Stored::default()
    };
    let copy = open(Memory::holding(stored)).unwrap_or_else(|why| panic!("{why}: {records:?}"));
    assert_eq!(all(copy.view()), records);
}

/// As they stand in the journal.
fn all(view: &View) -> Vec<String> {
    let keys = view.kinds().flat_map(|(kind, _)| view.keys(kind, ""));
    keys.map(|key| view.json(&key).expect("it is there, and was JSON")).collect()
}

fn open(journal: Memory) -> Result<Core, JournalError> {
    Core::open(journal, roadstead_cloud::registry(), Options::seeded(7))
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = vec![];
    let mut rest = bytes;
    while let Some(at) = rest.windows(LINE.len()).position(|window| window == LINE) {
        parts.push(&rest[..=at]);
        rest = &rest[at + LINE.len()..];
    }
    parts.push(rest);
    parts
}

fn seal(payload: &[u8]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    hash.update(payload);
    [&FORMAT, &hash.finalize()[..], payload].concat()
}

/// A small account's snapshot, and a few batches.
pub fn seeds() -> Vec<Vec<u8>> {
    let journal = Memory::new();
    let mut core = open(journal.clone()).expect("an empty journal opens");
    let commit = |core: &mut Core, work: &mut dyn FnMut(&mut Tx)| {
        core.transact(Millis::secs(1_767_225_600), |tx| {
            work(tx);
            Ok::<_, Infallible>(())
        })
        .expect("nothing refuses");
        core.commit().expect("memory does not fail");
    };
    commit(&mut core, &mut |tx| drop(iam::user::create(tx, ACCOUNT, "admin", "/")));
    commit(&mut core, &mut |tx| {
        drop(iam::role::create(tx, ACCOUNT, "node", "/", "{}", &["arn:aws:iam::aws:policy/P"]))
    });
    commit(&mut core, &mut |tx| {
        drop(vpc::create(tx, ACCOUNT, Cidr::containing(Ipv4Addr::new(10, 1, 0, 0), 16), false))
    });
    commit(&mut core, &mut |tx| tx.remove(&Role::key(ACCOUNT, "node")));
    let stored = journal.stored();
    let frames = stored.snapshot.iter().chain(stored.batches.iter().map(|(_, frame)| frame));
    let payloads: Vec<&[u8]> = frames.map(|frame| &frame[ENVELOPE..frame.len() - 1]).collect();
    vec![payloads.join(LINE), payloads[0].to_vec()]
}
