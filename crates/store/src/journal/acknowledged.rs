use super::JournalError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Remembers, beside the journal, the last batch that was acknowledged.
///
/// The journal can't say of itself that its end is missing: a last frame that was damaged looks like one whose writing
/// was cut short. This file is written after the answers, so as not to delay them, and is not synced, so after a crash
/// it may lag behind, until the journal is opened, but it never runs ahead: a journal that ends before it has lost
/// something.
#[derive(Debug)]
pub(super) struct Acknowledged(File);

/// The number, and the number again with all its bits turned over: what is torn or flipped is not believed.
const BYTES: usize = 16;

impl Acknowledged {
    /// Opens the file, and says what it remembers.
    pub fn open(directory: &Path) -> Result<(Acknowledged, Option<u64>), JournalError> {
        let path = directory.join("acknowledged");
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let read = options.open(&path).and_then(|file| Ok((read(&file)?, file)));
        let (seq, file) =
            read.map_err(|why| JournalError::Io { action: "read", path: path.display().to_string(), why })?;
        Ok((Acknowledged(file), seq))
    }

    /// This batch was acknowledged. A failure to note that costs nothing but the check.
    pub fn note(&self, seq: u64) {
        let bytes = [seq.to_le_bytes(), (!seq).to_le_bytes()].concat();
        if let Err(why) = self.0.write_all_at(&bytes, 0) {
            tracing::warn!(%why, seq, "can't note the acknowledged batch");
        }
    }
}

fn read(mut file: &File) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(<[u8; BYTES]>::try_from(bytes).ok().and_then(believed))
}

fn believed(bytes: [u8; BYTES]) -> Option<u64> {
    let (seq, inverse) = bytes.split_at(BYTES / 2);
    let number = |half: &[u8]| half.try_into().map(u64::from_le_bytes).ok();
    number(seq).filter(|seq| number(inverse) == Some(!seq))
}
