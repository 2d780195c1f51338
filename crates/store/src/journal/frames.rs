//! How a log's frames lie in its file: what is whole, where the next one goes, and whether what follows the last whole
//! one is a write that a crash cut short, or damage.
//!
//! ```text
//! sector 0           sector 1 …                                        …            …
//! ┌─────────────────┬──────────────────────────────────────┬──────────┬────────────┬──────────────────────┐
//! │ "roadstead log 1│ mark · seal · section · number · len │ payload  │ 0 to the   │ the next frame, or   │
//! │  \n" and zeros  │ 8      32     u32       u64      u32 │ len      │ sector end │ zeros for it: "room" │
//! └─────────────────┴──────────────────────────────────────┴──────────┴────────────┴──────────────────────┘
//! ```
//!
//! Numbers are little-endian; the seal is the SHA-256 of all that follows it in the frame. A frame begins on a sector
//! of its own, so that no write touches what is already durable.

use super::JournalError;
use aws_lc_rs::digest::{SHA256, digest};

/// The unit in which disks write, at the least.
const SECTOR: usize = 512;
const TITLE: &[u8] = b"roadstead log 1\n";
const MARK: &[u8; 8] = b"\x89frame\r\n";
const SEAL_BYTES: usize = 32;
const SEAL_AT: usize = MARK.len();
const SECTION_AT: usize = SEAL_AT + SEAL_BYTES;
const NUMBER_AT: usize = SECTION_AT + size_of::<u32>();
const LEN_AT: usize = NUMBER_AT + size_of::<u64>();
const PAYLOAD_AT: usize = LEN_AT + size_of::<u32>();

/// What a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Snapshot,
    Batches,
}

impl Section {
    fn code(self) -> u32 {
        match self {
            Section::Snapshot => 0,
            Section::Batches => 1,
        }
    }

    fn of(code: u32) -> Option<Section> {
        [Section::Snapshot, Section::Batches].into_iter().find(|section| section.code() == code)
    }
}

/// A frame found in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub section: Section,
    /// The part of the snapshot, or the batch.
    pub number: u64,
    pub payload: &'a [u8],
}

/// The whole frames of a file.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub frames: Vec<Found<'a>>,
    /// Where the last of them begins.
    pub last: usize,
    /// Where it ends, and the next one goes: in a file that was cut in the zeros of the last sector, beyond its end.
    pub end: usize,
}

/// The file's first sector.
pub(super) fn title() -> Vec<u8> {
    let mut sector = TITLE.to_vec();
    sector.resize(SECTOR, 0);
    sector
}

/// A frame as it lies in the file, up to the end of its last sector.
pub(super) fn frame(section: Section, number: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("invariant: a batch is far smaller than 4 GiB");
    let mut frame = Vec::with_capacity((PAYLOAD_AT + payload.len()).next_multiple_of(SECTOR));
    frame.extend_from_slice(MARK);
    frame.extend_from_slice(&[0; SEAL_BYTES]);
    frame.extend_from_slice(&section.code().to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(payload);
    let seal = digest(&SHA256, &frame[SECTION_AT..]);
    frame[SEAL_AT..SECTION_AT].copy_from_slice(seal.as_ref());
    frame.resize(frame.len().next_multiple_of(SECTOR), 0);
    frame
}

/// The whole frames of a file in their order. What comes after the last whole one is nobody's, unless a whole one
/// follows it after all: writes are synced one by one, so only the last can be cut short. The first never can: a file
/// has its name only with a snapshot in it.
///
/// # Errors
/// [`JournalError::Damaged`]
pub(super) fn read<'a>(journal: &str, file: &'a [u8]) -> Result<Read<'a>, JournalError> {
    let damaged = |place: String, what: &str| {
        Err(JournalError::Damaged { journal: journal.to_owned(), place, what: what.to_owned() })
    };
    if file.get(..SECTOR) != Some(&title()) {
        return damaged("byte 0".to_owned(), "this is not how one begins");
    }
    let mut frames = Vec::new();
    let (mut last, mut at) = (SECTOR, SECTOR);
    while let Some((found, len)) = file.get(at..).and_then(whole) {
        frames.push(found);
        (last, at) = (at, at + len);
    }
    let later = (at..file.len()).step_by(SECTOR).find(|later| whole(&file[*later..]).is_some());
    match later {
        None if frames.is_empty() => damaged(format!("byte {at}"), "no frame is whole there, and none follows"),
        Some(later) => damaged(format!("byte {at}"), &format!("no frame is whole there, but one is at byte {later}")),
        None => Ok(Read { frames, last, end: at }),
    }
}

/// The frame that begins here, and its length with what fills its last sector; none if it is not whole.
fn whole(bytes: &[u8]) -> Option<(Found<'_>, usize)> {
    if !bytes.starts_with(MARK) {
        return None;
    }
    let number = |at: usize| bytes.get(at..at + size_of::<u32>())?.try_into().ok().map(u32::from_le_bytes);
    let end = PAYLOAD_AT.checked_add(usize::try_from(number(LEN_AT)?).ok()?)?;
    let sealed = bytes.get(SECTION_AT..end)?;
    if digest(&SHA256, sealed).as_ref() != &bytes[SEAL_AT..SECTION_AT] {
        return None;
    }
    let section = Section::of(number(SECTION_AT)?)?;
    let number = bytes[NUMBER_AT..LEN_AT].try_into().ok().map(u64::from_le_bytes)?;
    Some((Found { section, number, payload: &bytes[PAYLOAD_AT..end] }, end.next_multiple_of(SECTOR)))
}
