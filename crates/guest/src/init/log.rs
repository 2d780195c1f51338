//! Logs of processes: bounded files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A log that has grown to so many bytes becomes `NAME.log.1`, in the place of the one before it.
pub const LIMIT: u64 = 8 << 20;

/// An append-only file of at most [`LIMIT`] bytes, and its predecessor.
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Log {
    /// Opens `folder/NAME.log`, made if there is none.
    pub fn open(folder: &Path, name: &str) -> io::Result<Log> {
        fs::create_dir_all(folder)?;
        Log::with_limit(folder.join(format!("{name}.log")), LIMIT)
    }

    fn with_limit(path: PathBuf, limit: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Log { path, file, size, limit })
    }

    /// Appends what a process wrote. On an error it is lost: a full disk must not stop a process.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.limit {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Log::with_limit(self.path.clone(), self.limit)?;
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_holds_more_than_twice_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::with_limit(dir.path().join("a.log"), 10).unwrap();
        for line in ["1234\n", "5678\n", "abcd\n", "a line longer than the limit\n", "x\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("a.log")).unwrap(), "x\n");
        assert_eq!(fs::read_to_string(dir.path().join("a.log.1")).unwrap(), "a line longer than the limit\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
