//! What the journal's frames say: a snapshot in parts, then batches, each naming the hash of the one before it.
//!
//! A frame is an envelope around lines of JSON: a head, then one line per record put or removed.
//!
//! ```text
//! format: u32 LE │ SHA-256 of format and payload │ payload
//!
//! {"seq":17,"previous":"9f…","time":1764580000000,"seed":7,"ids":41,"part":0,"parts":1}
//! {"put":"eks/cluster/111122223333/us-east-1/prod","created":…,"generation":3,"body":{…}}
//! {"remove":"eks/cluster/111122223333/us-east-1/test"}
//! ```
//!
//! The envelope is the same in every format to come, so that damage is told apart from novelty.

use crate::object::SharedRow;
use crate::view::{Ids, View};
use crate::{AnyKey, Read, Registry};
use aws_lc_rs::digest::{self, Digest};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};

/// The newest format of payloads that this code reads, and the one it writes.
pub(crate) const FORMAT: u32 = 1;

const HASH_BYTES: usize = 32;
const ENVELOPE_BYTES: usize = size_of::<u32>() + HASH_BYTES;
/// Snapshots are cut into parts of about this size, so that damage has a place and no value is huge.
const PART_BYTES: usize = 1 << 20;

/// Where the chain stands: the last batch and its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub seq: u64,
    pub hash: String,
}

/// The first line of a payload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    /// The batch, or the last one that the snapshot holds.
    pub seq: u64,
    /// In a batch: the hash of the batch before it, or of the last one in the snapshot. In a snapshot: the hash of
    /// batch `seq`, to which the next batch refers.
    pub previous: String,
    pub time: Millis,
    pub seed: u64,
    /// How many ids were given out.
    pub ids: u64,
    /// 0 .. parts in a snapshot; a batch is a single part.
    pub part: u64,
    pub parts: u64,
}

/// One change in a payload: only the key, the rest is read by the kind's own code.
#[derive(Deserialize)]
struct ChangeLine {
    put: Option<AnyKey>,
    remove: Option<AnyKey>,
}

#[derive(Serialize)]
struct RemoveLine<'a> {
    remove: &'a AnyKey,
}

/// A record in a frame: put, or removed.
#[derive(Debug)]
pub(crate) struct FrameChange {
    pub key: AnyKey,
    pub row: Option<SharedRow>,
}

/// A frame and the link that it makes in the chain.
pub(crate) struct Frame {
    pub bytes: Vec<u8>,
    pub hash: String,
}

/// A record that can't be written: its `Serialize` failed, which is a mistake in its type.
#[derive(Debug, thiserror::Error)]
#[error("{key} can't be written as JSON: {why}")]
pub(crate) struct EncodeError {
    key: AnyKey,
    why: serde_json::Error,
}

/// Why a frame can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("{0}")]
    Damaged(String),
    #[error("format {0}")]
    Newer(u32),
    #[error("kind {0}")]
    UnknownKind(String),
}

/// The frame of one batch. The view is the state after it.
pub(crate) fn encode_batch<'a>(
    view: &View,
    previous: &Link,
    changes: impl Iterator<Item = (&'a AnyKey, Option<&'a SharedRow>)>,
) -> Result<Frame, EncodeError> {
    let Ids { seed, used } = view.ids();
    let seq = previous.seq + 1;
    let head = Head { seq, previous: previous.hash.clone(), time: view.now(), seed, ids: used, part: 0, parts: 1 };
    let mut payload = payload_with(&head);
    for (key, row) in changes {
        write_change(&mut payload, key, row)?;
    }
    Ok(seal(&payload))
}

