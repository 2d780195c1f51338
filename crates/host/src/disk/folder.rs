//! What stands on this machine for disks, file by file.
//!
//! ```text
//! disks/ID/roadstead-disk    the disk's mark, on the disk itself
//! disk-marks/ID              the same, apart from it: this disk was made once
//! ```
//! A mark is random and made with its disk. A disk that was made once, by the word of the region or of `disk-marks`, is
//! only ever looked for; so one that was deleted, emptied or exchanged is seen to be lost, and is not quietly begun
//! anew under a name whose data others rely on. Region and host each remember on their own: either may be set back.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand;
use roadstead_guest::DISK_MARK;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Begins the name of a folder that is being deleted.
const DOOMED: &str = ".removed-";
/// Begins the name of a folder or file that is being made.
const UNFINISHED: &str = ".new-";
/// No mark is longer, bytes.
const LONGEST_MARK: u64 = 64;

/// Which disk was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The one that was made under this id, with its mark.
    Whole(String),
    /// None, or another one; for people.
    Lost(String),
}

/// The folders of disks, and what is remembered of them.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    disks: PathBuf,
    marks: PathBuf,
}

impl Folders {
    pub fn new(state_dir: &Path) -> Folders {
        Folders { disks: state_dir.join("disks"), marks: state_dir.join("disk-marks") }
    }

    /// The folder of a disk.
    pub fn path(&self, id: &str) -> PathBuf {
        self.disks.join(id)
    }

    /// Finds the disk, or makes it if there never was one. `told` is the mark that the region knows it by.
    ///
    /// # Errors
    /// It could not be found out or made: that says nothing about the disk.
    pub fn open(&self, id: &str, told: Option<&str>) -> Result<Found> {
        ensure!(super::is_name(id), "'{id}' is no name of a disk: letters, digits, '-', '_' and '.' make one");
        let remembered = read_mark(&self.marks.join(id))?;
        let Some(mark) = told.map(str::to_owned).or(remembered.clone()) else { return self.first(id) };
        let found = self.look(id, &mark)?;
        if remembered.as_ref() != Some(&mark) && matches!(found, Found::Whole(_)) {
            self.remember(id, &mark)?;
        }
        Ok(found)
    }

    /// Whether the disk of this mark is there.
    pub fn look(&self, id: &str, mark: &str) -> Result<Found> {
        let path = self.path(id);
        Ok(match read_mark(&path.join(DISK_MARK))? {
            Some(found) if found == mark => Found::Whole(found),
            Some(_) => Found::Lost(format!("another disk stands at {}", path.display())),
            None if path.exists() => Found::Lost(format!("{} was emptied", path.display())),
            None => Found::Lost(format!("{} is gone", path.display())),
        })
    }

    /// Nobody remembers a disk of this id. One that is there was made by an agent that ended before it took a note, and
    /// so before anybody had it.
    fn first(&self, id: &str) -> Result<Found> {
        let path = self.path(id);
        let mark = match read_mark(&path.join(DISK_MARK))? {
            Some(mark) => mark,
            None if path.exists() => {
                return Ok(Found::Lost(format!("{} carries no mark: nobody knows whose it is", path.display())));
            }
            None => self.make(id).with_context(|| format!("making {}", path.display()))?,
        };
        self.remember(id, &mark)?;
        Ok(Found::Whole(mark))
    }

    /// The folder and its mark appear together, and are still there when the power comes back.
    fn make(&self, id: &str) -> Result<String> {
        let (mark, new) = (new_mark()?, self.disks.join(format!("{UNFINISHED}{id}")));
        create_all(&self.disks)?;
        absent(fs::remove_dir_all(&new))?;
        DirBuilder::new().mode(0o700).create(&new)?;
        write_durably(&new.join(DISK_MARK), &mark)?;
        sync(&new)?;
        fs::rename(&new, self.path(id))?;
        sync(&self.disks)?;
        Ok(mark)
    }

    fn remember(&self, id: &str, mark: &str) -> Result<()> {
        let note = || -> io::Result<()> {
            let new = self.marks.join(format!("{UNFINISHED}{id}"));
            create_all(&self.marks)?;
            write_durably(&new, mark)?;
            fs::rename(new, self.marks.join(id))?;
            sync(&self.marks)
        };
        note().with_context(|| format!("noting the mark of disk {id}"))
    }

    /// Takes the name away first, so that a disk is never half there, and the memory of it last.
    pub fn delete(&self, id: &str) -> Result<()> {
        if !super::is_name(id) {
            return Ok(());
        }
        let doomed = self.disks.join(format!("{DOOMED}{id}"));
        absent(fs::rename(self.path(id), &doomed)).context("renaming it")?;
        absent(fs::remove_dir_all(&doomed)).with_context(|| format!("deleting {}", doomed.display()))?;
        absent(fs::remove_file(self.marks.join(id))).context("forgetting its mark")
    }

    /// Ids of the disks of which anything is here.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = names(&self.disks).chain(names(&self.marks)).collect();
        ids.retain(|name| !name.starts_with('.'));
        ids.sort();
        ids.dedup();
        ids
    }

    /// Finishes the deletions that another agent began.
    pub fn sweep(&self) {
        for name in names(&self.disks).filter(|name| name.starts_with(DOOMED)) {
            // What stays is swept next time.
            let _ = fs::remove_dir_all(self.disks.join(name));
        }
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// 128 random bits, in hexadecimal digits.
fn new_mark() -> Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok().context("no random bytes from the system")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a file of a mark says; none if it is not there or says nothing.
fn read_mark(path: &Path) -> Result<Option<String>> {
    use std::io::Read as _;
    let read = || -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(LONGEST_MARK).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|mark| !mark.is_empty())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Some("unreadable".to_owned())),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn create_all(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What is not there need not be taken away.
fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
