use super::JournalError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;

/// Keeps others out of a data directory for as long as it lives. The lock is the kernel's, on a file that stays: a
/// process that dies in whatever way leaves nothing locked. The file's content only says who has it.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, never read: closing it unlocks")] File);

impl Lock {
    pub fn take(directory: &Path) -> Result<Lock, JournalError> {
        let path = directory.join("lock");
        let io_error = |why| JournalError::Io { action: "lock", path: path.display().to_string(), why };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut file = options.open(&path).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => sign(&mut file).map_err(io_error)?,
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                return Err(JournalError::InUse { directory: directory.to_owned(), pid });
            }
            Err(TryLockError::Error(why)) => return Err(io_error(why)),
        }
        Ok(Lock(file))
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}
