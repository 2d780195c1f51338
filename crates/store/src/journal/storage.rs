use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a journal's bytes are kept on: a file that can be written anywhere, and replaced as a whole.
pub trait Storage: Send + 'static {
    /// All of it; none if nothing was ever put there.
    ///
    /// # Errors
    /// The disk's.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Writes these bytes there, beyond the end too. A crash before [`Storage::sync`] leaves any part of them.
    ///
    /// # Errors
    /// The disk's.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// When this returns `Ok`, no crash loses what was written before.
    ///
    /// # Errors
    /// The disk's: then nothing is known of what was written.
    fn sync(&mut self) -> io::Result<()>;

    /// When this returns `Ok`, no crash brings back what was there before the last replacement, should that have been
    /// interrupted.
    ///
    /// # Errors
    /// The disk's.
    fn settle(&mut self) -> io::Result<()>;

    /// Writes these bytes, one part after the other, beside what is there: durably.
    ///
    /// # Errors
    /// The disk's, which may be full: then nothing is prepared, and what is there is as it was.
    fn prepare(&mut self, parts: &[&[u8]]) -> io::Result<()>;

    /// Puts what was prepared in the place of all that is there: durably, and in one step.
    ///
    /// # Errors
    /// The disk's: then one of the two is there.
    fn replace(&mut self) -> io::Result<()>;
}

/// A file in a folder, and for as long as it is being replaced the one that will take its place beside it.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    path: PathBuf,
    begun: PathBuf,
    file: Option<File>,
    prepared: Option<File>,
}

impl Place {
    /// The file of this name, which need not be there. What an interrupted replacement left is removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path, name: &str) -> io::Result<Place> {
        let (path, begun) = (folder.join(name), folder.join(format!("{name}.new")));
        match fs::remove_file(&begun) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        Ok(Place { folder: folder.to_owned(), path, begun, file, prepared: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn begin(&self, parts: &[&[u8]]) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&self.begun)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        Ok(file)
    }
}

impl Storage for Place {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.file.as_ref().map(|_| fs::read(&self.path)).transpose()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn settle(&mut self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn prepare(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let begun = self.begin(parts);
        if begun.is_err() {
            // It takes room that batches need. What can't be removed now is when the place is opened next.
            let _ = fs::remove_file(&self.begun);
        }
        self.prepared = Some(begun?);
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        let file = self.prepared.take().ok_or(io::ErrorKind::NotFound)?;
        fs::rename(&self.begun, &self.path)?;
        self.settle()?;
        self.file = Some(file);
        Ok(())
    }
}
