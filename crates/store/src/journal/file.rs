use super::acknowledged::Acknowledged;
use super::frames::{self, Section};
use super::lock::Lock;
use super::storage::{Place, Storage};
use super::{Journal, JournalError, Stored};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const NAME: &str = "journal.log";
/// What earlier versions kept.
const OLDER: &str = "journal.redb";

/// The file grows by so much: zeros, written beforehand. A sync of what was written over bytes that were there is one
/// write of the disk; were the file longer after it, the file system would write of that, too.
const ROOM_BYTES: usize = 256 << 10;

/// A journal in a data directory: `journal.log` and, beside it, `lock` and `acknowledged`.
///
/// A batch is appended with one write and one sync (ADR 19). A snapshot begins a new file, which takes the old one's
/// place once it is durable.
pub struct File<S> {
    name: String,
    storage: S,
    /// Where the next frame goes.
    end: usize,
    /// Where the room for frames ends: the length of the file.
    len: usize,
    beside: Option<Beside>,
}

struct Beside {
    acknowledged: Acknowledged,
    last: Option<u64>,
    _lock: Lock,
}

impl File<Place> {
    /// Opens the journal in this directory and makes both if they are missing. Refuses a directory that another
    /// process has open, and one with a journal of an older version.
    pub fn open(directory: &Path) -> Result<File<Place>, JournalError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|why| io_error("create", &directory.display().to_string(), why))?;
        let lock = Lock::take(directory)?;
        let path = directory.join(NAME).display().to_string();
        if directory.join(OLDER).exists() {
            return Err(JournalError::Older { journal: directory.join(OLDER).display().to_string() });
        }
        let (acknowledged, last) = Acknowledged::open(directory)?;
        let place = Place::open(directory, NAME).map_err(|why| io_error("open", &path, why))?;
        Ok(File { beside: Some(Beside { acknowledged, last, _lock: lock }), ..File::on(&path, place) })
    }
}

impl<S: Storage> File<S> {
    /// A journal on other storage; keeping others away is the caller's business.
    pub fn on(name: &str, storage: S) -> File<S> {
        File { name: name.to_owned(), storage, end: 0, len: 0, beside: None }
    }

    /// Writes a frame where it is due, in the room that is there or with new room behind it.
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let end = self.end + frame.len();
        if end <= self.len {
            self.storage.write(self.end as u64, frame)?;
        } else {
            let room = vec![0; ROOM_BYTES];
            self.storage.write(self.end as u64, &[frame, &room].concat())?;
            self.len = end + ROOM_BYTES;
        }
        self.storage.sync()?;
        self.end = end;
        Ok(())
    }
}

impl<S: Storage> Journal for File<S> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        let acknowledged = self.beside.as_ref().and_then(|beside| beside.last);
        let Some(file) = self.storage.read().map_err(|why| io_error("read", &self.name, why))? else {
            return Ok(Stored { acknowledged, ..Stored::default() });
        };
        let frames::Read { frames, last, end } = frames::read(&self.name, &file)?;
        // The last frame may be in the kernel's memory only: of a process that was killed, or whose sync failed. After
        // that Linux takes for written what was not (https://lwn.net/Articles/752063/), so it is written again.
        let again = &file[last..end.min(file.len())];
        self.storage.write(last as u64, again).map_err(|why| io_error("write", &self.name, why))?;
        // Nor may it be durable yet that this is the journal: the file that it replaced would come back without what is
        // appended from now on.
        let synced = self.storage.sync().and_then(|()| self.storage.settle());
        synced.map_err(|why| io_error("sync", &self.name, why))?;
        (self.end, self.len) = (end, file.len());
        let (snapshot, batches): (Vec<_>, Vec<_>) = frames.into_iter().partition(|f| f.section == Section::Snapshot);
        let snapshot = snapshot.into_iter().map(|part| part.payload.to_vec()).collect();
        let batches: Vec<_> = batches.into_iter().map(|batch| (batch.number, batch.payload.to_vec())).collect();
        // The note may lag behind. Nothing that is shown from now on may go missing later.
        match (&self.beside, batches.last()) {
            (Some(beside), Some((seq, _))) if beside.last < Some(*seq) => beside.acknowledged.note(*seq),
            _ => {}
        }
        Ok(Stored { snapshot, batches, acknowledged })
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        let written = self.write(&frames::frame(Section::Batches, seq, frame));
        written.map_err(|why| io_error("write", &self.name, why))
    }

    fn note(&mut self, seq: u64) {
        if let Some(beside) = &self.beside {
            beside.acknowledged.note(seq);
        }
    }

    fn compact(&mut self, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        let numbered = (0..).zip(parts);
        let snapshot = numbered.map(|(part, bytes)| frames::frame(Section::Snapshot, part, bytes));
        let all: Vec<Vec<u8>> = std::iter::once(frames::title()).chain(snapshot).collect();
        let room = vec![0; ROOM_BYTES];
        let slices: Vec<&[u8]> = all.iter().chain([&room]).map(Vec::as_slice).collect();
        let prepared = self.storage.prepare(&slices);
        prepared.map_err(|why| JournalError::NotCompacted { path: self.name.clone(), why })?;
        self.storage.replace().map_err(|why| io_error("compact", &self.name, why))?;
        self.end = all.iter().map(Vec::len).sum();
        self.len = self.end + ROOM_BYTES;
        Ok(())
    }
}

fn io_error(action: &'static str, path: &str, why: io::Error) -> JournalError {
    JournalError::Io { action, path: path.to_owned(), why }
}
