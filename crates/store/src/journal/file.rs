use super::acknowledged::Acknowledged;
use super::lock::Lock;
use super::{Journal, JournalError, Stored};
use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError,
    WriteTransaction,
};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

type Frames = TableDefinition<'static, u64, &'static [u8]>;

const SNAPSHOT: Frames = TableDefinition::new("snapshot");
const BATCHES: Frames = TableDefinition::new("batches");

/// The state is in memory and the journal is read only at the start: a page cache is of little use.
const CACHE_BYTES: usize = 16 << 20;

/// A journal in a data directory: `journal.redb` and, beside it, `lock` and `acknowledged`.
///
/// redb (a copy-on-write B-tree) keeps the frames; what it adds is atomic commits. All of them are two-phase: the pages
/// are synced before the header points to them, so a header that points to damaged pages is damage and not a torn
/// commit to be rolled back. Every page is verified when it is opened.
pub struct File {
    name: String,
    database: Database,
    beside: Option<Beside>,
}

struct Beside {
    acknowledged: Acknowledged,
    last: Option<u64>,
    _lock: Lock,
}

impl File {
    /// Opens the journal in this directory and makes both if they are missing. Refuses a directory that another
    /// process has open.
    pub fn open(directory: &Path) -> Result<File, JournalError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|why| io_error("create", directory, why))?;
        let lock = Lock::take(directory)?;
        let path = directory.join("journal.redb");
        if !path.exists() {
            create(directory, &path)?;
        }
        let (acknowledged, last) = Acknowledged::open(directory)?;
        let journal = File::at(&path)?;
        Ok(File { beside: Some(Beside { acknowledged, last, _lock: lock }), ..journal })
    }

    fn at(path: &Path) -> Result<File, JournalError> {
        let name = path.display().to_string();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(|why| io_error("open", path, why))?;
        let backend = FileBackend::new(file).map_err(|error| from_redb(&name, "open", error.into()))?;
        File::on(&name, backend)
    }

    /// A journal on other storage; keeping others away, and making the file in one step, are the caller's business.
    pub fn on(name: &str, backend: impl StorageBackend) -> Result<File, JournalError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        // redb promises an error for damaged files; a panic, where it breaks that promise, is one too.
        let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
        let opened = opened.unwrap_or_else(|_| Err(redb::StorageError::Corrupted("it panicked".to_owned()).into()));
        let database = opened.map_err(|error| from_redb(name, "open", error.into()))?;
        Ok(File { name: name.to_owned(), database, beside: None })
    }

    fn transaction(
        &self,
        action: &'static str,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), JournalError> {
        let run = || {
            let mut transaction = self.database.begin_write()?;
            transaction.set_two_phase_commit(true);
            work(&transaction)?;
            Ok(transaction.commit()?)
        };
        run().map_err(|error| from_redb(&self.name, action, error))
    }

    fn read(&self) -> Result<Stored, redb::Error> {
        let transaction = self.database.begin_read()?;
        let snapshot = frames(&transaction, SNAPSHOT)?.into_iter().map(|(_, part)| part).collect();
        let acknowledged = self.beside.as_ref().and_then(|beside| beside.last);
        Ok(Stored { snapshot, batches: frames(&transaction, BATCHES)?, acknowledged })
    }
}

/// Makes an empty journal at `path`, in one step: a file that redb had begun when the power failed is one that it
/// refuses ever after.
fn create(directory: &Path, path: &Path) -> Result<(), JournalError> {
    let begun = directory.join("journal.redb.new");
    match fs::remove_file(&begun) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &begun, why)),
        _ => drop(File::at(&begun)?),
    }
    let in_place = fs::File::open(&begun).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&begun, path));
    let synced = in_place.and_then(|()| fs::File::open(directory)).and_then(|directory| directory.sync_all());
    synced.map_err(|why| io_error("create", path, why))
}

fn io_error(action: &'static str, path: &Path, why: io::Error) -> JournalError {
    JournalError::Io { action, path: path.display().to_string(), why }
}

/// A table's frames in order; none if it was never written.
fn frames(transaction: &ReadTransaction, table: Frames) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    let table = match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(vec![]),
        opened => opened?,
    };
    let mut frames = Vec::new();
    for entry in table.iter()? {
        let (number, frame) = entry?;
        frames.push((number.value(), frame.value().to_vec()));
    }
    Ok(frames)
}

impl Journal for File {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn load(&mut self) -> Result<Stored, JournalError> {
        self.read().map_err(|error| from_redb(&self.name, "read", error))
    }

    fn append(&mut self, seq: u64, frame: &[u8]) -> Result<(), JournalError> {
        self.transaction("write", |transaction| {
            transaction.open_table(BATCHES)?.insert(seq, frame)?;
            Ok(())
        })?;
        if let Some(beside) = &self.beside {
            beside.acknowledged.note(seq);
        }
        Ok(())
    }

    fn compact(&mut self, seq: u64, parts: &[Vec<u8>]) -> Result<(), JournalError> {
        self.transaction("compact", |transaction| {
            let mut snapshot = transaction.open_table(SNAPSHOT)?;
            snapshot.retain(|_, _| false)?;
            for (part, frame) in (0..).zip(parts) {
                snapshot.insert(part, frame.as_slice())?;
            }
            transaction.open_table(BATCHES)?.retain(|batch, _| batch > seq)?;
            Ok(())
        })
    }
}

fn from_redb(journal: &str, action: &'static str, error: redb::Error) -> JournalError {
    let damaged = |what| JournalError::Damaged { journal: journal.to_owned(), place: "its pages".to_owned(), what };
    match error {
        redb::Error::Corrupted(what) => damaged(what),
        redb::Error::Io(why) if why.kind() == io::ErrorKind::InvalidData => damaged(why.to_string()),
        redb::Error::Io(why) => JournalError::Io { action, path: journal.to_owned(), why },
        other => JournalError::Io { action, path: journal.to_owned(), why: io::Error::other(other) },
    }
}