/// The frames of a snapshot of the view, which is the state at `link`.
pub(crate) fn encode_snapshot(view: &View, link: &Link) -> Result<Vec<Frame>, EncodeError> {
    let mut bodies = vec![Vec::new()];
    for (key, row) in view.rows() {
        if bodies.last().is_some_and(|body| body.len() >= PART_BYTES) {
            bodies.push(Vec::new());
        }
        let body = bodies.last_mut().expect("starts with one");
        write_change(body, &key, Some(row))?;
    }
    let Ids { seed, used } = view.ids();
    let parts = bodies.len() as u64;
    let frames = bodies.iter().zip(0..).map(|(body, part)| {
        let previous = link.hash.clone();
        let head = Head { seq: link.seq, previous, time: view.now(), seed, ids: used, part, parts };
        let mut payload = payload_with(&head);
        payload.extend_from_slice(body);
        seal(&payload)
    });
    Ok(frames.collect())
}

/// Reads a frame back: its head, its changes and its hash.
pub(crate) fn decode(frame: &[u8], registry: &Registry) -> Result<(Head, Vec<FrameChange>, String), DecodeError> {
    let (payload, hash) = open(frame)?;
    let text = std::str::from_utf8(payload).map_err(|e| damaged("the text", e))?;
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let head: Head = serde_json::from_str(head).map_err(|e| damaged("line 1", e))?;
    let numbered = lines.zip(2..);
    let changes = numbered.map(|(line, number)| read_change(line, number, registry)).collect::<Result<_, _>>()?;
    Ok((head, changes, hash))
}

fn payload_with(head: &Head) -> Vec<u8> {
    let mut payload = serde_json::to_vec(head).expect("numbers and hexadecimal text are JSON");
    payload.push(b'\n');
    payload
}

fn write_change(to: &mut Vec<u8>, key: &AnyKey, row: Option<&SharedRow>) -> Result<(), EncodeError> {
    let written = match row {
        Some(row) => row.write_line(to),
        None => serde_json::to_writer(&mut *to, &RemoveLine { remove: key }),
    };
    to.push(b'\n');
    written.map_err(|why| EncodeError { key: key.clone(), why })
}

fn read_change(line: &str, number: usize, registry: &Registry) -> Result<FrameChange, DecodeError> {
    let place = || format!("line {number}");
    let change: ChangeLine = serde_json::from_str(line).map_err(|e| damaged(&place(), e))?;
    match (change.put, change.remove) {
        (Some(key), None) => {
            let known = registry.read_line(key.kind(), line);
            let read = known.ok_or_else(|| DecodeError::UnknownKind(key.kind().to_owned()))?;
            let row = read.map_err(|e| damaged(&format!("{} ({key})", place()), e))?;
            Ok(FrameChange { key, row: Some(row) })
        }
        (None, Some(key)) => Ok(FrameChange { key, row: None }),
        _ => Err(damaged(&place(), "neither a put nor a removal")),
    }
}

fn damaged(place: &str, why: impl std::fmt::Display) -> DecodeError {
    DecodeError::Damaged(format!("{place}: {why}"))
}

fn seal(payload: &[u8]) -> Frame {
    seal_as(FORMAT, payload)
}

pub(crate) fn seal_as(format: u32, payload: &[u8]) -> Frame {
    let format = format.to_le_bytes();
    let digest = checksum(&format, payload);
    let hash = hex(digest.as_ref());
    Frame { bytes: [&format[..], digest.as_ref(), payload].concat(), hash }
}

/// The payload, once the envelope was verified; then the format, which the checksum covers.
fn open(frame: &[u8]) -> Result<(&[u8], String), DecodeError> {
    if frame.len() < ENVELOPE_BYTES {
        return Err(DecodeError::Damaged(format!("{} bytes are too few", frame.len())));
    }
    let (format, rest) = frame.split_at(size_of::<u32>());
    let (hash, payload) = rest.split_at(HASH_BYTES);
    if checksum(format, payload).as_ref() != hash {
        return Err(DecodeError::Damaged("its checksum doesn't fit its content".to_owned()));
    }
    let format = u32::from_le_bytes(format.try_into().expect("split after four bytes"));
    if format > FORMAT {
        return Err(DecodeError::Newer(format));
    }
    Ok((payload, hex(hash)))
}

fn checksum(format: &[u8], payload: &[u8]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format);
    context.update(payload);
    context.finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
