//! From what a journal holds to the state it stands for, believing none of it unverified.

use crate::batch::{self, DecodeError, FrameChange, Head, Link};
use crate::journal::{JournalError, Stored};
use crate::view::{Ids, View};
use crate::{AnyKey, Registry};
use std::sync::Arc;

/// Verifies the chain and rebuilds the state at its end.
pub(crate) fn replay(journal: &str, stored: Stored, registry: Arc<Registry>) -> Result<(View, Link), JournalError> {
    let mut replay = Replay { journal, view: View::empty(registry, 0), link: Link::default() };
    replay.snapshot(&stored.snapshot)?;
    for (seq, frame) in &stored.batches {
        replay.batch(*seq, frame)?;
    }
    match stored.acknowledged {
        Some(seq) if seq > replay.link.seq => {
            let last = replay.link.seq;
            let what = format!(
                "it was acknowledged, but the chain ends at {last}: its end is lost, or an older journal was put here \
                 without the rest of its directory"
            );
            Err(replay.damaged(&format!("batch {seq}"), what))
        }
        _ => Ok((replay.view, replay.link)),
    }
}

struct Replay<'a> {
    journal: &'a str,
    view: View,
    link: Link,
}

impl Replay<'_> {
    fn snapshot(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        if parts.is_empty() {
            return Err(self.damaged("the snapshot", "it is missing".to_owned()));
        }
        for (part, frame) in (0..).zip(parts) {
            let place = format!("part {part} of the snapshot");
            let (head, changes, _) = self.decode(&place, frame)?;
            if head.part != part || head.parts != parts.len() as u64 {
                let what = format!("it says that it is part {} of {}, of {} found", head.part, head.parts, parts.len());
                return Err(self.damaged(&place, what));
            }
            let link = Link { seq: head.seq, hash: head.previous.clone() };
            if part > 0 && link != self.link {
                return Err(self.damaged(&place, format!("it belongs to another snapshot, of batch {}", link.seq)));
            }
            self.link = link;
            self.apply(&place, &head, changes)?;
        }
        Ok(())
    }

    fn batch(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        let place = format!("batch {seq}");
        let (head, changes, hash) = self.decode(&place, frame)?;
        if head.seq != seq || seq != self.link.seq + 1 {
            let what = format!("it says that it is batch {}, and batch {} is due", head.seq, self.link.seq + 1);
            return Err(self.damaged(&place, what));
        }
        if head.previous != self.link.hash {
            return Err(self.damaged(&place, format!("it doesn't follow the batch {} that is here", self.link.seq)));
        }
        self.link = Link { seq, hash };
        self.apply(&place, &head, changes)
    }

    fn apply(&mut self, place: &str, head: &Head, changes: Vec<FrameChange>) -> Result<(), JournalError> {
        self.view.restore(head.seq, head.time, Ids { seed: head.seed, used: head.ids });
        for FrameChange { key, row } in changes {
            let kind = self.kind(place, &key)?;
            self.view.replace(kind, key.shared_name(), row);
        }
        Ok(())
    }

    /// A removal's kind is checked here; a put's was when it was decoded.
    fn kind(&self, place: &str, key: &AnyKey) -> Result<&'static str, JournalError> {
        let known = self.view.registry().known(key.kind());
        known.ok_or_else(|| self.unknown_kind(place, key.kind().to_owned()))
    }

    fn decode(&self, place: &str, frame: &[u8]) -> Result<(Head, Vec<FrameChange>, String), JournalError> {
        batch::decode(frame, self.view.registry()).map_err(|error| match error {
            DecodeError::Damaged(what) => self.damaged(place, what),
            DecodeError::UnknownKind(kind) => self.unknown_kind(place, kind),
            DecodeError::Newer(format) => JournalError::Newer {
                journal: self.journal.to_owned(),
                place: place.to_owned(),
                format,
                newest: batch::FORMAT,
            },
        })
    }

    fn damaged(&self, place: &str, what: String) -> JournalError {
        JournalError::Damaged { journal: self.journal.to_owned(), place: place.to_owned(), what }
    }

    fn unknown_kind(&self, place: &str, kind: String) -> JournalError {
        JournalError::UnknownKind { journal: self.journal.to_owned(), place: place.to_owned(), kind }
    }
}
